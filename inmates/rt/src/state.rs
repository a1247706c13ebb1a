//! The state of this CPU: what it was at the inmate's entry, what it is now, and making it other than it should be.
//!
//! One rule: what is written here can confuse nothing of Rust's memory; what can is written last of all, by
//! [`spoil_and_end`].

use core::arch::asm;

use crate::attempt::{Exception, attempt};

/// A register that a program of the cell may reach.
#[derive(Clone, Copy)]
pub struct Register {
    /// Its name, or its encoding.
    pub name: &'static str,
    /// What it holds when a CPU starts.
    pub reset: u64,
    /// The bits of it that are compared.
    pub mask: u64,
    /// What it can be made to hold that is something else.
    pub dirt: u64,
    read: fn() -> Result<u64, Exception>,
    write: fn(u64) -> Result<(), Exception>,
}

impl Register {
    /// Reads it.
    ///
    /// # Errors
    /// The exception, where the CPU has no such register or the cell is not given it.
    pub fn get(&self) -> Result<u64, Exception> {
        (self.read)().map(|value| value & self.mask)
    }

    /// Writes [`Register::dirt`].
    ///
    /// # Errors
    /// As [`Register::get`].
    pub fn spoil(&self) -> Result<(), Exception> {
        (self.write)(self.dirt)
    }
}

macro_rules! registers {
    ($($encoding:literal $(= $dirt:literal)? $(& $mask:literal)?),* $(,)?) => {
        [$(Register {
            name: $encoding,
            reset: 0,
            mask: registers!(@or u64::MAX $(, $mask)?),
            dirt: registers!(@or 0x5a5a_5a5a_5a5a_5a5a $(, $dirt)?),
            read: || attempt!("mrs x0, " $encoding, [0; 4]).map(|x| x[0]),
            write: |value| attempt!("msr " $encoding ", x0", [value, 0, 0, 0]).map(|_| ()),
        }),*]
    };
    (@or $default:expr) => { $default };
    (@or $default:expr, $value:literal) => { $value };
}

/// What start-up and exceptions leave alone. All read as zero on a CPU that starts.
pub static REGISTERS: &[Register] = &registers![
    "ttbr1_el1",
    "amair_el1",
    "contextidr_el1",
    "afsr0_el1",
    "afsr1_el1",
    "csselr_el1",
    "sp_el0",
    "tpidr_el0",
    "tpidrro_el0",
    "cntkctl_el1" = 0x3ff,
    // Timers: armed, due.
    "cntv_cval_el0",
    "cntv_ctl_el0" = 1,
    "cntp_cval_el0" = 1,
    "cntp_ctl_el0" = 1,
    // Debug: the controls come after the values. The addresses are nobody's.
    "mdscr_el1" = 0xa001,
    "s2_0_c0_c2_0" = 0x6000_0000, // MDCCINT_EL1
    "s2_0_c0_c3_2",
    "s2_0_c0_c0_2", // OSDTRTX_EL1, OSDTRRX_EL1
    "dbgbvr0_el1" = 0x7f00_0000,
    "dbgbcr0_el1" = 0x1e7,
    "dbgbvr1_el1" = 0x7f00_0000,
    "dbgbcr1_el1" = 0x1e7,
    "dbgbvr2_el1" = 0x7f00_0000,
    "dbgbcr2_el1" = 0x1e7,
    "dbgbvr5_el1" = 0x7f00_0000,
    "dbgbcr5_el1" = 0x1e7,
    "dbgwvr0_el1" = 0x7f00_0000,
    "dbgwcr0_el1" = 0x1fff,
    "dbgwvr1_el1" = 0x7f00_0000,
    "dbgwcr1_el1" = 0x1fff,
    "dbgwvr2_el1" = 0x7f00_0000,
    "dbgwcr2_el1" = 0x1fff,
    "dbgwvr3_el1" = 0x7f00_0000,
    "dbgwcr3_el1" = 0x1fff,
    // OSLSR_EL1: its OSLK, by OSLAR_EL1 (below). OSDLR_EL1. DBGCLAIMCLR_EL1 reads the tags that DBGCLAIMSET_EL1 sets.
    "s2_0_c1_c1_4" & 2,
    "s2_0_c1_c3_4" = 1,
    "s2_0_c7_c9_6" & 0xff,
    // Performance monitors.
    "pmuserenr_el0" = 0xf,
    "pmselr_el0" = 3,
    "pmccfiltr_el0" = 0x8000_0000,
    "pmevtyper0_el0" = 0x11,
    "pmevtyper1_el0" = 0x8,
    "pmevtyper2_el0" = 0x11,
    "pmevtyper3_el0" = 0x8,
    "pmevtyper5_el0" = 0x11,
    "pmevcntr0_el0",
    "pmevcntr1_el0",
    "pmevcntr2_el0",
    "pmevcntr3_el0",
    "pmevcntr5_el0",
    "pmintenset_el1" = 0x8000_003f,
    "pmovsset_el0" = 0x8000_003f,
    "pmcntenset_el0" = 0x8000_003f,
    "pmccntr_el0",
    "pmcr_el0" = 0x1 & 0xff,
    // RAS: ERRSELR_EL1, DISR_EL1.
    "s3_0_c5_c3_1",
    "s3_0_c12_c1_1",
    // Limited ordering: LORSA_EL1, LOREA_EL1, LORN_EL1, LORC_EL1.
    "s3_0_c10_c4_0",
    "s3_0_c10_c4_1",
    "s3_0_c10_c4_2",
    "s3_0_c10_c4_3",
    // Keys of pointer authentication, A and B, instructions and data, generic.
    "s3_0_c2_c1_0",
    "s3_0_c2_c1_1",
    "s3_0_c2_c1_2",
    "s3_0_c2_c1_3",
    "s3_0_c2_c2_0",
    "s3_0_c2_c2_1",
    "s3_0_c2_c2_2",
    "s3_0_c2_c2_3",
    "s3_0_c2_c3_0",
    "s3_0_c2_c3_1",
    // MTE: RGSR_EL1, GCR_EL1, TFSR_EL1, TFSRE0_EL1.
    "s3_0_c1_c0_5",
    "s3_0_c1_c0_6",
    "s3_0_c5_c6_0",
    "s3_0_c5_c6_1",
    // SCXTNUM_EL1, SCXTNUM_EL0, AMUSERENR_EL0, TRFCR_EL1, TPIDR2_EL0, SMPRI_EL1, FPMR, MPAM1_EL1, MPAM0_EL1.
    "s3_0_c13_c0_7",
    "s3_3_c13_c0_7",
    "s3_3_c13_c2_3",
    "s3_0_c1_c2_1",
    "s3_3_c13_c0_5",
    "s3_0_c1_c2_4",
    "s3_3_c4_c4_2",
    "s3_0_c10_c5_0",
    "s3_0_c10_c5_1",
    // TCR2_EL1, SCTLR2_EL1, PIRE0_EL1, PIR_EL1, POR_EL1, POR_EL0: with nothing that takes effect here.
    "s3_0_c2_c0_3" = 0,
    "s3_0_c1_c0_3" = 0,
    "s3_0_c10_c2_2",
    "s3_0_c10_c2_3" = 0,
    "s3_0_c10_c2_4",
    "s3_3_c10_c2_4",
    // ZCR_EL1, SMCR_EL1, PMSCR_EL1, PMBLIMITR_EL1, PMBPTR_EL1, TRBLIMITR_EL1, TRBPTR_EL1.
    "s3_0_c1_c2_0",
    "s3_0_c1_c2_6",
    "s3_0_c9_c9_0",
    "s3_0_c9_c10_0" = 0,
    "s3_0_c9_c10_1",
    "s3_0_c9_c11_0" = 0,
    "s3_0_c9_c11_1",
];

/// Locks the OS lock and sets the debug claim tags.
pub fn spoil_locks() {
    let _ = attempt!("msr oslar_el1, x0", [1, 0, 0, 0]);
    let _ = attempt!("msr s2_0_c7_c8_6, x0", [0xff, 0, 0, 0]); // DBGCLAIMSET_EL1
}

/// What a CPU starts with in the registers that start-up changes before Rust runs.
#[repr(C, align(16))]
pub struct Entry {
    /// x0 to x30; of x30 only whether it was zero.
    pub x: [u64; 31],
    /// The stack pointer in use.
    pub sp: u64,
    /// See [`Entry::NAMES`].
    pub special: [u64; 16],
    /// FPCR and FPSR.
    pub fp: [u64; 2],
    /// V0 to V31.
    pub v: [u128; 32],
}

impl Entry {
    /// Before the entry.
    pub const EMPTY: Self = Self {
        x: [0xbad; 31],
        sp: 0xbad,
        special: [0xbad; 16],
        fp: [0xbad; 2],
        v: [0xbad; 32],
    };
    /// The registers of `special`.
    pub const NAMES: [&'static str; 16] = [
        "sctlr_el1",
        "cpacr_el1",
        "tcr_el1",
        "ttbr0_el1",
        "mair_el1",
        "vbar_el1",
        "tpidr_el1",
        "esr_el1",
        "far_el1",
        "elr_el1",
        "spsr_el1",
        "daif",
        "currentel",
        "spsel",
        "nzcv",
        "par_el1",
    ];
    /// What they hold when a CPU starts: SCTLR_EL1 has the bits that are RES1 in Armv8.0, all is masked, EL1h.
    pub const RESET: [u64; 16] = [0x30d0_0800, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x3c0, 4, 1, 0, 0];
}

/// Makes `state_start`, an entry point that notes the state in `ENTRY`, a [`Entry`], and goes on at `_start`.
#[macro_export]
macro_rules! note_entry_state {
    () => {
        // Not zeroed by start-up: it is no `bss`.
        #[unsafe(link_section = ".data.entry_state")]
        static mut ENTRY: $crate::state::Entry = $crate::state::Entry::EMPTY;

        // x30: where it is noted; then x1 holds what is read and x2 where it goes.
        core::arch::global_asm!(
            ".section .text.state_start, \"ax\"",
            ".global state_start",
            "state_start:",
            "cbnz x30, 1f",
            "adrp x30, {entry}",
            "add x30, x30, :lo12:{entry}",
            "str xzr, [x30, #240]",
            "b 2f",
            "1: adrp x30, {entry}",
            "add x30, x30, :lo12:{entry}",
            "str x30, [x30, #240]",
            "2: stp x0, x1, [x30]",
            "stp x2, x3, [x30, #16]",
            "stp x4, x5, [x30, #32]",
            "stp x6, x7, [x30, #48]",
            "stp x8, x9, [x30, #64]",
            "stp x10, x11, [x30, #80]",
            "stp x12, x13, [x30, #96]",
            "stp x14, x15, [x30, #112]",
            "stp x16, x17, [x30, #128]",
            "stp x18, x19, [x30, #144]",
            "stp x20, x21, [x30, #160]",
            "stp x22, x23, [x30, #176]",
            "stp x24, x25, [x30, #192]",
            "stp x26, x27, [x30, #208]",
            "stp x28, x29, [x30, #224]",
            "mov x1, sp",
            "str x1, [x30, #248]",
            "add x2, x30, #256",
            ".irp name, sctlr_el1, cpacr_el1, tcr_el1, ttbr0_el1, mair_el1, vbar_el1, tpidr_el1, esr_el1, far_el1, elr_el1, spsr_el1, daif, currentel, spsel, nzcv, par_el1",
            "mrs x1, \\name",
            "str x1, [x2], #8",
            ".endr",
            "mov x1, #3 << 20",
            "msr cpacr_el1, x1",
            "isb",
            "mrs x1, fpcr",
            "str x1, [x2], #8",
            "mrs x1, fpsr",
            "str x1, [x2], #8",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "str q\\n, [x2], #16",
            ".endr",
            "b _start",
            entry = sym ENTRY,
        );

        /// What the state was.
        fn entry_state() -> &'static $crate::state::Entry {
            // SAFETY: written before Rust ran, and never again.
            unsafe { &*&raw const ENTRY }
        }
    };
}

/// How a program that has spoilt everything ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// By SYSTEM_OFF.
    Off,
    /// It spins, all masked, until it is stopped.
    Spin,
}

/// Fills all that is left: translation, vectors, syndromes, V registers, general registers; then ends.
pub fn spoil_and_end(end: End) -> ! {
    let function = match end {
        End::Off => 0x8400_0008_u64,
        End::Spin => 0,
    };
    // SAFETY: masked; nothing of this program runs behind it but the code here, whose translation the changed bits leave as
    // it is: TTBR0 gets an ASID, TCR top-byte-ignore, MAIR other attributes than 0 and 1, SCTLR what is EL0's.
    unsafe {
        asm!(
            "msr daifset, #15",
            "mov x1, #-1",
            "mrs x2, sctlr_el1",
            "orr x2, x2, #1 << 26", // UCI
            "orr x2, x2, #0xc000", // UCT, DZE
            "orr x2, x2, #1 << 9", // UMA
            "msr sctlr_el1, x2",
            "mrs x2, tcr_el1",
            "orr x2, x2, #3 << 37", // TBI0, TBI1
            "orr x2, x2, #63 << 16", // T1SZ
            "msr tcr_el1, x2",
            "mrs x2, mair_el1",
            "orr x2, x2, #0xffff0000",
            "msr mair_el1, x2",
            "mrs x2, ttbr0_el1",
            "orr x2, x2, #0xff << 48", // ASID
            "msr ttbr0_el1, x2",
            "mov x2, #-1",
            "msr cpacr_el1, x2",
            "isb",
            "msr elr_el1, x2",
            "msr esr_el1, x2",
            "msr far_el1, x2",
            "mov x3, #0x3c5",
            "movk x3, #0xf000, lsl #16",
            "msr spsr_el1, x3",
            "msr vbar_el1, x2",
            "msr tpidr_el1, x2",
            "msr par_el1, x2",
            "mov x3, #0x0fc00000", // FPCR: DN, FZ, RMode, ...
            "msr fpcr, x3",
            "msr fpsr, x2",
            ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31",
            "movi v\\n\\().16b, #0x5a",
            ".endr",
            ".irp n, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30",
            "mov x\\n, #-1",
            ".endr",
            "mov sp, x30",
            "cbz x0, 1f",
            "hvc #0",
            "1: b 1b",
            in("x0") function,
            options(noreturn),
        )
    }
}
