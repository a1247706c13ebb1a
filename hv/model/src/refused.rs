//! The answer "no": a code of `abi::code` with its two details. Nothing has changed when it is given.

use core::fmt;

/// Why something was refused. What `a` and `b` mean is said at the code in [`bulkhead_abi::code`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Refused {
    /// Positive number from [`bulkhead_abi::code`].
    pub code: i64,
    /// First detail.
    pub a: u64,
    /// Second detail.
    pub b: u64,
}

impl Refused {
    /// Makes one.
    pub const fn new(code: i64, a: u64, b: u64) -> Self {
        Self { code, a, b }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "code {} ({:#x}, {:#x})", self.code, self.a, self.b)
    }
}
