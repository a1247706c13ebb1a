//! Power calls about what is not the cell's, and to states that only firmware has.

use inmate_rt::attempt::{self, Exception};
use inmate_rt::{cpu, timer};

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Answered, Fatal, Silent};

pub const ATTEMPTS: &[Attempt] = &[
    ("CPU_ON of every other CPU", Answered(turn_on_others)),
    (
        "CPU_ON of itself, elsewhere",
        Answered(|world| turn_on_itself(world.foreign.address())),
    ),
    (
        "AFFINITY_INFO of every other CPU",
        Answered(ask_about_others),
    ),
    ("the machine's power", Answered(machine)),
    ("calls of a width that they have not", Answered(widths)),
    ("PSCI_FEATURES of everything", Answered(features)),
    (
        "CPU_SUSPEND to power-down, waking elsewhere",
        Answered(suspend),
    ),
    (
        "SYSTEM_RESET",
        Fatal(|_| attempt::hvc([0x8400_0009, 0, 0, 0]).map(drop)),
    ),
    (
        "CPU_OFF of its last CPU",
        Silent(|_| attempt::hvc([0x8400_0002, 0, 0, 0]).map(drop)),
    ),
];

const SIXTY_FOUR: u64 = 1 << 30;
const PSCI: u64 = 0x8400_0000;
const CPU_SUSPEND: u64 = PSCI | SIXTY_FOUR | 1;
const CPU_ON: u64 = PSCI | SIXTY_FOUR | 3;
const AFFINITY_INFO: u64 = PSCI | SIXTY_FOUR | 4;
const FEATURES: u64 = PSCI | 10;
const NOT_SUPPORTED: i64 = -1;
const INVALID_PARAMETERS: i64 = -2;
const ALREADY_ON: i64 = -4;

/// By HVC and SMC: each must answer that.
fn both(x: [u64; 4], wanted: i64) -> Result<(), &'static str> {
    let is_wanted =
        |answer: Result<[u64; 4], Exception>| answer.is_ok_and(|x| x[0].cast_signed() == wanted);
    if is_wanted(attempt::hvc(x)) && is_wanted(attempt::smc(x)) {
        Ok(())
    } else {
        Err("another answer")
    }
}

/// Affinities that no CPU of a cell of one CPU has, and many of which the machine has.
fn others() -> impl Iterator<Item = u64> {
    let groups = [8, 16, 32]
        .into_iter()
        .flat_map(|shift| (1..5).map(move |n| n << shift));
    (1..64).chain(groups).chain([1 << 31, 1 << 63, u64::MAX])
}

fn turn_on_others(_: &World) -> Result<(), &'static str> {
    others().try_for_each(|cpu| both([CPU_ON, cpu, 0x4000_0000, 0], INVALID_PARAMETERS))
}

fn turn_on_itself(entry: u64) -> Result<(), &'static str> {
    both([CPU_ON, cpu::affinity(), entry, 0], ALREADY_ON)
}

fn ask_about_others(_: &World) -> Result<(), &'static str> {
    for level in [0, 1, 2, 3, u64::MAX] {
        others().try_for_each(|cpu| both([AFFINITY_INFO, cpu, level, 0], INVALID_PARAMETERS))?;
    }
    Ok(())
}

/// Migration, freezing, statistics, suspension and reset of the system, protection of its memory, and what is not defined.
fn machine(_: &World) -> Result<(), &'static str> {
    for number in [5, 7].into_iter().chain(11..0x20) {
        for width in [0, SIXTY_FOUR] {
            both(
                [PSCI | width | number, 0x4000_0000, 0x4000_0000, 0],
                NOT_SUPPORTED,
            )?;
        }
    }
    Ok(())
}

/// VERSION, CPU_OFF, MIGRATE_INFO_TYPE, SYSTEM_OFF, SYSTEM_RESET and FEATURES have 32 bits.
fn widths(_: &World) -> Result<(), &'static str> {
    let numbers = [0, 2, 6, 8, 9, 10];
    numbers
        .into_iter()
        .try_for_each(|number| both([PSCI | SIXTY_FOUR | number, 0, 0, 0], NOT_SUPPORTED))
}

fn features(_: &World) -> Result<(), &'static str> {
    for service in 0..0x100_u64 {
        for number in 0..0x20 {
            let answer = attempt::hvc([FEATURES, service << 24 | number, 0, 0]);
            if !answer.is_ok_and(|x| matches!(x[0].cast_signed(), 0 | NOT_SUPPORTED)) {
                return Err("neither 0 nor NOT_SUPPORTED");
            }
        }
    }
    Ok(())
}

/// Served as a standby, until the timer's interrupt; the entry is not taken.
fn suspend(world: &World) -> Result<(), &'static str> {
    const POWER_DOWN: u64 = 0x0101_0000;
    if world.redistributors.is_none() {
        return Ok(()); // nothing here would wake it
    }
    cpu::mask_interrupts();
    world.ring_timer();
    let states = [POWER_DOWN, u64::MAX, 1 << 30];
    let result = states
        .into_iter()
        .try_for_each(|state| both([CPU_SUSPEND, state, world.foreign.address(), 0], 0));
    timer::stop();
    result
}
