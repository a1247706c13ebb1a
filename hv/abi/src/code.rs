//! Codes of refusals and errors. Negative in registers and in [`crate::ioctl::Answer::code`]; listed here as positive numbers.
//!
//! Each names its two details, `a` and `b`. `model::refused` turns them into messages.

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $value:literal,)*) => {
        $($(#[$doc])* pub const $name: i64 = $value;)*
        /// Every code with its name, for tests and messages.
        pub const ALL: &[(&str, i64)] = &[$((stringify!($name), $value)),*];
    };
}

codes! {
    /// Not an error: the work is under way, call again.
    PENDING = 1,
    /// The call is not for this caller or does not exist. a: function.
    NOT_SUPPORTED = 2,
    /// An argument is out of range. a: number of the argument, b: value.
    BAD_ARGUMENT = 3,
    /// Not possible in this state. a: state (of the cell, see `info::state`, or of the system).
    WRONG_STATE = 4,
    /// No cell has this id. a: id.
    NO_SUCH_CELL = 5,
    /// Wrong magic number. a: found.
    BAD_MAGIC = 10,
    /// Wrong version. a: found, b: known.
    BAD_VERSION = 11,
    /// Wrong length. a: stated or found, b: wanted.
    BAD_LENGTH = 12,
    /// Malformed content. a: offset, bytes, b: value.
    BAD_CONTENT = 13,
    /// More entries than there is room for. a: how many, b: limit.
    TOO_MANY = 14,
    /// A region is not aligned to pages. a: base, b: size.
    UNALIGNED = 20,
    /// A region wraps around or exceeds the physical address space. a: base, b: size.
    WRAPS = 21,
    /// A region is empty. a: base.
    EMPTY = 22,
    /// Two regions of one cell overlap, in guest or physical addresses. a: base of the first, b: base of the second.
    OVERLAPS_ITSELF = 23,
    /// Memory of another cell. a: address, b: cell id.
    MEMORY_OF_CELL = 24,
    /// Memory of the hypervisor. a: address.
    MEMORY_OF_HYPERVISOR = 25,
    /// RAM that Linux uses: outside the pool. a: address.
    MEMORY_OF_LINUX = 26,
    /// No such RAM. a: address.
    MEMORY_ABSENT = 27,
    /// A device window lies in RAM. a: address.
    DEVICE_IN_RAM = 28,
    /// A device window, or what the cell would see there, covers the interrupt controller. a: address.
    DEVICE_IS_GIC = 29,
    /// The pool has no free range of this size. a: size wanted, b: largest free range, bytes.
    POOL_FULL = 30,
    /// No such CPU. a: MPIDR.
    NO_SUCH_CPU = 31,
    /// The CPU belongs to another cell. a: MPIDR, b: cell id.
    CPU_OF_CELL = 32,
    /// Linux still uses the CPU. a: MPIDR.
    CPU_OF_LINUX = 33,
    /// It is the root cell's last CPU. a: MPIDR.
    LAST_CPU = 34,
    /// A CPU is listed twice. a: MPIDR.
    CPU_TWICE = 35,
    /// Not an SPI, or the distributor has no such one. a: INTID.
    NO_SUCH_SPI = 36,
    /// The SPI belongs to another cell. a: INTID, b: cell id.
    SPI_OF_CELL = 37,
    /// A cell of that name exists. a: cell id.
    NAME_TAKEN = 38,
    /// The name holds other characters than letters, digits, `-`, `_` and `.`, or does not start with a letter or digit.
    BAD_NAME = 39,
    /// All cell slots are taken. a: limit.
    NO_CELL_SLOT = 40,
    /// An image does not fit the cell's memory. a: guest address, b: size.
    IMAGE_OUTSIDE = 41,
    /// The entry point is not in the cell's RAM. a: entry.
    ENTRY_OUTSIDE = 42,
    /// The device window belongs to another cell. a: address, b: cell id.
    DEVICE_OF_CELL = 43,
    /// No CPU is listed.
    NO_CPU = 44,
    /// A cell lists no memory.
    NO_RAM = 45,
    /// An SPI is listed twice. a: INTID.
    SPI_TWICE = 46,
    /// What a CPU's spin table names is not Linux's RAM. a: MPIDR, b: address.
    RELEASE_OUTSIDE = 47,
    /// Too little memory for the hypervisor. a: bytes given, b: bytes needed.
    HV_MEMORY_TOO_SMALL = 50,
    /// The hypervisor's own pages are used up. a: pages wanted, b: pages free.
    HV_PAGES_EXHAUSTED = 51,
    /// A CPU feature or setting that Bulkhead cannot work with. a: see `feature`, b: value found.
    UNSUPPORTED_CPU = 52,
    /// The interrupt controller cannot be used. a: see `feature`, b: value found.
    UNSUPPORTED_GIC = 53,
    /// A CPU did not join. a: MPIDR.
    CPU_MISSING = 54,
    /// Cells still exist. a: how many.
    CELLS_EXIST = 55,
    /// A CPU did not answer. a: MPIDR.
    CPU_SILENT = 56,
    /// A failure that a test asked for. a: step.
    INJECTED = 57,
    /// The hypervisor has panicked before; see its panic record.
    PANICKED = 58,
    /// `ENTER_PREPARE` met an exception: a register that the system blob names does not answer. a: ESR_EL2, b: FAR_EL2.
    PREPARE_EXCEPTION = 59,
    /// Module: Bulkhead is enabled already.
    ALREADY_ENABLED = 70,
    /// Module: Bulkhead is not enabled.
    NOT_ENABLED = 71,
    /// Module: the kernel runs at EL2 (VHE). a: CurrentEL.
    KERNEL_AT_EL2 = 72,
    /// Module: no hypervisor stub answers; the kernel was not booted at EL2.
    NO_EL2 = 73,
    /// Module: no contiguous memory. a: bytes wanted, b: errno.
    NO_MEMORY = 74,
    /// Module: the image /lib/firmware/bulkhead.bin. a: errno.
    NO_IMAGE = 75,
    /// Module: the image is not one, or of another version. a: found, b: wanted.
    BAD_IMAGE = 76,
    /// Module: Linux did not give the CPU up. a: Linux's CPU number, b: errno.
    CPU_OFFLINE_FAILED = 77,
    /// Module: Linux did not take the CPU back. a: Linux's CPU number, b: errno.
    CPU_ONLINE_FAILED = 78,
    /// Module: interrupted by a signal.
    INTERRUPTED = 79,
    /// Module: protected KVM holds EL2.
    PROTECTED_KVM = 80,
    /// Module: the reserved node is RAM that Linux still uses. a: its base.
    RESERVED_IS_RAM = 81,
    /// Module: a CPU did not leave the hypervisor that was disabled, or the machine is going down or to sleep.
    NOT_NOW = 82,
}

/// What [`UNSUPPORTED_CPU`] and [`UNSUPPORTED_GIC`] speak of.
pub mod feature {
    /// Root masks interrupts by priority (pseudo-NMI): ICC_PMR_EL1 found.
    pub const ROOT_MASKS_BY_PRIORITY: u64 = 1;
    /// No redistributor matches this CPU's affinity: MPIDR.
    pub const NO_REDISTRIBUTOR: u64 = 3;
    /// The system registers of the GIC are off: ICC_SRE_EL2 found.
    pub const NO_SYSTEM_REGISTERS: u64 = 4;
    /// 4 KiB granule missing at EL2 or stage 2: ID_AA64MMFR0_EL1.
    pub const NO_4K_GRANULE: u64 = 5;
    /// Not GICv3: GICD_PIDR2.
    pub const NOT_GICV3: u64 = 6;
    /// No maintenance interrupt, which listed delivery needs: PPIs that looked like it.
    pub const NO_MAINTENANCE: u64 = 7;
    /// Not GICv2: GICC_IIDR.
    pub const NOT_GICV2: u64 = 8;
}
