//! Translation tables: VMSAv8-64, 4 KiB granule, 48-bit output (Arm ARM DDI 0487, "The AArch64 Virtual Memory System
//! Architecture"). Stage 2 of root and of cells, and EL2's own stage 1.
//!
//! One rule: a valid entry of a live tree never becomes a different valid one. It becomes invalid, the TLBs forget it, then
//! the new one is written (DDI 0487, "Using break-before-make when updating translation table entries"). A draft, which
//! nothing walks, is just written. A change is counted before it is made: it happens whole, or is refused with nothing
//! written.

use core::marker::PhantomData;

use crate::addr::{Hpa, PAGE_SIZE};
use crate::refused::Refused;
use bulkhead_abi::code;

mod change;
mod descriptor;
pub mod stage1_el2;
pub mod stage2;

use change::{Change, Span, Tree, Walked};
use descriptor::LAST_LEVEL;

/// Where tables live. EL2 implements it with volatile stores and barriers, tests with a vector.
pub trait TableMemory {
    /// Reads an entry. `index` exceeds 511 in a start-level table that is concatenated from several pages.
    fn read(&self, table: Hpa, index: usize) -> u64;
    /// Writes an entry with one 64-bit store.
    fn write(&mut self, table: Hpa, index: usize, descriptor: u64);
    /// Makes all entries written before visible to table walks before what follows.
    fn complete(&mut self);
    /// Number of pages that [`Self::fresh`] is sure to give.
    fn available(&self) -> usize;
    /// Gives a page, aligned to its size, with entries `first`, `first + step`, and so on.
    fn fresh(&mut self, first: u64, step: u64) -> Option<Hpa>;
    /// Takes a page back.
    fn free(&mut self, table: Hpa);
    /// Makes every TLB forget these input addresses, walk caches included, after all entries written before are visible;
    /// complete on return.
    fn invalidate(&mut self, base: u64, size: u64);
}

/// What an address translates to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Leaf {
    /// Output address of the very input address that was looked up.
    pub output: Hpa,
    /// Attribute bits of the descriptor.
    pub attributes: u64,
    /// Level of the entry: 1 for 1 GiB, 2 for 2 MiB, 3 for 4 KiB.
    pub level: u8,
}

/// No variant is 0: `None` of an `Option<Tables>` is, and a `static` of them costs the image nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// EL2's own. EL2 runs on it, so equal neighbours are not merged: that would take a valid entry away for a moment.
    One = 1,
    Two = 2,
}

/// State of [`Tables`] that no hardware walks yet.
#[derive(Debug)]
pub struct Draft;
/// State of [`Tables`] that hardware may walk.
#[derive(Debug)]
pub struct Live;

/// A tree of tables. The caller owns the start-level pages, the tree owns the others.
#[derive(Debug)]
pub struct Tables<S = Live> {
    root: Hpa,
    start_level: u8,
    input_bits: u8,
    stage: Stage,
    state: PhantomData<S>,
}

/// Largest input address, bits, that starts at level 1: 39 bits in one table, 16 tables concatenated (DDI 0487,
/// "Concatenated translation tables"). Level 0 then needs an implemented physical address of 44 bits or more.
const LEVEL_1_MAX_BITS: u8 = 43;

/// Returns how many bits of `pa_bits` stage 2 translates: no fewer than 32, and 48 at most with this granule.
const fn stage2_bits(pa_bits: u8) -> u8 {
    if pa_bits > 48 {
        48
    } else if pa_bits < 32 {
        32
    } else {
        pa_bits
    }
}

/// Pages of a stage-2 start-level table for `pa_bits` of input address. They are contiguous, and aligned to all their size.
#[must_use]
pub const fn root_pages(pa_bits: u8) -> usize {
    match stage2_bits(pa_bits) {
        bits @ 40..=LEVEL_1_MAX_BITS => 1 << (bits - 39),
        _ => 1,
    }
}

impl Tables<Draft> {
    /// Stage 2 for input addresses of `pa_bits` bits (at most what the CPU implements), in [`root_pages`] pages of zeros.
    #[must_use]
    pub const fn for_stage2(root: Hpa, pa_bits: u8) -> Self {
        let input_bits = stage2_bits(pa_bits);
        let start_level = if input_bits <= LEVEL_1_MAX_BITS { 1 } else { 0 };
        Self::new(root, start_level, input_bits, Stage::Two)
    }

    /// EL2's own stage 1: 48 bits from level 0, in one page of zeros.
    #[must_use]
    pub const fn for_stage1(root: Hpa) -> Self {
        Self::new(root, 0, 48, Stage::One)
    }

    /// Maps `size` bytes at `input` to `output`, with the largest blocks; what was mapped there before is replaced.
    ///
    /// # Errors
    /// `EMPTY`, `UNALIGNED`, `WRAPS` (either address); `HV_PAGES_EXHAUSTED`.
    pub fn map<M: TableMemory>(
        &mut self,
        mem: &mut M,
        input: u64,
        output: Hpa,
        size: u64,
        attributes: u64,
    ) -> Result<(), Refused> {
        let change = Change::map(input, output, size, attributes)?;
        self.change(mem, Walked::No, input, size, change)
    }

    /// Unmaps `size` bytes at `input`; what is not mapped there stays so.
    ///
    /// # Errors
    /// `EMPTY`, `UNALIGNED`, `WRAPS`; `HV_PAGES_EXHAUSTED` (a block is split when a part of it goes).
    pub fn unmap<M: TableMemory>(
        &mut self,
        mem: &mut M,
        input: u64,
        size: u64,
    ) -> Result<(), Refused> {
        self.change(mem, Walked::No, input, size, Change::UNMAP)
    }

    /// Completes it: from now on it may be walked.
    #[must_use]
    pub fn live<M: TableMemory>(self, mem: &mut M) -> Tables<Live> {
        mem.complete();
        Tables::new(self.root, self.start_level, self.input_bits, self.stage)
    }
}

impl<S> Tables<S> {
    const fn new(root: Hpa, start_level: u8, input_bits: u8, stage: Stage) -> Self {
        Self {
            root,
            start_level,
            input_bits,
            stage,
            state: PhantomData,
        }
    }

    /// The start-level table, for VTTBR_EL2 or TTBR0_EL2.
    #[must_use]
    pub const fn root(&self) -> Hpa {
        self.root
    }

    /// Pages of the start-level table.
    #[must_use]
    pub const fn root_pages(&self) -> usize {
        self.root_entries().div_ceil(descriptor::ENTRIES)
    }

    /// Value of the field `VTCR_EL2.SL0` (4 KiB granule: 2 is level 0, 1 is level 1).
    #[must_use]
    pub const fn vtcr_sl0(&self) -> u64 {
        2 - self.start_level as u64
    }

    /// Value of the field `VTCR_EL2.T0SZ` or `TCR_EL2.T0SZ`.
    #[must_use]
    pub const fn t0sz(&self) -> u64 {
        64 - self.input_bits as u64
    }

    /// Translates an address as the hardware does.
    #[must_use]
    pub fn lookup<M: TableMemory>(&self, mem: &M, input: u64) -> Option<Leaf> {
        if input >> self.input_bits != 0 {
            return None;
        }
        let mut table = self.root;
        let mut base = 0;
        for level in self.start_level..=LAST_LEVEL {
            let index = descriptor::index_of(level, base, input);
            base += index as u64 * descriptor::entry_size(level);
            let entry = mem.read(table, index);
            if let Some((output, attributes)) = descriptor::leaf_of(entry, level) {
                return Some(Leaf {
                    output: Hpa(output + (input - base)),
                    attributes,
                    level,
                });
            }
            table = descriptor::table_of(entry, level)?;
        }
        None
    }

    fn change<M: TableMemory>(
        &self,
        mem: &mut M,
        walked: Walked,
        input: u64,
        size: u64,
        change: Change,
    ) -> Result<(), Refused> {
        check_range(input, size, self.input_bits)?;
        let span = Span {
            start: input,
            end: input + size,
        };
        let wanted = change.count(mem, Some(self.root), 0, self.start_level, 0, span);
        let free = mem.available();
        let exhausted = Refused::new(code::HV_PAGES_EXHAUSTED, wanted as u64, free as u64);
        if wanted > free {
            return Err(exhausted);
        }
        let mut tree = Tree {
            mem,
            stage: self.stage,
            change,
        };
        tree.apply(walked, self.root, self.start_level, 0, span)
            .ok_or(exhausted)
    }

    const fn root_entries(&self) -> usize {
        1 << (self.input_bits - descriptor::entry_bits(self.start_level))
    }
}

impl Tables<Live> {
    /// EL2's own stage 1 as [`Tables::for_stage1`] made it, found again by the CPU that runs on it.
    #[must_use]
    pub const fn of_stage1(root: Hpa) -> Self {
        Self::new(root, 0, 48, Stage::One)
    }

    /// As [`Tables::<Draft>::map`], by break-before-make; complete on return.
    ///
    /// # Errors
    /// The same.
    pub fn map<M: TableMemory>(
        &self,
        mem: &mut M,
        input: u64,
        output: Hpa,
        size: u64,
        attributes: u64,
    ) -> Result<(), Refused> {
        let change = Change::map(input, output, size, attributes)?;
        self.change(mem, Walked::Yes, input, size, change)?;
        mem.complete();
        Ok(())
    }

    /// As [`Tables::<Draft>::unmap`]; complete on return. Tables that only a part of this emptied stay: mapping the same
    /// back then takes no page, and cannot fail.
    ///
    /// # Errors
    /// The same.
    pub fn unmap<M: TableMemory>(&self, mem: &mut M, input: u64, size: u64) -> Result<(), Refused> {
        self.change(mem, Walked::Yes, input, size, Change::UNMAP)?;
        mem.complete();
        Ok(())
    }

    /// Makes all start-level entries invalid but keeps what they point to for [`Self::free_all`]: whoever runs on this
    /// tree faults at its next access. Neither `map` nor `unmap` may follow before [`Self::restore_all`].
    pub fn revoke_all<M: TableMemory>(&self, mem: &mut M) {
        for index in 0..self.root_entries() {
            let entry = mem.read(self.root, index);
            mem.write(self.root, index, entry & !descriptor::VALID);
        }
        mem.invalidate(0, 1 << self.input_bits);
    }

    /// Undoes [`Self::revoke_all`]. Nobody runs on this tree meanwhile.
    pub fn restore_all<M: TableMemory>(&self, mem: &mut M) {
        for index in 0..self.root_entries() {
            let entry = mem.read(self.root, index);
            if entry != 0 {
                mem.write(self.root, index, entry | descriptor::VALID);
            }
        }
        mem.complete();
    }

    /// Frees all tables but the start-level one, which is then empty. Nobody may run on this tree any more.
    pub fn free_all<M: TableMemory>(&self, mem: &mut M) {
        self.revoke_all(mem);
        for index in 0..self.root_entries() {
            let entry = mem.read(self.root, index);
            mem.write(self.root, index, 0);
            if let Some(next) = descriptor::table_of(entry | descriptor::VALID, self.start_level) {
                change::free_tree(mem, next, self.start_level + 1);
            }
        }
    }
}

fn check_range(base: u64, size: u64, bits: u8) -> Result<(), Refused> {
    if size == 0 {
        return Err(Refused::new(code::EMPTY, base, size));
    }
    if !(base | size).is_multiple_of(PAGE_SIZE) {
        return Err(Refused::new(code::UNALIGNED, base, size));
    }
    match base.checked_add(size) {
        Some(end) if end <= 1 << bits => Ok(()),
        _ => Err(Refused::new(code::WRAPS, base, size)),
    }
}
