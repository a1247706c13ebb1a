//! How often a cell that resets itself is loaded and started anew.
//!
//! One rule: one that does its work is, for ever; one that never gets to it is not.

use std::time::Duration;

/// A cell that ran for so long had got to its work.
pub const LONG_ENOUGH: Duration = Duration::from_secs(10);
/// Starts in a row that came to less.
pub const SHORT_ONES: u32 = 5;

/// The restarts of one cell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restarts {
    short: u32,
}

impl Restarts {
    /// Counts a run of the cell that ended by a reset or a stall; tells whether it is to be started again.
    pub fn again_after(&mut self, ran_for: Duration) -> bool {
        self.short = if ran_for < LONG_ENOUGH {
            self.short + 1
        } else {
            0
        };
        self.short < SHORT_ONES
    }
}
