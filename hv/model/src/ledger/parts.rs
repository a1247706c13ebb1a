//! Pages of device registers that several have a part of.
//!
//! One rule: such a page is in nobody's stage 2. Each access to it is EL2's, made for who has all of the bytes that it is for;
//! what no cell has of the page is root's.

use bulkhead_abi::code::DEVICE_OF_CELL;

use super::Ledger;
use crate::addr::{Hpa, Region};
use crate::id::CellId;

impl Ledger {
    /// Tells whether a cell other than this one has registers in these pages. Divided pages leave root's stage 2 when the first
    /// cell comes, and come back when the last one goes.
    pub fn have_others(&self, cell: CellId, pages: &Region<Hpa>) -> bool {
        self.found(pages, DEVICE_OF_CELL, cell).is_some()
    }

    /// Tells whether EL2 makes an access of 1, 2, 4 or 8 bytes for the cell: they are its own of a divided page, and aligned, as
    /// registers are. A cell sees its part where it is.
    pub fn may_forward(&self, cell: CellId, address: Hpa, size: u8) -> bool {
        let Ok(access) = Region::new(address, size.into()) else {
            return false;
        };
        address.0 & (access.size() - 1) == 0
            && match self.found(&access, DEVICE_OF_CELL, CellId::ROOT) {
                Some((owner, part)) => owner == cell && part.is_part() && part.covers(&access),
                // Whoever else has something of its page has a part of it.
                None => cell == CellId::ROOT && self.have_others(cell, &access.to_pages()),
            }
    }
}
