//! Pages of device registers that several have a part of: nobody reaches what another one has.

use bulkhead_abi::code;
use bulkhead_model::addr::{Gpa, Hpa};
use bulkhead_model::blob::{CellConfig, Placement};
use bulkhead_model::id::CellId;
use bulkhead_model::ledger::{Ledger, Owner};

use crate::board::{
    GICD, HV, MIB, PAGE, POOL, RAM, UART, cell, device, ledger, memory, region, small_cell,
};

/// Somewhere between the devices.
const AT: u64 = 0xa00_3000;

fn id(index: usize) -> CellId {
    CellId::new(index).expect("a cell id")
}

/// A cell that wants these bytes.
fn wants(name: &str, cpu: u64, parts: &[(u64, u64)]) -> CellConfig {
    CellConfig {
        devices: parts
            .iter()
            .map(|(base, size)| device(*base, *base, *size))
            .collect(),
        ..small_cell(name, cpu)
    }
}

fn give(ledger: &mut Ledger, config: &CellConfig) -> Result<CellId, (i64, u64, u64)> {
    let claim = ledger.prepare_create(config, |_| true);
    let claim = claim.map_err(|refused| (refused.code(), refused.a, refused.b))?;
    Ok(ledger.commit_create(&claim))
}

/// Two cells with a part each of one page: `[0x200, 0x400)` and `[0x800, 0x804)`.
fn divided() -> Ledger {
    let mut ledger = ledger();
    assert_eq!(
        give(&mut ledger, &wants("a", 2, &[(AT + 0x200, 0x200)])),
        Ok(id(1))
    );
    assert_eq!(
        give(&mut ledger, &wants("b", 3, &[(AT + 0x800, 4)])),
        Ok(id(2))
    );
    ledger
}

/// Whose byte of the page it is.
fn owner(offset: u64) -> CellId {
    match offset {
        0x200..0x400 => id(1),
        0x800..0x804 => id(2),
        _ => CellId::ROOT,
    }
}

#[test]
fn an_access_is_made_for_who_has_every_byte_of_it_and_for_nobody_else() {
    let ledger = divided();
    for size in [1, 2, 4, 8] {
        for offset in 0..PAGE {
            let is_whole = offset % size == 0;
            for who in [CellId::ROOT, id(1), id(2), id(3)] {
                let is_all_theirs = (offset..offset + size).all(|at| owner(at) == who);
                let may = ledger.may_forward(who, Hpa(AT + offset), u8::try_from(size).unwrap());
                assert_eq!(may, is_whole && is_all_theirs, "{who:?} {offset:#x} {size}");
            }
        }
    }
}

#[test]
fn no_other_page_is_forwarded() {
    let ledger = divided();
    assert!(!ledger.may_forward(CellId::ROOT, Hpa(AT), 0));
    for at in [
        AT - 4,
        AT + PAGE,
        0,
        UART,
        GICD,
        RAM,
        HV,
        POOL,
        u64::MAX - 3,
    ] {
        for who in [CellId::ROOT, id(1), id(2)] {
            assert!(!ledger.may_forward(who, Hpa(at), 4), "{at:#x}");
        }
    }
}

#[test]
fn a_page_is_divided_until_the_last_part_is_given_back() {
    let mut ledger = divided();
    let page = region(AT, PAGE);
    assert!(ledger.have_others(id(1), &page));
    assert!(!ledger.have_others(id(1), &region(AT + PAGE, PAGE)));
    assert_eq!(ledger.owner(Hpa(AT + 0x3ff)), Owner::Cell(id(1)));
    assert_eq!(ledger.owner(Hpa(AT + 0x400)), Owner::Cell(CellId::ROOT));
    ledger.release(id(1));
    assert!(!ledger.have_others(id(2), &page));
    assert!(ledger.have_others(id(1), &page));
    assert!(ledger.may_forward(CellId::ROOT, Hpa(AT + 0x200), 4));
    assert!(!ledger.may_forward(id(1), Hpa(AT + 0x200), 4));
    ledger.release(id(2));
    assert!(!ledger.have_others(id(1), &page));
    assert!(!ledger.may_forward(CellId::ROOT, Hpa(AT), 4));
}

#[test]
fn parts_are_refused_by_the_name_of_what_is_in_the_way() {
    let refused =
        |config: &CellConfig| give(&mut divided(), config).map_err(|(code, a, _)| (code, a));
    for (part, answer) in [
        ((AT + 0x3fc, 8), (code::DEVICE_OF_CELL, AT + 0x3fc)),
        ((AT + 0x7fc, 8), (code::DEVICE_OF_CELL, AT + 0x800)),
        ((AT + 0xff8, 16), (code::UNALIGNED, AT + 0xff8)), // of two pages
        ((AT + 1, 4), (code::UNALIGNED, AT + 1)),
        ((AT, 6), (code::UNALIGNED, AT)),
        ((AT, 0), (code::EMPTY, AT)),
        ((u64::MAX - 3, 8), (code::WRAPS, u64::MAX - 3)),
        ((RAM + 8, 8), (code::DEVICE_IN_RAM, RAM + 8)),
        ((GICD + 8, 8), (code::DEVICE_IS_GIC, GICD + 8)),
        ((1 << 40, 8), (code::WRAPS, 1 << 40)),
    ] {
        assert_eq!(refused(&wants("c", 1, &[part])), Err(answer), "{part:x?}");
    }
    // Twice itself; the page of a window of its own, or of its memory.
    let twice = wants("c", 1, &[(AT, 8), (AT + 4, 8)]);
    assert_eq!(refused(&twice), Err((code::OVERLAPS_ITSELF, AT)));
    let mut window = wants("c", 1, &[(UART + 8, 8)]);
    window.devices.push(device(UART, UART, PAGE));
    assert_eq!(
        refused(&window).map_err(|(code, _)| code),
        Err(code::OVERLAPS_ITSELF)
    );
    let covered = CellConfig {
        memory: [memory(AT - MIB, Placement::Pool, 2 * MIB)]
            .into_iter()
            .collect(),
        ..wants("c", 1, &[(AT, 8)])
    };
    assert_eq!(
        refused(&covered).map_err(|(code, _)| code),
        Err(code::OVERLAPS_ITSELF)
    );
    // And a console over it.
    let console = CellConfig {
        console: Some(Gpa(AT)),
        ..wants("c", 1, &[(AT, 8)])
    };
    assert_eq!(
        refused(&console).map_err(|(code, _)| code),
        Err(code::OVERLAPS_ITSELF)
    );
}

#[test]
fn a_window_does_not_take_a_page_that_others_have_a_part_of() {
    let mut ledger = divided();
    let whole = CellConfig {
        devices: [device(AT, AT, PAGE)].into_iter().collect(),
        ..small_cell("c", 1)
    };
    assert_eq!(
        give(&mut ledger, &whole),
        Err((code::DEVICE_OF_CELL, AT + 0x200, 1))
    );
    // Nor a part of one that a cell has whole.
    let mut ledger = ledger_with_uart();
    assert_eq!(
        give(&mut ledger, &wants("c", 1, &[(UART + 0x10, 4)])),
        Err((code::DEVICE_OF_CELL, UART + 0x10, 1))
    );
}

fn ledger_with_uart() -> Ledger {
    let mut ledger = ledger();
    give(&mut ledger, &cell("rtos")).expect("the good cell");
    ledger
}
