//! Accesses and calls that may end in an exception, and then say so instead of ending the inmate.
//!
//! One rule: one instruction each, chosen by the caller down to its form; addresses are checked to lie outside the
//! inmate's own RAM ([`Outside`]), so that no attempt can break what Rust believes of its memory.

use core::arch::asm;

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
            asm!(
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
                out("v0") _,
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
    /// Loads exclusively.
    load_exclusive = "ldxr w0, [x1]";
}

stores! {
    /// Stores a byte.
    store8 = "strb w0, [x1]";
    /// Stores 32 bits.
    store32 = "str w0, [x1]";
    /// Stores 64 bits.
    store64 = "str x0, [x1]";
    /// Stores 32 bits and moves the base register: no ISS.
    store_writeback = "str w0, [x1], #4";
    /// Stores two registers: no ISS.
    store_pair = "stp w0, w0, [x1]";
    /// Zeroes a cache block: a data abort of its own kind.
    zero_block = "dc zva, x1";
}

/// HVC.
///
/// # Errors
/// The exception that it raised.
pub fn hvc(x: [u64; 4]) -> Result<[u64; 4], Exception> {
    attempt!("hvc #0", x)
}

/// HVC with another immediate than any convention has.
///
/// # Errors
/// The exception that it raised.
pub fn hvc_strange(x: [u64; 4]) -> Result<[u64; 4], Exception> {
    attempt!("hvc #0x4a48", x)
}

/// SMC.
///
/// # Errors
/// The exception that it raised.
pub fn smc(x: [u64; 4]) -> Result<[u64; 4], Exception> {
    attempt!("smc #0", x)
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

/// Turns the MMU off, so that no permission of stage 1 is in the way, and jumps there. Does not come back; what is found
/// there runs with Rust's memory at its mercy, but Rust has ended.
pub fn execute(at: Outside) -> ! {
    // SAFETY: nothing of this program runs after it. The code is fetched by the identity map before as after.
    unsafe {
        asm!(
            "msr daifset, #15",
            "mrs x1, sctlr_el1",
            "bic x1, x1, #1",
            "msr sctlr_el1, x1",
            "isb", // The branch is fetched with the MMU off.
            "br x0",
            in("x0") at.0,
            options(noreturn),
        )
    }
}

/// Masks everything and spins.
pub fn spin() -> ! {
    // SAFETY: does nothing, for ever.
    unsafe { asm!("msr daifset, #15", "1: b 1b", options(noreturn)) }
}

/// Masks everything and sleeps; what wakes it is left pending.
pub fn sleep() -> ! {
    // SAFETY: does nothing, for ever.
    unsafe { asm!("msr daifset, #15", "1: wfi", "b 1b", options(noreturn)) }
}

/// Takes an exception whose vector takes an exception, and so on.
pub fn loop_in_vector() -> ! {
    // SAFETY: the vectors point at unmapped addresses beyond the 39 bits of the map: nothing of this program runs again.
    unsafe {
        asm!(
            "mov x0, #1 << 40",
            "msr vbar_el1, x0",
            "isb",
            "udf #0",
            options(noreturn)
        )
    }
}
