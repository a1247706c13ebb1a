//! The two blobs that the command line compiles and EL2 checks: the system's and a cell's. The one definition of both.
//!
//! One rule: [`SystemConfig::decode`] and [`CellConfig::decode`] take hostile bytes; what they return is well formed in
//! itself (lengths, alignments, names, ids). Whether it may be had is the [`crate::ledger`]'s question.
//!
//! Both are words of 64 bits, little-endian: magic, [`bulkhead_abi::ABI_VERSION`], length of the whole in bytes, fixed fields, then
//! lists, each as a count and its entries. Nothing follows the last entry.

mod cell;
mod name;
mod system;
mod words;

use bulkhead_abi::{MAX_CPUS, NAME_SIZE};

pub(crate) use cell::ram;
pub use cell::{
    CellConfig, Delivery, DeviceConfig, HEARTBEAT_MS, Heartbeat, MemoryConfig, Placement,
};
pub use name::Name;
pub use system::{Conduit, CpuConfig, GicV2, SystemConfig};

/// Most regions of redistributors on a board.
pub const MAX_GICRS: usize = 8;
/// Regions of registers of a GICv2 besides the distributor.
const GICV2_FRAMES: usize = 3;
/// Most ranges of RAM on a board.
pub const MAX_RAM: usize = 32;
/// Most memory regions of a cell.
pub const MAX_MEMORY: usize = 8;
/// Most device windows of a cell.
pub const MAX_DEVICES: usize = 32;
/// Most interrupts of a cell.
pub const MAX_SPIS: usize = 128;

/// Bytes of the largest blob of either kind: room for [`SystemConfig::encode`] and [`CellConfig::encode`].
pub const MAX_SIZE: usize = {
    let system = 3
        + 3
        + (1 + 2 * MAX_GICRS)
        + (1 + 2 * GICV2_FRAMES)
        + (1 + 3 * MAX_CPUS)
        + (1 + 2 * MAX_RAM);
    let cell = 3
        + NAME_WORDS
        + 1
        + 2
        + (1 + MAX_CPUS)
        + (1 + 4 * MAX_MEMORY)
        + (1 + 3 * MAX_DEVICES)
        + (1 + MAX_SPIS)
        + 2;
    8 * if system > cell { system } else { cell }
};
const NAME_WORDS: usize = NAME_SIZE / 8;
