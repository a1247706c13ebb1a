//! Words of a blob, read and written one after the other.
//!
//! One rule: no byte outside the slice is touched and none of it is left over, whatever the counts in it say.

use arrayvec::ArrayVec;
use bulkhead_abi::{ABI_VERSION, NAME_SIZE, code};

use super::Name;
use crate::addr::{Address, Hpa, Region};
use crate::id::{Mpidr, Spi};
use crate::refused::Refused;

const WORD: usize = 8;
const HEAD: usize = 3 * WORD;

/// Reads a blob. What is wrong is noted, the first of it only, and told by [`Self::finish`]; from there on all words are 0,
/// and what was read is worth nothing.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
    refused: Option<Refused>,
}

impl<'a> Reader<'a> {
    /// Begins with the head: magic, version, length.
    pub(super) fn new(bytes: &'a [u8], magic: u64) -> Self {
        let mut reader = Self {
            bytes,
            offset: 0,
            refused: None,
        };
        if bytes.len() < HEAD {
            reader.refuse(code::BAD_LENGTH, bytes.len() as u64, HEAD as u64);
        }
        reader.head(magic, code::BAD_MAGIC);
        reader.head(ABI_VERSION.into(), code::BAD_VERSION);
        reader.head(bytes.len() as u64, code::BAD_LENGTH);
        reader
    }

    /// Where the next word is, bytes.
    pub(super) fn offset(&self) -> u64 {
        self.offset as u64
    }

    fn head(&mut self, wanted: u64, code: i64) {
        let found = self.word();
        if found != wanted {
            self.refuse(code, found, wanted);
        }
    }

    /// Notes what is wrong.
    #[inline(never)] // As `word`.
    pub(super) fn refuse(&mut self, code: i64, a: u64, b: u64) {
        self.refused.get_or_insert(Refused::new(code, a, b));
    }

    /// Returns the value of `result`, or `other` when it is refused.
    pub(super) fn noted<T>(&mut self, result: Result<T, Refused>, other: T) -> T {
        result.unwrap_or_else(|refused| {
            self.refused.get_or_insert(refused);
            other
        })
    }

    /// Ends: all was good, and nothing follows.
    pub(super) fn finish(mut self) -> Result<(), Refused> {
        if self.offset != self.bytes.len() {
            self.refuse(
                code::BAD_LENGTH,
                self.bytes.len() as u64,
                self.offset as u64,
            );
        }
        self.refused.map_or(Ok(()), Err)
    }

    /// Takes the next word.
    #[inline(never)] // Small where it is called.
    pub(super) fn word(&mut self) -> u64 {
        let end = self.offset + WORD;
        match self.bytes.get(self.offset..).unwrap_or(&[]).first_chunk() {
            Some(word) if self.refused.is_none() => {
                self.offset = end;
                u64::from_le_bytes(*word)
            }
            _ => {
                self.refuse(code::BAD_LENGTH, self.bytes.len() as u64, end as u64);
                0
            }
        }
    }

    /// Takes the next word, refusing as `BAD_CONTENT` what `check` does not know, for which it gives `other`.
    pub(super) fn checked<T>(&mut self, other: T, check: impl FnOnce(u64) -> Option<T>) -> T {
        let offset = self.offset as u64;
        let word = self.word();
        check(word).unwrap_or_else(|| {
            self.refuse(code::BAD_CONTENT, offset, word);
            other
        })
    }

    /// Takes the next word, which has no other bits than these.
    #[inline(never)] // As `word`.
    pub(super) fn bits(&mut self, known: u64) -> u64 {
        self.checked(0, |word| Some(word).filter(|word| word & !known == 0))
    }

    pub(super) fn flag(&mut self) -> bool {
        self.bits(1) == 1
    }

    pub(super) fn mpidr(&mut self) -> Mpidr {
        Mpidr::from_bits(self.bits(Mpidr::MASK))
    }

    pub(super) fn spi(&mut self) -> Spi {
        let word = self.word();
        let spi = u16::try_from(word).ok().and_then(Spi::new);
        spi.unwrap_or_else(|| {
            self.refuse(code::NO_SUCH_SPI, word, 0);
            Spi::FIRST
        })
    }

    #[inline(never)] // As `word`.
    pub(super) fn region(&mut self) -> Region<Hpa> {
        let (base, size) = (self.word(), self.word());
        self.pages(base, size)
    }

    /// Refuses what are no pages.
    #[inline(never)] // As `word`.
    pub(super) fn pages(&mut self, base: u64, size: u64) -> Region<Hpa> {
        let region = Region::pages(Hpa(base), size);
        self.noted(region, Region::FIRST_PAGE)
    }

    pub(super) fn name(&mut self) -> Name {
        let mut bytes = [0; NAME_SIZE];
        for part in bytes.chunks_exact_mut(WORD) {
            part.copy_from_slice(&self.word().to_le_bytes());
        }
        let name = Name::from_bytes(bytes);
        self.noted(name, Name::ROOT)
    }

    /// Takes a count and as many entries, to an empty list.
    pub(super) fn list<T, const N: usize>(
        &mut self,
        list: &mut ArrayVec<T, N>,
        mut entry: impl FnMut(&mut Self) -> T,
    ) {
        let count = self.word();
        if count > N as u64 {
            self.refuse(code::TOO_MANY, count, N as u64);
        }
        while (list.len() as u64) < count && list.try_push(entry(self)).is_ok() {}
    }
}

/// Writes a blob. What does not fit is only counted.
pub(super) struct Writer<'a> {
    out: &'a mut [u8],
    length: usize,
}

impl<'a> Writer<'a> {
    /// Writes the head.
    pub(super) fn new(out: &'a mut [u8], magic: u64) -> Self {
        let mut writer = Self { out, length: 0 };
        writer.words(&[magic, ABI_VERSION.into(), 0]); // The length follows: see `finish`.
        writer
    }

    /// Ends: fills in the length and returns it.
    pub(super) fn finish(self) -> Result<usize, Refused> {
        if self.length > self.out.len() {
            return Err(bad_length(self.out.len(), self.length));
        }
        self.out[2 * WORD..HEAD].copy_from_slice(&(self.length as u64).to_le_bytes());
        Ok(self.length)
    }

    /// Puts a word.
    pub(super) fn word(&mut self, word: u64) {
        if let Some(place) = self.out.get_mut(self.length..self.length + WORD) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        self.length += WORD;
    }

    /// Puts some words.
    pub(super) fn words(&mut self, words: &[u64]) {
        words.iter().for_each(|word| self.word(*word));
    }

    pub(super) fn region(&mut self, region: Region<Hpa>) {
        self.words(&[region.base().get(), region.size()]);
    }

    pub(super) fn name(&mut self, name: &Name) {
        for part in name.bytes().chunks_exact(WORD) {
            let mut word = [0; WORD];
            word.copy_from_slice(part);
            self.word(u64::from_le_bytes(word));
        }
    }

    /// Puts a count and the entries.
    pub(super) fn list<T>(&mut self, entries: &[T], mut entry: impl FnMut(&mut Self, &T)) {
        self.word(entries.len() as u64);
        entries.iter().for_each(|e| entry(self, e));
    }
}

fn bad_length(found: usize, wanted: usize) -> Refused {
    Refused::new(code::BAD_LENGTH, found as u64, wanted as u64)
}
