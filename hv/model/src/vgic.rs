//! Who may do what to the interrupt controller (Arm GICv3, IHI 0069; GICv2, IHI 0048).
//!
//! One rule: an access turns into physical accesses to the caller's own interrupts, and to nothing else. Extended SPIs are
//! nobody's: they read as zero.

mod access;
pub mod distributor;
pub mod interfaces;
pub mod kick;
pub mod listed;
pub mod redistributor;
pub mod route;
pub mod sgi;
pub mod v2;

use crate::id::Spi;
use route::Part;

/// Most urgent priority that a guest's interrupt gets: a kick has priority 0 and preempts them all.
pub const MOST_URGENT: u8 = 0x10;

/// What EL2 does for an access. Offsets are those of the access, from the base of the same frames.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    /// A read gives this.
    Value(u64),
    /// A write does nothing.
    Ignore,
    /// No such register, or not of this width: a read gives 0, a write does nothing; worth one line in the log.
    IgnoreLogged,
    /// A read of `size` bytes there, and these bits of it.
    Read {
        /// Where; aligned to `size`.
        offset: u64,
        /// 1, 4 or 8 bytes.
        size: u8,
        /// Bits that the guest sees.
        mask: u64,
    },
    /// A write of `size` bytes there.
    Store {
        /// Where; aligned to `size`.
        offset: u64,
        /// 1, 4 or 8 bytes.
        size: u8,
        /// What.
        value: u64,
    },
    /// The bits of `mask` of the 32-bit register become those of `value`, under the distributor's lock.
    Merge {
        /// Where; aligned to 4.
        offset: u64,
        /// What; nothing outside `mask`.
        value: u32,
        /// Bits that change.
        mask: u32,
    },
    /// A read of masks of physical CPU interfaces, a byte each, which the cell sees as its own numbers (GICv2).
    ReadInterfaces {
        /// Where; aligned to `size`.
        offset: u64,
        /// 1 or 4 bytes.
        size: u8,
        /// Bits that are the cell's to see.
        mask: u32,
    },
    /// A read of where an SPI goes: see [`route`].
    ReadRoute {
        /// The caller's own.
        spi: Spi,
        /// Which part of the register.
        part: Part,
    },
    /// A write of where an SPI goes.
    WriteRoute {
        /// The caller's own.
        spi: Spi,
        /// Which part of the register.
        part: Part,
        /// As the guest wrote it.
        value: u64,
    },
}
