//! This CPU and the cell's others: masking, sleeping, starting, turning off.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::asm::{barrier, wfi};
use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use smccc::psci::{AffinityState, LowestAffinityLevel};
use smccc::{Call, Hvc, psci};

use crate::start;

/// Most CPUs of a cell that [`start()`] can serve.
pub const MAX_CPUS: usize = 8;
/// Stack of every CPU but the first, bytes.
const STACK_SIZE: usize = 0x4000;

/// Affinity of this CPU as the cell sees it: its number in the cell.
pub fn affinity() -> u64 {
    MPIDR_EL1.get() & 0xff_00ff_ffff
}

/// Masks interrupts.
pub fn mask_interrupts() {
    // SAFETY: touches nothing but PSTATE.I. Not `nomem`: no access moves across it.
    unsafe { asm!("msr daifset, #2", options(nostack, preserves_flags)) };
}

/// Lets interrupts in.
pub fn unmask_interrupts() {
    // SAFETY: as above; the vectors are in place since start-up. The isb: what is pending comes now, not later.
    unsafe { asm!("msr daifclr, #2", "isb", options(nostack, preserves_flags)) };
}

/// Sleeps until an interrupt is pending, masked or not.
pub fn wait_for_interrupt() {
    barrier::dsb(barrier::SY); // What was written before is done before the CPU sleeps.
    wfi();
}

/// Lets other CPUs go first while this one waits for them: QEMU runs one at a time and switches here.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
}

/// Sleeps, serving interrupts, until that holds.
pub fn wait_until(condition: impl Fn() -> bool) {
    mask_interrupts();
    while !condition() {
        // Masked, an interrupt between the question and the WFI still ends the WFI.
        wait_for_interrupt();
        unmask_interrupts();
        mask_interrupts();
    }
    unmask_interrupts();
}

/// Sleeps for ever; interrupts are still served if they are let in.
pub fn idle() -> ! {
    loop {
        wait_for_interrupt();
    }
}

/// Turns the cell off by PSCI.
pub fn turn_cell_off() -> ! {
    // An answer means that it was refused: nothing else is left to do.
    let _ = psci::system_off::<Hvc>();
    mask_interrupts();
    idle()
}

/// What a CPU finds at the top of its stack.
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub(crate) struct SecondaryStart {
    pub(crate) main: fn(usize) -> !,
    pub(crate) cpu: usize,
}

#[repr(C, align(16))]
struct Stack(UnsafeCell<[u8; STACK_SIZE]>);

// SAFETY: a stack is written by `start_taken`, of which `TAKEN` lets in one at a time, while its CPU is off; then by its
// CPU only.
unsafe impl Sync for Stack {}

static STACKS: [Stack; MAX_CPUS] = [const { Stack(UnsafeCell::new([0; STACK_SIZE])) }; MAX_CPUS];
/// CPUs that are being started.
static TAKEN: [AtomicBool; MAX_CPUS] = [const { AtomicBool::new(false) }; MAX_CPUS];

/// Starts the cell's CPU of that number in `main`, which gets the number, with interrupts masked, by HVC.
///
/// # Errors
/// As [`start_by`].
pub fn start(cpu: usize, main: fn(usize) -> !) -> Result<(), psci::Error> {
    start_by::<Hvc>(cpu, main)
}

/// Starts it by that instruction.
///
/// # Errors
/// What PSCI answers; `AlreadyOn` also when it is not off, `InvalidParameters` from [`MAX_CPUS`] on.
pub fn start_by<C: Call>(cpu: usize, main: fn(usize) -> !) -> Result<(), psci::Error> {
    let taken = TAKEN.get(cpu).ok_or(psci::Error::InvalidParameters)?;
    if taken.swap(true, Ordering::AcqRel) {
        return Err(psci::Error::AlreadyOn);
    }
    let answer = match power::<C>(cpu) {
        Ok(AffinityState::Off) => start_taken::<C>(cpu, main),
        Ok(_) => Err(psci::Error::AlreadyOn),
        Err(error) => Err(error),
    };
    taken.store(false, Ordering::Release);
    answer
}

/// Starts a CPU that is off and that nobody else starts now.
fn start_taken<C: Call>(cpu: usize, main: fn(usize) -> !) -> Result<(), psci::Error> {
    let top = STACKS[cpu]
        .0
        .get()
        .cast::<u8>()
        .wrapping_add(STACK_SIZE - size_of::<SecondaryStart>());
    let place = top.cast::<SecondaryStart>();
    // SAFETY: inside the stack, aligned, and ours alone until the CPU runs.
    unsafe { place.write(SecondaryStart { main, cpu }) };
    barrier::dsb(barrier::ISHST); // The stack's content is there before the CPU starts.
    psci::cpu_on::<C>(cpu as u64, start::secondary_entry(), place as u64)
}

/// Asks PSCI whether that CPU is on.
///
/// # Errors
/// What PSCI answers.
pub fn power<C: Call>(cpu: usize) -> Result<AffinityState, psci::Error> {
    psci::affinity_info::<C>(cpu as u64, LowestAffinityLevel::All)
}

/// Turns this CPU off by PSCI.
pub fn turn_off() -> ! {
    mask_interrupts();
    // An answer means that it was refused: nothing else is left to do.
    let _ = psci::cpu_off::<Hvc>();
    idle()
}
