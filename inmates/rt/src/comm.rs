//! The comm page: telling the hypervisor that this cell is alive, by a store.

use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, Ordering};

use bulkhead_abi::comm::{Comm, MAGIC, VERSION};

use crate::Tree;

/// The counter of beats; null without a comm page.
static BEATS: AtomicPtr<u64> = AtomicPtr::new(core::ptr::null_mut());

/// Finds the page that the tree names; called at start-up.
pub(crate) fn open(tree: &Tree) {
    let Some(range) = tree.comm() else { return };
    let page = range.base as *mut Comm;
    // SAFETY: the command line put the page there for this cell alone; EL2 wrote its head before the cell ran.
    let head = unsafe { page.read_volatile() };
    if (head.magic, head.version) == (MAGIC, VERSION) {
        BEATS.store(
            page.wrapping_byte_add(offset_of!(Comm, beats)).cast(),
            Ordering::Relaxed,
        );
    }
}

/// Beats, when a heartbeat is wanted: call it from where it shows that the work goes on. One load and one store; of two at the
/// same time on two CPUs one may not count, which does no harm.
pub fn beat() {
    let beats = BEATS.load(Ordering::Relaxed);
    if beats.is_null() {
        return;
    }
    // SAFETY: the address of the counter, by `open`; nobody of this cell refers to it otherwise.
    let count = unsafe { beats.read_volatile() };
    // SAFETY: as above.
    unsafe { beats.write_volatile(count.wrapping_add(1)) };
}
