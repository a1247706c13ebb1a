//! Translation tables, case by case.

use bulkhead_abi::code;
use bulkhead_model::addr::{Hpa, PAGE_SIZE};
use bulkhead_model::paging::stage2::{DEVICE_RW, NORMAL_RO, NORMAL_RW_XN, NORMAL_RWX};
use bulkhead_model::paging::{Draft, Leaf, TableMemory, Tables, root_pages, stage1_el2};
use bulkhead_model::refused::Refused;

use crate::table_memory::{Memory, ROOT};

const MIB2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

fn stage2(pa_bits: u8) -> (Tables, Memory) {
    let tables = Tables::for_stage2(ROOT, pa_bits);
    let start_level = if tables.vtcr_sl0() == 1 { 1 } else { 0 };
    let mut mem = Memory::new(start_level, 512 * root_pages(pa_bits));
    (tables.live(&mut mem), mem)
}

fn draft(pa_bits: u8) -> (Tables<Draft>, Memory) {
    let tables = Tables::for_stage2(ROOT, pa_bits);
    let start_level = if tables.vtcr_sl0() == 1 { 1 } else { 0 };
    (
        tables,
        Memory::draft(start_level, 512 * root_pages(pa_bits)),
    )
}

fn identity(pa_bits: u8, size: u64) -> (Tables, Memory) {
    let (tables, mut mem) = stage2(pa_bits);
    tables.map(&mut mem, 0, Hpa(0), size, NORMAL_RWX).unwrap();
    (tables, mem)
}

#[test]
fn the_start_level_follows_the_manual() {
    // pa_bits, pages, SL0, T0SZ
    let cases = [
        (32, 1, 1, 32),
        (36, 1, 1, 28),
        (39, 1, 1, 25),
        (40, 2, 1, 24),
        (42, 8, 1, 22),
        (43, 16, 1, 21),
        (44, 1, 2, 20),
        (48, 1, 2, 16),
        (52, 1, 2, 16),
    ];
    for (pa_bits, pages, sl0, t0sz) in cases {
        let tables = Tables::for_stage2(ROOT, pa_bits);
        assert_eq!(
            (root_pages(pa_bits), tables.vtcr_sl0(), tables.t0sz()),
            (pages, sl0, t0sz),
            "{pa_bits}"
        );
    }
    assert_eq!(Tables::for_stage1(ROOT).t0sz(), 16);
}

#[test]
fn an_identity_map_takes_the_largest_blocks() {
    let (tables, mem) = identity(40, 1 << 40);
    assert_eq!(mem.used(), 0);
    assert_eq!(
        mem.invalidate_count, 0,
        "mapping over nothing needs no invalidation"
    );
    let last = (1 << 40) - 8;
    let leaf = Leaf {
        output: Hpa(last),
        attributes: NORMAL_RWX,
        level: 1,
    };
    assert_eq!(tables.lookup(&mem, last), Some(leaf));
    assert_eq!(tables.lookup(&mem, 1 << 40), None);
}

#[test]
fn a_draft_is_written_with_no_invalidation_and_completed_once() {
    let (mut tables, mut mem) = draft(40);
    let hole = |at, size| (at, size);
    tables
        .map(&mut mem, 0, Hpa(0), 1 << 40, NORMAL_RWX)
        .unwrap();
    for (at, size) in [
        hole(MIB2 + PAGE_SIZE, GIB),
        hole(3 * GIB - PAGE_SIZE, 2 * PAGE_SIZE),
    ] {
        tables.unmap(&mut mem, at, size).unwrap();
        assert_eq!(tables.lookup(&mem, at), None);
        assert_eq!(tables.lookup(&mem, at + size - 1), None);
        for kept in [at - 1, at + size] {
            assert_eq!(tables.lookup(&mem, kept).unwrap().output, Hpa(kept));
        }
    }
    assert_eq!((mem.invalidate_count, mem.complete_count), (0, 0));
    let _live = tables.live(&mut mem);
    assert_eq!((mem.invalidate_count, mem.complete_count), (0, 1));
    mem.go_live();
    mem.check_settled();
}

#[test]
fn what_replaces_tables_of_a_draft_frees_them() {
    let (mut tables, mut mem) = draft(40);
    for page in 0..3 {
        let at = GIB + page * MIB2;
        tables
            .map(&mut mem, at, Hpa(0), PAGE_SIZE, NORMAL_RWX)
            .unwrap();
    }
    assert_eq!(mem.used(), 4);
    tables.unmap(&mut mem, 0, 2 * GIB).unwrap();
    assert_eq!(mem.used(), 0);
    tables
        .map(&mut mem, 0, Hpa(0), PAGE_SIZE, NORMAL_RWX)
        .unwrap();
    let rest = GIB - PAGE_SIZE;
    tables
        .map(&mut mem, PAGE_SIZE, Hpa(PAGE_SIZE), rest, NORMAL_RWX)
        .unwrap();
    assert_eq!(mem.used(), 0, "merged");
    assert_eq!(mem.invalidate_count, 0);
}

#[test]
fn a_level_0_tree_covers_48_bits() {
    let (tables, mut mem) = stage2(48);
    let top = (1 << 48) - GIB;
    tables.map(&mut mem, top, Hpa(0), GIB, DEVICE_RW).unwrap();
    assert_eq!(mem.used(), 1);
    assert_eq!(tables.lookup(&mem, top + 5).unwrap().output, Hpa(5));
    tables.unmap(&mut mem, 0, 1 << 48).unwrap();
    assert_eq!(mem.used(), 0);
    tables
        .map(&mut mem, 0, Hpa(0), 512 * GIB, NORMAL_RWX)
        .unwrap();
    assert_eq!(mem.used(), 1, "level 0 has no blocks");
    mem.check_settled();
}

#[test]
fn a_cell_is_taken_from_root_and_given_back_without_a_trace() {
    let (tables, mut mem) = identity(40, 1 << 40);
    for _ in 0..50 {
        tables.unmap(&mut mem, 0x7000_0000, 0x0100_0000).unwrap();
        tables.unmap(&mut mem, 0x0904_0000, PAGE_SIZE).unwrap();
        assert_eq!(tables.lookup(&mem, 0x7000_0000), None);
        assert_eq!(tables.lookup(&mem, 0x0904_0000), None);
        assert_eq!(tables.lookup(&mem, 0x0904_1000).unwrap().level, 3);
        assert_eq!(tables.lookup(&mem, 0x7100_0000).unwrap().level, 2);
        tables
            .map(
                &mut mem,
                0x0904_0000,
                Hpa(0x0904_0000),
                PAGE_SIZE,
                NORMAL_RWX,
            )
            .unwrap();
        tables
            .map(
                &mut mem,
                0x7000_0000,
                Hpa(0x7000_0000),
                0x0100_0000,
                NORMAL_RWX,
            )
            .unwrap();
        assert_eq!(mem.used(), 0);
        mem.check_settled();
    }
}

#[test]
fn taking_whole_blocks_away_costs_one_invalidation() {
    let (tables, mut mem) = identity(40, 4 * GIB);
    tables.unmap(&mut mem, 0, PAGE_SIZE).unwrap();
    let before = mem.invalidate_count;
    tables.unmap(&mut mem, 8 * MIB2, 8 * MIB2).unwrap();
    assert_eq!(mem.invalidate_count - before, 1);
}

#[test]
fn mapping_what_is_mapped_writes_nothing() {
    let (tables, mut mem) = identity(40, 4 * GIB);
    let before = mem.write_count;
    tables
        .map(
            &mut mem,
            GIB + 5 * PAGE_SIZE,
            Hpa(GIB + 5 * PAGE_SIZE),
            MIB2,
            NORMAL_RWX,
        )
        .unwrap();
    tables.unmap(&mut mem, 5 * GIB, PAGE_SIZE).unwrap();
    assert_eq!((mem.write_count, mem.used()), (before, 0));
}

#[test]
fn attributes_change_by_break_before_make() {
    let (tables, mut mem) = identity(40, GIB);
    tables
        .map(&mut mem, MIB2, Hpa(MIB2), PAGE_SIZE, NORMAL_RO)
        .unwrap();
    assert_eq!(tables.lookup(&mem, MIB2).unwrap().attributes, NORMAL_RO);
    assert_eq!(
        tables.lookup(&mem, MIB2 + PAGE_SIZE).unwrap().attributes,
        NORMAL_RWX
    );
    tables.map(&mut mem, 0, Hpa(0), GIB, NORMAL_RW_XN).unwrap();
    assert_eq!(mem.used(), 0, "a block replaces the tables below it");
    mem.check_settled();
}

#[test]
fn misaligned_outputs_take_smaller_entries() {
    let (tables, mut mem) = stage2(40);
    tables.map(&mut mem, 0, Hpa(MIB2), GIB, NORMAL_RWX).unwrap();
    assert_eq!(tables.lookup(&mem, 0).unwrap().level, 2);
    tables
        .map(&mut mem, 0, Hpa(PAGE_SIZE), MIB2, NORMAL_RWX)
        .unwrap();
    let leaf = Leaf {
        output: Hpa(PAGE_SIZE + 0x123),
        attributes: NORMAL_RWX,
        level: 3,
    };
    assert_eq!(tables.lookup(&mem, 0x123), Some(leaf));
}

#[test]
fn el2s_own_blocks_are_never_merged() {
    let tables = Tables::of_stage1(ROOT);
    let mut mem = Memory::new(0, 512);
    tables
        .map(&mut mem, 0, Hpa(0), PAGE_SIZE, stage1_el2::DATA)
        .unwrap();
    tables
        .map(
            &mut mem,
            PAGE_SIZE,
            Hpa(PAGE_SIZE),
            MIB2 - PAGE_SIZE,
            stage1_el2::DATA,
        )
        .unwrap();
    assert_eq!(tables.lookup(&mem, 0).unwrap().level, 3);
    assert_eq!(mem.invalidate_count, 0);
    mem.check_settled();
}

#[test]
fn wrong_ranges_are_refused_by_name() {
    let (tables, mut mem) = stage2(40);
    let cases = [
        (0, 0, 0, code::EMPTY),
        (1, 0, PAGE_SIZE, code::UNALIGNED),
        (0, 1, PAGE_SIZE, code::UNALIGNED),
        (0, 0, 1, code::UNALIGNED),
        ((1 << 40) - PAGE_SIZE, 0, 2 * PAGE_SIZE, code::WRAPS),
        (1 << 40, 0, PAGE_SIZE, code::WRAPS),
        (0, (1 << 48) - PAGE_SIZE, 2 * PAGE_SIZE, code::WRAPS),
        (0, 0u64.wrapping_sub(PAGE_SIZE), PAGE_SIZE, code::WRAPS),
        (0u64.wrapping_sub(PAGE_SIZE), 0, PAGE_SIZE, code::WRAPS),
    ];
    for (input, output, size, code) in cases {
        let refused = tables
            .map(&mut mem, input, Hpa(output), size, NORMAL_RWX)
            .unwrap_err();
        assert_eq!(refused.code(), code, "{input:#x} {output:#x} {size:#x}");
    }
    assert_eq!(
        tables.unmap(&mut mem, 0, 0).unwrap_err().code(),
        code::EMPTY
    );
    assert_eq!(mem.write_count, 0);
}

#[test]
fn without_enough_pages_nothing_changes() {
    type Operation = fn(&Tables, &mut Memory) -> Result<(), Refused>;
    let operations: [(Operation, usize); 4] = [
        (|t, m| t.unmap(m, GIB - PAGE_SIZE, 2 * PAGE_SIZE), 4),
        (|t, m| t.unmap(m, 3 * MIB2, 600 * PAGE_SIZE), 2),
        (|t, m| t.map(m, 0, Hpa(PAGE_SIZE), 8 * MIB2, NORMAL_RWX), 9),
        (|t, m| t.map(m, MIB2, Hpa(0), GIB, DEVICE_RW), 2),
    ];
    for (operation, needed) in operations {
        for limit in 0..=needed {
            let (tables, mut mem) = identity(40, 8 * GIB);
            mem.limit = limit;
            let before = mem.clone();
            let result = operation(&tables, &mut mem);
            if limit < needed {
                let refused = Refused::new(code::HV_PAGES_EXHAUSTED, needed as u64, limit as u64);
                assert_eq!(result, Err(refused));
                assert!(mem == before);
            } else {
                assert_eq!(result, Ok(()));
            }
        }
    }
}

#[test]
fn a_revoked_tree_translates_nothing_and_can_be_freed() {
    let (tables, mut mem) = identity(40, 1 << 40);
    tables.unmap(&mut mem, GIB, PAGE_SIZE).unwrap();
    tables.revoke_all(&mut mem);
    for address in [0, GIB, GIB + MIB2, (1 << 40) - 1] {
        assert_eq!(tables.lookup(&mem, address), None);
    }
    assert_eq!(mem.used(), 2);
    tables.free_all(&mut mem);
    assert_eq!(mem.used(), 0);
    assert!((0..1024).all(|index| mem.read(ROOT, index) == 0));
    mem.check_settled();
}

#[test]
fn every_small_change_at_a_border_is_exact_and_can_be_undone() {
    for border in [MIB2, GIB, 512 * GIB] {
        for first in 0..7 {
            for count in 1..=4 {
                let start = border + first * PAGE_SIZE - 3 * PAGE_SIZE;
                small_change(border, start, start + count * PAGE_SIZE);
            }
        }
    }
}

fn small_change(border: u64, start: u64, end: u64) {
    let (tables, mut mem) = identity(40, 1 << 40);
    let check = |mem: &Memory, inside: Option<Leaf>| {
        for page in 0..14 {
            let address = border + page * PAGE_SIZE - 7 * PAGE_SIZE;
            let found = tables.lookup(mem, address);
            if (start..end).contains(&address) {
                assert_eq!(
                    found.map(|leaf| leaf.attributes),
                    inside.map(|leaf| leaf.attributes)
                );
            } else {
                assert_eq!(found.map(|leaf| leaf.output), Some(Hpa(address)));
            }
        }
    };
    tables.unmap(&mut mem, start, end - start).unwrap();
    check(&mem, None);
    let read_only = Leaf {
        output: Hpa(0),
        attributes: NORMAL_RO,
        level: 3,
    };
    tables
        .map(&mut mem, start, Hpa(start), end - start, NORMAL_RO)
        .unwrap();
    check(&mem, Some(read_only));
    tables
        .map(&mut mem, start, Hpa(start), end - start, NORMAL_RWX)
        .unwrap();
    assert_eq!(mem.used(), 0);
    mem.check_settled();
}

#[test]
fn attribute_bits_are_those_of_the_manual() {
    assert_eq!(NORMAL_RWX, 0x7fc);
    assert_eq!(NORMAL_RO, 0x0040_0000_0000_077c);
    assert_eq!(NORMAL_RW_XN, 0x0040_0000_0000_07fc);
    assert_eq!(DEVICE_RW, 0x0040_0000_0000_04c4);
    assert_eq!(stage1_el2::CODE, 0x7c0);
    assert_eq!(stage1_el2::RODATA, 0x0040_0000_0000_07c0);
    assert_eq!(stage1_el2::DATA, 0x0040_0000_0000_0740);
    assert_eq!(stage1_el2::DEVICE, 0x0040_0000_0000_0444);
    assert_eq!(stage1_el2::MAIR, 0x04ff);
}
