//! What PSCI answers about the cell's CPUs, and about others; CPUs that go off and come back.

use core::sync::atomic::{AtomicU32, Ordering};

use inmate_rt::cpu::MAX_CPUS;
use inmate_rt::psci::{
    self, AffinityState, Error, MigrateType, PSCI_CPU_ON_64, PSCI_MEM_PROTECT, Version,
};
use inmate_rt::{Call, Hvc, Smc, cpu, timer};

use crate::{cpus, ensure, passing};

/// Entry point that is in the cell's RAM but never reached, and one that is not.
const SOMEWHERE: u64 = 0x4000_0000;
const NOWHERE: u64 = 0x1000;

/// What a CPU is told to do.
const NOTHING: u32 = 0;
const GO_OFF: u32 = 1;
const SUSPEND: u32 = 2;
const WOKE: u32 = 3;
const WOKE_WRONG: u32 = 4;

static ORDERS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(NOTHING) }; MAX_CPUS];

/// Checks what is said while only CPU 0 is on.
pub fn before_others_start(count: usize) -> Result<(), &'static str> {
    ensure(cpu::affinity() == 0, "CPU 0 has another affinity")?;
    by::<Hvc>(count)?;
    by::<Smc>(count)?;
    (1..count).try_for_each(|other| {
        ensure(
            cpu::power::<Hvc>(other) == Ok(AffinityState::Off),
            "AFFINITY_INFO: not off before it is started",
        )?;
        ensure(
            psci::cpu_on::<Smc>(other as u64, NOWHERE, 0) == Err(Error::InvalidAddress),
            "CPU_ON at an address that is not the cell's",
        )
    })
}

fn by<C: Call>(count: usize) -> Result<(), &'static str> {
    let version = Version { major: 1, minor: 1 };
    ensure(psci::version::<C>() == Ok(version), "PSCI_VERSION")?;
    let migration = psci::migrate_info_type::<C>();
    ensure(
        migration == Ok(MigrateType::MigrationNotRequired),
        "MIGRATE_INFO_TYPE",
    )?;
    ensure(
        psci::psci_features::<C>(PSCI_CPU_ON_64) == Ok(0),
        "PSCI_FEATURES of CPU_ON",
    )?;
    let unknown = psci::psci_features::<C>(PSCI_MEM_PROTECT);
    ensure(
        unknown == Err(Error::NotSupported),
        "PSCI_FEATURES of MEM_PROTECT",
    )?;
    ensure(
        cpu::power::<C>(0) == Ok(AffinityState::On),
        "AFFINITY_INFO of itself",
    )?;
    ensure(
        psci::cpu_on::<C>(0, SOMEWHERE, 0) == Err(Error::AlreadyOn),
        "CPU_ON of itself",
    )?;
    // As many CPUs as the machine has, and then some: none but the cell's is there.
    for other in (count as u64..64).chain([1 << 8, 1 << 16, 1 << 32, 1 << 31, u64::MAX]) {
        ensure(
            psci::cpu_on::<C>(other, SOMEWHERE, 0) == Err(Error::InvalidParameters),
            "CPU_ON of a CPU that is not the cell's",
        )?;
    }
    ensure(
        cpu::power::<C>(count) == Err(Error::InvalidParameters),
        "AFFINITY_INFO of a CPU that is not the cell's",
    )
}

/// Checks what is said when all are on.
pub fn after_others_started(count: usize) -> Result<(), &'static str> {
    (1..count).try_for_each(|other| {
        ensure(
            cpu::power::<Smc>(other) == Ok(AffinityState::On),
            "AFFINITY_INFO: not on",
        )?;
        ensure(
            psci::cpu_on::<Hvc>(other as u64, SOMEWHERE, 0) == Err(Error::AlreadyOn),
            "CPU_ON of one that is on",
        )
    })
}

/// On that CPU, each time that it wakes: does what it is told.
pub fn obey(number: usize) {
    match ORDERS[number].load(Ordering::Acquire) {
        GO_OFF => {
            ORDERS[number].store(NOTHING, Ordering::Release);
            cpu::turn_off()
        }
        SUSPEND => {
            timer::stop();
            cpu::mask_interrupts();
            let before = passing::count(number);
            ORDERS[number].store(NOTHING, Ordering::Release);
            let answer = psci::cpu_suspend::<Hvc>(0, SOMEWHERE, 0);
            // What woke it is still pending: interrupts are masked.
            let is_right = answer == Ok(()) && passing::count(number) == before;
            timer::set_alarm(timer::now());
            cpu::unmask_interrupts();
            let result = if is_right { WOKE } else { WOKE_WRONG };
            ORDERS[number].store(result, Ordering::Release);
        }
        _ => {}
    }
}

/// Gives an order, and waits until it is under way.
fn order(number: usize, what: u32) {
    ORDERS[number].store(what, Ordering::Release);
    while ORDERS[number].load(Ordering::Acquire) == what {
        cpu::relax();
    }
}

/// Each goes off, three times, and comes back, by the other instruction too; what is sent meanwhile is lost.
pub fn off_and_on(count: usize) -> Result<(), &'static str> {
    for number in (1..count).chain(1..count).chain(1..count) {
        order(number, GO_OFF);
        while cpu::power::<Hvc>(number) != Ok(AffinityState::Off) {
            cpu::relax();
        }
        let before = passing::count(number);
        passing::nudge(number);
        cpus::start(number)?;
        ensure(
            passing::count(number) == before,
            "an interrupt came through CPU_OFF",
        )?;
        after_others_started(count)?;
    }
    Ok(())
}

/// A CPU sleeps by CPU_SUSPEND, until an interrupt that it masks.
pub fn suspended(number: usize) -> Result<(), &'static str> {
    order(number, SUSPEND);
    cpus::sleep_ms(20);
    ensure(
        ORDERS[number].load(Ordering::Acquire) == NOTHING,
        "CPU_SUSPEND ends without an interrupt",
    )?;
    passing::nudge(number);
    while ORDERS[number].load(Ordering::Acquire) == NOTHING {
        cpu::relax();
    }
    let result = ORDERS[number].swap(NOTHING, Ordering::AcqRel);
    ensure(result == WOKE, "CPU_SUSPEND: wrong answer, or wrong moment")
}
