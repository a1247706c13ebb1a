//! The CPU's interface, its private interrupts, and the cell's own SPI: as new, or as dirty as can be.

use inmate_rt::attempt::{self, Outside};
use inmate_rt::lines::{Bits, Lines};
use inmate_rt::{IntId, Tree, icc, println};

use crate::compare;

mod v2;
mod v3;

/// The priority that an interrupt has when it changes owner, in all bytes of a word.
const PRIORITIES: u64 = 0xa0a0_a0a0;
const EOIMODE: u64 = 1 << 1;
/// Registers (IHI 0048 and IHI 0069, register maps).
const ISENABLER: u64 = 0x100;
const ISPENDR: u64 = 0x200;
const ISACTIVER: u64 = 0x300;
const IPRIORITYR: u64 = 0x400;
const ICFGR: u64 = 0xc00;
/// Words of the priorities of SGIs, and of all private interrupts.
const SGI_PRIORITIES: u64 = 4;
const PRIVATE_PRIORITIES: u64 = 8;

struct Frames<'a> {
    tree: &'a Tree,
    distributor: u64,
    /// Where the registers of SGIs and PPIs are.
    private: u64,
    kind: Kind,
}

enum Kind {
    /// A GICv2, whose CPU interface is there.
    V2(u64),
    /// A GICv3, this CPU's redistributor.
    V3(u64),
}

impl<'a> Frames<'a> {
    fn new(tree: &'a Tree) -> Self {
        if let Some((distributor, interface)) = tree.gicv2() {
            return Self {
                tree,
                distributor: distributor.base,
                private: distributor.base,
                kind: Kind::V2(interface.base),
            };
        }
        let (distributor, redistributors) = tree.gic().expect("no GIC in the tree");
        Self {
            tree,
            distributor: distributor.base,
            private: redistributors.base + v3::SGI_BASE,
            kind: Kind::V3(redistributors.base),
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
    let of_its_kind = match frames.kind {
        Kind::V2(interface) => v2::look(&frames, interface),
        Kind::V3(redistributor) => v3::look(&frames, redistributor),
    };
    let private = frames.private;
    let mut wrong = of_its_kind
        + compare("EOImode", icc::Ctlr::get() & EOIMODE, 0)
        + compare("the running priority", icc::Rpr::get() | 7, 0xff)
        // The least that it can be, whatever that is here.
        + compare("the binary point, over 3", u64::from(icc::Bpr1::get() > 3), 0)
        + compare("ISPENDR0", frames.read(private + ISPENDR), 0)
        + compare("ISACTIVER0", frames.read(private + ISACTIVER), 0);
    for word in SGI_PRIORITIES..PRIVATE_PRIORITIES {
        wrong += compare(
            "IPRIORITYR",
            frames.read(private + IPRIORITYR + 4 * word),
            PRIORITIES,
        );
    }
    wrong + look_at_spi(&frames)
}

fn look_at_spi(frames: &Frames<'_>) -> usize {
    let intid = u64::from(own_spi(frames.tree).raw_value());
    let bit = |register: u64| {
        frames.read(frames.distributor + register + intid / 32 * 4) >> (intid % 32) & 1
    };
    let priorities = frames.read(frames.distributor + IPRIORITYR + intid / 4 * 4);
    let kinds = frames.read(frames.distributor + ICFGR + intid / 16 * 4);
    compare("its SPI: enabled", bit(ISENABLER), 0)
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
    let private = frames.private;
    for word in 0..PRIVATE_PRIORITIES {
        frames.write(private + IPRIORITYR + 4 * word, 0x1018_2028);
    }
    for register in [ISENABLER, ISPENDR, ISACTIVER] {
        frames.write(private + register, u64::MAX);
    }
    let (lines, spi) = (Lines::new(tree), own_spi(tree));
    let intid = u64::from(spi.raw_value());
    frames.write(frames.distributor + ICFGR + intid / 16 * 4, 0xaaaa_aaaa);
    lines.set_priority(spi, 0x18);
    for bits in [Bits::Enable, Bits::Pend, Bits::Activate] {
        lines.set(spi, bits);
    }
    icc::Bpr1::set(7);
    let held = u64::from(lines.is_set(spi, Bits::Pend))
        + u64::from(icc::Bpr1::get() > 3)
        + match frames.kind {
            Kind::V2(interface) => v2::spoil(&frames, interface),
            Kind::V3(redistributor) => v3::spoil(&frames, redistributor),
        };
    println!("dirty: interrupts spoilt, {held} of 4 to be seen: right");
}
