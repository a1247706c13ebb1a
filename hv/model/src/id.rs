//! Identities: CPUs, cells, interrupts. Checked once, then carried in the type.

use bulkhead_abi::{MAX_CELLS, MAX_CPUS};

/// Index of a CPU in the system blob's list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct CpuId(u8);

impl CpuId {
    /// Returns `None` from [`MAX_CPUS`] on.
    #[expect(clippy::cast_possible_truncation, reason = "compared with the limit")]
    pub const fn new(index: usize) -> Option<Self> {
        if index < MAX_CPUS {
            Some(Self(index as u8))
        } else {
            None
        }
    }

    /// Its number, in records.
    pub const fn number(self) -> u32 {
        self.0 as u32
    }

    /// Its number, to be kept in a table.
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Index into arrays of `MAX_CPUS`. (The mask changes nothing: it shows the compiler that no bound can be missed.)
    pub const fn index(self) -> usize {
        self.0 as usize % MAX_CPUS
    }
}

/// Index of a cell; 0 is the root cell. (A whole word: beside a smaller one in a `Result`, a refusal is copied byte by byte.)
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct CellId(usize);

impl CellId {
    /// The Linux that was running.
    pub const ROOT: Self = Self(0);

    /// Returns `None` from [`MAX_CELLS`] on.
    pub const fn new(index: usize) -> Option<Self> {
        if index < MAX_CELLS {
            Some(Self(index))
        } else {
            None
        }
    }

    /// Takes what [`Self::byte`] gave; any other value is one of the cells too.
    pub const fn from_byte(byte: u8) -> Self {
        Self(byte as usize % MAX_CELLS)
    }

    /// Its number, to be kept in an atomic.
    #[expect(clippy::cast_possible_truncation, reason = "below MAX_CELLS")]
    pub const fn byte(self) -> u8 {
        self.0 as u8
    }

    /// Its number, in records.
    pub const fn number(self) -> u32 {
        self.byte() as u32
    }

    /// Index into arrays of `MAX_CELLS`; as [`CpuId::index`].
    pub const fn index(self) -> usize {
        self.0 % MAX_CELLS
    }
}

/// Affinity fields of MPIDR_EL1: Aff3 in bits 39:32, Aff2 to Aff0 in 23:0 (Arm ARM DDI 0487, `MPIDR_EL1`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Mpidr(u64);

impl Mpidr {
    /// Affinity bits of the register.
    pub const MASK: u64 = 0xff_00ff_ffff;

    /// Takes the affinity out of a register value, a device tree's `reg`, or a PSCI target.
    pub const fn from_bits(value: u64) -> Self {
        Self(value & Self::MASK)
    }

    /// The affinity, at its places in the register.
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// A shared peripheral interrupt.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub struct Spi(u16);

impl Spi {
    /// What stands for an interrupt that was refused.
    pub(crate) const FIRST: Self = Self(32);

    /// INTIDs of SPIs run from 32 to 1019 (Arm IHI 0069, INTIDs).
    pub const fn new(intid: u16) -> Option<Self> {
        if matches!(intid, 32..=1019) {
            Some(Self(intid))
        } else {
            None
        }
    }

    /// Its INTID.
    pub const fn intid(self) -> u16 {
        self.0
    }
}

/// A set of interrupts below 1024, a bit each, in words as the distributor has them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpiSet([u32; 32]);

impl SpiSet {
    /// No interrupt.
    pub const EMPTY: Self = Self([0; 32]);

    /// Every SPI.
    pub const ALL: Self = {
        let mut words = [u32::MAX; 32];
        words[0] = 0; // SGIs and PPIs.
        words[31] = 0x0fff_ffff; // INTIDs 1020 to 1023 are special.
        Self(words)
    };

    /// Takes the distributor's words.
    pub const fn from_words(words: [u32; 32]) -> Self {
        Self(words)
    }

    /// Adds one.
    pub fn insert(&mut self, spi: Spi) {
        self.0[usize::from(spi.intid() / 32)] |= 1 << (spi.intid() % 32);
    }

    /// Takes one out.
    pub fn remove(&mut self, spi: Spi) {
        self.0[usize::from(spi.intid() / 32)] &= !(1 << (spi.intid() % 32));
    }

    /// Takes out all that are in `others`.
    pub fn remove_all(&mut self, others: &Self) {
        for (word, other) in self.0.iter_mut().zip(&others.0) {
            *word &= !other;
        }
    }

    /// Tells whether it is in.
    pub fn contains(&self, spi: Spi) -> bool {
        self.word(usize::from(spi.intid() / 32)) & (1 << (spi.intid() % 32)) != 0
    }

    /// Bits of INTIDs `32 * index ..`; 0 beyond the last word.
    pub fn word(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// How many are in it.
    pub fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    /// Its members, in order.
    pub fn iter(&self) -> impl Iterator<Item = Spi> + '_ {
        let words = self.0.iter().zip((0..1024).step_by(32));
        let intids = words
            .filter(|(word, _)| **word != 0) // most are
            .flat_map(|(word, first)| {
                (0..32)
                    .filter(move |bit| word >> bit & 1 != 0)
                    .map(move |bit| first + bit)
            });
        intids.filter_map(Spi::new)
    }
}
