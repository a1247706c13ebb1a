//! One change of a tree: its pages are counted, then it is made.

use core::ops::{Range, RangeInclusive};

use super::descriptor::{
    ENTRIES, LAST_LEVEL, OUTPUT_BITS, VALID, entry_size, first_part, index_of, keep_attributes,
    leaf_bits, leaf_of, step, table_of, to_table,
};
use super::{Stage, TableMemory, check_range};
use crate::addr::Hpa;
use crate::refused::Refused;

/// Input addresses, `start < end`, in whole pages.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    pub start: u64,
    pub end: u64,
}

impl Span {
    /// Returns the part of it in the entry of `level` at `base`.
    fn within(self, level: u8, base: u64) -> Self {
        Self {
            start: self.start.max(base),
            end: self.end.min(base + entry_size(level)),
        }
    }

    /// Returns the entries that it touches, in a table of `level` that begins at `base`, and those that it covers.
    fn entries(self, level: u8, base: u64) -> (RangeInclusive<usize>, Range<usize>) {
        let within = entry_size(level) - 1;
        let first = index_of(level, base, self.start);
        let last = index_of(level, base, self.end - 1);
        let covered = first + usize::from(self.start & within != 0)
            ..last + usize::from(self.end & within == 0);
        (first..=last, covered)
    }
}

/// Whether the hardware may be walking the table at hand.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Walked {
    No,
    Yes,
}

/// What becomes of every page of a span.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Output minus input address, modulo 2^64.
    offset: u64,
    /// With [`VALID`]; 0 unmaps.
    attributes: u64,
}

impl Change {
    pub const UNMAP: Self = Self {
        offset: 0,
        attributes: 0,
    };

    pub fn map(input: u64, output: Hpa, size: u64, attributes: u64) -> Result<Self, Refused> {
        check_range(output.0, size, OUTPUT_BITS)?;
        Ok(Self {
            offset: output.0.wrapping_sub(input),
            attributes: keep_attributes(attributes) | VALID,
        })
    }

    fn is_map(self) -> bool {
        self.attributes != 0
    }

    /// What an entry at `base` has to hold for its pages to be as wanted, where one [can](Self::fits).
    fn wanted(self, level: u8, base: u64) -> u64 {
        if self.is_map() {
            base.wrapping_add(self.offset) | self.attributes | leaf_bits(level)
        } else {
            0
        }
    }

    /// Tells whether one entry of this level can say it: level 0 has no leaves, and outputs are aligned to their size.
    fn fits(self, level: u8) -> bool {
        !self.is_map() || (level > 0 && self.offset.is_multiple_of(entry_size(level)))
    }

    /// Returns how many pages it takes in `table`, of `level`; without a table in one that would say the same as `whole`.
    pub fn count<M: TableMemory>(
        self,
        mem: &M,
        table: Option<Hpa>,
        whole: u64,
        level: u8,
        base: u64,
        span: Span,
    ) -> usize {
        let (touched, mut covered) = span.entries(level, base);
        if !self.fits(level) {
            covered = 0..0;
        }
        let mut pages = 0;
        let mut next_index = *touched.start();
        while next_index <= *touched.end() {
            if covered.contains(&next_index) {
                next_index = covered.end;
                continue;
            }
            let index = next_index;
            next_index += 1;
            let base = base + index as u64 * entry_size(level);
            let old = match table {
                Some(table) => mem.read(table, index),
                None => first_part(whole, level) + index as u64 * step(whole, level),
            };
            if old == self.wanted(level, base) {
                continue;
            }
            let next = table_of(old, level);
            let part = span.within(level, base);
            pages +=
                usize::from(next.is_none()) + self.count(mem, next, old, level + 1, base, part);
        }
        pages
    }
}

/// A tree that is being changed. The pages that [`Change::count`] told are available.
pub struct Tree<'a, M> {
    pub mem: &'a mut M,
    pub stage: Stage,
    pub change: Change,
}

/// An entry, and the input address that it begins at.
#[derive(Clone, Copy)]
struct Slot {
    table: Hpa,
    index: usize,
    level: u8,
    base: u64,
}

impl<M: TableMemory> Tree<'_, M> {
    /// Makes the change in a table of `level` that begins at `base`. `None` when there was no page after all.
    pub fn apply(
        &mut self,
        walked: Walked,
        table: Hpa,
        level: u8,
        base: u64,
        span: Span,
    ) -> Option<()> {
        let (touched, mut covered) = span.entries(level, base);
        if !self.change.fits(level) {
            covered = 0..0;
        }
        let size = entry_size(level);
        let stride = if self.change.is_map() { size } else { 0 };
        // Input addresses of leaves that became invalid here and that TLBs may still hold.
        let mut stale = None;
        let mut index = *touched.start();
        while index <= *touched.end() {
            let base = base + index as u64 * size;
            let wanted = self.change.wanted(level, base);
            if walked == Walked::No && covered.contains(&index) {
                self.overwrite(table, level, covered.clone(), wanted, stride);
                index = covered.end;
                continue;
            }
            let slot = Slot {
                table,
                index,
                level,
                base,
            };
            index += 1;
            let old = self.mem.read(table, slot.index);
            if old == wanted {
                continue;
            }
            let mut new = Some(wanted);
            if !covered.contains(&slot.index) {
                new = self.descend(walked, slot, old, span.within(level, base))?;
            }
            match new {
                Some(new) if old == 0 => self.mem.write(table, slot.index, new),
                Some(new) => self.replace(walked, slot, old, new, &mut stale),
                None => {}
            }
        }
        self.forget(stale);
        Some(())
    }

    /// Writes entries `first`, `first + stride` and so on to a table that is not walked.
    fn overwrite(&mut self, table: Hpa, level: u8, entries: Range<usize>, first: u64, stride: u64) {
        let mut new = first;
        for index in entries {
            let old = self.mem.read(table, index);
            self.mem.write(table, index, new);
            new = new.wrapping_add(stride);
            if let Some(below) = table_of(old, level) {
                free_tree(self.mem, below, level + 1);
            }
        }
    }

    /// Makes the change below one entry. Returns what the entry has to become, if it has to change.
    fn descend(&mut self, walked: Walked, slot: Slot, old: u64, span: Span) -> Option<Option<u64>> {
        let Slot { level, base, .. } = slot;
        if let Some(next) = table_of(old, level) {
            self.apply(walked, next, level + 1, base, span)?;
            let may_merge = self.change.is_map() && self.stage == Stage::Two;
            return Some(if may_merge {
                self.merged(next, level)
            } else {
                None
            });
        }
        let below = level + 1;
        let next = self.mem.fresh(first_part(old, below), step(old, below))?;
        self.apply(Walked::No, next, below, base, span)?;
        if walked == Walked::Yes {
            self.mem.complete(); // the table's entries are visible before the one that points to them
        }
        Some(Some(to_table(next)))
    }

    /// Replaces a valid entry, where the table is walked by break-before-make; pages of a table that is replaced are freed
    /// when no walk can reach them any more.
    fn replace(
        &mut self,
        walked: Walked,
        slot: Slot,
        old: u64,
        new: u64,
        stale: &mut Option<Span>,
    ) {
        let Slot {
            table,
            index,
            level,
            base,
        } = slot;
        let below = table_of(old, level);
        if walked == Walked::Yes {
            self.mem.write(table, index, 0);
            let (start, end) = (base, base + entry_size(level));
            stale.get_or_insert(Span { start, end }).end = end;
            // Leaves that only go may wait for the next ones: one invalidation for all of them.
            if new != 0 || below.is_some() {
                self.forget(stale.take());
            }
        }
        self.mem.write(table, index, new);
        if let Some(below) = below {
            free_tree(self.mem, below, level + 1);
        }
    }

    fn forget(&mut self, stale: Option<Span>) {
        if let Some(Span { start, end }) = stale {
            self.mem.invalidate(start, end - start);
        }
    }

    /// Returns the leaf of `level` that says the same as all of `table` below it.
    fn merged(&self, table: Hpa, level: u8) -> Option<u64> {
        let first = self.mem.read(table, 0);
        let (output, attributes) = leaf_of(first, level + 1)?;
        let size = entry_size(level + 1);
        let same = |index| self.mem.read(table, index) == first + index as u64 * size;
        let fits = level > 0 && output.is_multiple_of(entry_size(level));
        (fits && (1..ENTRIES).all(same)).then_some(output | attributes | leaf_bits(level))
    }
}

/// Frees a table of `level` and all below it. No walk can reach it.
pub fn free_tree<M: TableMemory>(mem: &mut M, table: Hpa, level: u8) {
    if level < LAST_LEVEL {
        for index in 0..ENTRIES {
            if let Some(next) = table_of(mem.read(table, index), level) {
                free_tree(mem, next, level + 1);
            }
        }
    }
    mem.free(table);
}
