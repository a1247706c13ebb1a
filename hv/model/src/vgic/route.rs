//! Where an SPI goes: `GICD_IROUTER<n>` (IHI 0069), between what a guest writes and what the hardware gets.
//!
//! One rule: an SPI goes to one CPU of its owner, never to "any CPU": that could be a foreign one.

use crate::id::Mpidr;

/// Interrupt_Routing_Mode: any participating CPU.
const ANY_CPU: u64 = 1 << 31;

/// Which part of the 64-bit register an access covers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Bits 31:0.
    Low,
    /// Bits 63:32.
    High,
}

impl Part {
    /// Returns what a read of this part gives.
    #[must_use]
    pub const fn of(self, register: u64) -> u64 {
        match self {
            Self::Whole => register,
            Self::Low => register & 0xffff_ffff,
            Self::High => register >> 32,
        }
    }

    /// Returns the register after a write of this part.
    #[must_use]
    pub const fn replaced(self, register: u64, value: u64) -> u64 {
        match self {
            Self::Whole => value,
            Self::Low => register & !0xffff_ffff | value & 0xffff_ffff,
            Self::High => register & 0xffff_ffff | value << 32,
        }
    }
}

/// Returns the physical CPU that a cell means by a register value; `None` when it has no such CPU: the write is then
/// ignored. `find` turns an affinity as the cell sees it into the physical one of a CPU of the cell; `writer` is the
/// physical one of the CPU that writes, and gets what any CPU may have.
#[must_use]
pub fn target(
    value: u64,
    writer: Mpidr,
    find: impl FnOnce(Mpidr) -> Option<Mpidr>,
) -> Option<Mpidr> {
    if value & ANY_CPU != 0 {
        Some(writer)
    } else {
        find(Mpidr::from_bits(value))
    }
}
