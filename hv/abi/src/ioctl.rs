//! `/dev/bulkhead`: what the command line asks of the module.
//!
//! Each `ioctl` is a transaction. It returns 0 when it was carried to an answer, which is then in
//! [`Answer`]; -1 with errno only when the caller's memory or rights are wrong (EFAULT, EPERM, ENOTTY). `pread` at an
//! offset reads the shared read-only area ([`crate::info`]) and, behind it, the cells' consoles ([`crate::console`]), which
//! `pwrite` writes; ENODEV while not enabled, ENXIO where there is no console.

/// Answer of EL2 or of the module.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer {
    /// 0 or positive: done. Negative: a code of [`crate::code`].
    pub code: i64,
    /// First detail of the code.
    pub a: u64,
    /// Second detail.
    pub b: u64,
}

/// [`ENABLE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Enable {
    /// Out.
    pub answer: Answer,
    /// System blob: address and length, bytes.
    pub blob: u64,
    /// Length of it.
    pub blob_size: u64,
    /// Hypervisor's memory, bytes, whole pages.
    pub hv_size: u64,
    /// Pool for the cells, bytes. Taken with the hypervisor's from one contiguous range. With a reserved `no-map`
    /// node (compatible `bulkhead,memory`) all of the node is used, and this must be 0 or fit.
    pub pool_size: u64,
    /// Failure to inject ([`crate::enter::inject`]); 0 = none.
    pub inject: u64,
    /// At which CPU (MPIDR affinity).
    pub inject_mpidr: u64,
}

/// [`CELL_CREATE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CellCreate {
    /// Out; the code is the cell's id.
    pub answer: Answer,
    /// Cell blob: address.
    pub blob: u64,
    /// Its length, bytes.
    pub blob_size: u64,
    /// Linux's numbers of the CPUs to take, one bit each.
    pub linux_cpus: u64,
}

/// [`CELL_LOAD`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CellLoad {
    /// Out.
    pub answer: Answer,
    /// Cell id.
    pub cell: u64,
    /// Guest physical address.
    pub gpa: u64,
    /// Address of the bytes.
    pub bytes: u64,
    /// Their number.
    pub size: u64,
}

/// [`CELL_LOADED`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CellLoaded {
    /// Out.
    pub answer: Answer,
    /// Cell id.
    pub cell: u64,
    /// Entry point, guest physical address.
    pub entry: u64,
    /// x0 there.
    pub argument: u64,
}

/// [`CELL_START`], [`CELL_STOP`], [`CELL_DESTROY`], [`DISABLE`] (cell ignored).
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CellCommand {
    /// Out.
    pub answer: Answer,
    /// Cell id.
    pub cell: u64,
}

/// [`STATUS`]: what the module knows, enabled or not.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Status {
    /// [`crate::ABI_VERSION`] of the module.
    pub abi_version: u64,
    /// 1 when enabled.
    pub enabled: u64,
    /// Size of the shared read-only area, bytes; 0 when not enabled.
    pub shared_size: u64,
    /// Physical base and size of the reserved node, 0 when there is none.
    pub reserved_base: u64,
    /// Its size, bytes.
    pub reserved_size: u64,
    /// 1 when the kernel runs at EL1 with a hypervisor stub or KVM at EL2 that can be asked; 0 otherwise.
    pub has_el2: u64,
    /// CurrentEL of the kernel: 1 or 2.
    pub current_el: u64,
}

/// Type byte of the ioctl numbers.
pub const IOCTL_TYPE: u32 = 0xb4;

#[expect(clippy::cast_possible_truncation, reason = "asserted in the function")]
const fn iowr(number: u32, size: usize) -> u32 {
    assert!(size < 1 << 14);
    (3 << 30) | ((size as u32) << 16) | (IOCTL_TYPE << 8) | number
}

/// See [`Status`].
pub const STATUS: u32 = iowr(0, size_of::<Status>());
/// See [`Enable`].
pub const ENABLE: u32 = iowr(1, size_of::<Enable>());
/// See [`CellCommand`].
pub const DISABLE: u32 = iowr(2, size_of::<CellCommand>());
/// See [`CellCreate`].
pub const CELL_CREATE: u32 = iowr(3, size_of::<CellCreate>());
/// See [`CellLoad`].
pub const CELL_LOAD: u32 = iowr(4, size_of::<CellLoad>());
/// See [`CellLoaded`].
pub const CELL_LOADED: u32 = iowr(5, size_of::<CellLoaded>());
/// See [`CellCommand`].
pub const CELL_START: u32 = iowr(6, size_of::<CellCommand>());
/// See [`CellCommand`].
pub const CELL_STOP: u32 = iowr(7, size_of::<CellCommand>());
/// See [`CellCommand`].
pub const CELL_DESTROY: u32 = iowr(8, size_of::<CellCommand>());
