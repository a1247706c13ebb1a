//! EL2's own pages: table memory for the model's builder.
//!
//! [`FirstPages`] gives pages one after the other while the MMU is off (no lock, no exclusive access); afterwards
//! [`Pages`] uses the buddy allocator behind a lock.

use core::alloc::Layout;
use core::ptr::NonNull;

use bulkhead_model::addr::{Hpa, PAGE_SIZE};
use bulkhead_model::paging::TableMemory;
use buddy_system_allocator::Heap;
use spin::mutex::SpinMutex;

use crate::sysreg;

/// Blocks of up to 2^20 bytes are enough: the largest is a concatenated start-level table.
static HEAP: SpinMutex<Heap<21>> = SpinMutex::new(Heap::new());

/// Hands all of `base .. base + size` to the allocator.
///
/// # Safety
/// The memory is mapped, unused and never given to anyone else.
pub unsafe fn give(base: u64, size: u64) {
    // SAFETY: by the caller's word.
    unsafe { HEAP.lock().add_to_heap(base as usize, (base + size) as usize) };
}

/// Returns how many pages are free.
pub fn free_count() -> usize {
    let heap = HEAP.lock();
    (heap.stats_total_bytes() - heap.stats_alloc_actual()) / PAGE_SIZE as usize
}

/// Allocates `count` pages of zeros (a power of two), aligned to their size.
pub fn allocate(count: usize) -> Option<Hpa> {
    let size = count * PAGE_SIZE as usize;
    let layout = Layout::from_size_align(size, size).ok()?;
    let block = HEAP.lock().alloc(layout).ok()?;
    // SAFETY: the block is ours, mapped, and `size` bytes long.
    unsafe { block.as_ptr().write_bytes(0, size) };
    Some(Hpa(block.as_ptr() as u64))
}

/// Gives `count` pages back that [`allocate`] gave at once.
pub fn free(base: Hpa, count: usize) {
    let size = count * PAGE_SIZE as usize;
    let (Some(block), Ok(layout)) = (NonNull::new(base.0 as *mut u8), Layout::from_size_align(size, size)) else {
        return;
    };
    // SAFETY: the block came from `allocate` with the same size; the model's tables and the cells free once.
    unsafe { HEAP.lock().dealloc(block, layout) };
}

fn entry(table: Hpa, index: usize) -> *mut u64 {
    (table.0 as *mut u64).wrapping_add(index)
}

fn read_entry(table: Hpa, index: usize) -> u64 {
    // SAFETY: the model passes tables that came from an allocator below, and indices inside them.
    unsafe { entry(table, index).read_volatile() }
}

fn write_entry(table: Hpa, index: usize, descriptor: u64) {
    // SAFETY: as for reading; all changes of a tree happen under one lock.
    unsafe { entry(table, index).write_volatile(descriptor) };
    // The entry is visible to table walkers before whatever follows (DDI 0487, "Ordering of translation table walks").
    sysreg::dsb_ish();
}

/// Which translations `invalidate` forgets.
#[derive(Clone, Copy)]
pub enum Regime {
    /// EL2's own.
    El2,
    /// The guest's of this VMID.
    Stage2 {
        /// VTTBR_EL2 of the tree.
        vttbr: u64,
    },
}

/// Pages from the allocator.
pub struct Pages(pub Regime);

impl TableMemory for Pages {
    fn read(&self, table: Hpa, index: usize) -> u64 {
        read_entry(table, index)
    }

    fn write(&mut self, table: Hpa, index: usize, descriptor: u64) {
        write_entry(table, index, descriptor);
    }

    fn available(&self) -> usize {
        free_count()
    }

    fn allocate(&mut self) -> Option<Hpa> {
        allocate(1)
    }

    fn free(&mut self, table: Hpa) {
        free(table, 1);
    }

    fn invalidate(&mut self, base: u64, size: u64) {
        match self.0 {
            Regime::El2 => (base..base + size).step_by(PAGE_SIZE as usize).for_each(sysreg::tlbi_el2),
            Regime::Stage2 { vttbr } => sysreg::tlbi_vmid(vttbr),
        }
    }
}

/// Pages one after the other, for the first tables; never freed.
pub struct FirstPages {
    /// Next page.
    pub next: u64,
    /// End of what may be used.
    pub end: u64,
}

impl TableMemory for FirstPages {
    fn read(&self, table: Hpa, index: usize) -> u64 {
        read_entry(table, index)
    }

    fn write(&mut self, table: Hpa, index: usize, descriptor: u64) {
        write_entry(table, index, descriptor);
    }

    fn available(&self) -> usize {
        ((self.end - self.next) / PAGE_SIZE) as usize
    }

    fn allocate(&mut self) -> Option<Hpa> {
        if self.next >= self.end {
            return None;
        }
        let page = self.next;
        self.next += PAGE_SIZE;
        for index in 0..512 {
            write_entry(Hpa(page), index, 0);
        }
        Some(Hpa(page))
    }

    fn free(&mut self, _: Hpa) {}

    fn invalidate(&mut self, _: u64, _: u64) {}
}
