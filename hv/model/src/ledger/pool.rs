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
        let used = self.cells.iter().flatten().flat_map(|cell| &cell.memory);
        let used: u64 = used.map(|window| window.hpa.size()).sum();
        self.pool.map_or(0, |pool| pool.size().saturating_sub(used))
    }

    /// Bytes of the largest free range of the pool.
    pub fn pool_largest(&self) -> u64 {
        self.largest_free(&[])
    }

    /// Same, when `taken` is no longer free.
    pub(super) fn largest_free(&self, taken: &[Region<Hpa>]) -> u64 {
        let Some(pool) = self.pool else { return 0 };
        let (mut start, mut largest) = (pool.base(), 0);
        loop {
            let next = self.next_used(start, taken);
            let end = next.map_or(pool.end(), |used| used.base());
            largest = largest.max(end.0 - start.0);
            match next {
                Some(used) => start = used.end(),
                None => return largest,
            }
        }
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
            match self.next_used(region.base(), taken) {
                Some(used) if used.overlaps(&region) => start = used.end(),
                _ => return Some(region),
            }
        }
    }

    /// The lowest part of the pool that a cell has, or that is `taken`, of those that end behind `from`.
    fn next_used(&self, from: Hpa, taken: &[Region<Hpa>]) -> Option<Region<Hpa>> {
        let mut next: Option<Region<Hpa>> = None;
        let mut see = |region: Region<Hpa>| {
            if region.end() > from && next.is_none_or(|next| region.base() < next.base()) {
                next = Some(region);
            }
        };
        for cell in self.cells.iter().flatten() {
            cell.memory.iter().for_each(|window| see(window.hpa));
        }
        taken.iter().for_each(|region| see(*region));
        next
    }
}
