//! Interrupts between CPUs, every way that the cell may send them, each counted where it comes.

use core::sync::atomic::{AtomicU32, Ordering};

use inmate_rt::cpu::MAX_CPUS;
use inmate_rt::gic::{send_sgi, send_sgi_to, send_sgi_to_others};
use inmate_rt::{IntId, attempt, cpu, timer};

use crate::ensure;

/// The SGI that is sent: Linux's of this number is "timer broadcast", of which it has none here.
pub const SGI: IntId = IntId::sgi(4);
const SGI_FIELD: u64 = 4 << 24;
const LAPS: u32 = 100;

static CAME: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
/// Hops that are left of the round; each CPU that takes it sends it on.
static HOPS: AtomicU32 = AtomicU32::new(0);
/// The number of the CPU after the last one, while something goes round.
static RING: AtomicU32 = AtomicU32::new(0);
static ASTRAY: AtomicU32 = AtomicU32::new(0);

/// On that CPU: notes it, and sends it on if it goes round.
pub fn on_sgi(number: usize) {
    let Some(count) = CAME.get(number) else {
        return;
    };
    count.fetch_add(1, Ordering::AcqRel);
    let ring = RING.load(Ordering::Acquire);
    if ring == 0 {
        return;
    }
    let left = HOPS.fetch_sub(1, Ordering::AcqRel) - 1;
    // CPU 0 sent the first to CPU 1: who has it follows from the hops that are left.
    let expected = (LAPS * ring - left) % ring;
    if u32::try_from(number) != Ok(expected) {
        ASTRAY.fetch_add(1, Ordering::Relaxed);
    }
    if left > 0 {
        send_sgi(SGI, (number + 1) % ring as usize);
    }
}

fn counts() -> [u32; MAX_CPUS] {
    core::array::from_fn(|number| CAME[number].load(Ordering::Acquire))
}

/// Sends, gives it time, and checks that each CPU got so many.
fn expect(
    send: impl FnOnce(),
    wanted: impl Fn(usize) -> u32,
    otherwise: &'static str,
) -> Result<(), &'static str> {
    let before = counts();
    let has_come = |number: usize| counts()[number].wrapping_sub(before[number]);
    send();
    let end = timer::now() + timer::frequency_hz() * 20;
    while !(0..MAX_CPUS).all(|number| has_come(number) == wanted(number)) && timer::now() < end {
        cpu::relax();
    }
    // None comes after them.
    let end = timer::now() + timer::frequency_hz() / 50;
    while timer::now() < end {
        cpu::relax();
    }
    ensure(
        (0..MAX_CPUS).all(|number| has_come(number) == wanted(number)),
        otherwise,
    )
}

/// Checks every way.
pub fn all_ways(count: usize) -> Result<(), &'static str> {
    let ring = u32::try_from(count).unwrap_or(1);
    HOPS.store(LAPS * ring, Ordering::Release);
    RING.store(ring, Ordering::Release);
    let laps = |number| if number < count { LAPS } else { 0 };
    expect(|| send_sgi(SGI, 1), laps, "round: other counts")?;
    RING.store(0, Ordering::Release);
    ensure(ASTRAY.load(Ordering::Relaxed) == 0, "round: out of turn")?;

    let only = |wanted: usize| move |number| u32::from(number == wanted);
    expect(|| send_sgi(SGI, 0), only(0), "to itself")?;
    expect(|| send_sgi(SGI, count - 1), only(count - 1), "to the last")?;
    let everyone = |number| u32::from(number < count);
    expect(|| send_sgi_to(SGI, 0xffff), everyone, "to a list")?;
    let others = |number| u32::from(matches!(number, 1..) && number < count);
    expect(|| send_sgi_to_others(SGI), others, "to all but itself")?;
    let nobody = |_| 0;
    expect(
        || send_sgi_to(SGI, 0xffff << count),
        nobody,
        "to CPUs that the cell has not",
    )?;
    // Aff1, Aff2, Aff3 and the range selector: no CPU of the cell is there.
    for elsewhere in [1 << 16, 1 << 32, 1 << 48, 1 << 44] {
        let send = || {
            let _ = attempt::sgi1(SGI_FIELD | elsewhere | 0xffff);
        };
        expect(send, nobody, "to other clusters")?;
    }
    for send in [attempt::sgi0, attempt::sgi1_other] {
        expect(
            || {
                let _ = send(SGI_FIELD | 0xffff);
            },
            nobody,
            "of another group",
        )?;
    }
    Ok(())
}

/// Sends so many to one CPU, each after the one before has come.
pub fn to_one(target: usize, count: u32) {
    for _ in 0..count {
        let before = CAME[target].load(Ordering::Acquire);
        send_sgi(SGI, target);
        while CAME[target].load(Ordering::Acquire) == before {
            cpu::relax();
        }
    }
}

/// Sends one to a CPU that is off, or sleeps.
pub fn nudge(target: usize) {
    send_sgi(SGI, target);
}

/// How many have come to a CPU.
pub fn count(number: usize) -> u32 {
    CAME[number].load(Ordering::Acquire)
}
