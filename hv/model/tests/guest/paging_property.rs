//! Any sequence of changes, against a list of what was asked.

use bulkhead_model::addr::{Hpa, PAGE_SIZE};
use bulkhead_model::paging::stage2::{DEVICE_RW, NORMAL_RWX};
use bulkhead_model::paging::{Tables, root_pages};
use bulkhead_model::refused::Refused;
use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::select;
use proptest::test_runner::Config;

use crate::table_memory::{Memory, ROOT};

const MIB2: u64 = 2 << 20;
const GIB: u64 = 1 << 30;

#[derive(Clone, Copy, Debug)]
struct Step {
    input: u64,
    size: u64,
    /// Offset of the output and attributes; `None` unmaps.
    mapping: Option<(u64, u64)>,
}

impl Step {
    fn covers(&self, address: u64) -> bool {
        (self.input..self.input + self.size).contains(&address)
    }

    fn try_apply(&self, tables: &Tables, mem: &mut Memory) -> Result<(), Refused> {
        let Step {
            input,
            size,
            mapping,
        } = *self;
        match mapping {
            Some((offset, attributes)) => {
                tables.map(mem, input, Hpa(input + offset), size, attributes)
            }
            None => tables.unmap(mem, input, size),
        }
    }

    fn apply(&self, tables: &Tables, mem: &mut Memory) {
        self.try_apply(tables, mem).unwrap();
    }
}

/// Addresses near the borders of blocks of all sizes.
fn address() -> impl Strategy<Value = u64> {
    let gib = select(vec![0, 1, 2, 511, 512, 513]);
    (gib, 0_u64..4, prop_oneof![0_u64..4, 508_u64..512])
        .prop_map(|(gib, block, page)| gib * GIB + block * MIB2 + page * PAGE_SIZE)
}

fn step() -> impl Strategy<Value = Step> {
    let offset = select(vec![0, 0, 0, PAGE_SIZE, MIB2, GIB]);
    let attributes = select(vec![NORMAL_RWX, NORMAL_RWX, DEVICE_RW]);
    let small = (1_u64..1100).prop_map(|pages| pages * PAGE_SIZE);
    let size = prop_oneof![
        small,
        address().prop_map(|size| (size % (3 * GIB)).max(PAGE_SIZE))
    ];
    (address(), size, prop::option::of((offset, attributes))).prop_map(|(input, size, mapping)| {
        Step {
            input,
            size,
            mapping: mapping.filter(is_cheap(size)),
        }
    })
}

/// Leaves out what would take hundreds of tables: it is the same as with a few, but slow.
fn is_cheap(size: u64) -> impl Fn(&(u64, u64)) -> bool {
    move |(offset, _)| size < 16 * MIB2 || offset.is_multiple_of(MIB2)
}

/// What the steps say about an address: output and attributes.
fn expected(steps: &[Step], address: u64) -> Option<(u64, u64)> {
    let last = steps.iter().rev().find(|step| step.covers(address))?;
    last.mapping
        .map(|(offset, attributes)| (address + offset, attributes))
}

fn samples(steps: &[Step]) -> impl Iterator<Item = u64> + '_ {
    let borders = steps
        .iter()
        .flat_map(|step| [step.input, step.input + step.size]);
    let blocks = |border: u64| [border, border & !(MIB2 - 1), border & !(GIB - 1)];
    let around = |at: u64| {
        [
            at,
            at + MIB2,
            at + GIB,
            at.saturating_sub(8),
            at + PAGE_SIZE - 1,
            at.saturating_sub(PAGE_SIZE),
        ]
    };
    borders.flat_map(blocks).flat_map(around)
}

fn check(tables: &Tables, mem: &Memory, steps: &[Step], more: &[u64]) {
    mem.check_settled();
    mem.check_merged();
    for address in samples(steps).chain(more.iter().map(|address| address % (1 << 40))) {
        let found = tables
            .lookup(mem, address)
            .map(|leaf| (leaf.output.0, leaf.attributes));
        assert_eq!(found, expected(steps, address), "at {address:#x}");
    }
}

proptest! {
    #![proptest_config(Config::with_cases(200))]

    #[test]
    fn translation_is_what_the_last_change_said(
        level_0 in any::<bool>(),
        steps in prop::collection::vec(step(), 1..8),
        more in prop::collection::vec(any::<u64>(), 50),
    ) {
        let pa_bits = if level_0 { 48 } else { 41 };
        let mut mem = Memory::new(if level_0 { 0 } else { 1 }, 512 * root_pages(pa_bits));
        let tables = Tables::for_stage2(ROOT, pa_bits).live(&mut mem);
        for count in 1..=steps.len() {
            steps[count - 1].apply(&tables, &mut mem);
            check(&tables, &mem, &steps[..count], &more);
        }
        tables.unmap(&mut mem, 0, 1 << 41).unwrap();
        mem.check_settled();
        assert_eq!(mem.used(), 0);
    }

    #[test]
    fn a_draft_becomes_the_same_tree(steps in prop::collection::vec(step(), 1..8), more in prop::collection::vec(any::<u64>(), 50)) {
        let mut mem = Memory::draft(1, 512 * root_pages(41));
        let mut tables = Tables::for_stage2(ROOT, 41);
        for Step { input, size, mapping } in steps.iter().copied() {
            match mapping {
                Some((offset, attributes)) => tables.map(&mut mem, input, Hpa(input + offset), size, attributes),
                None => tables.unmap(&mut mem, input, size),
            }.unwrap();
        }
        assert_eq!(mem.invalidate_count, 0);
        let tables = tables.live(&mut mem);
        mem.go_live();
        check(&tables, &mem, &steps, &more);
        let mut changed = Memory::new(1, 512 * root_pages(41));
        let other = Tables::for_stage2(ROOT, 41).live(&mut changed);
        steps.iter().for_each(|step| step.apply(&other, &mut changed));
        assert_eq!(mem.used(), changed.used());
    }

    #[test]
    fn what_root_gets_back_leaves_no_trace(taken in prop::collection::vec(step(), 1..8), order in any::<prop::sample::Index>()) {
        let mut mem = Memory::new(1, 512 * root_pages(41));
        let tables = Tables::for_stage2(ROOT, 41).live(&mut mem);
        let map = |mem: &mut Memory, input, size| tables.map(mem, input, Hpa(input), size, NORMAL_RWX).unwrap();
        map(&mut mem, 0, 1 << 41);
        for step in &taken {
            tables.unmap(&mut mem, step.input, step.size).unwrap();
        }
        let mut back = taken.clone();
        back.rotate_left(order.index(taken.len()));
        for step in &back {
            map(&mut mem, step.input, step.size);
        }
        mem.check_settled();
        assert_eq!(mem.used(), 0);
    }

    #[test]
    fn giving_back_takes_no_page(
        borders in prop::collection::btree_set(address(), 2..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 12),
    ) {
        let mut mem = Memory::new(1, 512 * root_pages(41));
        let tables = Tables::for_stage2(ROOT, 41).live(&mut mem);
        tables.map(&mut mem, 0, Hpa(0), 1 << 41, NORMAL_RWX).unwrap();
        let borders: Vec<u64> = borders.into_iter().collect();
        let mut windows: Vec<_> = borders.windows(2).map(|pair| (pair[0], pair[1] - pair[0], false)).collect();
        for index in &order {
            let (base, size, is_taken) = &mut windows[index.index(borders.len() - 1)];
            mem.limit = if *is_taken { mem.used() } else { 1000 };
            match *is_taken {
                true => tables.map(&mut mem, *base, Hpa(*base), *size, NORMAL_RWX).unwrap(),
                false => tables.unmap(&mut mem, *base, *size).unwrap(),
            }
            *is_taken = !*is_taken;
        }
        mem.limit = mem.used();
        for (base, size, _) in windows {
            tables.map(&mut mem, base, Hpa(base), size, NORMAL_RWX).unwrap();
        }
        mem.check_settled();
        assert_eq!(mem.used(), 0);
    }

    #[test]
    fn a_change_is_refused_or_whole(
        first in prop::collection::vec(step(), 0..5),
        then in step(),
        limit in 0_usize..12,
    ) {
        let mut mem = Memory::new(1, 512 * root_pages(41));
        let tables = Tables::for_stage2(ROOT, 41).live(&mut mem);
        first.iter().for_each(|step| step.apply(&tables, &mut mem));
        mem.limit = mem.used() + limit;
        let before = mem.clone();
        if let Err(refused) = then.try_apply(&tables, &mut mem) {
            assert!(mem == before);
            let wanted = usize::try_from(refused.a).unwrap();
            assert!(wanted > limit);
            mem.limit = mem.used() + wanted;
            then.apply(&tables, &mut mem);
        }
        mem.check_settled();
    }
}
