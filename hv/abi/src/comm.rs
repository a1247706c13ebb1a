//! The comm page: memory that a cell shares with the hypervisor, so that what the cell tells costs no exit.
//!
//! It is the last memory region of a cell that has one, a page, mapped without execution. Its guest address is in the
//! cell's device tree (a node compatible with `bulkhead,comm`) and answers [`crate::call::COMM_ADDRESS`]. EL2 writes the
//! head before each start of the cell and nothing while it runs; the cell writes the rest, and nothing in it is trusted.

/// [`Comm::magic`].
pub const MAGIC: u64 = u64::from_le_bytes(*b"BHCOMM\0\0");
/// [`Comm::version`].
pub const VERSION: u32 = 1;

/// [`Comm::size`]: one page.
pub const SIZE: u32 = 4096;

/// The page. What follows `beats` is reserved and zero.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Comm {
    /// [`MAGIC`].
    pub magic: u64,
    /// [`VERSION`].
    pub version: u32,
    /// Bytes of the whole, in pages.
    pub size: u32,
    /// The cell promises a beat in each such time, milliseconds; 0: none is wanted.
    pub heartbeat_ms: u32,
    /// Zero.
    pub reserved: [u32; 11],
    /// Counted on by the cell, a beat each; any change is a beat. Zero at each start.
    pub beats: u64,
}

const _: () = assert!(core::mem::offset_of!(Comm, beats) == 64);
