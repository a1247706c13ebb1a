//! System registers that `aarch64-cpu` lacks, and the TLB and barrier instructions.
//!
//! As in that crate `set` is a safe function: which values keep EL2 sound is decided where it is called.

use core::arch::asm;

use aarch64_cpu::registers::{Readable, VTTBR_EL2, Writeable};
use bulkhead_model::trap::SysregId;

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $encoding:literal ($($access:ident)*),)*) => {
        $($(#[$doc])*
        pub struct $name;

        impl $name {
            $(registers!(@$access $encoding);)*
        })*
    };
    (@get $encoding:literal) => {
        /// Reads the register.
        #[inline(always)]
        pub fn get() -> u64 {
            let value: u64;
            // SAFETY: reads a system register that exists at EL2 on every GICv3 machine of Armv8.0.
            unsafe { asm!(concat!("mrs {}, ", $encoding), out(reg) value, options(nomem, nostack, preserves_flags)) };
            value
        }
    };
    (@set $encoding:literal) => {
        /// Writes the register; the effect is certain after an [`isb`].
        #[inline(always)]
        pub fn set(value: u64) {
            // SAFETY: writes a register of the guest or of interrupt routing; EL2's own translation is not among them.
            unsafe { asm!(concat!("msr ", $encoding, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
        }
    };
}

registers! {
    /// Group 0 acknowledge (IHI 0069, `ICC_IAR0_EL1`).
    IccIar0 = "s3_0_c12_c8_0" (get),
    /// Group 0 end of interrupt (`ICC_EOIR0_EL1`).
    IccEoir0 = "s3_0_c12_c8_1" (set),
    /// Deactivate (`ICC_DIR_EL1`).
    IccDir = "s3_0_c12_c11_1" (set),
    /// Priority mask (`ICC_PMR_EL1`).
    IccPmr = "s3_0_c4_c6_0" (get set),
    /// Running priority (`ICC_RPR_EL1`).
    IccRpr = "s3_0_c12_c11_3" (get),
    /// CPU interface control (`ICC_CTLR_EL1`).
    IccCtlr = "s3_0_c12_c12_4" (get set),
    /// Group 0 binary point (`ICC_BPR0_EL1`).
    IccBpr0 = "s3_0_c12_c8_3" (set),
    /// Group 1 binary point (`ICC_BPR1_EL1`).
    IccBpr1 = "s3_0_c12_c12_3" (set),
    /// Group 0 enable (`ICC_IGRPEN0_EL1`).
    IccIgrpen0 = "s3_0_c12_c12_6" (get set),
    /// Group 1 enable (`ICC_IGRPEN1_EL1`).
    IccIgrpen1 = "s3_0_c12_c12_7" (set),
    /// Active priorities, group 0 (`ICC_AP0R0_EL1`).
    IccAp0r0 = "s3_0_c12_c8_4" (set),
    /// Active priorities, group 1 (`ICC_AP1R0_EL1`).
    IccAp1r0 = "s3_0_c12_c9_0" (set),
    /// SGI generation, group 0 (`ICC_SGI0R_EL1`).
    IccSgi0r = "s3_0_c12_c11_7" (set),
    /// SGI generation, group 1 (`ICC_SGI1R_EL1`).
    IccSgi1r = "s3_0_c12_c11_5" (set),
    /// System register enable, EL1 (`ICC_SRE_EL1`).
    IccSreEl1 = "s3_0_c12_c12_5" (set),
    /// Group 1 active priorities of interfaces with 6 or 7 priority bits (`ICC_AP1R1_EL1`).
    IccAp1r1 = "s3_0_c12_c9_1" (set),
    /// Same (`ICC_AP1R2_EL1`), 7 bits.
    IccAp1r2 = "s3_0_c12_c9_2" (set),
    /// Same (`ICC_AP1R3_EL1`), 7 bits.
    IccAp1r3 = "s3_0_c12_c9_3" (set),
    /// Group 1 acknowledge (`ICC_IAR1_EL1`).
    IccIar1 = "s3_0_c12_c12_0" (get),
    /// Group 1 end of interrupt (`ICC_EOIR1_EL1`).
    IccEoir1 = "s3_0_c12_c12_1" (set),
    /// What the virtual interface has (`ICH_VTR_EL2`).
    IchVtr = "s3_4_c12_c11_1" (get),
    /// Which list registers are empty (`ICH_ELRSR_EL2`).
    IchElrsr = "s3_4_c12_c11_5" (get),
    /// List registers (`ICH_LR<n>_EL2`); those of a number that `ICH_VTR_EL2` has.
    IchLr0 = "s3_4_c12_c12_0" (get set),
    /// Same.
    IchLr1 = "s3_4_c12_c12_1" (get set),
    /// Same.
    IchLr2 = "s3_4_c12_c12_2" (get set),
    /// Same.
    IchLr3 = "s3_4_c12_c12_3" (get set),
    /// Virtual active priorities, group 0 (`ICH_AP0R0_EL2`).
    IchAp0r0 = "s3_4_c12_c8_0" (set),
    /// Same, group 1 (`ICH_AP1R0_EL2`).
    IchAp1r0 = "s3_4_c12_c9_0" (set),
    /// Same, 6 bits of priority or more (`ICH_AP0R1_EL2`).
    IchAp0r1 = "s3_4_c12_c8_1" (set),
    /// Same (`ICH_AP1R1_EL2`).
    IchAp1r1 = "s3_4_c12_c9_1" (set),
    /// Same, 7 bits (`ICH_AP0R2_EL2`).
    IchAp0r2 = "s3_4_c12_c8_2" (set),
    /// Same (`ICH_AP0R3_EL2`).
    IchAp0r3 = "s3_4_c12_c8_3" (set),
    /// Same (`ICH_AP1R2_EL2`).
    IchAp1r2 = "s3_4_c12_c9_2" (set),
    /// Same (`ICH_AP1R3_EL2`).
    IchAp1r3 = "s3_4_c12_c9_3" (set),
    /// Whose the profiling buffer is (`PMBIDR_EL1`), where there is profiling.
    Pmbidr = "s3_0_c9_c10_7" (get),
    /// Whose the trace buffer is (`TRBIDR_EL1`), where there is one.
    Trbidr = "s3_0_c9_c11_7" (get),
    /// SVE vector length (`ZCR_EL2`).
    ZcrEl2 = "s3_4_c1_c2_0" (get set),
    /// Extended configuration (`HCRX_EL2`).
    HcrxEl2 = "s3_4_c1_c2_2" (get set),
    /// Fine-grained traps (`HFGRTR_EL2`).
    Hfgrtr = "s3_4_c1_c1_4" (get set),
    /// Fine-grained traps (`HFGWTR_EL2`).
    Hfgwtr = "s3_4_c1_c1_5" (get set),
    /// Fine-grained traps (`HFGITR_EL2`).
    Hfgitr = "s3_4_c1_c1_6" (get set),
    /// Fine-grained traps (`HDFGRTR_EL2`).
    Hdfgrtr = "s3_4_c3_c1_4" (get set),
    /// Fine-grained traps (`HDFGWTR_EL2`).
    Hdfgwtr = "s3_4_c3_c1_5" (get set),
    /// Instruction set features (`ID_AA64ISAR2_EL1`).
    IdIsar2 = "s3_0_c0_c6_2" (get),
    /// Cache type (`CTR_EL0`).
    CtrEl0 = "ctr_el0" (get),
    /// Hypervisor system trap (DDI 0487, `HSTR_EL2`).
    HstrEl2 = "hstr_el2" (get set),
    /// What the guest reads as MIDR_EL1 (`VPIDR_EL2`).
    Vpidr = "vpidr_el2" (get set),
}

/// Completes all explicit memory accesses and maintenance, system-wide, before what follows.
#[inline(always)]
pub fn dsb_sy() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb sy", options(nostack, preserves_flags)) };
}

/// The same within the inner shareable domain.
#[inline(always)]
pub fn dsb_ish() {
    // SAFETY: a barrier.
    unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
}

/// Makes earlier register writes take effect for what follows.
#[inline(always)]
pub fn isb() {
    // SAFETY: a barrier.
    unsafe { asm!("isb", options(nostack, preserves_flags)) };
}

/// Waits for an event, [`sev`] of another CPU included.
#[inline(always)]
pub fn wfe() {
    // SAFETY: only waits.
    unsafe { asm!("wfe", options(nostack, preserves_flags)) };
}

/// Waits for an interrupt, masked or not.
pub fn wfi() {
    // SAFETY: only waits.
    unsafe { asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// Wakes CPUs that wait in [`wfe`]. What they shall see is made visible before.
#[inline(always)]
pub fn sev() {
    // SAFETY: orders earlier stores, then signals.
    unsafe { asm!("dsb ish", "sev", options(nostack, preserves_flags)) };
}

/// Forgets all EL1 translations, stages 1 and 2, all VMIDs, of this CPU only.
pub fn tlbi_all_el1_local() {
    // SAFETY: dropping cached translations is always allowed.
    unsafe {
        asm!(
            "dsb nshst",
            "tlbi alle1",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    };
}

/// Forgets all translations, stages 1 and 2, of the VMID in `vttbr`, on all CPUs of the inner shareable domain.
pub fn tlbi_vmid(vttbr: u64) {
    let current = VTTBR_EL2.get();
    // `dsb ishst` (below): the table change is visible to walkers before the TLBs forget.
    VTTBR_EL2.set(vttbr);
    isb();
    // SAFETY: dropping cached translations is always allowed. `dsb ish` after it: all TLBs have forgotten before we go on.
    // Twice, as after one the accesses may not be complete (errata 1286807 of Cortex-A76, 2441007 of A55, 2441009 of A510).
    unsafe {
        asm!(
            "dsb ishst",
            "tlbi vmalls12e1is",
            "dsb ish",
            "tlbi vmalls12e1is",
            "dsb ish",
            options(nostack, preserves_flags)
        )
    };
    VTTBR_EL2.set(current);
    isb();
}

/// Forgets EL2's translation of one page, on all CPUs.
pub fn tlbi_el2(address: u64) {
    // SAFETY: as above. The operand is the page number (DDI 0487, `TLBI VAE2IS`).
    unsafe {
        asm!("dsb ishst", "tlbi vae2is, {0}", "dsb ish", "tlbi vae2is, {0}", "dsb ish", "isb", in(reg) address >> 12, options(nostack, preserves_flags));
    }
}

/// Cleans and invalidates `size` bytes of data cache to the point of coherency, then completes it.
pub fn clean_to_poc(base: u64, size: u64) {
    let line = 4u64 << ((CtrEl0::get() >> 16) & 0xf);
    let mut address = base & !(line - 1);
    while address < base + size {
        // SAFETY: maintenance of memory that EL2 maps.
        unsafe { asm!("dc civac, {}", in(reg) address, options(nostack, preserves_flags)) };
        address += line;
    }
    dsb_sy();
}

/// Stops statistical profiling and the trace buffer of EL1, where there are any: their buffers are addresses in somebody's
/// translation regime (DDI 0487, `MDCR_EL2.E2PB`, `MDCR_EL2.E2TB`).
pub fn stop_profiling(has_profiling: bool, has_trace_buffer: bool) {
    if has_profiling {
        // SAFETY: the registers exist. PMSCR_EL1 off, what is under way is written (psb csync), then PMBLIMITR_EL1 off.
        unsafe {
            asm!(
                "msr s3_0_c9_c9_0, xzr",
                "isb",
                "hint #17",
                "dsb nsh",
                "msr s3_0_c9_c10_0, xzr",
                "isb",
                options(nostack)
            );
        }
    }
    if has_trace_buffer {
        // SAFETY: the registers exist. TRFCR_EL1 off, tsb csync, then TRBLIMITR_EL1 off.
        unsafe {
            asm!(
                "msr s3_0_c1_c2_1, xzr",
                "isb",
                "hint #18",
                "dsb nsh",
                "msr s3_0_c9_c11_0, xzr",
                "isb",
                options(nostack)
            );
        }
    }
}

/// Makes this CPU forget all fetched instructions, after data was written as code.
pub fn invalidate_instructions() {
    // SAFETY: maintenance only; `ialluis` reaches all CPUs of the inner shareable domain.
    unsafe {
        asm!(
            "ic ialluis",
            "dsb ish",
            "isb",
            options(nostack, preserves_flags)
        )
    };
}

// A read of each ID register, CRm 1 to 7 and op2 0 to 7, with its return: eight bytes each.
core::arch::global_asm!(
    ".section .text.id_registers, \"ax\"",
    ".global id_registers",
    "id_registers:",
    ".irp crm, 1, 2, 3, 4, 5, 6, 7",
    ".irp op2, 0, 1, 2, 3, 4, 5, 6, 7",
    "mrs x0, s3_0_c0_c\\crm\\()_\\op2",
    "ret",
    ".endr",
    ".endr",
    ".previous",
);

/// Reads the ID register of this name (`model::features::is_id_register`); those that do not exist read as zero (DDI 0487,
/// "Reserved encodings").
pub fn id_register(id: SysregId) -> u64 {
    let index = u64::from(id.get() & 0x3f).saturating_sub(8).min(55);
    let value: u64;
    // SAFETY: calls one of the 56 pieces of code above, which reads a register that has no effect into x0.
    unsafe {
        asm!(
            "adr {at}, id_registers",
            "add {at}, {at}, {index}, lsl #3",
            "blr {at}",
            at = out(reg) _,
            index = in(reg) index,
            out("x0") value,
            out("x30") _,
            options(nomem, nostack, preserves_flags)
        );
    }
    value
}
