//! Root's stage 2, behind a lock of its own.
//!
//! One rule: the lock is held for one change of one window, or for one look. A root CPU that faults on an entry that is
//! being replaced waits for no more than that.

use bulkhead_abi::info::fault;
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::id::CellId;
use bulkhead_model::paging::{Tables, stage2};
use bulkhead_model::refused::Refused;

use crate::context::Stage2;
use crate::lock::{Fixed, Turns};
use crate::system;

static TABLES: Fixed<Tables> = Fixed::new();
static CHANGE: Turns<()> = Turns::new(());

/// Sets it, once an enable.
///
/// # Safety
/// `prepare` calls it: no CPU has joined.
pub unsafe fn set(tables: Tables) {
    // SAFETY: by the caller's word.
    unsafe { TABLES.set(tables) };
}

/// What a CPU of root needs for it.
pub fn registers() -> Option<Stage2> {
    TABLES
        .get()
        .map(|tables| system::registers(CellId::ROOT, tables))
}

/// Takes a window away from root.
///
/// # Errors
/// `HV_PAGES_EXHAUSTED`: nothing changed.
pub fn take(window: Region<Hpa>) -> Result<(), Refused> {
    let Some(tables) = TABLES.get() else {
        return Ok(());
    };
    let mut memory = system::memory_of(CellId::ROOT, tables);
    let _turn = CHANGE.lock()?;
    tables.unmap(&mut memory, window.base().0, window.size())
}

/// Maps a window where it is.
///
/// # Errors
/// `HV_PAGES_EXHAUSTED`: nothing changed.
pub fn give(window: Region<Hpa>, attributes: u64) -> Result<(), Refused> {
    let Some(tables) = TABLES.get() else {
        return Ok(());
    };
    let base = window.base();
    let mut memory = system::memory_of(CellId::ROOT, tables);
    let _turn = CHANGE.lock()?;
    tables.map(&mut memory, base.0, base, window.size(), attributes)
}

/// Maps a window again that was taken. The tables that it needs exist since then.
pub fn give_back(window: Region<Hpa>) {
    if give(window, stage2::NORMAL_RWX).is_err() {
        defmt::error!(
            "a device at {=u64:#x} could not be given back to root",
            window.base().0
        );
    }
}

/// Tells whether root may make the access now (`abi::info::fault`).
pub fn allows(ipa: Gpa, kind: u32) -> bool {
    let (Some(tables), Ok(_turn)) = (TABLES.get(), CHANGE.lock()) else {
        return false;
    };
    let leaf = tables.lookup(&system::memory_of(CellId::ROOT, tables), ipa.0);
    leaf.is_some_and(|leaf| match kind {
        fault::READ => true,
        fault::WRITE => leaf.attributes != stage2::NORMAL_RO,
        _ => leaf.attributes == stage2::NORMAL_RWX,
    })
}
