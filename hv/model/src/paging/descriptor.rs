//! Descriptors of VMSAv8-64 with the 4 KiB granule (Arm ARM DDI 0487, "VMSAv8-64 translation table format descriptors").

use super::TableMemory;
use crate::addr::Hpa;

/// Bit 0: the entry is valid.
pub const VALID: u64 = 1 << 0;
/// Bit 1: a table on levels 0 to 2, a page (and not reserved) on level 3.
const TABLE_OR_PAGE: u64 = 1 << 1;
/// Bits 47:12: address of the next table or of the output.
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;
/// Level of pages.
pub const LAST_LEVEL: u8 = 3;
/// Entries of one table page.
pub const ENTRIES: usize = 512;
/// Greatest index: 16 start-level tables may be concatenated.
const MAX_INDEX: u64 = 16 * 512 - 1;
/// Bits of an output address.
pub const OUTPUT_BITS: u8 = 48;

/// Bits of address below one entry of this level.
pub const fn entry_bits(level: u8) -> u8 {
    39 - 9 * level
}

/// Bytes that one entry of this level translates.
pub const fn entry_size(level: u8) -> u64 {
    1 << entry_bits(level)
}

/// Index of the entry that translates `address` in a table of `level` that begins at address `base`.
pub const fn index_of(level: u8, base: u64, address: u64) -> usize {
    ((address - base) >> entry_bits(level) & MAX_INDEX) as usize
}

/// A decoded entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Entry {
    Invalid,
    Table(Hpa),
    Leaf { output: u64, attributes: u64 },
}

impl Entry {
    /// Reads and decodes one.
    pub fn read<M: TableMemory>(mem: &M, table: Hpa, index: usize, level: u8) -> Self {
        Self::decode(mem.read(table, index), level)
    }

    /// Decodes one. What is reserved is invalid.
    pub fn decode(descriptor: u64, level: u8) -> Self {
        if descriptor & VALID == 0 {
            return Self::Invalid;
        }
        let (output, attributes) = (descriptor & ADDRESS, keep_attributes(descriptor));
        match (descriptor & TABLE_OR_PAGE != 0, level) {
            (true, 0..LAST_LEVEL) => Self::Table(Hpa(output)),
            (true, LAST_LEVEL) | (false, 1..LAST_LEVEL) => Self::Leaf { output, attributes },
            _ => Self::Invalid,
        }
    }

    /// Encodes it for this level.
    pub fn encode(self, level: u8) -> u64 {
        match self {
            Self::Invalid => 0,
            Self::Table(table) => table.0 | TABLE_OR_PAGE | VALID,
            Self::Leaf { output, attributes } if level == LAST_LEVEL => {
                output | attributes | TABLE_OR_PAGE | VALID
            }
            Self::Leaf { output, attributes } => output | attributes | VALID,
        }
    }

    /// Tells whether one entry of this level can hold it.
    pub fn fits(self, level: u8) -> bool {
        match self {
            Self::Leaf { output, .. } => level > 0 && output.is_multiple_of(entry_size(level)),
            Self::Invalid | Self::Table(_) => true,
        }
    }

    /// Returns entry `index` below this one, on `level`: of the table, or of one that would say the same.
    pub fn child<M: TableMemory>(self, mem: &M, level: u8, index: usize) -> Self {
        match self {
            Self::Table(table) => Self::read(mem, table, index, level),
            whole => whole.part(level, index),
        }
    }

    /// Returns what entry `index` of a table on `level` has to be, to say the same as this one on the level above.
    pub fn part(self, level: u8, index: usize) -> Self {
        match self {
            Self::Leaf { output, attributes } => {
                let output = output + index as u64 * entry_size(level);
                Self::Leaf { output, attributes }
            }
            other => other,
        }
    }
}

/// Strips what is no attribute off.
pub const fn keep_attributes(bits: u64) -> u64 {
    bits & !(ADDRESS | TABLE_OR_PAGE | VALID)
}
