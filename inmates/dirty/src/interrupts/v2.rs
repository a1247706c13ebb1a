//! What only a GICv2 has (Arm IHI 0048), and what starts otherwise there.

use super::{Frames, ICFGR, IPRIORITYR, ISENABLER, SGI_PRIORITIES};
use crate::compare;

const GICD_CTLR: u64 = 0;
const GICD_SPENDSGIR: u64 = 0xf20;
const GICC_CTLR: u64 = 0x0;
/// Bypass of a disabled interface: firmware's choice.
const GICC_CTLR_BYPASS: u64 = 0xf << 5;
const GICC_PMR: u64 = 0x4;
const GICC_HPPIR: u64 = 0x18;
const NONE_PENDING: u64 = 1022;
/// The binary point of group 1, where software has both groups.
const GICC_ABPR: u64 = 0x1c;
/// Active priorities, of either group.
const GICC_APRS: [u64; 8] = [0xd0, 0xd4, 0xd8, 0xdc, 0xe0, 0xe4, 0xe8, 0xec];
/// SGIs are on and more urgent than all else, and the interface lets those through: so they kick.
const SGIS: u64 = 0xffff;
const KICKS_ONLY: u64 = 0x10;

/// Compares; counts what differs.
pub fn look(frames: &Frames<'_>, interface: u64) -> usize {
    let of_interface = |register| frames.read(interface + register);
    let of_distributor = |register| frames.read(frames.distributor + register);
    let pending = of_interface(GICC_HPPIR) & 0x3ff;
    let mut wrong = compare("GICC_CTLR", of_interface(GICC_CTLR) & !GICC_CTLR_BYPASS, 1)
        + compare("GICC_PMR", of_interface(GICC_PMR), KICKS_ONLY)
        + compare(
            "GICC_ABPR, over 4",
            u64::from(of_interface(GICC_ABPR) > 4),
            0,
        )
        + compare("GICC_HPPIR has one", u64::from(pending < NONE_PENDING), 0)
        + compare("GICD_CTLR", of_distributor(GICD_CTLR), 1)
        + compare("GICD_ISENABLER0", of_distributor(ISENABLER), SGIS);
    for register in GICC_APRS {
        wrong += compare("GICC_APR", of_interface(register), 0);
    }
    for word in 0..SGI_PRIORITIES {
        wrong += compare(
            "priorities of SGIs",
            of_distributor(IPRIORITYR + 4 * word),
            0,
        ) + compare(
            "GICD_SPENDSGIR",
            of_distributor(GICD_SPENDSGIR + 4 * word),
            0,
        );
    }
    wrong
}

/// Makes it other than it was; counts what shows, of two things.
///
/// # Panics
/// When it can change the kind of its PPIs, which may be root's too.
pub fn spoil(frames: &Frames<'_>, interface: u64) -> u64 {
    let kinds = frames.distributor + ICFGR + 4;
    let found = frames.read(kinds);
    for dirt in [0xaaaa_aaaa, 0] {
        frames.write(kinds, dirt);
        assert_eq!(frames.read(kinds), found, "GICD_ICFGR1 took {dirt:#x}");
    }
    for word in 0..4 {
        // From every CPU that there can be: the cell's own is one.
        frames.write(frames.distributor + GICD_SPENDSGIR + 4 * word, u64::MAX);
    }
    frames.write(interface + GICC_ABPR, 7);
    frames.write(interface + GICC_PMR, 0x50);
    for register in GICC_APRS {
        frames.write(interface + register, 0xffff_ffff);
    }
    frames.write(interface + GICC_CTLR, 0xffff_ffff);
    u64::from(frames.read(interface + GICC_PMR) == 0x50)
        + u64::from(frames.read(frames.distributor + GICD_SPENDSGIR) != 0)
}
