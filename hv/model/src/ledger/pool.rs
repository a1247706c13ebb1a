//! The pool: the memory that cells are made of. What of it is free follows from what the cells have.
//!
//! One rule: a cell's region is contiguous, so that it can be mapped by blocks.

use super::Ledger;
use crate::addr::{Gpa, Hpa, PAGE_SIZE, Region};

/// What one stage-2 entry of level 2 maps, bytes (Arm ARM DDI 0487, 4 KiB granule).
const BLOCK_SIZE: u64 = 0x20_0000;

impl Ledger {
    /// Free bytes of the pool.
    pub fn pool_free(&self) -> u64 {
        let used: u64 = self.used().map(|region| region.size()).sum();
        self.pool.map_or(0, |pool| pool.size().saturating_sub(used))
    }

    /// Bytes of the largest free range of the pool.
    pub fn pool_largest(&self) -> u64 {
        self.largest_free(&[])
    }

    /// Same, when `taken` is no longer free.
    pub(super) fn largest_free(&self, taken: &[Region<Hpa>]) -> u64 {
        let Some(pool) = self.pool else { return 0 };
        let used = || self.used().chain(taken.iter().copied());
        let gap = |start: Hpa| {
            if used().any(|region| region.contains(start)) {
                return 0;
            }
            let next = used()
                .map(|region| region.base())
                .filter(|base| *base >= start)
                .min();
            next.unwrap_or(pool.end()).0 - start.0
        };
        used()
            .map(|region| region.end())
            .chain([pool.base()])
            .map(gap)
            .max()
            .unwrap_or(0)
    }

    /// Finds the first free range of the pool for `size` bytes seen at `gpa`.
    ///
    /// A region of a block or more is put where blocks can map it, if there is room there; else at any page.
    pub(super) fn first_fit(
        &self,
        gpa: Gpa,
        size: u64,
        taken: &[Region<Hpa>],
    ) -> Option<Region<Hpa>> {
        let by_block = (size >= BLOCK_SIZE)
            .then(|| self.fit(gpa, size, BLOCK_SIZE, taken))
            .flatten();
        by_block.or_else(|| self.fit(gpa, size, PAGE_SIZE, taken))
    }

    /// Same, at an address that equals `gpa` modulo `alignment`.
    fn fit(
        &self,
        gpa: Gpa,
        size: u64,
        alignment: u64,
        taken: &[Region<Hpa>],
    ) -> Option<Region<Hpa>> {
        let pool = self.pool?;
        let mut start = pool.base();
        loop {
            let skip = gpa.0.wrapping_sub(start.0) % alignment;
            let region = Region::pages(Hpa(start.0.checked_add(skip)?), size).ok()?;
            if !pool.covers(&region) {
                return None;
            }
            match self
                .used()
                .chain(taken.iter().copied())
                .find(|used| used.overlaps(&region))
            {
                Some(used) => start = used.end(),
                None => return Some(region),
            }
        }
    }

    /// The parts of the pool that cells have.
    fn used(&self) -> impl Iterator<Item = Region<Hpa>> + '_ {
        self.cells()
            .flat_map(|(_, cell)| cell.memory.iter().map(|window| window.hpa))
    }
}
