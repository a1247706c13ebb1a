//! One access to the interrupt controller, and the kinds of registers that it may meet.

use super::{Action, MOST_URGENT};

/// An aligned access of 1, 2, 4 or 8 bytes.
#[derive(Clone, Copy)]
pub struct Access {
    pub offset: u64,
    pub size: u8,
    /// What is written; `None` reads.
    pub write: Option<u64>,
}

impl Access {
    /// Checks size and alignment, and cuts what is written to the size.
    pub fn new(offset: u64, size: u8, write: Option<u64>) -> Option<Self> {
        if !matches!(size, 1 | 2 | 4 | 8) || offset & (u64::from(size) - 1) != 0 {
            return None;
        }
        let write = write.map(|value| value & all(size));
        Some(Self {
            offset,
            size,
            write,
        })
    }

    /// Tells whether it is a 32-bit or 64-bit one.
    pub fn is_wide(self) -> bool {
        matches!(self.size, 4 | 8)
    }

    /// Reads as zero, writes ignored.
    pub fn nothing(self) -> Action {
        self.constant(0)
    }

    /// Reads as this, writes ignored.
    pub fn constant(self, value: u64) -> Action {
        if self.write.is_some() {
            Action::Ignore
        } else {
            Action::Value(value)
        }
    }

    /// Reads these bits of the register, writes ignored.
    pub fn read_only(self, mask: u64) -> Action {
        match (self.write, mask & all(self.size)) {
            (Some(_), _) => Action::Ignore,
            (None, 0) => Action::Value(0),
            (None, mask) => Action::Read {
                offset: self.offset,
                size: self.size,
                mask,
            },
        }
    }

    /// The register itself.
    pub fn pass(self) -> Action {
        match self.write {
            Some(value) => self.store(value),
            None => self.read_only(u64::MAX),
        }
    }

    /// A register of one bit an interrupt where writing 0 does nothing.
    pub fn set_clear(self, mask: u32) -> Action {
        match self.write.map(|value| value & u64::from(mask)) {
            Some(0) => Action::Ignore,
            Some(value) => self.store(value),
            None => self.read_only(mask.into()),
        }
    }

    /// The same, of which less can be written than read.
    pub fn set_clear_of(self, read: u32, written: u32) -> Action {
        self.set_clear(if self.write.is_some() { written } else { read })
    }

    /// A register of fields: those of `mask`, all of which lie in the access.
    pub fn fields(self, mask: u32) -> Action {
        match self.write {
            None => self.read_only(mask.into()),
            Some(_) if mask == 0 => Action::Ignore,
            Some(value) if u64::from(mask) == all(self.size) => self.store(value),
            Some(value) => {
                let value = low_word(value) & mask;
                Action::Merge {
                    offset: self.offset,
                    value,
                    mask,
                }
            }
        }
    }

    /// The same access, of priorities: none more urgent than [`MOST_URGENT`].
    pub fn clamped(self) -> Self {
        let write = self
            .write
            .map(|value| clamp(low_word(value)) & all(self.size));
        Self { write, ..self }
    }

    fn store(self, value: u64) -> Action {
        Action::Store {
            offset: self.offset,
            size: self.size,
            value,
        }
    }
}

/// All bits of so many bytes.
fn all(size: u8) -> u64 {
    u64::MAX >> (64 - 8 * u32::from(size))
}

fn low_word(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

/// Four priorities: those below [`MOST_URGENT`] become it.
fn clamp(priorities: u32) -> u64 {
    const ONES: u32 = 0x0101_0101;
    const _: () = assert!(MOST_URGENT == 0x10);
    let high = priorities >> 4 & (0x0f * ONES);
    let is_less = !(high | high >> 1 | high >> 2 | high >> 3) & ONES;
    u64::from(priorities & !(is_less * 0xff) | (is_less * u32::from(MOST_URGENT)))
}
