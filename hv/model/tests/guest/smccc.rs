//! Who answers a call.

use bulkhead_abi::call;
use bulkhead_model::id::CellId;
use bulkhead_model::smccc::{Conduit, Function, NOT_SUPPORTED, Route, Service, route};

const ROOT: CellId = CellId::ROOT;
const SMC: Conduit = Conduit::Smc;
const HVC: Conduit = Conduit::Hvc;
const NO: Route = Route::Return(NOT_SUPPORTED);

fn cell() -> CellId {
    CellId::new(1).unwrap()
}

#[test]
fn psci_is_ours_by_any_way_and_for_anyone() {
    for caller in [ROOT, cell()] {
        for conduit in [SMC, HVC] {
            for id in [
                0x8400_0000,
                0x8400_0003,
                0xc400_0003,
                0x8400_001f,
                0xc400_001f,
                0x8401_0000,
            ] {
                assert_eq!(route(caller, conduit, 0, id, 0), Route::Psci, "{id:#x}");
            }
        }
    }
}

#[test]
fn roots_other_smcs_are_firmwares_whatever_they_are() {
    let ids = [
        0x8000_0000, // SMCCC_VERSION
        0x8000_7fff, // SMCCC_ARCH_WORKAROUND_2
        0x8400_0050, // TRNG_VERSION
        0x8400_0040, // behind SDEI
        0xc200_0001, // SiP
        0xc600_4200, // ours, but by SMC
        0x3200_0000, // OP-TEE, yielding
        0xb200_0001, // OP-TEE, fast
        0x0000_0000,
    ];
    for id in ids {
        assert_eq!(route(ROOT, SMC, 0, id, 0), Route::Firmware, "{id:#x}");
        assert_eq!(route(ROOT, SMC, 7, id, 0), Route::Firmware, "{id:#x}");
        let for_cell = route(cell(), SMC, 0, id, 0);
        assert!(
            matches!(for_cell, Route::Return(_)),
            "{id:#x}: {for_cell:?}"
        );
    }
}

#[test]
fn a_cell_may_flush_predictors_and_ask_whether_it_can() {
    let features = 0x8000_0001;
    for conduit in [SMC, HVC] {
        for id in [0x8000_8000_u64, 0x8000_3fff] {
            assert_eq!(route(cell(), conduit, 0, id, 0), Route::Firmware, "{id:#x}");
            let asked = route(cell(), conduit, 0, features, id);
            assert_eq!(asked, Route::Firmware, "{id:#x}");
            assert_eq!(route(cell(), conduit, 1, id, 0), NO, "{id:#x}");
        }
        // It would turn a mitigation off for whoever has the CPU next.
        assert_eq!(route(cell(), conduit, 0, 0x8000_7fff, 0), NO);
        assert_eq!(route(cell(), conduit, 0, features, 0x8000_7fff), NO);
    }
}

#[test]
fn nobody_has_firmware_call_back_into_el2() {
    for id in [0x8400_0020_u64, 0xc400_0021, 0xc400_003f] {
        assert_eq!(route(ROOT, SMC, 0, id, 0), NO, "{id:#x}");
        assert_eq!(route(cell(), SMC, 0, id, 0), NO, "{id:#x}");
    }
}

#[test]
fn hypercalls_are_hvcs() {
    let version = u64::from(call::VERSION);
    assert_eq!(
        route(cell(), HVC, 0, version, 0),
        Route::Hypercall(call::VERSION)
    );
    assert_eq!(
        route(cell(), HVC, 0, version | 1 << 16, 0),
        Route::Hypercall(call::VERSION),
        "SVE hint"
    );
    assert_eq!(
        route(ROOT, HVC, 0, call::UID_QUERY.into(), 0),
        Route::Hypercall(call::UID_QUERY)
    );
    assert_eq!(route(cell(), HVC, 1, version, 0), NO);
    assert_eq!(route(cell(), SMC, 0, version, 0), NO);
}

#[test]
fn a_cell_is_told_what_there_is() {
    for conduit in [SMC, HVC] {
        let call = |id, argument| route(cell(), conduit, 0, id, argument);
        assert_eq!(call(0x8000_0000, 0), Route::Return(0x1_0001));
        assert_eq!(call(0x8000_0001, 0x8000_0000), Route::Return(0));
        assert_eq!(call(0x8000_0001, 0x8000_0001), Route::Return(0));
        for workaround in [0x8000_7fff, 0x8000_0002, 0] {
            assert_eq!(call(0x8000_0001, workaround), NO);
            assert_eq!(call(workaround, 0), NO);
        }
    }
}

#[test]
fn any_value_is_answered() {
    for top in 0..=0xff_u64 {
        for low in [0, 1, 0x1f, 0x20, 0x4200, 0xffff, 0x1_0000, 0xff_ffff] {
            let id = top << 24 | low;
            for caller in [ROOT, cell()] {
                for conduit in [SMC, HVC] {
                    let answer = route(caller, conduit, 0, id, 0);
                    let is_sdei = Function::new(id).is_sdei();
                    assert_eq!(
                        answer == Route::Firmware,
                        caller == ROOT && conduit == SMC && answer != Route::Psci && !is_sdei
                    );
                }
            }
        }
    }
}

#[test]
fn owners_are_those_of_the_convention() {
    let owners = [
        (0x8000_0000, Service::Architecture),
        (0xc100_0000, Service::Cpu),
        (0x8200_0000, Service::Sip),
        (0x8300_0000, Service::Oem),
        (0x8400_0000, Service::StandardSecure),
        (0x8500_0000, Service::StandardHypervisor),
        (0xc600_0000, Service::VendorHypervisor),
        (0x8700_0000, Service::Reserved),
        (0xb000_0000, Service::TrustedApplication),
        (0xb200_0000, Service::TrustedOs),
        (0x0200_0000, Service::TrustedOs),
    ];
    for (id, service) in owners {
        assert_eq!(Function::new(id).service(), service, "{id:#x}");
    }
}
