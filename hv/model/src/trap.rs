//! What a trap to EL2 means: `ESR_EL2` decoded (Arm ARM DDI 0487, `ESR_EL2`), for exceptions from EL1 and EL0.
//!
//! One rule: every value decodes; what is unknown says so.

use crate::addr::Gpa;

pub use abort::{Access, DataAbort, FaultStatus, InstructionAbort};
pub use inject::{Entry, Injection, Interrupted};

mod abort;
mod inject;

/// The value of `ESR_EL2`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Syndrome(pub u64);

/// Why the guest stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trap {
    /// HVC; the PC is already behind it.
    Hvc {
        /// Its immediate.
        imm: u16,
    },
    /// SMC, trapped: the PC is its own.
    Smc {
        /// Its immediate.
        imm: u16,
    },
    /// MSR, MRS or a system instruction of AArch64.
    Sysreg(Sysreg),
    /// A load or store.
    DataAbort(DataAbort),
    /// An instruction fetch.
    InstructionAbort(InstructionAbort),
    /// WFI, WFE and their like.
    Wfx,
    /// FP or SIMD access, trapped by `CPTR_EL2`.
    Fp,
    /// SVE access, trapped by `CPTR_EL2`.
    Sve,
    /// SME access, trapped by `CPTR_EL2`.
    Sme,
    /// Pointer authentication, trapped by `HCR_EL2.API` or `APK` being 0.
    PointerAuthentication,
    /// A coprocessor access, HVC or SMC of AArch32, from EL0 or EL1.
    Aarch32 {
        /// Exception class.
        class: u8,
    },
    /// Execution with PSTATE.IL set.
    IllegalState,
    /// A breakpoint, watchpoint, software step or BRK, routed here by `MDCR_EL2.TDE`.
    Debug {
        /// Exception class.
        class: u8,
    },
    /// SError.
    SystemError,
    /// Anything else.
    Unknown {
        /// Exception class.
        class: u8,
    },
}

/// A trapped MSR, MRS or system instruction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Sysreg {
    /// Which one.
    pub id: SysregId,
    /// General register that is read or written; 31 is XZR.
    pub register: u8,
    /// MRS: the general register is written.
    pub is_read: bool,
}

/// Name of a system register, as its encoding: `op0 << 14 | op1 << 11 | CRn << 7 | CRm << 3 | op2`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SysregId(u16);

impl SysregId {
    /// Makes one from the fields of the manual's "Accessing" table.
    #[must_use]
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8, op2: u8) -> Self {
        let high = (op0 as u16) << 14 | (op1 as u16) << 11;
        Self(high | (crn as u16) << 7 | (crm as u16) << 3 | op2 as u16)
    }

    /// The encoding.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Syndrome {
    /// EC, bits 31:26.
    #[must_use]
    pub const fn class(self) -> u8 {
        (self.0 >> 26 & 0x3f) as u8
    }

    /// Decodes it.
    #[must_use]
    pub fn decode(self) -> Trap {
        let imm = (self.0 & 0xffff) as u16;
        match self.class() {
            0x01 => Trap::Wfx,
            0x07 => Trap::Fp,
            0x09 => Trap::PointerAuthentication,
            0x0e => Trap::IllegalState,
            class @ (0x03..=0x06 | 0x08 | 0x0c | 0x12 | 0x13) => Trap::Aarch32 { class },
            0x16 => Trap::Hvc { imm },
            0x17 => Trap::Smc { imm },
            0x18 => Trap::Sysreg(self.sysreg()),
            0x19 => Trap::Sve,
            0x1d => Trap::Sme,
            0x20 => Trap::InstructionAbort(InstructionAbort::decode(self.0)),
            0x24 => Trap::DataAbort(DataAbort::decode(self.0)),
            0x2f => Trap::SystemError,
            class @ (0x30 | 0x32 | 0x34 | 0x38 | 0x3a | 0x3c) => Trap::Debug { class },
            class => Trap::Unknown { class },
        }
    }

    /// Returns the general register of a trapped MSR to `id`; `None` for any other trap. The short form of [`Self::decode`].
    #[inline]
    #[must_use]
    pub const fn write_of(self, id: SysregId) -> Option<u8> {
        const RT: u64 = 0x1f << 5;
        const IL: u64 = 1 << 25;
        let id = id.get() as u64;
        let high = (id >> 14 & 3) << 20 | (id & 7) << 17 | (id >> 11 & 7) << 14;
        let wanted = 0x18 << 26 | IL | high | (id >> 7 & 0xf) << 10 | (id >> 3 & 0xf) << 1;
        if self.0 & !RT & 0xffff_ffff == wanted {
            Some((self.0 >> 5 & 0x1f) as u8)
        } else {
            None
        }
    }

    /// Returns the access of a data abort that needs nothing but emulation: no entry in stage 2, described in full, not on
    /// a table walk, no sign to extend. The short form of [`Self::decode`].
    #[inline]
    #[must_use]
    pub const fn plain_access(self) -> Option<Access> {
        const CLASS: u64 = 0x3f << 26;
        const ISV: u64 = 1 << 24;
        const SIGN_EXTEND: u64 = 1 << 21;
        const CACHE_OR_WALK: u64 = 1 << 8 | 1 << 7;
        const STATUS: u64 = 0x3c;
        const TRANSLATION: u64 = 0x04;
        let esr = self.0;
        if esr & (CLASS | ISV | SIGN_EXTEND | CACHE_OR_WALK | STATUS)
            != 0x24 << 26 | ISV | TRANSLATION
        {
            return None;
        }
        Some(Access {
            size: 1 << (esr >> 22 & 3),
            register: (esr >> 16 & 0x1f) as u8,
            sign_extend: false,
            sixty_four: esr & 1 << 15 != 0,
            is_write: esr & 1 << 6 != 0,
        })
    }

    /// ISS of a trapped MSR, MRS or system instruction: op0 21:20, op2 19:17, op1 16:14, CRn 13:10, Rt 9:5, CRm 4:1.
    fn sysreg(self) -> Sysreg {
        let esr = self.0;
        let high = (esr >> 20 & 3) << 14 | (esr >> 14 & 7) << 11;
        let low = (esr >> 10 & 0xf) << 7 | (esr >> 1 & 0xf) << 3 | esr >> 17 & 7;
        Sysreg {
            id: SysregId(((high | low) & 0xffff) as u16),
            register: (esr >> 5 & 0x1f) as u8,
            is_read: esr & 1 != 0,
        }
    }
}

/// Makes the faulting guest physical address from `HPFAR_EL2` (FIPA, bits 43:4, is address bits 51:12) and the page
/// offset of `FAR_EL2`. Only where [`DataAbort::has_ipa`] or [`InstructionAbort::has_ipa`]. Of a fault on a stage-1 table walk only the page is true.
#[must_use]
pub const fn ipa_from(hpfar: u64, far: u64) -> Gpa {
    const FIPA: u64 = 0x0000_0fff_ffff_fff0;
    Gpa((hpfar & FIPA) << 8 | far & 0xfff)
}
