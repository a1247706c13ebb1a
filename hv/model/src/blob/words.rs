//! Words of a blob, read and written one after the other.
//!
//! One rule: no byte outside the slice is touched and none of it is left over, whatever the counts in it say.

use arrayvec::ArrayVec;
use bulkhead_abi::NAME_SIZE;

use super::{ABI_VERSION, Address, Hpa, Mpidr, Name, Refused, Region, Spi, code};

const WORD: usize = 8;
const HEAD: usize = 3 * WORD;

/// Reads a blob whose head is good.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// Checks the head: magic, version, length.
    pub(super) fn new(bytes: &'a [u8], magic: u64) -> Result<Self, Refused> {
        if bytes.len() < HEAD {
            return Err(bad_length(bytes.len(), HEAD));
        }
        let mut reader = Self { bytes, offset: 0 };
        let found = reader.word()?;
        if found != magic {
            return Err(Refused::new(code::BAD_MAGIC, found, magic));
        }
        let version = reader.word()?;
        if version != ABI_VERSION.into() {
            return Err(Refused::new(code::BAD_VERSION, version, ABI_VERSION.into()));
        }
        let stated = reader.word()?;
        if stated != bytes.len() as u64 {
            return Err(Refused::new(code::BAD_LENGTH, stated, bytes.len() as u64));
        }
        Ok(reader)
    }

    /// Ends: nothing may follow.
    pub(super) fn finish(self) -> Result<(), Refused> {
        if self.offset == self.bytes.len() {
            Ok(())
        } else {
            Err(bad_length(self.bytes.len(), self.offset))
        }
    }

    /// Takes the next word.
    pub(super) fn word(&mut self) -> Result<u64, Refused> {
        let rest = self.bytes.get(self.offset..).unwrap_or(&[]);
        let word = rest
            .first_chunk()
            .ok_or(bad_length(self.bytes.len(), self.offset + WORD))?;
        self.offset += WORD;
        Ok(u64::from_le_bytes(*word))
    }

    /// Takes the next word, refusing as `BAD_CONTENT` what `check` does not know.
    pub(super) fn checked<T>(
        &mut self,
        check: impl FnOnce(u64) -> Option<T>,
    ) -> Result<T, Refused> {
        let offset = self.offset as u64;
        let word = self.word()?;
        check(word).ok_or(Refused::new(code::BAD_CONTENT, offset, word))
    }

    pub(super) fn flag(&mut self) -> Result<bool, Refused> {
        self.checked(|word| match word {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        })
    }

    pub(super) fn mpidr(&mut self) -> Result<Mpidr, Refused> {
        self.checked(|word| Some(Mpidr::from_bits(word)).filter(|mpidr| mpidr.get() == word))
    }

    pub(super) fn spi(&mut self) -> Result<Spi, Refused> {
        let word = self.word()?;
        u16::try_from(word)
            .ok()
            .and_then(Spi::new)
            .ok_or(Refused::new(code::NO_SUCH_SPI, word, 0))
    }

    pub(super) fn region(&mut self) -> Result<Region<Hpa>, Refused> {
        let (base, size) = (self.word()?, self.word()?);
        Region::pages(Hpa(base), size)
    }

    pub(super) fn name(&mut self) -> Result<Name, Refused> {
        let mut bytes = [0; NAME_SIZE];
        for part in bytes.chunks_exact_mut(WORD) {
            part.copy_from_slice(&self.word()?.to_le_bytes());
        }
        Name::from_bytes(bytes)
    }

    /// Takes a count and as many entries.
    pub(super) fn list<T, const N: usize>(
        &mut self,
        mut entry: impl FnMut(&mut Self) -> Result<T, Refused>,
    ) -> Result<ArrayVec<T, N>, Refused> {
        let count = self.word()?;
        if count > N as u64 {
            return Err(Refused::new(code::TOO_MANY, count, N as u64));
        }
        (0..count).map(|_| entry(self)).collect()
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
