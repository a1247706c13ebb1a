//! Memory for tables, and TLBs that remember: it panics when the rules of break-before-make are broken, or when a table is
//! walked whose entries were not complete.

use std::collections::{BTreeMap, BTreeSet};

use bulkhead_model::addr::{Hpa, PAGE_SIZE};
use bulkhead_model::paging::TableMemory;

pub const ROOT: Hpa = Hpa(0x10_0000);
const HEAP: u64 = 0x100_0000;
const VALID: u64 = 1;
const ADDRESS: u64 = 0xffff_ffff_f000;

/// An entry that the hardware could see until it was made invalid, and that TLBs may hold until told.
#[derive(Clone, Debug, PartialEq)]
struct Stale {
    start: u64,
    end: u64,
    /// Tables that a walk could still be in.
    tables: BTreeSet<u64>,
}

#[derive(Clone, PartialEq)]
pub struct Memory {
    pages: BTreeMap<u64, Vec<u64>>,
    start_level: u8,
    /// Tables that a walk from the root reaches, with level and input address.
    live: BTreeMap<u64, (u8, u64)>,
    pub limit: usize,
    freed: Vec<u64>,
    stale: BTreeMap<(u64, usize), Stale>,
    /// Tables with entries that walks may not see yet.
    incomplete: BTreeSet<u64>,
    pub complete_count: usize,
    pub write_count: usize,
    pub invalidate_count: usize,
}

impl Memory {
    /// Of a tree that nothing walks before [`Self::go_live`].
    pub fn draft(start_level: u8, root_entries: usize) -> Self {
        Self {
            live: BTreeMap::new(),
            ..Self::new(start_level, root_entries)
        }
    }

    /// The hardware walks it from now on.
    pub fn go_live(&mut self) {
        assert!(self.live.is_empty());
        self.live = self.below(ROOT.0, self.start_level, 0);
        self.check_complete();
    }

    fn check_complete(&self) {
        let walked = |table: &&u64| self.live.contains_key(*table);
        let hidden: Vec<_> = self.incomplete.iter().filter(walked).collect();
        assert!(hidden.is_empty(), "not complete: {hidden:x?}");
    }

    pub fn new(start_level: u8, root_entries: usize) -> Self {
        Self {
            pages: BTreeMap::from([(ROOT.0, vec![0; root_entries])]),
            start_level,
            live: BTreeMap::from([(ROOT.0, (start_level, 0))]),
            limit: 100_000,
            freed: Vec::new(),
            stale: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            complete_count: 0,
            write_count: 0,
            invalidate_count: 0,
        }
    }

    /// Tables in use, the start-level one not counted.
    pub fn used(&self) -> usize {
        self.pages.len() - 1
    }

    /// Nothing is waiting for an invalidation, every table can be reached, every leaf is one.
    pub fn check_settled(&self) {
        assert!(self.stale.is_empty(), "TLBs still hold {:x?}", self.stale);
        self.check_complete();
        let reached = self.below(ROOT.0, self.start_level, 0);
        assert!(
            reached.keys().eq(self.pages.keys()),
            "leaked or lost tables"
        );
        reached
            .iter()
            .for_each(|(table, (level, _))| self.check_leaves(*table, *level));
    }

    /// Leaves are where the hardware takes them, and aligned as it takes them.
    fn check_leaves(&self, table: u64, level: u8) {
        for entry in &self.pages[&table] {
            if entry & VALID != 0 && (level == 3 || entry & 2 == 0) {
                let size = 1_u64 << (39 - 9 * level);
                assert!(
                    level > 0 && (entry & ADDRESS).is_multiple_of(size),
                    "{entry:#x} at level {level}"
                );
            }
        }
    }

    /// No table says what one entry could say.
    pub fn check_merged(&self) {
        for (table, (level, _)) in self.below(ROOT.0, self.start_level, 0) {
            let entries = &self.pages[&table];
            let step = 1_u64 << (39 - 9 * level);
            let first = entries[0];
            let follows = |(i, entry): (usize, &u64)| *entry == first.wrapping_add(i as u64 * step);
            let leaf = first & VALID != 0 && (level == 3 || first & 2 == 0);
            let fits = level > 1 && (first & ADDRESS).is_multiple_of(step << 9);
            let is_uniform = entries.iter().enumerate().all(follows);
            assert!(
                table == ROOT.0 || !(is_uniform && leaf && fits),
                "table at level {level} not merged"
            );
        }
    }

    /// Tables from `table` on, with level and input address.
    fn below(&self, table: u64, level: u8, base: u64) -> BTreeMap<u64, (u8, u64)> {
        let mut found = BTreeMap::from([(table, (level, base))]);
        for (index, entry) in self.pages[&table].iter().enumerate() {
            if level < 3 && entry & 3 == 3 {
                let base = base + ((index as u64) << (39 - 9 * level));
                found.extend(self.below(entry & ADDRESS, level + 1, base));
            }
        }
        found
    }
}

impl TableMemory for Memory {
    fn read(&self, table: Hpa, index: usize) -> u64 {
        self.pages[&table.0][index]
    }

    fn write(&mut self, table: Hpa, index: usize, descriptor: u64) {
        self.write_count += 1;
        let old = self.pages[&table.0][index];
        self.pages.get_mut(&table.0).unwrap()[index] = descriptor;
        if descriptor & VALID != 0 {
            self.incomplete.insert(table.0);
        }
        let Some(&(level, base)) = self.live.get(&table.0) else {
            return;
        };
        let is_valid = descriptor & VALID != 0;
        let unchanged = old == descriptor;
        assert!(
            old & VALID == 0 || !is_valid || unchanged,
            "valid {old:#x} became {descriptor:#x}"
        );
        assert!(
            !is_valid || !self.stale.contains_key(&(table.0, index)),
            "made before forgotten"
        );
        let size = 1_u64 << (39 - 9 * level);
        let start = base + index as u64 * size;
        let subtree = |entry: u64| match level < 3 && entry & 3 == 3 {
            true => self.below(entry & ADDRESS, level + 1, start),
            false => BTreeMap::new(),
        };
        let (gone, new) = (subtree(old), subtree(descriptor));
        let hidden = new.keys().find(|table| self.incomplete.contains(table));
        assert!(hidden.is_none(), "linked before complete: {hidden:x?}");
        for table in gone.keys() {
            self.live.remove(table);
        }
        self.live.extend(new);
        if old & VALID != 0 && !is_valid {
            let tables = gone.into_keys().collect();
            self.stale.insert(
                (table.0, index),
                Stale {
                    start,
                    end: start + size,
                    tables,
                },
            );
        }
    }

    fn available(&self) -> usize {
        self.limit - self.used()
    }

    fn complete(&mut self) {
        self.complete_count += 1;
        self.incomplete.clear();
    }

    fn fresh(&mut self, first: u64, step: u64) -> Option<Hpa> {
        if self.available() == 0 {
            return None;
        }
        let fresh = || HEAP + self.pages.len() as u64 * PAGE_SIZE;
        let page = self.freed.pop().unwrap_or_else(fresh);
        let entries = (0..512).map(|index| first + index * step).collect();
        assert!(self.pages.insert(page, entries).is_none());
        self.incomplete.insert(page);
        Some(Hpa(page))
    }

    fn free(&mut self, table: Hpa) {
        assert!(!self.live.contains_key(&table.0), "freed while in the tree");
        assert!(
            self.stale
                .values()
                .all(|stale| !stale.tables.contains(&table.0)),
            "freed while walked"
        );
        assert!(self.pages.remove(&table.0).is_some(), "freed twice");
        self.incomplete.remove(&table.0);
        self.freed.push(table.0);
    }

    fn invalidate(&mut self, base: u64, size: u64) {
        self.invalidate_count += 1;
        self.complete(); // a part of it
        self.stale
            .retain(|_, stale| stale.start < base || base + size < stale.end);
    }
}
