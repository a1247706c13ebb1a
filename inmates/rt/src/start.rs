//! From the first instruction to Rust: MMU, caches and FP on, bss zeroed, stack set.
//!
//! One rule: nothing is written to memory before the caches are on, so that no stale line can hide it later.
//!
//! The map is the identity, by blocks of 1 GiB: the gigabyte at 0x4000_0000, where a cell has its RAM, is normal
//! write-back memory, everything else up to 512 GiB is device memory. Stage 2 decides what is really there.

use core::arch::global_asm;

use crate::Tree;
use crate::cpu::SecondaryStart;

/// MAIR_EL1: attribute 0 is device-nGnRnE, attribute 1 is normal, inner and outer write-back, allocating.
const MAIR: u64 = 0xff00;
/// TCR_EL1 without IPS: 39 bits from TTBR0 (T0SZ = 25), walks write-back inner shareable, 4 KiB granule, no TTBR1 (EPD1).
const TCR: u64 = 25 | 1 << 8 | 1 << 10 | 3 << 12 | 1 << 23;
/// SCTLR_EL1: M, C, I, stack alignment checks; the bits that are RES1 in Armv8.0.
const SCTLR: u64 = 1
    | 1 << 2
    | 1 << 3
    | 1 << 4
    | 1 << 11
    | 1 << 12
    | 1 << 20
    | 1 << 22
    | 1 << 23
    | 1 << 28
    | 1 << 29;

/// A level 1 table of 1 GiB blocks (Arm ARM DDI 0487, VMSAv8-64 block descriptors).
#[repr(C, align(4096))]
struct Table([u64; 512]);

static TABLE: Table = Table(identity_map());

const fn identity_map() -> [u64; 512] {
    const BLOCK: u64 = 1;
    const ACCESS_FLAG: u64 = 1 << 10;
    const NORMAL: u64 = BLOCK | ACCESS_FLAG | 1 << 2 | 3 << 8;
    const DEVICE: u64 = BLOCK | ACCESS_FLAG | 3 << 53;
    let mut table = [0; 512];
    let mut index = 0;
    while index < table.len() {
        table[index] = (index as u64) << 30 | if index == 1 { NORMAL } else { DEVICE };
        index += 1;
    }
    table
}

// x0 on entry: the tree (CPU 0), or what CPU_ON was given: the top of the stack (the others). Kept in x20.
global_asm!(
    ".section .text.start, \"ax\"",
    ".global _start",
    "_start:",
    "mov x20, x0",
    "bl enable_mmu",
    "adrp x1, __bss_start",
    "add x1, x1, :lo12:__bss_start",
    "adrp x2, __bss_end",
    "add x2, x2, :lo12:__bss_end",
    "1: cmp x1, x2",
    "b.hs 2f",
    "stp xzr, xzr, [x1], #16",
    "b 1b",
    "2: adrp x1, __stack_end",
    "mov sp, x1",
    "mov x0, x20",
    "b {primary}",
    "",
    ".global secondary_start",
    "secondary_start:",
    "mov x20, x0",
    "bl enable_mmu",
    "mov sp, x20",
    "mov x0, x20",
    "b {secondary}",
    "",
    // Uses x1 to x3.
    "enable_mmu:",
    "adrp x1, exception_vectors",
    "add x1, x1, :lo12:exception_vectors",
    "msr vbar_el1, x1",
    "msr tpidr_el1, xzr",
    "mov x1, #3 << 20", // CPACR_EL1.FPEN: FP and SIMD are not trapped.
    "msr cpacr_el1, x1",
    "ldr x1, ={mair}",
    "msr mair_el1, x1",
    "ldr x1, ={tcr}",
    "mrs x2, id_aa64mmfr0_el1", // PARange in bits 3:0 goes to IPS; 6 and up need more than a 4 KiB granule has here.
    "and x2, x2, #15",
    "mov x3, #5",
    "cmp x2, x3",
    "csel x2, x2, x3, lo",
    "bfi x1, x2, #32, #3",
    "msr tcr_el1, x1",
    "adrp x1, {table}",
    "add x1, x1, :lo12:{table}",
    "msr ttbr0_el1, x1",
    "isb",
    "tlbi vmalle1", // After the isb: no entry made under the old settings survives.
    "ic iallu",
    "dsb nsh",
    "isb",
    "ldr x1, ={sctlr}",
    "msr sctlr_el1, x1",
    "isb",
    "ret",
    ".ltorg",
    primary = sym primary,
    secondary = sym secondary,
    table = sym TABLE,
    mair = const MAIR,
    tcr = const TCR,
    sctlr = const SCTLR,
);

unsafe extern "Rust" {
    /// The inmate's main function, made by [`crate::entry!`].
    safe fn inmate_main(tree: Tree) -> !;
}

unsafe extern "C" {
    /// Entry point of the other CPUs.
    fn secondary_start();
}

extern "C" fn primary(tree: u64) -> ! {
    // SAFETY: x0 of a cell's CPU 0 is the address of the tree that the command line made; nothing writes there.
    let tree = unsafe { Tree::from_address(tree) };
    crate::gicv2::open(&tree);
    crate::console::open(&tree);
    crate::comm::open(&tree);
    inmate_main(tree)
}

extern "C" fn secondary(start: *const SecondaryStart) -> ! {
    // SAFETY: `cpu::start` put it there for this CPU before CPU_ON, and nobody else uses it any more.
    let start = unsafe { start.read() };
    (start.main)(start.cpu)
}

/// Address of the other CPUs' entry point.
pub(crate) fn secondary_entry() -> u64 {
    secondary_start as *const () as u64
}
