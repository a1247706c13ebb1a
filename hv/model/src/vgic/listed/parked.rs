//! What of a CPU's interrupts is neither in a list register nor as it seems in the physical controller.
//!
//! One rule: while the guest runs this is the controller of the SGIs of a GICv2, which come from up to eight CPUs each (IHI 0048,
//! "Software Generated Interrupts"). The physical ones only bring the news: they are never active, and more urgent than everything,
//! so that nothing which a guest does keeps them, and with them a kick, from EL2.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// SGIs of a GICv2.
const SGIS: u16 = 16;
/// Places: a bit for each interrupt; of the SGIs of a GICv2, whom they are pending from (`GICD_SPENDSGIR<n>`) and their priorities
/// (`GICD_IPRIORITYR<n>`), a byte each; the priority mask.
const SOURCES: usize = 32;
const PRIORITIES: usize = SOURCES + 4;
const MASK: usize = PRIORITIES + 4;

/// Interrupts that a guest has active on a CPU and that are in no list register. They are physically active, but for the SGIs of a
/// GICv2, of which the rest of their state is here, too.
#[derive(Debug)]
pub struct Parked([AtomicU32; MASK + 1]);

impl Parked {
    /// Returns none.
    #[must_use]
    pub const fn none() -> Self {
        Self([const { AtomicU32::new(0) }; MASK + 1])
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Relaxed));
    }

    /// Some bits of a word, from `shift` on, become these.
    #[inline(never)] // Once for all.
    fn set(&self, word: usize, shift: u16, mask: u32, bits: u32) {
        if let Some(word) = self.0.get(word) {
            let others = word.load(Relaxed) & !(mask << shift);
            word.store(others | bits << shift, Relaxed);
        }
    }

    fn get(&self, word: usize, shift: u16) -> u32 {
        let word = self.0.get(word);
        word.map_or(0, |word| word.load(Relaxed) >> shift)
    }

    pub(super) fn is_empty(&self) -> bool {
        let bits = &self.0[..SOURCES];
        bits.iter().all(|word| word.load(Relaxed) == 0)
    }

    pub(super) fn insert(&self, intid: u16) {
        self.set(usize::from(intid / 32), intid % 32, 1, 1);
    }

    pub(super) fn remove(&self, intid: u16) {
        self.set(usize::from(intid / 32), intid % 32, 1, 0);
    }

    pub(super) fn contains(&self, intid: u16) -> bool {
        self.get(usize::from(intid / 32), intid % 32) & 1 != 0
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..1024).filter(|intid| self.contains(*intid))
    }

    /// The SGIs among them, a bit each.
    #[must_use]
    pub fn active_sgis(&self) -> u32 {
        self.get(0, 0) & 0xffff
    }

    /// Says which they are.
    pub fn set_active_sgis(&self, sgis: u32) {
        self.set(0, 0, 0xffff, sgis & 0xffff);
    }

    /// From which CPUs an SGI of a GICv2 is pending, as the cell numbers them, a bit each; and its priority.
    #[must_use]
    pub fn sgi(&self, intid: u16) -> (u8, u8) {
        let byte = |base| (self.get(base + usize::from(intid / 4), intid % 4 * 8) & 0xff) as u8;
        (byte(SOURCES), byte(PRIORITIES))
    }

    /// Says so.
    pub fn set_sgi(&self, intid: u16, sources: u8, priority: u8) {
        let (word, shift) = (usize::from(intid / 4), intid % 4 * 8);
        self.set(SOURCES + word, shift, 0xff, sources.into());
        self.set(PRIORITIES + word, shift, 0xff, priority.into());
    }

    /// It is pending from these, too.
    pub(super) fn add_sources(&self, intid: u16, more: u8) {
        let (word, bits) = (SOURCES + usize::from(intid / 4), u32::from(more));
        self.set(word, intid % 4 * 8, bits, bits);
    }

    /// It is not pending from this one.
    pub(super) fn remove_source(&self, intid: u16, source: u8) {
        let word = SOURCES + usize::from(intid / 4);
        self.set(word, intid % 4 * 8, 1 << source, 0);
    }

    /// SGIs of a GICv2 that are pending and not active.
    pub(super) fn waiting_sgis(&self) -> impl Iterator<Item = u16> + '_ {
        (0..SGIS).filter(|intid| self.sgi(*intid).0 != 0 && !self.contains(*intid))
    }

    /// Follows the physical mask.
    pub(super) fn set_mask(&self, priority: u8) {
        self.0[MASK].store(priority.into(), Relaxed);
    }

    /// Tells whether what has this priority may go to a list register now.
    pub(super) fn passes(&self, priority: u8) -> bool {
        u32::from(priority) < self.0[MASK].load(Relaxed)
    }
}
