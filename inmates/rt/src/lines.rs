//! One interrupt's bits in the interrupt controller: this CPU's redistributor has those of SGIs and PPIs, the distributor
//! those of SPIs (IHI 0069, register maps).

use arm_gic::IntId;

use crate::attempt::{self, Outside};
use crate::{Tree, cpu};

/// From one CPU's redistributor to the next, and from its first frame to that of the interrupts.
const REDISTRIBUTOR_STRIDE: u64 = 0x2_0000;
const SGI_BASE: u64 = 0x1_0000;
const PRIORITIES: u64 = 0x400;

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
    redistributor: u64,
}

impl Lines {
    /// Finds it.
    ///
    /// # Panics
    /// When the tree has none.
    pub fn new(tree: &Tree) -> Self {
        let (distributor, redistributors) = tree.gic().expect("no arm,gic-v3 in the tree");
        Self {
            tree: *tree,
            distributor: distributor.base,
            redistributor: redistributors.base + cpu::affinity() * REDISTRIBUTOR_STRIDE,
        }
    }

    fn register(&self, intid: IntId, offset: u64) -> Outside {
        let frame = if intid.is_private() {
            self.redistributor + SGI_BASE
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
