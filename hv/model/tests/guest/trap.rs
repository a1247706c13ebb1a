//! Syndromes as hardware gives them, and exceptions as it would take them.

use bulkhead_model::addr::Gpa;
use bulkhead_model::trap::{
    Access, DataAbort, Entry, FaultStatus, Injection, InstructionAbort, Interrupted, Syndrome,
    Sysreg, SysregId, Trap, ipa_from,
};

fn data_abort(esr: u64) -> DataAbort {
    match Syndrome(esr).decode() {
        Trap::DataAbort(abort) => abort,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_word_store_is_described_in_full() {
    // str w3, [x4] to an address with no level-2 entry.
    let abort = data_abort(0x9383_0046);
    let access = Access {
        size: 4,
        register: 3,
        sign_extend: false,
        sixty_four: false,
        is_write: true,
    };
    assert_eq!(abort.access, Some(access));
    assert_eq!(abort.status, FaultStatus::Translation(2));
    assert!(abort.is_write && abort.far_valid && abort.has_ipa());
    assert!(!abort.on_table_walk && !abort.cache_maintenance);
}

#[test]
fn a_doubleword_load_is_described_in_full() {
    // ldr x0, [x1].
    let access = data_abort(0x93c0_8006).access;
    assert_eq!(
        access,
        Some(Access {
            size: 8,
            register: 0,
            sign_extend: false,
            sixty_four: true,
            is_write: false
        })
    );
}

#[test]
fn a_pair_is_not_described() {
    // stp x0, x1, [x2].
    let abort = data_abort(0x9200_0046);
    assert_eq!(abort.access, None);
    assert!(abort.is_write);
}

#[test]
fn the_address_is_known_where_the_manual_says_so() {
    let permission = data_abort(0x9200_004f);
    assert_eq!(permission.status, FaultStatus::Permission(3));
    assert!(!permission.has_ipa());
    let walk = data_abort(0x9200_008f);
    assert!(walk.on_table_walk && walk.has_ipa());
    let no_far = data_abort(0x9200_0410);
    assert_eq!(no_far.status, FaultStatus::External);
    assert!(!no_far.far_valid && !no_far.has_ipa());
    assert!(data_abort(0x9200_0147).cache_maintenance);
    assert_eq!(
        ipa_from(0x0000_0000_0009_0000, 0xffff_8000_0801_0abc),
        Gpa(0x0900_0abc)
    );
    assert_eq!(
        ipa_from(u64::MAX, 0),
        Gpa(0x000f_ffff_ffff_f000),
        "not the NS bit"
    );
}

#[test]
fn fetches_calls_and_waits_are_told_apart() {
    let fetch = InstructionAbort {
        status: FaultStatus::Translation(1),
        on_table_walk: false,
        far_valid: true,
    };
    assert_eq!(
        Syndrome(0x8200_0005).decode(),
        Trap::InstructionAbort(fetch)
    );
    assert_eq!(Syndrome(0x5a00_0000).decode(), Trap::Hvc { imm: 0 });
    assert_eq!(Syndrome(0x5a00_ea11).decode(), Trap::Hvc { imm: 0xea11 });
    assert_eq!(Syndrome(0x5e00_0000).decode(), Trap::Smc { imm: 0 });
    assert_eq!(Syndrome(0x07e0_0000).decode(), Trap::Wfx);
    assert_eq!(Syndrome(0x1fe0_0000).decode(), Trap::Fp);
    assert_eq!(Syndrome(0x6600_0000).decode(), Trap::Sve);
    assert_eq!(Syndrome(0x3a00_0000).decode(), Trap::IllegalState);
    assert_eq!(
        Syndrome(0x4e00_0000).decode(),
        Trap::Aarch32 { class: 0x13 }
    );
    assert_eq!(Syndrome(0xf200_0001).decode(), Trap::Debug { class: 0x3c });
    assert_eq!(Syndrome(0xbe00_0000).decode(), Trap::SystemError);
    assert_eq!(Syndrome(0x0200_0000).decode(), Trap::Unknown { class: 0 });
}

#[test]
fn system_registers_are_named_as_in_the_manual() {
    let sgi1r = SysregId::new(3, 0, 12, 11, 5);
    // msr icc_sgi1r_el1, x7.
    let written = Sysreg {
        id: sgi1r,
        register: 7,
        is_read: false,
    };
    assert_eq!(Syndrome(0x623a_30f6).decode(), Trap::Sysreg(written));
    // mrs xzr, icc_pmr_el1.
    let read = Sysreg {
        id: SysregId::new(3, 0, 4, 6, 0),
        register: 31,
        is_read: true,
    };
    assert_eq!(Syndrome(0x6230_13ed).decode(), Trap::Sysreg(read));
    assert_eq!(sgi1r.get(), 0xc65d, "as a compiler writes S3_0_C12_C11_5");
}

#[test]
fn every_class_and_fault_code_decodes() {
    for class in 0..64_u64 {
        for low in 0..0x800 {
            let decoded = Syndrome(class << 26 | low).decode();
            if let Trap::Unknown { class: found } = decoded {
                assert_eq!(u64::from(found), class);
            }
        }
    }
}

#[test]
fn loads_extend_as_they_say() {
    let load = |size, sign_extend, sixty_four| Access {
        size,
        register: 0,
        sign_extend,
        sixty_four,
        is_write: false,
    };
    assert_eq!(load(1, false, false).extend(0xffff_ff80), 0x80);
    assert_eq!(load(1, true, false).extend(0x80), 0xffff_ff80);
    assert_eq!(load(1, true, true).extend(0x80), 0xffff_ffff_ffff_ff80);
    assert_eq!(load(2, true, true).extend(0x7fff), 0x7fff);
    assert_eq!(
        load(4, true, true).extend(0x8000_0000),
        0xffff_ffff_8000_0000
    );
    assert_eq!(load(4, false, false).extend(0x1_8000_0000), 0x8000_0000);
    assert_eq!(load(8, false, true).extend(u64::MAX), u64::MAX);
    assert_eq!(load(2, false, false).truncate(0x1_2345), 0x2345);
}

const VBAR: u64 = 0xffff_8000_0801_0800;
const PC: u64 = 0xffff_8000_0812_3450;
const SPAN: u64 = 1 << 23;
const DSSBS: u64 = 1 << 44;

fn interrupted(pstate: u64, sctlr: u64) -> Interrupted {
    Interrupted {
        pc: PC,
        pstate,
        vbar: VBAR,
        sctlr,
        has_pan: true,
        has_mte: false,
    }
}

#[test]
fn an_abort_is_entered_as_hardware_enters_it() {
    // Linux at EL1h, interrupts on, Z and C set, PAN set; SPAN clear.
    let from = interrupted(0x6040_0005, 0);
    let far = Some(0xffff_8000_0900_0010);
    let entry = Injection::DataAbort {
        is_write: true,
        far,
    }
    .enter(&from);
    let expected = Entry {
        pc: VBAR + 0x200,
        pstate: 0x6040_03c5,
        elr: PC,
        spsr: 0x6040_0005,
        esr: 0x9600_0050,
        far,
    };
    assert_eq!(entry, expected);
}

#[test]
fn the_vector_follows_where_it_came_from() {
    let cases = [
        (0x4, 0x000, 0x9600_0010),  // EL1t
        (0x5, 0x200, 0x9600_0010),  // EL1h
        (0x0, 0x400, 0x9200_0010),  // EL0
        (0x10, 0x600, 0x9200_0010), // EL0, AArch32 User
    ];
    for (pstate, offset, esr) in cases {
        let entry = Injection::DataAbort {
            is_write: false,
            far: Some(0),
        }
        .enter(&interrupted(pstate, SPAN));
        assert_eq!((entry.pc, entry.esr), (VBAR + offset, esr), "{pstate:#x}");
        assert_eq!(entry.pstate, 0x3c5);
        let fetch = Injection::InstructionAbort { far: None }.enter(&interrupted(pstate, SPAN));
        assert_eq!(fetch.esr, (esr - 0x1000_0000) | 1 << 10, "FAR not valid");
        let undefined = Injection::Undefined.enter(&interrupted(pstate, SPAN));
        assert_eq!(
            (undefined.pc, undefined.esr, undefined.far),
            (VBAR + offset, 0x0200_0000, None)
        );
    }
}

#[test]
fn pstate_at_the_vector_follows_the_features() {
    let pstate = |from: &Interrupted| Injection::Undefined.enter(from).pstate;
    assert_eq!(pstate(&interrupted(0, 0)), 0x0040_03c5, "PAN is set");
    assert_eq!(pstate(&interrupted(0, SPAN)), 0x3c5);
    assert_eq!(
        pstate(&Interrupted {
            has_pan: false,
            ..interrupted(0, 0)
        }),
        0x3c5
    );
    assert_eq!(pstate(&interrupted(0, SPAN | DSSBS)), 0x13c5);
    assert_eq!(
        pstate(&Interrupted {
            has_mte: true,
            ..interrupted(0, SPAN)
        }),
        0x0200_03c5
    );
    // BTYPE, SSBS, IL, SS, UAO go; NZCV, PAN and DIT stay.
    assert_eq!(pstate(&interrupted(0xf1f0_1c00, SPAN)), 0xf140_03c5);
}

proptest::proptest! {
    /// Every syndrome that a short form takes decodes to the same.
    #[test]
    fn short_forms_agree_with_the_decoder(bits: u32, kind in 0_usize..4) {
        let id = SysregId::new(3, 0, 12, 11, 5);
        let class = [bits, 0x6200_0000 | bits & 0x01ff_ffff, 0x623a_3016 | bits & 0x3e1, 0x9000_0000 | bits & 0x03ff_ffff][kind];
        let syndrome = Syndrome(class.into());
        let long = match syndrome.decode() {
            Trap::Sysreg(access) if access.id == id && !access.is_read => Some(access.register),
            _ => None,
        };
        let il = class & 1 << 25 != 0;
        proptest::prop_assert_eq!(syndrome.write_of(id), long.filter(|_| il));
        let plain = match syndrome.decode() {
            Trap::DataAbort(abort) if !abort.on_table_walk && !abort.cache_maintenance => match (abort.access, abort.status) {
                (Some(access), FaultStatus::Translation(_)) if !access.sign_extend => Some(access),
                _ => None,
            },
            _ => None,
        };
        proptest::prop_assert_eq!(syndrome.plain_access(), plain);
    }
}
