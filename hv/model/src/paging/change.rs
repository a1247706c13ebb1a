//! One change of a tree: counted by the same steps that make it.

use super::descriptor::{
    ENTRIES, Entry, LAST_LEVEL, OUTPUT_BITS, entry_size, index_of, keep_attributes,
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
    /// Returns the part of it in the entry of `level` at `base`; empty (`start >= end`) when they do not overlap.
    fn within(self, level: u8, base: u64) -> Self {
        Self {
            start: self.start.max(base),
            end: self.end.min(base + entry_size(level)),
        }
    }

    fn covers(self, level: u8, base: u64) -> bool {
        self.start <= base && base + entry_size(level) <= self.end
    }

    /// Returns index and base of the entries that it touches, in a table of `level` that begins at `base`.
    fn entries(self, level: u8, base: u64) -> impl Iterator<Item = (usize, u64)> {
        let size = entry_size(level);
        let first = index_of(level, base, self.start);
        let last = index_of(level, base, self.end - 1);
        (first..=last).map(move |index| (index, base + index as u64 * size))
    }
}

/// What becomes of every page of a span.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    Map {
        /// Output minus input address, modulo 2^64.
        offset: u64,
        attributes: u64,
    },
    Unmap,
}

/// What becomes of one entry.
enum Step {
    Keep,
    Put(Entry),
    /// Only a part of it changes, or one entry of this level cannot say the change.
    Descend,
}

impl Change {
    pub fn map(input: u64, output: Hpa, size: u64, attributes: u64) -> Result<Self, Refused> {
        check_range(output.0, size, OUTPUT_BITS)?;
        let offset = output.0.wrapping_sub(input);
        Ok(Self::Map {
            offset,
            attributes: keep_attributes(attributes),
        })
    }

    /// What an entry at `base` has to hold for its pages to be as wanted; for a mapping perhaps not possible.
    fn wanted(self, base: u64) -> Entry {
        match self {
            Self::Unmap => Entry::Invalid,
            Self::Map { offset, attributes } => Entry::Leaf {
                output: base.wrapping_add(offset),
                attributes,
            },
        }
    }

    fn step(self, old: Entry, level: u8, base: u64, span: Span) -> Step {
        let wanted = self.wanted(base);
        if old == wanted {
            Step::Keep
        } else if span.covers(level, base) && wanted.fits(level) {
            Step::Put(wanted)
        } else {
            Step::Descend
        }
    }

    /// Returns how many table pages it takes, below `node`: a table of `level`, or what one would be made from.
    pub fn count<M: TableMemory>(
        self,
        mem: &M,
        node: Entry,
        level: u8,
        base: u64,
        span: Span,
    ) -> usize {
        let mut pages = 0;
        for (index, base) in span.entries(level, base) {
            let old = node.child(mem, level, index);
            if let Step::Descend = self.step(old, level, base, span) {
                let new_table = usize::from(!matches!(old, Entry::Table(_)));
                pages +=
                    new_table + self.count(mem, old, level + 1, base, span.within(level, base));
            }
        }
        pages
    }

    /// Makes it in a live table. The pages that [`Self::count`] told are available.
    pub fn apply<M: TableMemory>(
        self,
        mem: &mut M,
        stage: Stage,
        table: Hpa,
        level: u8,
        base: u64,
        span: Span,
    ) {
        let mut live = Live {
            mem,
            table,
            level,
            stale: None,
        };
        for (index, base) in span.entries(level, base) {
            let old = Entry::read(live.mem, table, index, level);
            match (self.step(old, level, base, span), old) {
                (Step::Keep, _) => {}
                (Step::Put(new), _) => live.replace(index, base, old, new),
                (Step::Descend, Entry::Table(next)) => {
                    self.apply(
                        live.mem,
                        stage,
                        next,
                        level + 1,
                        base,
                        span.within(level, base),
                    );
                    if let (Self::Map { .. }, Stage::Two, Some(whole)) =
                        (self, stage, merged(live.mem, next, level))
                    {
                        live.replace(index, base, old, whole);
                    }
                }
                (Step::Descend, old) => {
                    let next = self.build(live.mem, old, level + 1, base, span.within(level, base));
                    live.replace(index, base, old, Entry::Table(next));
                }
            }
        }
        live.forget_stale();
    }

    /// Makes a table that says what `whole` said, but for this change. Nothing points to it yet.
    fn build<M: TableMemory>(
        self,
        mem: &mut M,
        whole: Entry,
        level: u8,
        base: u64,
        span: Span,
    ) -> Hpa {
        let Some(table) = mem.allocate() else {
            panic!("pages were counted")
        };
        let size = entry_size(level);
        for index in 0..ENTRIES {
            let base = base + index as u64 * size;
            let old = whole.part(level, index);
            let part = span.within(level, base);
            let new = if part.start >= part.end {
                old
            } else {
                match self.step(old, level, base, span) {
                    Step::Keep => old,
                    Step::Put(new) => new,
                    Step::Descend => Entry::Table(self.build(mem, old, level + 1, base, part)),
                }
            };
            if new != Entry::Invalid {
                mem.write(table, index, new.encode(level));
            }
        }
        table
    }
}

/// A table that the hardware may be walking.
struct Live<'a, M> {
    mem: &'a mut M,
    table: Hpa,
    level: u8,
    /// Input addresses of leaves that became invalid here and that TLBs may still hold.
    stale: Option<Span>,
}

impl<M: TableMemory> Live<'_, M> {
    /// Break-before-make; pages of a table that is replaced are freed when no walk can reach them any more.
    fn replace(&mut self, index: usize, base: u64, old: Entry, new: Entry) {
        let size = entry_size(self.level);
        if old != Entry::Invalid {
            self.mem
                .write(self.table, index, Entry::Invalid.encode(self.level));
            let stale = self.stale.get_or_insert(Span {
                start: base,
                end: base,
            });
            stale.end = base + size;
            // Leaves that only go may wait for the next ones: one invalidation for all of them.
            if !matches!((old, new), (Entry::Leaf { .. }, Entry::Invalid)) {
                self.forget_stale();
            }
        }
        if new != Entry::Invalid {
            self.mem.write(self.table, index, new.encode(self.level));
        }
        if let Entry::Table(table) = old {
            free_tree(self.mem, table, self.level + 1);
        }
    }

    fn forget_stale(&mut self) {
        if let Some(Span { start, end }) = self.stale.take() {
            self.mem.invalidate(start, end - start);
        }
    }
}

/// Returns the leaf of `level` that says the same as all of `table` below it.
fn merged<M: TableMemory>(mem: &M, table: Hpa, level: u8) -> Option<Entry> {
    let whole = Entry::read(mem, table, 0, level + 1);
    let same = |index| Entry::read(mem, table, index, level + 1) == whole.part(level + 1, index);
    let is_leaf = matches!(whole, Entry::Leaf { .. });
    (is_leaf && whole.fits(level) && (1..ENTRIES).all(same)).then_some(whole)
}

/// Frees a table of `level` and all below it. No walk can reach it.
pub fn free_tree<M: TableMemory>(mem: &mut M, table: Hpa, level: u8) {
    if level < LAST_LEVEL {
        for index in 0..ENTRIES {
            if let Entry::Table(next) = Entry::read(mem, table, index, level) {
                free_tree(mem, next, level + 1);
            }
        }
    }
    mem.free(table);
}
