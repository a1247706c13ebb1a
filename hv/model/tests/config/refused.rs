//! The texts of refusals: every code has its own, with its details in it.

use std::collections::BTreeMap;

use bulkhead_abi::code::{self, ALL, feature};
use bulkhead_abi::info::state;
use bulkhead_model::refused::Refused;

fn text(code: i64, a: u64, b: u64) -> String {
    Refused::new(code, a, b).to_string()
}

#[test]
fn every_code_has_its_own_text() {
    let mut seen = BTreeMap::new();
    for (name, code) in ALL {
        // 1 is a feature that both UNSUPPORTED codes share.
        let is_gic = *code == code::UNSUPPORTED_GIC;
        let text = text(*code, if is_gic { feature::NO_REDISTRIBUTOR } else { 1 }, 3);
        assert!(
            !text.contains("does not know") && !text.contains("lacks feature"),
            "{name}: {text}"
        );
        assert!(text.len() > 12 && !text.ends_with('.'), "{name}: {text}");
        assert_eq!(seen.insert(text, name), None);
    }
}

#[test]
fn a_code_of_another_version_is_shown_as_it_is() {
    assert_eq!(
        text(999, 1, 2),
        "code 999 (0x1, 0x2), which this version does not know"
    );
    assert!(text(-1, 0, 0).starts_with("code -1 "));
}

/// What the documentation of each code names as its details.
fn details() -> impl Iterator<Item = (&'static str, i64, bool, bool)> {
    let source = include_str!("../../../abi/src/code.rs");
    let mut doc = String::new();
    source.lines().filter_map(move |line| {
        let line = line.trim();
        if let Some(more) = line.strip_prefix("///") {
            doc.push_str(more);
            return None;
        }
        let of = std::mem::take(&mut doc);
        let (name, code) = ALL
            .iter()
            .find(|(name, _)| line.starts_with(&format!("{name} =")))?;
        Some((*name, *code, of.contains(" a: "), of.contains(" b: ")))
    })
}

#[test]
fn each_detail_that_a_code_has_changes_its_text() {
    assert_eq!(details().count(), ALL.len());
    // KERNEL_AT_EL2 names its detail, the exception level, already.
    for (name, code, has_a, has_b) in details().filter(|(_, code, ..)| *code != code::KERNEL_AT_EL2)
    {
        let base = text(code, 1, 1);
        assert_eq!(text(code, 5, 1) != base, has_a, "{name}, a: {base}");
        assert_eq!(text(code, 1, 5) != base, has_b, "{name}, b: {base}");
    }
}

#[test]
fn every_state_and_feature_is_named() {
    for (number, name) in (0..).zip(state::NAMES) {
        assert!(text(code::WRONG_STATE, number, 0).contains(name));
    }
    for number in [
        feature::ROOT_MASKS_BY_PRIORITY,
        feature::NO_REDISTRIBUTOR,
        feature::NO_SYSTEM_REGISTERS,
        feature::NO_4K_GRANULE,
        feature::NOT_GICV3,
        feature::NOT_GICV2,
        feature::NO_MAINTENANCE,
    ] {
        assert!(
            !text(code::UNSUPPORTED_GIC, number, 0).contains("lacks feature"),
            "{number}"
        );
    }
}

#[test]
fn a_text_names_thing_value_reason_and_remedy() {
    assert_eq!(
        text(code::MEMORY_OF_LINUX, 0x7000_0000, 0),
        "memory at 0x70000000 belongs to Linux: only memory of Bulkhead's pool can be given to a cell; \
         leave the address out or raise `bulkhead enable --memory` or the reservation"
    );
    assert_eq!(
        text(code::POOL_FULL, 64 << 20, 46 << 20),
        "64 MiB of contiguous memory is wanted, the pool's largest free range is 46 MiB: \
         destroy a cell or raise `bulkhead enable --memory` or the reservation"
    );
    assert_eq!(
        text(code::NO_SUCH_CPU, 0x100, 0),
        "CPU 0x100 (MPIDR) does not exist on this board"
    );
    assert_eq!(
        text(code::NO_MEMORY, 512 << 20, (-12_i64).cast_unsigned()),
        "Linux has no 512 MiB of contiguous memory left (errno 12): ask for less, or reserve it in the device tree"
    );
}
