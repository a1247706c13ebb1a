//! The registers of this CPU's interface to the interrupt controller (IHI 0069, "AArch64 System register descriptions"),
//! or their likes of a GICv2 (IHI 0048, "CPU interface register descriptions"), under the names and with the bits of GICv3.

use core::arch::asm;

use crate::gicv2::{Register, interface};

/// What of a GICv2's register is meant.
#[derive(Clone, Copy)]
enum Part {
    /// All of it.
    Whole,
    /// One bit, and its place in GICv3's register.
    Bit { place: u32, v3: u32 },
}

impl Part {
    fn get(self, register: Register) -> u64 {
        match self {
            Self::Whole => register.get(),
            Self::Bit { place, v3 } => (register.get() >> place & 1) << v3,
        }
    }

    fn set(self, register: Register, value: u64) {
        register.set(match self {
            Self::Whole => value,
            Self::Bit { place, v3 } => register.get() & !(1 << place) | (value >> v3 & 1) << place,
        });
    }
}

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $encoding:literal, $offset:literal $part:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl $name {
            /// Reads it.
            pub fn get() -> u64 {
                if let Some(register) = interface($offset) {
                    return $part.get(register);
                }
                let value: u64;
                // SAFETY: of Rust's, nothing but the time of interrupts depends on it.
                unsafe { asm!(concat!("mrs {}, ", $encoding), "dsb sy", out(reg) value, options(nostack, preserves_flags)) };
                value
            }

            /// Writes it, and waits for the effect.
            pub fn set(value: u64) {
                if let Some(register) = interface($offset) {
                    return $part.set(register, value);
                }
                // SAFETY: as above.
                unsafe { asm!(concat!("msr ", $encoding, ", {}"), "isb", in(reg) value, options(nostack, preserves_flags)) };
            }
        }
    )*};
}

registers! {
    /// Priority mask (`ICC_PMR_EL1`, `GICC_PMR`).
    Pmr = "s3_0_c4_c6_0", 0x4 Part::Whole;
    /// Running priority (`ICC_RPR_EL1`, `GICC_RPR`).
    Rpr = "s3_0_c12_c11_3", 0x14 Part::Whole;
    /// Control: EOImode (`ICC_CTLR_EL1`, `GICC_CTLR.EOImodeNS`).
    Ctlr = "s3_0_c12_c12_4", 0x0 Part::Bit { place: 9, v3: 1 };
    /// Deactivation (`ICC_DIR_EL1`, `GICC_DIR`).
    Dir = "s3_0_c12_c11_1", 0x1000 Part::Whole;
    /// Binary point of group 1 (`ICC_BPR1_EL1`, `GICC_BPR`).
    Bpr1 = "s3_0_c12_c12_3", 0x8 Part::Whole;
    /// Group 1 on (`ICC_IGRPEN1_EL1`, `GICC_CTLR.EnableGrp1`).
    Igrpen1 = "s3_0_c12_c12_7", 0x0 Part::Bit { place: 0, v3: 0 };
    /// Active priorities of group 1 (`ICC_AP1R0_EL1`, `GICC_APR0`).
    Ap1r0 = "s3_0_c12_c9_0", 0xd0 Part::Whole;
    /// End of a group 1 interrupt (`ICC_EOIR1_EL1`, `GICC_EOIR`).
    Eoir1 = "s3_0_c12_c12_1", 0x10 Part::Whole;
    /// Group 0 on (`ICC_IGRPEN0_EL1`), or signalled as FIQ (`GICC_CTLR.FIQEn`).
    Igrpen0 = "s3_0_c12_c12_6", 0x0 Part::Bit { place: 3, v3: 0 };
    /// Binary point of group 0 (`ICC_BPR0_EL1`), or of group 1 (`GICC_ABPR`).
    Bpr0 = "s3_0_c12_c8_3", 0x1c Part::Whole;
    /// Active priorities of group 0 (`ICC_AP0R0_EL1`), or of group 1 (`GICC_NSAPR0`).
    Ap0r0 = "s3_0_c12_c8_4", 0xe0 Part::Whole;
    /// Acknowledge of a group 0 interrupt (`ICC_IAR0_EL1`), or of a group 1 one (`GICC_AIAR`).
    Iar0 = "s3_0_c12_c8_0", 0x20 Part::Whole;
    /// End of a group 0 interrupt (`ICC_EOIR0_EL1`), or of a group 1 one (`GICC_AEOIR`).
    Eoir0 = "s3_0_c12_c8_1", 0x24 Part::Whole;
}
