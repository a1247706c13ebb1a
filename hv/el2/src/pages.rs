//! EL2's own pages: table memory for the model's builder.
//!
//! While the MMU is off pages are given one after the other (no lock, no exclusive access); afterwards the buddy
//! allocator has them, behind a lock.

use core::alloc::Layout;
use core::ptr::NonNull;

use buddy_system_allocator::Heap;
use bulkhead_abi::code;
use bulkhead_model::addr::{Hpa, PAGE_SIZE};
use bulkhead_model::paging::TableMemory;
use bulkhead_model::refused::Refused;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::layout::bytes;
use crate::sysreg;

const PAGE: usize = bytes(PAGE_SIZE);
/// Entries of a page.
const ENTRIES: usize = PAGE / size_of::<u64>();

/// Blocks of up to 2^20 bytes are enough: the largest is a concatenated start-level table.
static HEAP: SpinMutex<Heap<21>> = SpinMutex::new(Heap::new());

#[inline(never)] // Once for all.
fn heap() -> SpinMutexGuard<'static, Heap<21>> {
    HEAP.lock()
}

/// Hands all of `base .. base + size` to the allocator.
///
/// # Safety
/// The memory is mapped, unused and never given to anyone else.
pub unsafe fn give(base: u64, size: u64) {
    // SAFETY: by the caller's word.
    unsafe { heap().add_to_heap(bytes(base), bytes(base + size)) };
}

/// Returns how many pages are free.
pub fn free_count() -> usize {
    let heap = heap();
    (heap.stats_total_bytes() - heap.stats_alloc_actual()) / PAGE
}

/// Allocates `count` pages of zeros (a power of two), aligned to their size.
///
/// # Errors
/// `HV_PAGES_EXHAUSTED`.
pub fn allocate(count: usize) -> Result<Hpa, Refused> {
    let exhausted = |free| Refused::new(code::HV_PAGES_EXHAUSTED, count as u64, free as u64);
    let base = Hpa(take(count).ok_or_else(|| exhausted(free_count()))?);
    // SAFETY: the block is ours, mapped, and `count` pages long.
    unsafe { fill(base, count, 0, 0) };
    Ok(base)
}

fn take(count: usize) -> Option<u64> {
    let size = count * PAGE;
    let layout = Layout::from_size_align(size, size).ok()?;
    let block = heap().alloc(layout).ok()?;
    Some(block.as_ptr() as u64)
}

/// Gives `count` pages back that [`allocate`] gave at once.
pub fn free(base: Hpa, count: usize) {
    let size = count * PAGE;
    let (Some(block), Ok(layout)) = (
        NonNull::new(base.0 as *mut u8),
        Layout::from_size_align(size, size),
    ) else {
        return;
    };
    // SAFETY: the block came from `allocate` with the same size; the model's tables and the cells free once.
    unsafe { heap().dealloc(block, layout) };
}

/// Writes `first`, `first + step` and so on to `count` pages: several at a time, as these are most of what enable executes.
///
/// # Safety
/// The pages are the caller's alone, and mapped, or the MMU is off.
unsafe fn fill(base: Hpa, count: usize, first: u64, step: u64) {
    let mut value = first;
    for index in (0..count * ENTRIES).step_by(2) {
        // SAFETY: inside the pages. Aligned, as Device memory wants it while the MMU is off.
        unsafe { entry(base, index).write_volatile(value) };
        // SAFETY: as above: there is an even number of entries.
        unsafe { entry(base, index + 1).write_volatile(value.wrapping_add(step)) };
        value = value.wrapping_add(2 * step);
    }
}

#[inline(always)]
fn entry(table: Hpa, index: usize) -> *mut u64 {
    (table.0 as *mut u64).wrapping_add(index)
}

/// Table memory, of one of three kinds.
pub enum Pages {
    /// Pages one after the other, for EL2's first tables; never freed, nothing to forget.
    First {
        /// Next page.
        next: u64,
        /// End of what may be used.
        end: u64,
    },
    /// From the allocator, for EL2's own tables.
    El2,
    /// From the allocator, for a guest's stage 2.
    Stage2 {
        /// VTTBR_EL2 of the tree.
        vttbr: u64,
    },
}

impl TableMemory for Pages {
    #[inline(always)]
    fn read(&self, table: Hpa, index: usize) -> u64 {
        // SAFETY: the model passes tables that came from `allocate`, and indices inside them.
        unsafe { entry(table, index).read_volatile() }
    }

    #[inline(always)]
    fn write(&mut self, table: Hpa, index: usize, descriptor: u64) {
        // SAFETY: as for reading; all changes of a tree happen under one lock.
        unsafe { entry(table, index).write_volatile(descriptor) };
    }

    fn complete(&mut self) {
        // DDI 0487, "Ordering of translation table walks"; the ISB for EL2's own.
        sysreg::dsb_ish();
        sysreg::isb();
    }

    fn available(&self) -> usize {
        match self {
            Self::First { next, end } => bytes((end - next) / PAGE_SIZE),
            Self::El2 | Self::Stage2 { .. } => free_count(),
        }
    }

    fn fresh(&mut self, first: u64, step: u64) -> Option<Hpa> {
        let page = match self {
            Self::First { next, end } if *next < *end => {
                let page = *next;
                *next += PAGE_SIZE;
                page
            }
            Self::First { .. } => return None,
            Self::El2 | Self::Stage2 { .. } => take(1)?,
        };
        // SAFETY: the page is mapped (or the MMU is off), unused, and ours.
        unsafe { fill(Hpa(page), 1, first, step) };
        Some(Hpa(page))
    }

    fn free(&mut self, table: Hpa) {
        if !matches!(self, Self::First { .. }) {
            free(table, 1);
        }
    }

    fn invalidate(&mut self, base: u64, size: u64) {
        match self {
            Self::First { .. } => {}
            Self::El2 => (base..base + size).step_by(PAGE).for_each(sysreg::tlbi_el2),
            Self::Stage2 { vttbr } => sysreg::tlbi_vmid(*vttbr),
        }
    }
}
