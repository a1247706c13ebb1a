//! CPUs that are turned on and turn themselves off all the time, for whoever stops the cell meanwhile.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use inmate_rt::psci::Error;
use inmate_rt::{Hvc, Smc, cpu, println};

/// CPU_ONs that succeed before the line that says so.
const WARM: u32 = 10;
/// CPUs of the cell.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// CPU 0 turns the others on, which turn each other on and themselves off.
pub fn for_ever(count: usize) -> ! {
    COUNT.store(count, Relaxed);
    let mut started: u32 = 0;
    loop {
        for number in 1..count {
            if turn_on(number) {
                started = started.saturating_add(1);
                if started == WARM {
                    println!("smp: churn: {started}");
                }
            }
        }
    }
}

/// Tells whether it was off. One that is on, or on its way, is no mistake, and neither is a cell that is being stopped.
fn turn_on(number: usize) -> bool {
    let answer = if number % 2 == 1 {
        cpu::start_by::<Smc>(number, main_of_others)
    } else {
        cpu::start_by::<Hvc>(number, main_of_others)
    };
    match answer {
        Ok(()) => true,
        Err(Error::AlreadyOn | Error::OnPending | Error::Denied) => false,
        Err(error) => {
            println!("smp: WRONG: CPU_ON of {number} answers {error:?}");
            false
        }
    }
}

fn main_of_others(number: usize) -> ! {
    if cpu::affinity() != number as u64 {
        println!("smp: WRONG: CPU {} came for {number}", cpu::affinity());
    }
    // Those after CPU 0 in turn.
    let other = number % (COUNT.load(Relaxed) - 1) + 1;
    if other != number {
        turn_on(other);
    }
    cpu::turn_off()
}
