//! One interrupt's bits in the interrupt controller: this CPU's redistributor, or a GICv2's distributor, has those of SGIs
//! and PPIs, the distributor those of SPIs (IHI 0069, IHI 0048, register maps).

use arm_gic::IntId;

use crate::attempt::{self, Outside};
use crate::{Tree, cpu, gicv2};

/// From one CPU's redistributor to the next, and from its first frame to that of the interrupts.
const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;
const SGI_BASE: u64 = 0x1_0000;
const PRIORITIES: u64 = 0x400;
const SPENDSGIR: u64 = 0xf20;

/// A register of one bit an interrupt, by its offset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bits {
    /// ISENABLER.
    Enable = 0x100,
    /// ICENABLER.
    Disable = 0x180,
    /// ISPENDR.
    Pend = 0x200,
    /// ICPENDR.
    Unpend = 0x280,
    /// ISACTIVER.
    Activate = 0x300,
    /// ICACTIVER.
    Deactivate = 0x380,
}

/// The interrupt controller as this CPU sees it.
#[derive(Clone, Copy)]
pub struct Lines {
    tree: Tree,
    distributor: u64,
    /// Where SGIs and PPIs are.
    private: u64,
}

impl Lines {
    /// Finds it.
    ///
    /// # Panics
    /// When the tree has none.
    pub fn new(tree: &Tree) -> Self {
        if let Some((distributor, _)) = tree.gicv2() {
            return Self {
                tree: *tree,
                distributor: distributor.base,
                private: distributor.base,
            };
        }
        let (distributor, redistributors) = tree.gic().expect("no GIC in the tree");
        let redistributor = redistributors.base + cpu::affinity() * REDISTRIBUTOR_STRIDE;
        Self {
            tree: *tree,
            distributor: distributor.base,
            private: redistributor + SGI_BASE,
        }
    }

    fn register(&self, intid: IntId, offset: u64) -> Outside {
        let frame = if intid.is_private() {
            self.private
        } else {
            self.distributor
        };
        Outside::new(frame + offset, &self.tree).expect("the interrupt controller is in RAM")
    }

    fn word(&self, intid: IntId, bits: Bits) -> Outside {
        self.register(intid, bits as u64 + u64::from(intid.raw_value() / 32 * 4))
    }

    /// Writes 1 to the interrupt's bit.
    pub fn set(&self, intid: IntId, bits: Bits) {
        if let (true, Bits::Pend, Some(from)) = (intid.is_sgi(), bits, gicv2::own_number()) {
            // SGIs of a GICv2 have a bit for each CPU that they may come from.
            let register = self.register(intid, SPENDSGIR + u64::from(intid.raw_value()));
            return attempt::store8(register, 1 << from).expect("no such register");
        }
        let bit = 1_u64 << (intid.raw_value() % 32);
        attempt::store32(self.word(intid, bits), bit).expect("no such register");
    }

    /// Reads the interrupt's bit.
    pub fn is_set(&self, intid: IntId, bits: Bits) -> bool {
        let word = attempt::load32(self.word(intid, bits)).expect("no such register");
        word >> (intid.raw_value() % 32) & 1 != 0
    }

    /// Sets the interrupt's priority.
    pub fn set_priority(&self, intid: IntId, priority: u8) {
        let register = self.register(intid, PRIORITIES + u64::from(intid.raw_value()));
        attempt::store8(register, priority.into()).expect("no such register");
    }
}
