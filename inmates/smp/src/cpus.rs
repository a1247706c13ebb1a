//! What each CPU does: sets its part of the interrupt controller up, ticks, and serves interrupts.

use core::cell::Cell;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use critical_section::Mutex;
use inmate_rt::cpu::MAX_CPUS;
use inmate_rt::gic::{Gic, Role};
use inmate_rt::{Hvc, IntId, Smc, Tree, cpu, exception, timer};

use crate::{ensure, passing, power};

/// Between two ticks of a CPU, a second's parts.
const TICKS_A_SECOND: u64 = 100;

static TREE: Mutex<Cell<Option<Tree>>> = Mutex::new(Cell::new(None));
static TICKS: [AtomicU32; MAX_CPUS] = [const { AtomicU32::new(0) }; MAX_CPUS];
/// CPUs that have come to where they were started, as the numbers that they have.
static CAME: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// Sets CPU 0 up.
pub fn begin(tree: &Tree) {
    critical_section::with(|section| TREE.borrow(section).set(Some(*tree)));
    exception::set_handler(on_interrupt);
    set_up(Role::First);
    cpu::unmask_interrupts();
}

fn tree() -> Tree {
    critical_section::with(|section| TREE.borrow(section).get()).expect("set by CPU 0")
}

fn set_up(role: Role) {
    let tree = tree();
    let mut gic = Gic::new(&tree, role);
    gic.enable(passing::SGI);
    gic.enable(tree.timer_interrupt().expect("no timer in the tree"));
    timer::set_alarm(timer::now());
}

/// Starts the other CPUs, one by SMC, the next by HVC, ...
pub fn start_all(count: usize) -> Result<(), &'static str> {
    for number in 1..count {
        start(number)?;
    }
    Ok(())
}

/// Starts one, and waits for it.
pub fn start(number: usize) -> Result<(), &'static str> {
    CAME[number].store(false, Ordering::Release);
    let answer = if number % 2 == 1 {
        cpu::start_by::<Smc>(number, main_of_others)
    } else {
        cpu::start_by::<Hvc>(number, main_of_others)
    };
    ensure(answer.is_ok(), "CPU_ON refuses")?;
    while !CAME[number].load(Ordering::Acquire) {
        cpu::relax();
    }
    Ok(())
}

/// The number was found by the context in x0.
fn main_of_others(number: usize) -> ! {
    assert_eq!(
        cpu::affinity(),
        number as u64,
        "MPIDR is not the number that CPU_ON named"
    );
    set_up(Role::Other);
    cpu::unmask_interrupts();
    CAME[number].store(true, Ordering::Release);
    loop {
        cpu::wait_for_interrupt();
        power::obey(number);
    }
}

fn on_interrupt(intid: IntId) {
    let number = usize::try_from(cpu::affinity()).unwrap_or(MAX_CPUS);
    if intid == passing::SGI {
        passing::on_sgi(number);
    } else if let Some(ticks) = TICKS.get(number) {
        ticks.fetch_add(1, Ordering::Relaxed);
        timer::set_alarm(timer::now() + timer::frequency_hz() / TICKS_A_SECOND);
    }
}

/// Ticks of each CPU.
pub fn ticks() -> [u32; MAX_CPUS] {
    core::array::from_fn(|number| TICKS[number].load(Ordering::Relaxed))
}

/// Sleeps on this CPU, between its ticks.
pub fn sleep_ms(ms: u64) {
    let end = timer::now() + timer::frequency_hz() * ms / 1000;
    cpu::wait_until(|| timer::now() >= end);
}
