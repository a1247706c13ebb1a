//! How the module enters the image: header, memory layout, and the calls made with the MMU off.
//!
//! The hypervisor's memory, `hv_base .. hv_base + hv_size`, from low to high addresses:
//! image and bss, EL2's own pages (tables), shared read-only area (info pages, then one log ring
//! a CPU), EL2's stacks, mailbox (the last [`MAILBOX_SIZE`] bytes; root may write it, always). The cells' pool follows
//! or lies elsewhere.
//!
//! Per CPU and call, in `stop_machine()` with interrupts off: `hvc #0` with x0 = `HVC_RESET_VECTORS` (2), then
//! `hvc #0` with x0 = `HVC_SOFT_RESTART` (1), x1 = physical entry, x2 = `hv_base`, x3 = `hv_size` plus one of the
//! `ENTER_*` commands (the size is in whole pages, so its low bits are free), x4 = virtual address to return to. EL2 returns there, at EL1 with interrupts masked and the caller's
//! stack pointer; x0 = 0 or a negative code of [`crate::code`], x1 and x2 = its details;
//! x3 to x30 are destroyed. After an error EL2 is as it was found.

/// First eight bytes of the image: `BULKHEAD` in ASCII, read as a little-endian number.
pub const IMAGE_MAGIC: u64 = u64::from_le_bytes(*b"BULKHEAD");
/// Alignment of `hv_base` and of the pool's base, bytes. (defmt needs the image at a multiple of 64 KiB.)
pub const HV_ALIGN: u64 = 0x1_0000;
/// Size of the mailbox, bytes.
pub const MAILBOX_SIZE: u64 = 0x4000;

/// Prepare: relocate, build EL2's tables, check the system blob. One CPU, first. Returns in x1 the physical base
/// and in x2 the size, bytes, of the shared read-only area.
pub const ENTER_PREPARE: u64 = 0;
/// Join: this CPU's Linux becomes the root cell's. Every online CPU, after `ENTER_PREPARE` succeeded.
pub const ENTER_JOIN: u64 = 1;

/// Offset 0 of the image file.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ImageHeader {
    /// [`IMAGE_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`] in the low half; the high half is zero.
    pub abi_version: u64,
    /// Offset of the entry point from the image's start, bytes.
    pub entry: u64,
    /// Bytes of the image in the file.
    pub file_size: u64,
    /// Bytes of the image in memory, bss included.
    pub memory_size: u64,
}

/// Head of the mailbox at `ENTER_PREPARE`; the system blob follows it at once.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct EnterArgs {
    /// [`IMAGE_MAGIC`].
    pub magic: u64,
    /// Physical base of the hypervisor's memory, aligned to [`HV_ALIGN`].
    pub hv_base: u64,
    /// Its size, bytes, a multiple of the page size.
    pub hv_size: u64,
    /// Physical base of the cells' pool, aligned to the page size.
    pub pool_base: u64,
    /// Its size, bytes, a multiple of the page size; may be 0.
    pub pool_size: u64,
    /// Length of the system blob, bytes.
    pub blob_size: u64,
    /// Failure to inject, for tests: 0 = none, else a step of [`inject`].
    pub inject: u64,
    /// MPIDR affinity of the CPU at which to inject it.
    pub inject_mpidr: u64,
    /// Physical address of a page of Linux's that stays what it is until the next boot: where CPUs without PSCI wait
    /// while Bulkhead is not enabled. 0 where there are none.
    pub pen: u64,
}

/// Steps of enable at which a test may ask for a failure ([`EnterArgs::inject`]). The error is
/// [`crate::code::INJECTED`].
pub mod inject {
    /// `ENTER_PREPARE`, before anything.
    pub const PREPARE_EARLY: u64 = 1;
    /// `ENTER_PREPARE`, after all tables were built.
    pub const PREPARE_LATE: u64 = 2;
    /// `ENTER_JOIN`, before anything.
    pub const JOIN_EARLY: u64 = 3;
    /// `ENTER_JOIN`, after this CPU's EL2 registers were set.
    pub const JOIN_LATE: u64 = 4;
    /// The `COMMIT` hypercall.
    pub const COMMIT: u64 = 5;
    /// In the module, after `stop_machine()` succeeded.
    pub const MODULE_LATE: u64 = 6;
}
