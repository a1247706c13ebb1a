//! The ring console: memory that a cell shares with root, so that what it prints and reads costs no exit.
//!
//! Two rings, each with one writer and one reader. *Output* is never waited for: the cell overwrites its oldest bytes, so root
//! can hold no cell up, and what was printed before anybody looked is still there. *Input* is: root writes no more than the
//! cell has room for.
//!
//! Where it is: in pages of EL2's own memory that it maps for root, and for the cell at the guest address that the blob says, from
//! when the cell is created until it is destroyed. They are zeros then, which makes two empty rings; EL2 never looks at them. The
//! cell's device tree has a node compatible with `bulkhead,console`. Root's module is told where the pages are by the answer to
//! [`crate::call::CELL_CREATE`]. In `/dev/bulkhead` the console of cell n is at `(n - 1) *` [`SIZE`] behind the shared read-only
//! area ([`crate::info`]), while there is one; `pwrite` reaches this part only.
//!
//! Each side believes nothing of the other's: an index counts bytes for ever, is reduced modulo the size of its ring before it
//! is used, and a distance of two indices that is larger than the ring is none.
//!
//! Both see it as Normal Non-cacheable memory, by stage 2, whatever their own tables say (Arm ARM DDI 0487, "Combining stage 1
//! and stage 2 memory type attributes"): so a cell with its caches off, whose accesses are Device, and root meet in memory, and
//! nobody cleans a cache. What that leaves to software is order (DMB), as told at each index.

use crate::MAX_CELLS;

/// Bytes of a cell's console, in pages.
pub const SIZE: u64 = 0x2000;
/// Bytes of all of them in `/dev/bulkhead`: root has none.
pub const AREA_SIZE: u64 = SIZE * (MAX_CELLS as u64 - 1);

/// Bytes of the input ring.
pub const INPUT_SIZE: usize = 896;
/// Bytes of the output ring.
pub const OUTPUT_SIZE: usize = 7168;

/// A cell's console.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Console {
    /// The indices that the cell writes.
    pub cell: CellSide,
    /// The index that root writes.
    pub root: RootSide,
    /// Byte n, counted for ever, is at `n %` [`INPUT_SIZE`].
    pub input: [u8; INPUT_SIZE],
    /// Byte n, counted for ever, is at `n %` [`OUTPUT_SIZE`].
    pub output: [u8; OUTPUT_SIZE],
}

/// What the cell writes beside its output.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CellSide {
    /// Bytes of output that it has begun to put. Written, and then a DMB, *before* the bytes: a reader that finds this after
    /// it has copied knows which of its copy may have been overwritten meanwhile, all below `begun - OUTPUT_SIZE`.
    pub begun: u64,
    /// Bytes of output that are there: written *after* the bytes, and a DMB in between.
    pub written: u64,
    /// Bytes of input that it has taken: written after they were read, and a DMB in between.
    pub taken: u64,
    /// Zero.
    pub reserved: [u64; 5],
}

/// What root writes beside the cell's input.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct RootSide {
    /// Bytes of input that are there: written after the bytes, and a DMB in between. At most [`INPUT_SIZE`] more than `taken`.
    pub written: u64,
    /// Zero.
    pub reserved: [u64; 7],
}

const _: () = assert!(size_of::<Console>() as u64 == SIZE);
const _: () = assert!(SIZE.is_multiple_of(crate::PAGE_SIZE));
// No two writers in one block that a cache or a store buffer may keep together.
const _: () = assert!(core::mem::offset_of!(Console, root) == 64);
const _: () = assert!(core::mem::offset_of!(Console, input) == 128);
const _: () = assert!(core::mem::offset_of!(Console, output) == 1024);
