//! The CPU's interface, its redistributor, and the cell's own SPI: as new, or as dirty as can be.

use inmate_rt::attempt::{self, Outside};
use inmate_rt::lines::{Bits, Lines};
use inmate_rt::{IntId, Tree, icc, println};

use crate::compare;

/// The priority that an interrupt has when it changes owner, in all bytes of a word.
const PRIORITIES: u64 = 0xa0a0_a0a0;
const EOIMODE: u64 = 1 << 1;
/// Frames and registers (IHI 0069, register maps); a redistributor's from its second frame.
const SGI_BASE: u64 = 0x1_0000;
const ISENABLER: u64 = 0x100;
const ISPENDR: u64 = 0x200;
const ISACTIVER: u64 = 0x300;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
const GICR_CTLR: u64 = 0;
const GICR_WAKER: u64 = 0x14;

struct Frames<'a> {
    tree: &'a Tree,
    distributor: u64,
    redistributor: u64,
}

impl<'a> Frames<'a> {
    fn new(tree: &'a Tree) -> Self {
        let (distributor, redistributors) = tree.gic().expect("no arm,gic-v3 in the tree");
        Self {
            tree,
            distributor: distributor.base,
            redistributor: redistributors.base,
        }
    }

    fn at(&self, address: u64) -> Outside {
        Outside::new(address, self.tree).expect("the interrupt controller is in RAM")
    }

    fn read(&self, address: u64) -> u64 {
        attempt::load32(self.at(address)).expect("no such register")
    }

    fn write(&self, address: u64, value: u64) {
        attempt::store32(self.at(address), value).expect("no such register");
    }
}

/// The console's.
fn own_spi(tree: &Tree) -> IntId {
    let console = tree.console().expect("no console");
    console.interrupt.expect("the console has no interrupt")
}

/// Compares; counts what differs.
pub fn look(tree: &Tree) -> usize {
    let frames = Frames::new(tree);
    let sgis = frames.redistributor + SGI_BASE;
    let mut wrong = compare("ICC_PMR", icc::Pmr::get(), 0)
        + compare("ICC_IGRPEN1", icc::Igrpen1::get(), 0)
        + compare("ICC_CTLR.EOImode", icc::Ctlr::get() & EOIMODE, 0)
        + compare("ICC_AP1R0", icc::Ap1r0::get(), 0)
        + compare("ICC_RPR", icc::Rpr::get() | 7, 0xff)
        // The least that it can be, whatever that is here.
        + compare("ICC_BPR1, over 3", u64::from(icc::Bpr1::get() > 3), 0)
        + compare("GICR_ISENABLER0", frames.read(sgis + ISENABLER), 0)
        + compare("GICR_ISPENDR0", frames.read(sgis + ISPENDR), 0)
        + compare("GICR_ISACTIVER0", frames.read(sgis + ISACTIVER), 0)
        + compare("GICR_ICFGR1", frames.read(sgis + ICFGR + 4), 0)
        + compare("GICR_WAKER", frames.read(frames.redistributor + GICR_WAKER), 0);
    for word in 0..8 {
        wrong += compare(
            "GICR_IPRIORITYR",
            frames.read(sgis + IPRIORITYR + 4 * word),
            PRIORITIES,
        );
    }
    let intid = u64::from(own_spi(tree).raw_value());
    let bit = |register: u64| {
        frames.read(frames.distributor + register + intid / 32 * 4) >> (intid % 32) & 1
    };
    let priorities = frames.read(frames.distributor + IPRIORITYR + intid / 4 * 4);
    let kinds = frames.read(frames.distributor + ICFGR + intid / 16 * 4);
    wrong
        + compare("its SPI: enabled", bit(ISENABLER), 0)
        + compare("its SPI: pending", bit(ISPENDR), 0)
        + compare("its SPI: active", bit(ISACTIVER), 0)
        + compare(
            "its SPI: priority",
            priorities >> (intid % 4 * 8) & 0xff,
            PRIORITIES & 0xff,
        )
        + compare("its SPI: edge-triggered", kinds >> (intid % 16 * 2) & 2, 0)
}

/// Makes everything other than it was.
pub fn spoil(tree: &Tree) {
    let frames = Frames::new(tree);
    let sgis = frames.redistributor + SGI_BASE;
    frames.write(frames.redistributor + GICR_CTLR, u64::MAX);
    frames.write(frames.redistributor + GICR_WAKER, 2);
    frames.write(sgis + ICFGR + 4, 0xaaaa_aaaa);
    for word in 0..8 {
        frames.write(sgis + IPRIORITYR + 4 * word, 0x1018_2028);
    }
    for register in [ISENABLER, ISPENDR, ISACTIVER] {
        frames.write(sgis + register, u64::MAX);
    }
    let (lines, spi) = (Lines::new(tree), own_spi(tree));
    let intid = u64::from(spi.raw_value());
    frames.write(frames.distributor + ICFGR + intid / 16 * 4, 0xaaaa_aaaa);
    lines.set_priority(spi, 0x18);
    for bits in [Bits::Enable, Bits::Pend, Bits::Activate] {
        lines.set(spi, bits);
    }
    icc::Bpr1::set(7);
    icc::Ctlr::set(EOIMODE);
    icc::Pmr::set(0x50);
    icc::Igrpen1::set(1);
    icc::Ap1r0::set(0xffff_ffff);
    let held = u64::from(lines.is_set(spi, Bits::Pend)) + u64::from(icc::Bpr1::get() > 3);
    println!("dirty: interrupts spoilt, {held} of 2 to be seen: right");
}
