//! An exception that EL2 makes EL1 take: the registers as the hardware would leave them (Arm ARM DDI 0487, pseudocode
//! `AArch64.TakeException`).

/// Which exception.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Injection {
    /// Synchronous external abort of a load or store: Linux answers it with SIGBUS.
    DataAbort {
        /// The access was a write.
        is_write: bool,
        /// Faulting virtual address, when known.
        far: Option<u64>,
    },
    /// Synchronous external abort of an instruction fetch.
    InstructionAbort {
        /// Faulting virtual address, when known.
        far: Option<u64>,
    },
    /// The instruction is UNDEFINED.
    Undefined,
}

/// The guest as the trap left it.
#[derive(Clone, Copy, Debug)]
pub struct Interrupted {
    /// Address of the instruction (`ELR_EL2`; after an HVC, 4 less).
    pub pc: u64,
    /// `SPSR_EL2`.
    pub pstate: u64,
    /// `VBAR_EL1`.
    pub vbar: u64,
    /// `SCTLR_EL1`.
    pub sctlr: u64,
    /// FEAT_PAN: `ID_AA64MMFR1_EL1.PAN` is not 0.
    pub has_pan: bool,
    /// FEAT_MTE2: `ID_AA64PFR1_EL1.MTE` is 2 or more.
    pub has_mte: bool,
}

/// The guest at its vector.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// For `ELR_EL2`.
    pub pc: u64,
    /// For `SPSR_EL2`.
    pub pstate: u64,
    /// For `ELR_EL1`.
    pub elr: u64,
    /// For `SPSR_EL1`.
    pub spsr: u64,
    /// For `ESR_EL1`.
    pub esr: u64,
    /// For `FAR_EL1`; `None` leaves it as it is.
    pub far: Option<u64>,
}

/// SPSR: the exception came from AArch32.
const M_AARCH32: u64 = 1 << 4;
/// SPSR: exception level and stack pointer.
const M_EL_SP: u64 = 0b1111;
const EL0T: u64 = 0b0000;
const EL1T: u64 = 0b0100;
const EL1H: u64 = 0b0101;
/// SPSR: all of D, A, I, F.
const DAIF: u64 = 0b1111 << 6;
const SSBS: u64 = 1 << 12;
const PAN: u64 = 1 << 22;
const DIT: u64 = 1 << 24;
const TCO: u64 = 1 << 25;
const NZCV: u64 = 0b1111 << 28;
/// `SCTLR_EL1`: PSTATE.PAN is left unchanged on an exception to EL1.
const SPAN: u64 = 1 << 23;
/// `SCTLR_EL1`: PSTATE.SSBS on an exception to EL1.
const DSSBS: u64 = 1 << 44;

/// ESR: IL, 1 for all the classes here (DDI 0487, `ESR_EL1.IL`).
const IL: u64 = 1 << 25;
const FNV: u64 = 1 << 10;
const WNR: u64 = 1 << 6;
/// Fault status: synchronous external abort, not on a table walk.
const EXTERNAL: u64 = 0b01_0000;

impl Injection {
    /// Computes the exception entry.
    #[must_use]
    pub fn enter(self, from: &Interrupted) -> Entry {
        let level = from.pstate & (M_AARCH32 | M_EL_SP);
        let offset = match level {
            EL1T => 0x000,
            EL1H => 0x200,
            EL0T => 0x400,
            _ => 0x600,
        };
        Entry {
            pc: (from.vbar & !0x7ff).wrapping_add(offset),
            pstate: from.pstate_at_vector(),
            elr: from.pc,
            spsr: from.pstate,
            esr: self.syndrome(matches!(level, EL1T | EL1H)),
            far: match self {
                Self::DataAbort { far, .. } | Self::InstructionAbort { far } => far,
                Self::Undefined => None,
            },
        }
    }

    fn syndrome(self, same_level: bool) -> u64 {
        let same = same_level as u64;
        let not_valid = |far: Option<u64>| if far.is_none() { FNV } else { 0 };
        match self {
            Self::DataAbort { is_write, far } => {
                let wnr = if is_write { WNR } else { 0 };
                (0x24 + same) << 26 | IL | not_valid(far) | wnr | EXTERNAL
            }
            Self::InstructionAbort { far } => (0x20 + same) << 26 | IL | not_valid(far) | EXTERNAL,
            Self::Undefined => IL,
        }
    }
}

impl Interrupted {
    /// SS, IL, UAO and BTYPE become 0; condition flags and DIT stay.
    fn pstate_at_vector(&self) -> u64 {
        let mut pstate = self.pstate & (NZCV | DIT | PAN) | DAIF | EL1H;
        if self.has_pan && self.sctlr & SPAN == 0 {
            pstate |= PAN;
        }
        if self.sctlr & DSSBS != 0 {
            pstate |= SSBS;
        }
        if self.has_mte {
            pstate |= TCO;
        }
        pstate
    }
}
