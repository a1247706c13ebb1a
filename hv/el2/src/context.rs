//! What a CPU's EL1 and trap registers hold when it enters a cell: everything reset, nothing of the former owner.
//!
//! One rule: a CPU changes owner only while it is parked; nothing is ever switched back and forth.

use core::arch::asm;

use aarch64_cpu::registers::{
    AFSR0_EL1, AFSR1_EL1, AMAIR_EL1, CNTHCTL_EL2, CNTKCTL_EL1, CNTP_CTL_EL0, CNTP_CVAL_EL0,
    CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVOFF_EL2, CONTEXTIDR_EL1, CPACR_EL1, CPTR_EL2, CSSELR_EL1,
    ELR_EL1, ESR_EL1, FAR_EL1, HCR_EL2, ID_AA64DFR0_EL1, ID_AA64ISAR1_EL1, ID_AA64MMFR0_EL1,
    ID_AA64MMFR1_EL1, ID_AA64PFR0_EL1, MAIR_EL1, MDCR_EL2, MDSCR_EL1, MIDR_EL1, PAR_EL1, Readable,
    SCTLR_EL1, SP_EL0, SP_EL1, SPSR_EL1, TCR_EL1, TPIDR_EL0, TPIDR_EL1, TPIDRRO_EL0, TTBR0_EL1,
    TTBR1_EL1, VBAR_EL1, VMPIDR_EL2, VTCR_EL2, VTTBR_EL2, Writeable,
};
use bulkhead_model::blob::Delivery;
use bulkhead_model::id::CellId;

use crate::percpu::{Cpu, Found, Frame};
use crate::sysreg::{
    self, HcrxEl2, Hdfgrtr, Hdfgwtr, Hfgitr, Hfgrtr, Hfgwtr, HstrEl2, IdIsar2, Pmbidr, Trbidr,
    Vpidr, ZcrEl2,
};

/// SCTLR_EL1 at reset: RES1 bits of Armv8.0, MMU and caches off.
const SCTLR_EL1_RESET: u64 = (3 << 28) | (3 << 22) | (1 << 20) | (1 << 11);
/// PSTATE of a CPU that starts: EL1h, all exceptions masked.
const PSTATE_START: u64 = 0x3c5;
/// MPIDR_EL1 bit that is RES1.
const MPIDR_RES1: u64 = 1 << 31;
/// CPTR_EL2 for cells: RES1 bits, SVE, SME and trace (TTA) trapped, FP open (`HCR_EL2.E2H` = 0).
const CPTR_CELL: u64 = 0x10_33ff;
/// HCR_EL2.TLOR and TERR: limited ordering regions and the error records, which CPUs share, are no cell's.
const HCR_TLOR_TERR: u64 = 0b11 << 35;
/// MDCR_EL2.HPMN: all event counters belong to EL1.
const MDCR_HPMN: u64 = 0x1f;

/// MDCR_EL2.E2PB: the profiling buffer is EL1's, and its controls trap.
const MDCR_E2PB_TRAP: u64 = 0b10 << 12;
/// MDCR_EL2.E2TB: the same of the trace buffer.
const MDCR_E2TB_TRAP: u64 = 0b10 << 24;
/// MDCR_EL2.TPMS and TTRF: the profiling and trace filter controls trap.
const MDCR_CONTROLS_TRAP: u64 = 1 << 14 | 1 << 19;

/// Stage 2 of the cell that is entered.
#[derive(Clone, Copy)]
pub struct Stage2 {
    /// VTTBR_EL2.
    pub vttbr: u64,
    /// VTCR_EL2.
    pub vtcr: u64,
}

/// Notes the trap and translation registers as they were found.
pub fn note(found: &mut Found) {
    found.hcr = HCR_EL2.get();
    found.vtcr = VTCR_EL2.get();
    found.vttbr = VTTBR_EL2.get();
    found.mdcr = MDCR_EL2.get();
    found.cptr = CPTR_EL2.get();
    found.cnthctl = CNTHCTL_EL2.get();
    found.cntvoff = CNTVOFF_EL2.get();
    found.hstr = HstrEl2::get();
    found.vpidr = Vpidr::get();
    found.vmpidr = VMPIDR_EL2.get();
}

/// Whether this CPU has statistical profiling and a trace buffer, and leaves them to us: others are firmware's, and their registers
/// trap to it (DDI 0487, `PMBIDR_EL1.P`, `TRBIDR_EL1.P`).
fn buffers() -> (bool, bool) {
    const OF_FIRMWARE: u64 = 1 << 4;
    let features = ID_AA64DFR0_EL1.get();
    let has_profiling = features >> 32 & 0xf != 0 && Pmbidr::get() & OF_FIRMWARE == 0;
    let has_trace_buffer = features >> 44 & 0xf != 0 && Trbidr::get() & OF_FIRMWARE == 0;
    (has_profiling, has_trace_buffer)
}

/// Stops what of EL1 goes on without instructions: timers, profiling, tracing. This CPU is to wait at EL2.
pub fn quiesce() {
    CNTP_CTL_EL0.set(0);
    CNTV_CTL_EL0.set(0);
    let (has_profiling, has_trace_buffer) = buffers();
    sysreg::stop_profiling(has_profiling, has_trace_buffer);
}

/// Notes what Linux's EL2 set-up left in registers that not every CPU has.
pub fn note_optional(found: &mut Found) {
    if has_sve() {
        found.zcr = ZcrEl2::get();
    }
    if has_hcrx() {
        found.hcrx = HcrxEl2::get();
    }
    if has_fine_grained_traps() {
        found.fgt = [
            Hfgrtr::get(),
            Hfgwtr::get(),
            Hfgitr::get(),
            Hdfgrtr::get(),
            Hdfgwtr::get(),
        ];
    }
}

/// Keeps this CPU's own number of event counters, as reset left it: CPUs of another kind have another.
pub fn keep_counters(found: &mut Found) {
    found.mdcr = found.mdcr & !MDCR_HPMN | MDCR_EL2.get() & MDCR_HPMN;
}

/// Sets them on a CPU that comes from firmware: its Linux starts at EL1 and cannot.
pub fn set_optional(found: &Found) {
    CPTR_EL2.set(found.cptr);
    sysreg::isb();
    if has_sve() {
        ZcrEl2::set(found.zcr);
    }
    if has_hcrx() {
        HcrxEl2::set(found.hcrx);
    }
    if has_fine_grained_traps() {
        let [read, write, instructions, debug_read, debug_write] = found.fgt;
        Hfgrtr::set(read);
        Hfgwtr::set(write);
        Hfgitr::set(instructions);
        Hdfgrtr::set(debug_read);
        Hdfgwtr::set(debug_write);
    }
    sysreg::isb();
}

fn has_sve() -> bool {
    ID_AA64PFR0_EL1.get() >> 32 & 0xf != 0
}

fn has_hcrx() -> bool {
    ID_AA64MMFR1_EL1.get() >> 40 & 0xf != 0
}

fn has_fine_grained_traps() -> bool {
    ID_AA64MMFR0_EL1.get() >> 56 & 0xf != 0
}

/// Puts them back.
pub fn restore(found: &Found) {
    HCR_EL2.set(found.hcr);
    VTCR_EL2.set(found.vtcr);
    VTTBR_EL2.set(found.vttbr);
    MDCR_EL2.set(found.mdcr);
    CPTR_EL2.set(found.cptr);
    CNTHCTL_EL2.set(found.cnthctl);
    CNTVOFF_EL2.set(found.cntvoff);
    HstrEl2::set(found.hstr);
    Vpidr::set(found.vpidr);
    VMPIDR_EL2.set(found.vmpidr);
    sysreg::isb();
    sysreg::tlbi_all_el1_local();
}

/// Sets the traps for root: stage 2, FIQ (the kick) and SMC to EL2; what Linux's EL2 set-up allowed stays.
pub fn set_traps_for_root(found: &Found, stage2: Stage2) {
    let ours = HCR_EL2::VM::SET
        + HCR_EL2::SWIO::SET
        + HCR_EL2::FMO::SET
        + HCR_EL2::TSC::SET
        + HCR_EL2::RW::SET;
    let kept = found.hcr
        & (HCR_EL2::API::SET + HCR_EL2::APK::SET + HCR_EL2::ATA::SET + HCR_EL2::EnSCXT::SET).value;
    HCR_EL2.set(ours.value | kept);
    CPTR_EL2.set(found.cptr);
    MDCR_EL2.set(found.mdcr);
    CNTVOFF_EL2.set(found.cntvoff);
    Vpidr::set(found.vpidr);
    VMPIDR_EL2.set(found.vmpidr);
    HstrEl2::set(0);
    set_common(stage2);
}

/// Sets the traps for another cell: besides root's also set/way cache operations, ID registers and implementation-defined
/// registers.
fn set_traps_for_cell(number: usize, delivery: Delivery, stage2: Stage2) {
    let bits = HCR_EL2::VM::SET
        + HCR_EL2::SWIO::SET
        + HCR_EL2::FMO::SET
        + HCR_EL2::TSC::SET
        + HCR_EL2::RW::SET
        + HCR_EL2::TSW::SET
        + HCR_EL2::TACR::SET
        + HCR_EL2::TIDCP::SET
        + HCR_EL2::TID3::SET
        + HCR_EL2::API::SET
        + HCR_EL2::APK::SET;
    let interrupts = match delivery {
        Delivery::Direct => 0,
        Delivery::Listed => HCR_EL2::IMO::SET.value,
    };
    HCR_EL2.set(bits.value | HCR_TLOR_TERR | interrupts);
    CPTR_EL2.set(CPTR_CELL);
    // The PMU and the debug registers are the cell's; profiling and trace buffers are nobody's.
    let (has_profiling, has_trace_buffer) = buffers();
    let spe = if has_profiling { MDCR_E2PB_TRAP } else { 0 };
    let trbe = if has_trace_buffer { MDCR_E2TB_TRAP } else { 0 };
    // Nor are their controls: without these bits firmware that keeps them would get the cell's trap.
    MDCR_EL2.set(MDCR_EL2.get() & MDCR_HPMN | MDCR_CONTROLS_TRAP | spe | trbe);
    CNTVOFF_EL2.set(0);
    Vpidr::set(MIDR_EL1.get());
    VMPIDR_EL2.set(MPIDR_RES1 | number as u64);
    HstrEl2::set(0);
    set_common(stage2);
}

fn set_common(stage2: Stage2) {
    CNTHCTL_EL2.set(3); // EL1 may use the physical counter and timer
    VTCR_EL2.set(stage2.vtcr);
    VTTBR_EL2.set(stage2.vttbr);
    sysreg::isb();
    // Linux translated without a VMID until now, or another owner had this CPU.
    sysreg::tlbi_all_el1_local();
}

/// Prepares this CPU to run `entry` with `context` in x0 for `cell`, where it is CPU `number`.
pub fn reset(
    cpu: &mut Cpu,
    cell: CellId,
    number: usize,
    delivery: Delivery,
    stage2: Stage2,
    entry: u64,
    context: u64,
) {
    reset_el1();
    reset_extensions(cpu.found);
    reset_timers();
    reset_debug_and_pmu();
    clear_fp();
    if cell == CellId::ROOT {
        set_traps_for_root(cpu.found, stage2);
    } else {
        set_traps_for_cell(number, delivery, stage2);
    }
    // What root or EL2 wrote may be code; the cell starts with its caches off.
    sysreg::invalidate_instructions();
    *cpu.frame = Frame::default();
    cpu.frame.pc = entry;
    cpu.frame.spsr = PSTATE_START;
    cpu.frame.x[0] = context;
}

/// Writes zero to registers of the guest.
macro_rules! clear {
    ($($register:literal),* $(,)?) => {
        // SAFETY: they exist on this CPU, as the caller checked, and are the guest's.
        unsafe { asm!($(concat!("msr ", $register, ", xzr"),)* options(nomem, nostack, preserves_flags)) }
    };
}

fn reset_el1() {
    SCTLR_EL1.set(SCTLR_EL1_RESET);
    CPACR_EL1.set(0);
    TCR_EL1.set(0);
    TTBR0_EL1.set(0);
    TTBR1_EL1.set(0);
    MAIR_EL1.set(0);
    AMAIR_EL1.set(0);
    VBAR_EL1.set(0);
    ESR_EL1.set(0);
    FAR_EL1.set(0);
    AFSR0_EL1.set(0);
    AFSR1_EL1.set(0);
    PAR_EL1.set(0);
    ELR_EL1.set(0);
    SPSR_EL1.set(0);
    SP_EL0.set(0);
    SP_EL1.set(0);
    TPIDR_EL0.set(0);
    TPIDRRO_EL0.set(0);
    TPIDR_EL1.set(0);
    CONTEXTIDR_EL1.set(0);
    CSSELR_EL1.set(0);
    if has_pointer_authentication() {
        clear_pointer_keys();
    }
}

/// Registers of newer extensions, as far as Linux's set-up of EL2 lets EL1 have them: what it does not, firmware need not
/// have allowed us either, and no cell reaches. MTE's are out of a cell's reach always (HCR_EL2.ATA).
fn reset_extensions(found: &Found) {
    macro_rules! clear_if {
        ($($bits:expr, $bit:literal => $register:literal,)*) => {
            $(if $bits >> $bit & 1 != 0 { clear!($register); })*
        };
    }
    if ID_AA64PFR0_EL1.get() >> 28 & 0xf != 0 {
        clear!("s3_0_c12_c1_1"); // DISR_EL1
    }
    if ID_AA64PFR0_EL1.get() >> 44 & 0xf != 0 {
        clear!("s3_3_c13_c2_3"); // AMUSERENR_EL0
    }
    clear_if! {
        found.hcrx, 14 => "s3_0_c2_c0_3", // TCR2_EL1
        found.hcrx, 15 => "s3_0_c1_c0_3", // SCTLR2_EL1
        found.hcrx, 34 => "s3_3_c4_c4_2", // FPMR
        found.fgt[0], 55 => "s3_3_c13_c0_5", // TPIDR2_EL0
        found.fgt[0], 57 => "s3_0_c10_c2_2", // PIRE0_EL1
        found.fgt[0], 58 => "s3_0_c10_c2_3", // PIR_EL1
        found.fgt[0], 59 => "s3_3_c10_c2_4", // POR_EL0
        found.fgt[0], 60 => "s3_0_c10_c2_4", // POR_EL1
        found.fgt[0], 62 => "s3_0_c10_c2_1", // MAIR2_EL1
        found.fgt[0], 63 => "s3_0_c10_c3_1", // AMAIR2_EL1
    }
}

fn reset_timers() {
    CNTP_CTL_EL0.set(0);
    CNTV_CTL_EL0.set(0);
    CNTP_CVAL_EL0.set(0);
    CNTV_CVAL_EL0.set(0);
    CNTKCTL_EL1.set(0);
}

fn reset_debug_and_pmu() {
    MDSCR_EL1.set(0);
    clear!("oslar_el1", "s2_0_c1_c3_4", "s2_0_c0_c2_0"); // OSDLR_EL1, MDCCINT_EL1
    // SAFETY: DBGCLAIMCLR_EL1, which every CPU has: the eight claim tags are cleared by writing ones.
    unsafe {
        asm!("msr s2_0_c7_c9_6, {}", in(reg) 0xff_u64, options(nomem, nostack, preserves_flags))
    };
    let features = ID_AA64DFR0_EL1.get();
    clear_debug_pairs((features >> 12 & 0xf) + 1, (features >> 20 & 0xf) + 1);
    if !matches!(features >> 8 & 0xf, 0 | 0xf) {
        // SAFETY: PMUv3 is implemented. All counters and interrupts off and zero, no events chosen (PMCR_EL0.N counters by
        // PMSELR_EL0); user access off.
        unsafe {
            asm!(
                "mrs {n}, pmcr_el0",
                "ubfx {n}, {n}, #11, #5",
                "2: subs {n}, {n}, #1",
                "b.lo 3f",
                "msr pmselr_el0, {n}",
                "isb",
                "msr pmxevtyper_el0, xzr",
                "b 2b",
                "3: msr pmcr_el0, {reset}",
                "msr pmcntenclr_el0, {all}",
                "msr pmintenclr_el1, {all}",
                "msr pmovsclr_el0, {all}",
                "msr pmccfiltr_el0, xzr",
                "msr pmuserenr_el0, xzr",
                "msr pmselr_el0, xzr",
                n = out(reg) _,
                reset = in(reg) 0b110u64,
                all = in(reg) 0xffff_ffffu64,
                options(nomem, nostack),
            );
        }
    }
}

/// Breakpoints and watchpoints: at least two of each exist, at most sixteen (DDI 0487, `ID_AA64DFR0_EL1`). Clears as many of
/// each as are given, the last pair first, from the middle of a list.
fn clear_debug_pairs(breakpoints: u64, watchpoints: u64) {
    macro_rules! clear_pairs {
        ($count:expr, $control:literal, $value:literal: $($n:literal)*) => {
            // SAFETY: each pair is two instructions, so the jump goes to the pair `count - 1`: pairs below `count` exist, there
            // are no more than are listed, and all are the guest's.
            unsafe {
                asm!("adr {to}, 2f", "sub {to}, {to}, {count}, lsl #3", "br {to}",
                    $(concat!("msr ", $control, $n, "_el1, xzr"), concat!("msr ", $value, $n, "_el1, xzr"),)* "2:",
                    to = out(reg) _, count = in(reg) u64::min($count, 16),
                    options(nomem, nostack, preserves_flags))
            }
        };
    }
    clear_pairs!(breakpoints, "dbgbcr", "dbgbvr": 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0);
    clear_pairs!(watchpoints, "dbgwcr", "dbgwvr": 15 14 13 12 11 10 9 8 7 6 5 4 3 2 1 0);
}

/// Any algorithm (DDI 0487, `ID_AA64ISAR1_EL1` GPI, GPA, API, APA; `ID_AA64ISAR2_EL1` APA3, GPA3).
fn has_pointer_authentication() -> bool {
    ID_AA64ISAR1_EL1.get() & 0xff00_0ff0 != 0 || IdIsar2::get() & 0xff00 != 0
}

fn clear_pointer_keys() {
    clear!(
        "s3_0_c2_c1_0",
        "s3_0_c2_c1_1",
        "s3_0_c2_c1_2",
        "s3_0_c2_c1_3"
    ); // APIA, APIB
    clear!(
        "s3_0_c2_c2_0",
        "s3_0_c2_c2_1",
        "s3_0_c2_c2_2",
        "s3_0_c2_c2_3"
    ); // APDA, APDB
    clear!("s3_0_c2_c3_0", "s3_0_c2_c3_1"); // APGA
}

/// Zeroes V0 to V31, FPCR and FPSR. EL2 itself is built without FP.
fn clear_fp() {
    CPTR_EL2.set(CPTR_CELL);
    sysreg::isb();
    macro_rules! zero {
        ($($n:literal)*) => {
            // SAFETY: FP is not trapped at EL2 (CPTR_EL2.TFP = 0), and EL2 holds nothing in these registers.
            unsafe {
                asm!(".arch_extension fp", ".arch_extension simd", $(concat!("movi v", $n, ".2d, #0"),)*
                    "msr fpcr, xzr", "msr fpsr, xzr", options(nomem, nostack, preserves_flags))
            }
        };
    }
    zero!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
}
