//! What only a GICv3 has (Arm IHI 0069), and what starts otherwise there.

use inmate_rt::icc;

use super::{EOIMODE, Frames, ICFGR, IPRIORITYR, ISENABLER, PRIORITIES, SGI_PRIORITIES};
use crate::compare;

/// From a redistributor's first frame to that of the interrupts.
pub const SGI_BASE: u64 = 0x1_0000;
const GICR_CTLR: u64 = 0;
const GICR_WAKER: u64 = 0x14;

/// Compares; counts what differs.
pub fn look(frames: &Frames<'_>, redistributor: u64) -> usize {
    let sgis = frames.private;
    let mut wrong = compare("ICC_PMR", icc::Pmr::get(), 0)
        + compare("ICC_IGRPEN1", icc::Igrpen1::get(), 0)
        + compare("ICC_AP1R0", icc::Ap1r0::get(), 0)
        + compare("GICR_ISENABLER0", frames.read(sgis + ISENABLER), 0)
        + compare("GICR_ICFGR1", frames.read(sgis + ICFGR + 4), 0)
        + compare("GICR_WAKER", frames.read(redistributor + GICR_WAKER), 0);
    for word in 0..SGI_PRIORITIES {
        wrong += compare(
            "GICR_IPRIORITYR",
            frames.read(sgis + IPRIORITYR + 4 * word),
            PRIORITIES,
        );
    }
    wrong
}

/// Makes it other than it was; counts what shows, of two things.
pub fn spoil(frames: &Frames<'_>, redistributor: u64) -> u64 {
    frames.write(frames.private + ICFGR + 4, 0xaaaa_aaaa);
    frames.write(redistributor + GICR_CTLR, u64::MAX);
    frames.write(redistributor + GICR_WAKER, 2);
    icc::Ctlr::set(EOIMODE);
    icc::Pmr::set(0x50);
    icc::Igrpen1::set(1);
    icc::Ap1r0::set(0xffff_ffff);
    u64::from(icc::Pmr::get() == 0x50) + u64::from(icc::Igrpen1::get() == 1)
}
