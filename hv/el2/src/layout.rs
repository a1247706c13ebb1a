//! Where things lie: the image's sections, and the hypervisor's memory from low to high addresses.
//!
//! image, first tables | pages | info and log rings (root reads) | per-CPU areas | mailbox (root writes)

use bulkhead_abi::enter::MAILBOX_SIZE;
use bulkhead_abi::info::{INFO_SIZE, LOG_RING_SIZE};

/// Bytes of one CPU's area: a page that is not mapped, so that an overflowing stack faults; the stack; the struct.
pub const CPU_AREA_SIZE: u64 = 0x3000;
/// Offset of the struct in it; the stack ends there, and has 6656 bytes (hv/README.md says what it needs). These two are entry.S's,
/// too.
pub const CPU_STRUCT_OFFSET: u64 = 0x2a00;

// Defined by image.ld; only their addresses mean something.
unsafe extern "C" {
    static header: u8;
    static __rodata_start: u8;
    static __data_start: u8;
    static __image_end: u8;
    static __build_id: u8;
}

/// Run address of the image, equal to `hv_base`.
pub fn image_base() -> u64 {
    &raw const header as u64
}

/// End of the code.
pub fn rodata_start() -> u64 {
    &raw const __rodata_start as u64
}

/// End of the read-only data.
pub fn data_start() -> u64 {
    &raw const __data_start as u64
}

/// End of bss, page aligned.
pub fn image_end() -> u64 {
    &raw const __image_end as u64
}

/// The linker's hash over the image, shortened: it tells which ELF file a log belongs to.
pub fn build_id() -> u64 {
    let hash = (&raw const __build_id).wrapping_add(16).cast::<u64>();
    // SAFETY: the note lies in the image's read-only data; its hash starts at offset 16 (ELF, note header and name)
    // and is 20 bytes long.
    unsafe { hash.read_unaligned() }
}

/// A number of bytes or an address, as Rust counts memory.
pub const fn bytes(value: u64) -> usize {
    const _: () = assert!(size_of::<usize>() == 8);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "usize has 64 bits, asserted above"
    )]
    {
        value as usize
    }
}

/// Base of the mailbox.
pub fn mailbox(hv_base: u64, hv_size: u64) -> u64 {
    hv_base + hv_size - MAILBOX_SIZE
}

/// Base of the areas of so many CPUs: the last one ends at the mailbox, so that entry.S finds a stack to begin on.
pub fn cpu_areas(hv_base: u64, hv_size: u64, cpu_count: usize) -> u64 {
    mailbox(hv_base, hv_size) - cpu_count as u64 * CPU_AREA_SIZE
}

/// Bytes of the shared read-only area for so many CPUs.
pub fn shared_size(cpu_count: usize) -> u64 {
    INFO_SIZE + cpu_count as u64 * LOG_RING_SIZE
}
