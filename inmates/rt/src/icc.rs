//! The registers of this CPU's interface to the interrupt controller (IHI 0069, "AArch64 System register descriptions").

use core::arch::asm;

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $encoding:literal,)*) => {$(
        $(#[$doc])*
        pub struct $name;

        impl $name {
            /// Reads it.
            pub fn get() -> u64 {
                let value: u64;
                // SAFETY: of Rust's, nothing but the time of interrupts depends on it.
                unsafe { asm!(concat!("mrs {}, ", $encoding), "dsb sy", out(reg) value, options(nostack, preserves_flags)) };
                value
            }

            /// Writes it, and waits for the effect.
            pub fn set(value: u64) {
                // SAFETY: as above.
                unsafe { asm!(concat!("msr ", $encoding, ", {}"), "isb", in(reg) value, options(nostack, preserves_flags)) };
            }
        }
    )*};
}

registers! {
    /// Priority mask (`ICC_PMR_EL1`).
    Pmr = "s3_0_c4_c6_0",
    /// Running priority (`ICC_RPR_EL1`).
    Rpr = "s3_0_c12_c11_3",
    /// Control (`ICC_CTLR_EL1`).
    Ctlr = "s3_0_c12_c12_4",
    /// Deactivation (`ICC_DIR_EL1`).
    Dir = "s3_0_c12_c11_1",
    /// Binary point of group 1 (`ICC_BPR1_EL1`).
    Bpr1 = "s3_0_c12_c12_3",
    /// Group 1 on (`ICC_IGRPEN1_EL1`).
    Igrpen1 = "s3_0_c12_c12_7",
    /// Active priorities of group 1 (`ICC_AP1R0_EL1`).
    Ap1r0 = "s3_0_c12_c9_0",
    /// End of a group 1 interrupt (`ICC_EOIR1_EL1`).
    Eoir1 = "s3_0_c12_c12_1",
    /// Group 0 on (`ICC_IGRPEN0_EL1`).
    Igrpen0 = "s3_0_c12_c12_6",
    /// Binary point of group 0 (`ICC_BPR0_EL1`).
    Bpr0 = "s3_0_c12_c8_3",
    /// Active priorities of group 0 (`ICC_AP0R0_EL1`).
    Ap0r0 = "s3_0_c12_c8_4",
    /// Acknowledge of a group 0 interrupt (`ICC_IAR0_EL1`).
    Iar0 = "s3_0_c12_c8_0",
    /// End of a group 0 interrupt (`ICC_EOIR0_EL1`).
    Eoir0 = "s3_0_c12_c8_1",
}
