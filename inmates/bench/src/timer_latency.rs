//! From the tick that the timer was set to, to the first instruction of the cell's vector.

use inmate_rt::gic::Gic;
use inmate_rt::measure::{self, Filter};
use inmate_rt::{Tree, println, timer};

use crate::tally::{Tally, rounds, skip};

/// Ticks from setting the timer to its interrupt: longer than any code in between.
const AHEAD: u64 = 200;

/// Measures and prints it.
pub fn run(tree: &Tree, gic: &mut Gic) {
    let Some(interrupt) = tree.timer_interrupt() else {
        return skip("timer_latency", "no timer");
    };
    gic.enable(interrupt);
    let tick_cycles = 1_000_000_000 / timer::frequency_hz();
    measure::start(Filter::All);
    let offset = offset(tick_cycles);
    let all = Tally::of(|| {
        let tick = timer::now() + AHEAD;
        measure::timer_to_vector(tick)
            .wrapping_sub(tick * tick_cycles)
            .wrapping_sub(offset)
    });
    measure::start(Filter::El2);
    let el2 = Tally::of(|| {
        let (_, before) = measure::clocks(1);
        measure::timer_to_vector(timer::now() + AHEAD).wrapping_sub(before)
    });
    println!(
        "bench timer_latency {} {} {}",
        all.least(),
        all.mode(),
        el2.mode()
    );
}

/// Returns how many cycles the cycle counter is ahead of the virtual counter, at the moment of a tick. The counters are
/// read somewhere between a tick and the next one, the cycles one instruction later: with all phases tried, the least
/// difference is that of a read right at a tick.
fn offset(tick_cycles: u64) -> u64 {
    let differences = (0..rounds()).map(|round| {
        let (tick, cycles) = measure::clocks(1 + round % 16);
        cycles.wrapping_sub(tick * tick_cycles).cast_signed()
    });
    differences
        .min()
        .map_or(0, |least| (least - 1).cast_unsigned())
}
