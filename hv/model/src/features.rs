//! What a cell is told of its CPUs: the ID registers without the features that it cannot use, so that software which asks before it
//! uses one, as Linux does, never meets an UNDEFINED instruction.
//!
//! One rule: a field is only made smaller, and of the CPU's own value (DDI 0487, "ID registers").

use crate::trap::SysregId;

/// How far Linux's set-up of EL2, which stays, lets EL1 have newer registers. 0 on a CPU without them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// `HCRX_EL2`.
    pub hcrx: u64,
    /// `HFGRTR_EL2`.
    pub hfgrtr: u64,
}

/// When a cell is told of a feature.
#[derive(Clone, Copy)]
enum Told {
    /// It is not: its registers trap, or are not reset between two owners.
    Never,
    /// Its first version is told.
    First,
    /// This bit of `HCRX_EL2` is set.
    Hcrx(u8),
    /// This bit of `HFGRTR_EL2` is set.
    Hfgrtr(u8),
}

struct Field {
    register: SysregId,
    shift: u8,
    told: Told,
}

const fn field(crm: u8, op2: u8, shift: u8, told: Told) -> Field {
    Field {
        register: SysregId::new(3, 0, 0, crm, op2),
        shift,
        told,
    }
}

/// Fields are of four bits.
const WIDTH: u64 = 0xf;

static FIELDS: [Field; 27] = [
    // ID_AA64PFR0_EL1: RAS, SVE, MPAM; CSV2, whose second version has SCXTNUM_EL1.
    field(4, 0, 28, Told::Never),
    field(4, 0, 32, Told::Never),
    field(4, 0, 40, Told::Never),
    field(4, 0, 56, Told::First),
    // ID_AA64PFR1_EL1: MTE, RAS_frac, MPAM_frac, SME, CSV2_frac (SCXTNUM_EL1 too), MTE_frac, GCS.
    field(4, 1, 8, Told::Never),
    field(4, 1, 12, Told::Never),
    field(4, 1, 16, Told::Never),
    field(4, 1, 24, Told::Never),
    field(4, 1, 32, Told::Never),
    field(4, 1, 40, Told::Never),
    field(4, 1, 44, Told::Never),
    // ID_AA64PFR2_EL1: FPMR.
    field(4, 2, 32, Told::Hcrx(34)),
    // ID_AA64DFR0_EL1: TraceVer, PMSVer, TraceFilt, TraceBuffer, BRBE, ExtTrcBuff.
    field(5, 0, 4, Told::Never),
    field(5, 0, 32, Told::Never),
    field(5, 0, 40, Told::Never),
    field(5, 0, 44, Told::Never),
    field(5, 0, 52, Told::Never),
    field(5, 0, 56, Told::Never),
    // ID_AA64ISAR1_EL1: LS64. ID_AA64ISAR2_EL1: MOPS.
    field(6, 1, 60, Told::Never),
    field(6, 2, 16, Told::Hcrx(11)),
    // ID_AA64MMFR1_EL1: LO.
    field(7, 1, 16, Told::Never),
    // ID_AA64MMFR3_EL1: TCRX, SCTLRX, S1PIE, S1POE, AIE, D128.
    field(7, 3, 0, Told::Hcrx(14)),
    field(7, 3, 4, Told::Hcrx(15)),
    field(7, 3, 8, Told::Hfgrtr(58)),
    field(7, 3, 16, Told::Hfgrtr(60)),
    field(7, 3, 24, Told::Hfgrtr(63)),
    field(7, 3, 32, Told::Hcrx(17)),
];

/// Registers about features of which none is told: ID_AA64ZFR0_EL1 (SVE), ID_AA64SMFR0_EL1 (SME).
const WHOLE: [SysregId; 2] = [SysregId::new(3, 0, 0, 4, 4), SysregId::new(3, 0, 0, 4, 5)];

/// Tells whether reads of the register trap as those of the ID registers do (DDI 0487, `HCR_EL2.TID3`).
#[must_use]
pub const fn is_id_register(register: SysregId) -> bool {
    matches!(register.get() >> 3, 0x1801..=0x1807)
}

/// Returns what a cell reads of an ID register that holds `value`.
#[must_use]
pub fn told(register: SysregId, value: u64, allowed: Allowed) -> u64 {
    if WHOLE.contains(&register) {
        return 0;
    }
    let fields = FIELDS.iter().filter(|field| field.register == register);
    fields.fold(value, |value, field| {
        let found = value >> field.shift & WIDTH;
        let most = match field.told {
            Told::Never => 0,
            Told::First => 1,
            Told::Hcrx(bit) if allowed.hcrx >> bit & 1 != 0 => WIDTH,
            Told::Hfgrtr(bit) if allowed.hfgrtr >> bit & 1 != 0 => WIDTH,
            Told::Hcrx(_) | Told::Hfgrtr(_) => 0,
        };
        value & !(WIDTH << field.shift) | found.min(most) << field.shift
    })
}
