//! CPU interface numbers of a GICv2 (Arm IHI 0048, "The GIC Distributor", `GICD_ITARGETSR<n>`): the hardware's, and those
//! that a cell sees.
//!
//! One rule: a mask that a cell writes names its own CPUs only, whatever its bits are.

/// Most CPU interfaces of a GICv2.
pub const MAX_INTERFACES: usize = 8;

/// The interfaces of a cell's CPUs: byte n of the word has the bit of the physical interface that is number n to the
/// cell, or is 0. Root's numbers are the hardware's.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Interfaces(u64);

impl Interfaces {
    /// Of no CPU.
    pub const NONE: Self = Self(0);

    /// Takes what [`Self::bits`] gave.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// All of it, to be kept in an atomic.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Returns these and a CPU that is number `number`, with the physical interface of that bit. A number that there is
    /// no room for adds nothing.
    #[must_use]
    pub const fn with(self, number: usize, physical: u8) -> Self {
        if number < MAX_INTERFACES {
            Self(self.0 | (physical as u64) << (8 * number))
        } else {
            self
        }
    }

    /// The physical interfaces of all these CPUs.
    #[must_use]
    pub const fn all(self) -> u8 {
        self.physical(0xff)
    }

    /// The physical interfaces that a mask of the cell's means.
    #[inline]
    #[must_use]
    pub const fn physical(self, mask: u8) -> u8 {
        // Each bit of the mask selects a byte; the bytes are folded into one.
        let selected = self.0 & spread(mask);
        let folded = selected | selected >> 32;
        let folded = folded | folded >> 16;
        ((folded | folded >> 8) & 0xff) as u8
    }

    /// The cell's mask of physical interfaces; others' are left out.
    #[inline]
    #[must_use]
    pub const fn seen(self, physical: u8) -> u8 {
        let (mut mask, mut number) = (0, 0);
        while number < MAX_INTERFACES {
            let interface = (self.0 >> (8 * number) & 0xff) as u8;
            if interface & physical != 0 {
                mask |= 1 << number;
            }
            number += 1;
        }
        mask
    }

    /// [`Self::physical`] of each byte.
    #[must_use]
    pub fn physical_each(self, masks: u32) -> u32 {
        u32::from_le_bytes(masks.to_le_bytes().map(|mask| self.physical(mask)))
    }

    /// [`Self::seen`] of each byte.
    #[must_use]
    pub fn seen_each(self, physical: u32) -> u32 {
        u32::from_le_bytes(physical.to_le_bytes().map(|mask| self.seen(mask)))
    }
}

/// Eight bits to eight bytes.
const fn spread(mask: u8) -> u64 {
    // A copy of the mask in each byte, of which byte n keeps bit n; then bytes that are not 0 become 0xff.
    let bits = (mask as u64 * 0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
    let high = (bits + 0x7f7f_7f7f_7f7f_7f7f) | bits;
    (high >> 7 & 0x0101_0101_0101_0101) * 0xff
}
