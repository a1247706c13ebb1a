//! The memory of consoles ([`bulkhead_abi::console`]): pages of ours, from when a cell with one is created until it is destroyed.
//!
//! One rule: from [`take`] to [`give_back`] they are root's and the one cell's, and EL2 does not touch them.

#![forbid(unsafe_code)]

use bulkhead_abi::PAGE_SIZE;
use bulkhead_abi::console::SIZE;
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::ledger::{Holding, Window};
use bulkhead_model::paging::stage2;
use bulkhead_model::refused::Refused;

use crate::layout::bytes;
use crate::{pages, root, sysreg};

const PAGES: usize = bytes(SIZE / PAGE_SIZE);
/// Where a cell's console is that has none.
pub const NONE: Hpa = Hpa(0);

/// Takes memory for the console of a cell, if it wants one: empty, and mapped for root.
///
/// # Errors
/// `HV_PAGES_EXHAUSTED`.
pub fn take(holding: &Holding) -> Result<Option<Window>, Refused> {
    let Some(gpa) = holding.console.first() else {
        return Ok(None);
    };
    let base = pages::allocate(PAGES)?;
    // Both who write it do so past the caches.
    sysreg::clean_to_poc(base.0, SIZE);
    let shown = Region::pages(base, SIZE).and_then(|hpa| {
        root::give(hpa, stage2::NON_CACHEABLE_RW_XN)?;
        Ok(Some(Window { gpa: *gpa, hpa }))
    });
    shown.inspect_err(|_| pages::free(base, PAGES))
}

/// Takes it away from root; it is free again. The cell has lost it before.
pub fn give_back(base: Hpa) {
    if base == NONE {
        return;
    }
    if Region::pages(base, SIZE).and_then(root::take).is_ok() {
        pages::free(base, PAGES);
    }
}
