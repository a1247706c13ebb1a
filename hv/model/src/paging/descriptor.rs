//! Descriptors of VMSAv8-64 with the 4 KiB granule (Arm ARM DDI 0487, "VMSAv8-64 translation table format descriptors"),
//! as numbers: most are only compared, copied and counted up.

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

/// Bits that make a valid leaf of this level. Level 0 has none: there it is reserved.
pub const fn leaf_bits(level: u8) -> u64 {
    if level == LAST_LEVEL {
        TABLE_OR_PAGE | VALID
    } else {
        VALID
    }
}

/// The entry that points to a table.
pub const fn to_table(table: Hpa) -> u64 {
    table.0 | TABLE_OR_PAGE | VALID
}

/// The table that an entry of this level points to, if it does.
pub const fn table_of(entry: u64, level: u8) -> Option<Hpa> {
    if level < LAST_LEVEL && entry & (TABLE_OR_PAGE | VALID) == TABLE_OR_PAGE | VALID {
        Some(Hpa(entry & ADDRESS))
    } else {
        None
    }
}

/// Output address and attributes of a leaf of this level. What is reserved is invalid.
pub const fn leaf_of(entry: u64, level: u8) -> Option<(u64, u64)> {
    if level > 0 && entry & (TABLE_OR_PAGE | VALID) == leaf_bits(level) {
        Some((entry & ADDRESS, keep_attributes(entry)))
    } else {
        None
    }
}

/// First entry of a table on `level` that says the same as the leaf, or invalid entry, above it. The others follow by
/// [`step`].
pub const fn first_part(whole: u64, level: u8) -> u64 {
    if whole & VALID == 0 {
        0
    } else {
        whole | leaf_bits(level)
    }
}

/// What an entry of such a table is more than the one before it.
pub const fn step(whole: u64, level: u8) -> u64 {
    if whole & VALID == 0 {
        0
    } else {
        entry_size(level)
    }
}

/// Strips what is no attribute off.
pub const fn keep_attributes(bits: u64) -> u64 {
    bits & !(ADDRESS | TABLE_OR_PAGE | VALID)
}
