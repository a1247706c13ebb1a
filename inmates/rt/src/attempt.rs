//! Accesses and calls that may end in an exception, and then say so instead of ending the inmate.
//!
//! One rule: one instruction each, chosen by the caller down to its form; addresses are checked to lie outside the
//! inmate's own RAM ([`Outside`]), so that no attempt can break what Rust believes of its memory.

use aarch64_cpu::registers::{ESR_EL1, FAR_EL1, Readable};

use crate::Tree;

/// An address that is not in the cell's RAM, as the tree tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outside(u64);

impl Outside {
    /// Returns `None` for an address in, or less than a page below, the cell's RAM.
    pub fn new(address: u64, tree: &Tree) -> Option<Self> {
        let inside = tree
            .ram()
            .any(|ram| address.saturating_add(4096) > ram.base && address < ram.base + ram.size);
        (!inside).then_some(Self(address))
    }

    /// The address.
    pub fn address(self) -> u64 {
        self.0
    }

    /// The same offset in the last gigabyte of the map, where nothing is.
    pub(crate) fn in_last_gigabyte(self) -> Self {
        Self(511 << 30 | self.0 & 0x3fff_ffff)
    }

    /// Tells whether it lies in the page that begins there.
    pub fn is_in_page(self, page: u64) -> bool {
        self.0 & !0xfff == page
    }
}

/// The exception that an attempt ended in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exception {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
}

impl Exception {
    /// The last one.
    pub(crate) fn taken() -> Self {
        Self {
            esr: ESR_EL1.get(),
            far: FAR_EL1.get(),
        }
    }
}

/// Runs one instruction with `x0` to `x3` given and returned. When it raises an exception, the handler goes on at label
/// 2 (see [`crate::exception`]). Calls may change x4 to x17 (SMCCC).
macro_rules! attempt {
    ($($instruction:literal)+, $x:expr $(, $name:ident = $value:expr)?) => {{
        let mut x: [u64; 4] = $x;
        let failed: u64;
        // SAFETY: the callers' instructions touch no memory of ours, and SMCCC calls keep all but these registers.
        unsafe {
            core::arch::asm!(
                "adr x4, 2f",
                "msr tpidr_el1, x4",
                "isb",
                concat!($($instruction),+),
                "dsb sy", // An asynchronous abort, too, comes before the end.
                "isb",
                "mov {failed}, #0",
                "msr tpidr_el1, xzr",
                "b 3f",
                "2: mov {failed}, #1",
                "3:",
                failed = lateout(reg) failed,
                $($name = const $value,)?
                inout("x0") x[0], inout("x1") x[1], inout("x2") x[2], inout("x3") x[3],
                out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                out("v0") _, out("v1") _,
            );
        }
        if failed == 0 { Ok(x) } else { Err($crate::attempt::Exception::taken()) }
    }};
}
pub(crate) use attempt;

macro_rules! loads {
    ($($(#[$doc:meta])* $name:ident = $instruction:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The exception that it raised.
        pub fn $name(from: Outside) -> Result<u64, Exception> {
            attempt!($instruction, [0, from.0, 0, 0]).map(|x| x[0])
        }
    )*};
}

macro_rules! stores {
    ($($(#[$doc:meta])* $name:ident = $instruction:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The exception that it raised.
        pub fn $name(to: Outside, value: u64) -> Result<(), Exception> {
            attempt!($instruction, [value, to.0, 0, 0]).map(|_| ())
        }
    )*};
}

loads! {
    /// Loads a byte.
    load8 = "ldrb w0, [x1]";
    /// Loads 16 bits.
    load16 = "ldrh w0, [x1]";
    /// Loads 32 bits.
    load32 = "ldr w0, [x1]";
    /// Loads 64 bits.
    load64 = "ldr x0, [x1]";
    /// Loads 32 bits and moves the base register: the syndrome has no ISS then.
    load_writeback = "ldr w0, [x1], #4";
    /// Loads two registers: no ISS.
    load_pair = "ldp w0, w2, [x1]";
    /// Loads a SIMD register: no ISS.
    load_simd = "ldr q0, [x1]";
    /// Loads a pair of SIMD registers: no ISS.
    load_simd_pair = "ldp s0, s1, [x1]";
    /// Loads exclusively.
    load_exclusive = "ldxr w0, [x1]";
    /// Loads two registers exclusively.
    load_exclusive_pair = "ldxp w0, w2, [x1]";
    /// Loads with acquire semantics.
    load_acquire = "ldar w0, [x1]";
    /// Loads as EL0 would.
    load_unprivileged = "ldtr w0, [x1]";
    /// Loads and extends the sign.
    load_signed = "ldrsb x0, [x1]";
    /// Adds 1, atomically (FEAT_LSE).
    atomic_add = ".arch_extension lse\nmov w2, #1\nldadd w2, w0, [x1]";
    /// Swaps, atomically (FEAT_LSE).
    atomic_swap = ".arch_extension lse\nswp wzr, w0, [x1]";
    /// Compares and swaps, atomically (FEAT_LSE).
    atomic_compare = ".arch_extension lse\ncas w0, wzr, [x1]";
    /// Compares and swaps a pair, atomically (FEAT_LSE).
    atomic_compare_pair = ".arch_extension lse\nmov w2, #0\nmov w3, #0\ncasp w2, w3, w2, w3, [x1]";
    /// Asks the MMU for the address: PAR_EL1.
    translate = "at s1e1r, x1\nisb\nmrs x0, par_el1";
    /// Asks the MMU for the address, stage 2 too: EL2's alone.
    translate_both = "at s12e1r, x1\nisb\nmrs x0, par_el1";
    /// Fetches it into a cache.
    prefetch = "prfm pldl1keep, [x1]\nprfm pstl1keep, [x1]\nprfm plil1keep, [x1]";
}

stores! {
    /// Stores a byte.
    store8 = "strb w0, [x1]";
    /// Stores 16 bits.
    store16 = "strh w0, [x1]";
    /// Stores 32 bits.
    store32 = "str w0, [x1]";
    /// Stores 64 bits.
    store64 = "str x0, [x1]";
    /// Stores 32 bits and moves the base register: no ISS.
    store_writeback = "str w0, [x1], #4";
    /// Stores two registers: no ISS.
    store_pair = "stp w0, w0, [x1]";
    /// Stores a SIMD register: no ISS.
    store_simd = "str q0, [x1]";
    /// Stores exclusively, having loaded so.
    store_exclusive = "ldxr w2, [x1]\nstxr w2, w0, [x1]";
    /// Stores with release semantics.
    store_release = "stlr w0, [x1]";
    /// Stores as EL0 would.
    store_unprivileged = "sttr w0, [x1]";
    /// Zeroes a cache block: a data abort of its own kind.
    zero_block = "dc zva, x1";
    /// Cleans a cache line.
    clean = "dc cvac, x1";
    /// Invalidates a cache line.
    invalidate = "dc ivac, x1";
    /// Cleans and invalidates a cache line.
    clean_invalidate = "dc civac, x1";
    /// Invalidates an instruction cache line.
    invalidate_instructions = "ic ivau, x1";
}

/// Loads 64 bits, half of them from behind the cell's memory: its RAM, and comm page and ring console where they follow.
///
/// # Errors
/// The exception that it raised.
pub fn load_across_end(tree: &Tree) -> Result<(), Exception> {
    let Some(ram) = tree.ram().last() else {
        return Ok(());
    };
    let mut end = ram.base + ram.size;
    let pages = [tree.comm(), tree.ring_console()];
    while let Some(next) = pages.iter().flatten().find(|range| range.base == end) {
        end += next.size;
    }
    attempt!("ldr x0, [x1]", [0, end - 4, 0, 0]).map(drop)
}

macro_rules! instructions {
    ($($(#[$doc:meta])* $name:ident = $instruction:literal;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// The exception that it raised.
        pub fn $name(x: [u64; 4]) -> Result<[u64; 4], Exception> {
            attempt!($instruction, x)
        }
    )*};
}

instructions! {
    /// HVC.
    hvc = "hvc #0";
    /// HVC with another immediate than any convention has.
    hvc_strange = "hvc #0x4a48";
    /// SMC.
    smc = "smc #0";
    /// SMC with another immediate than any convention has.
    smc_strange = "smc #0x4a48";
    /// A breakpoint.
    breakpoint = "brk #1";
    /// A halt for an external debugger.
    halt = "hlt #1";
    /// No instruction.
    undefined = "udf #1";
    /// Hints: event, yield, and one that nobody has defined.
    hints = "sev\nwfe\nyield\nhint #127";
    /// Forgets all that this program's translations left in TLBs, everywhere.
    forget_translations = "tlbi vmalle1is\ntlbi vmalle1";
    /// Forgets those of all at EL1.
    forget_all_translations = "tlbi alle1is";
    /// Forgets those of stage 1 and 2.
    forget_both_translations = "tlbi vmalls12e1is";
    /// Forgets EL2's.
    forget_el2s_translations = "tlbi alle2";
    /// Returns to EL2, which is an illegal return: PSTATE.IL is set at label 3.
    return_to_el2 = "mov x5, #0x3c9\nadr x6, 3f\nmsr spsr_el1, x5\nmsr elr_el1, x6\neret";
    /// An SVE instruction: `cntb x0`.
    vector_length = ".inst 0x0420e3e0";
    /// Starts streaming SVE mode: `smstart`.
    streaming = ".inst 0xd503477f";
    /// Cleans and invalidates by set and way: the first of each of seven levels.
    set_way = "mov x0, #0\n2001: dc isw, x0\ndc csw, x0\ndc cisw, x0\nadd x0, x0, #2\ncmp x0, #14\nb.lo 2001b";
}

/// SVC, which is always an exception.
pub(crate) fn supervisor_call<const IMMEDIATE: u16>() {
    let _ = attempt!("svc #{immediate}", [0; 4], immediate = IMMEDIATE);
}

/// Generates SGIs: the value of ICC_SGI1R_EL1.
///
/// # Errors
/// The exception that it raised.
pub fn sgi1(value: u64) -> Result<(), Exception> {
    attempt!("msr icc_sgi1r_el1, x0", [value, 0, 0, 0]).map(|_| ())
}

/// Generates SGIs by the group 0 register.
///
/// # Errors
/// The exception that it raised.
pub fn sgi0(value: u64) -> Result<(), Exception> {
    attempt!("msr icc_sgi0r_el1, x0", [value, 0, 0, 0]).map(|_| ())
}

/// Generates SGIs for the other security state.
///
/// # Errors
/// The exception that it raised.
pub fn sgi1_other(value: u64) -> Result<(), Exception> {
    attempt!("msr icc_asgi1r_el1, x0", [value, 0, 0, 0]).map(|_| ())
}
