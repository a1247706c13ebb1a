//! Addresses and regions. Guest and host addresses are different types; only the ledger turns one into the other.

use core::fmt;

pub use bulkhead_abi::PAGE_SIZE;

use crate::refused::Refused;
use bulkhead_abi::code;

/// What parts of pages are made of, bytes.
pub const WORD: u64 = 4;

/// Host physical address.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Hpa(pub u64);

/// Guest physical address (intermediate physical address, IPA).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Ord, PartialOrd)]
pub struct Gpa(pub u64);

/// An address of either kind.
pub trait Address: Copy + Ord + fmt::Debug {
    /// Makes one from its number.
    fn new(value: u64) -> Self;
    /// Returns its number.
    fn get(self) -> u64;
}

impl Address for Hpa {
    fn new(value: u64) -> Self {
        Self(value)
    }
    fn get(self) -> u64 {
        self.0
    }
}

impl Address for Gpa {
    fn new(value: u64) -> Self {
        Self(value)
    }
    fn get(self) -> u64 {
        self.0
    }
}

/// A range of addresses: not empty, not wrapping, its end is representable.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Region<A> {
    base: A,
    size: u64,
}

impl<A: Address> Region<A> {
    /// Checks and makes a region of `size` bytes.
    ///
    /// # Errors
    /// `EMPTY`, `WRAPS`.
    pub fn new(base: A, size: u64) -> Result<Self, Refused> {
        check(base.get(), size, 1)?;
        Ok(Self { base, size })
    }

    /// Same, in whole pages.
    ///
    /// # Errors
    /// `EMPTY`, `WRAPS`, `UNALIGNED`.
    pub fn pages(base: A, size: u64) -> Result<Self, Refused> {
        check(base.get(), size, PAGE_SIZE)?;
        Ok(Self { base, size })
    }

    /// The page that has this address.
    pub fn page_of(address: A) -> Self {
        Self {
            base: A::new(address.get() & !(PAGE_SIZE - 1)),
            size: PAGE_SIZE,
        }
    }

    /// Same, of device registers: whole pages, or a part of one page. A part is of whole words, which a bus may fetch or
    /// store for less.
    ///
    /// # Errors
    /// `EMPTY`, `WRAPS`, `UNALIGNED`.
    pub fn registers(base: A, size: u64) -> Result<Self, Refused> {
        let offset = base.get() & (PAGE_SIZE - 1);
        let is_in_one_page = size <= PAGE_SIZE - offset;
        check(
            base.get(),
            size,
            if is_in_one_page { WORD } else { PAGE_SIZE },
        )?;
        Ok(Self { base, size })
    }

    /// Tells whether it is a part of a page, not whole ones.
    pub fn is_part(&self) -> bool {
        (self.base.get() | self.size) & (PAGE_SIZE - 1) != 0
    }

    /// Lowest address.
    pub fn base(&self) -> A {
        self.base
    }

    /// Bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// First address behind it.
    pub fn end(&self) -> A {
        A::new(self.base.get() + self.size)
    }

    /// Tells whether the address lies in it.
    pub fn contains(&self, address: A) -> bool {
        self.base <= address && address < self.end()
    }

    /// Tells whether all of `other` lies in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.base <= other.base && other.end() <= self.end()
    }

    /// Tells whether they share an address.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.base < other.end() && other.base < self.end()
    }

    /// Returns the first address that they share.
    pub fn overlap(&self, other: &Self) -> Option<A> {
        self.overlaps(other).then(|| self.base.max(other.base))
    }

    /// Checks that all of it is addressed by `bits` bits.
    ///
    /// # Errors
    /// `WRAPS`.
    pub fn below(&self, bits: u8) -> Result<(), Refused> {
        match (self.end().get() - 1).checked_shr(bits.into()) {
            None | Some(0) => Ok(()),
            Some(_) => Err(Refused::new(code::WRAPS, self.base.get(), self.size)),
        }
    }
}

impl Region<Hpa> {
    /// The whole pages that it is in.
    pub fn to_pages(&self) -> Self {
        const OFFSET: u64 = PAGE_SIZE - 1;
        Self {
            base: Hpa(self.base.0 & !OFFSET),
            size: ((self.base.0 & OFFSET) + self.size + OFFSET) & !OFFSET,
        }
    }

    /// What stands for a region that was refused.
    pub(crate) const FIRST_PAGE: Self = Self {
        base: Hpa(0),
        size: PAGE_SIZE,
    };
}

/// Refuses what is no region of whole units of `alignment`.
#[inline(never)] // Once for both kinds of addresses.
fn check(base: u64, size: u64, alignment: u64) -> Result<(), Refused> {
    let code = if size == 0 {
        return Err(Refused::new(code::EMPTY, base, 0));
    } else if base.checked_add(size).is_none() {
        code::WRAPS
    } else if (base | size) & (alignment - 1) != 0 {
        code::UNALIGNED
    } else {
        return Ok(());
    };
    Err(Refused::new(code, base, size))
}
