//! Entering the guest: a call that returns why it stopped. The only `eret` to a guest lies behind it.

use crate::percpu::{Cpu, Frame};

unsafe extern "C" {
    /// In vectors.S. The frame is the first field of this CPU's struct.
    fn enter_guest(frame: *mut Frame) -> u64;
    static vectors: u8;
}

/// Why the guest stopped; what exactly is in ESR_EL2.
#[derive(Clone, Copy, Debug)]
pub enum Exit {
    /// A trap, call or abort.
    Synchronous,
    /// An interrupt of a cell with listed delivery.
    Irq,
    /// The kick.
    Fiq,
    /// Cannot happen with HCR_EL2.AMO = 0.
    SystemError,
}

/// Address of EL2's vectors.
pub fn vectors_address() -> u64 {
    &raw const vectors as u64
}

/// Runs this CPU's guest until it stops.
pub fn enter(cpu: &mut Cpu) -> Exit {
    // SAFETY: the frame is this CPU's own, TPIDR_EL2 points to it, and stage 2, traps and EL1 were set for its owner
    // when the CPU was started; vectors.S returns here with EL2's registers as they were.
    match unsafe { enter_guest(&raw mut *cpu.frame) } {
        0 => Exit::Synchronous,
        1 => Exit::Irq,
        2 => Exit::Fiq,
        _ => Exit::SystemError,
    }
}
