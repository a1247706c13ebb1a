//! A cell is told of no feature that it cannot use, and of all others as they are.

use bulkhead_model::features::{Allowed, is_id_register, told};
use bulkhead_model::trap::SysregId;

const NOTHING: Allowed = Allowed { hcrx: 0, hfgrtr: 0 };
const ALL: Allowed = Allowed {
    hcrx: u64::MAX,
    hfgrtr: u64::MAX,
};
const PFR0: SysregId = SysregId::new(3, 0, 0, 4, 0);
const MMFR3: SysregId = SysregId::new(3, 0, 0, 7, 3);

#[test]
fn only_group_three_is_of_id_registers() {
    for (op0, op1, crn, crm, is_one) in [
        (3, 0, 0, 1, true),
        (3, 0, 0, 7, true),
        (3, 0, 0, 0, false), // MIDR_EL1
        (3, 0, 0, 8, false),
        (3, 1, 0, 4, false),
        (3, 0, 1, 1, false),
        (2, 0, 0, 1, false),
    ] {
        for op2 in 0..8 {
            let register = SysregId::new(op0, op1, crn, crm, op2);
            assert_eq!(is_id_register(register), is_one, "{register:?}");
        }
    }
}

#[test]
fn what_traps_is_not_told() {
    // Cortex-A710's: AMU 1, RAS 2, SVE 1, GIC 1, CSV2 2, CSV3 1, FP and SIMD, EL0 to EL3.
    let value = 0x1201_1111_2111_1112;
    assert_eq!(told(PFR0, value, ALL), 0x1101_1010_0111_1112);
    // No SVE2, no SME.
    for op2 in [4, 5] {
        assert_eq!(told(SysregId::new(3, 0, 0, 4, op2), u64::MAX, ALL), 0);
    }
    // MTE 3, SSBS 2, BTI 1.
    assert_eq!(told(SysregId::new(3, 0, 0, 4, 1), 0x0321, ALL), 0x0021);
}

#[test]
fn what_linux_did_not_open_is_not_told() {
    // TCRX, S1PIE and AIE, and others.
    let value = 0x1111_1111_1111_1111;
    let without = 0x1111_1110_1010_1000;
    assert_eq!(told(MMFR3, value, ALL), value);
    assert_eq!(told(MMFR3, value, NOTHING), without);
    let tcr2 = Allowed {
        hcrx: 1 << 14,
        ..NOTHING
    };
    assert_eq!(told(MMFR3, value, tcr2), without | 1);
    let pie = Allowed {
        hfgrtr: 1 << 58,
        ..NOTHING
    };
    assert_eq!(told(MMFR3, value, pie), without | 0x100);
    let mops = SysregId::new(3, 0, 0, 6, 2);
    assert_eq!(told(mops, 0x1_0000, NOTHING), 0);
    assert_eq!(told(mops, 0x1_0000, ALL), 0x1_0000);
}

#[test]
fn fields_are_only_made_smaller() {
    for crm in 1..8 {
        for op2 in 0..8 {
            let register = SysregId::new(3, 0, 0, crm, op2);
            for value in [0, 0x1111_1111_1111_1111, 0x2222_2222_2222_2222, u64::MAX] {
                let told = told(register, value, NOTHING);
                for shift in (0..64).step_by(4) {
                    assert!(told >> shift & 0xf <= value >> shift & 0xf);
                }
            }
        }
    }
}
