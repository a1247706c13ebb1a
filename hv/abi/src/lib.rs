//! Numbers and layouts shared by EL2, the command line, the kernel module and the inmates.
//!
//! One rule: nothing here decides anything. `abi.h` beside this crate repeats for C what the module
//! needs; a test compares every number of it with this file.
#![no_std]
#![forbid(unsafe_code)]

pub mod call;
pub mod code;
pub mod comm;
pub mod console;
pub mod enter;
pub mod info;
pub mod ioctl;

/// Version of everything in this crate. EL2, module and command line refuse to work with another one.
pub const ABI_VERSION: u32 = 1;
/// Translation granule and unit of ownership, bytes.
pub const PAGE_SIZE: u64 = 4096;
/// Most CPUs that a system blob may list.
pub const MAX_CPUS: usize = 32;
/// Most cells at a time, the root cell (id 0) included.
pub const MAX_CELLS: usize = 8;
/// Bytes of a cell's name, with at least one terminating zero.
pub const NAME_SIZE: usize = 32;
