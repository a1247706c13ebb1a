//! A redistributor's registers (IHI 0069, "The GIC Redistributor register descriptions"): RD_base, SGI_base and, of
//! GICv4, the two VLPI frames behind them.
//!
//! A cell sees one for each of its CPUs, 128 KiB apart, without LPIs. Root sees them all where they are; of one whose CPU
//! is not its own it reads what identifies it, and nothing else.

use bulkhead_abi::code::{self, feature};

use super::Action;
use super::access::Access;
use crate::addr::{Hpa, Region};
use crate::id::Mpidr;
use crate::refused::Refused;

/// `GICR_TYPER`: VLPIs are there; it is the last of its region.
const TYPER_VLPIS: u64 = 1 << 1;
const TYPER_LAST: u64 = 1 << 4;

/// `GICR_CTLR` as a cell sees it: RWP, UWP.
const CELL_CTLR: u64 = 1 << 3 | 1 << 31;
/// Bytes of RD_base and SGI_base: what a cell sees of a redistributor.
pub const CELL_STRIDE: u64 = 0x2_0000;

/// Bytes from the redistributor that has this `GICR_TYPER` to the next: 2 frames of 64 KiB, or 4 with virtual LPIs.
pub const fn stride(typer: u64) -> u64 {
    if typer & TYPER_VLPIS == 0 {
        0x2_0000
    } else {
        0x4_0000
    }
}

/// Finds the redistributor of a CPU: `typer` reads `GICR_TYPER` of the one at an address, which lies whole in one of `regions`.
/// A region ends with the one that says it is the last, or where there is no room for another (IHI 0069, `GICR_TYPER.Last`).
///
/// # Errors
/// `UNSUPPORTED_GIC`.
pub fn find(
    regions: &[Region<Hpa>],
    mpidr: Mpidr,
    typer: impl Fn(u64) -> u64,
) -> Result<u64, Refused> {
    // GICR_TYPER has Aff3.Aff2.Aff1.Aff0 in bits 63:32.
    let affinity = (mpidr.get() >> 32 << 24) | (mpidr.get() & 0xff_ffff);
    for region in regions {
        let mut gicr = region.base().0;
        while gicr + CELL_STRIDE <= region.end().0 {
            let found = typer(gicr);
            let next = gicr + stride(found);
            if next > region.end().0 {
                break;
            }
            if found >> 32 == affinity {
                return Ok(gicr);
            }
            if found & TYPER_LAST != 0 {
                break;
            }
            gicr = next;
        }
    }
    Err(Refused::new(
        code::UNSUPPORTED_GIC,
        feature::NO_REDISTRIBUTOR,
        mpidr.get(),
    ))
}

/// Whose redistributor it is, and who accesses it.
#[derive(Clone, Copy, Debug)]
pub struct RedistView {
    /// Its CPU belongs to the accessing cell.
    pub is_own: bool,
    /// The root cell accesses it.
    pub is_root: bool,
    /// Affinity of its CPU as the cell sees it: Aff3.Aff2.Aff1.Aff0, a byte each. Not used for root.
    pub virtual_affinity: u32,
    /// Number of its CPU in the cell. Not used for root.
    pub number: u16,
    /// The cell sees none behind it. Not used for root.
    pub is_last: bool,
}

impl RedistView {
    /// `GICR_TYPER` for a cell: Affinity_Value, Processor_Number, Last; no LPIs of any kind, 16 PPIs.
    fn typer(&self) -> u64 {
        let last = u64::from(self.is_last) << 4;
        u64::from(self.virtual_affinity) << 32 | u64::from(self.number) << 8 | last
    }
}

/// Decides an access of `size` bytes at `offset` from RD_base; `write` is what is written.
#[must_use]
pub fn gicr_access(offset: u64, size: u8, write: Option<u64>, view: &RedistView) -> Action {
    let Some(access) = Access::new(offset, size, write) else {
        return Action::IgnoreLogged;
    };
    match offset {
        0..0x1_0000 => control(access, view),
        0x1_0000..0x2_0000 => private_interrupts(access, view),
        0x2_0000..0x4_0000 if access.is_wide() => roots_own(access, view),
        _ => Action::IgnoreLogged,
    }
}

/// Tells whether a 32-bit access at `offset` from RD_base of its own redistributor is one of the register itself, all bits
/// of it: a load, or a store that does nothing when it stores 0. The short form of [`gicr_access`].
#[inline]
#[must_use]
pub const fn gicr_plain(offset: u64) -> bool {
    // ISENABLER0, ICENABLER0, ISPENDR0, ICPENDR0, ISACTIVER0, ICACTIVER0
    matches!(offset, 0x1_0100..0x1_0400) && offset & 0x7f == 0
}

/// What root may do with its own, and nobody else sees.
fn roots_own(access: Access, view: &RedistView) -> Action {
    if view.is_root && view.is_own {
        access.pass()
    } else {
        access.nothing()
    }
}

/// RD_base.
fn control(access: Access, view: &RedistView) -> Action {
    match (access.offset, access.size) {
        (0x0, 4) if view.is_own && !view.is_root => access.read_only(CELL_CTLR),
        (0x0, 4) => roots_own(access, view),
        (0x4 | 0xffd0..0x1_0000, 4) => access.read_only(u64::MAX), // IIDR, identification
        (0x8 | 0xc, 4 | 8) if view.is_root => access.read_only(u64::MAX), // TYPER
        (0x8, 4 | 8) => {
            access.constant(view.typer() & u64::MAX >> (64 - 8 * u32::from(access.size)))
        }
        (0xc, 4) => access.constant(view.typer() >> 32),
        (0x10, 4) => access.nothing(), // STATUSR
        // WAKER, MPAMIDR, PARTIDR: a cell's is awake
        (0x14 | 0x18 | 0x1c, 4) => roots_own(access, view),
        // SETLPIR, CLRLPIR, PROPBASER, PENDBASER, INVLPIR, INVALLR
        (0x40..0x50 | 0x70..0x80 | 0xa0..0xa8 | 0xb0..0xb8, 4 | 8) => roots_own(access, view),
        (0xc0, 4) => roots_own(access, view), // SYNCR
        _ => Action::IgnoreLogged,
    }
}

/// SGI_base. Root's may have extended PPIs, in the two words behind the first of each register.
fn private_interrupts(access: Access, view: &RedistView) -> Action {
    let place = access.offset & 0xffff;
    let word_count = if view.is_root { 3 } else { 1 };
    let is_there = match place {
        0x80..0x400 => place % 0x80 / 4 < word_count,
        0x400..0x500 => (place - 0x400) / 32 < word_count,
        0xc00..0xd00 => (place - 0xc00) / 8 < word_count,
        _ => true,
    };
    match (place, access.size) {
        (0x80..0x500 | 0xc00..0xd00, _) if !is_there => Action::IgnoreLogged,
        (0x80..0x400, 4) if !view.is_own => access.nothing(),
        // IGROUPR0: all in group 1, which only one security state shows
        (0x80..0x100, 4) => access.read_only(u64::MAX),
        // ISENABLER0, ICENABLER0, ISPENDR0, ICPENDR0, ISACTIVER0, ICACTIVER0
        (0x100..0x400, 4) => access.set_clear(u32::MAX),
        (0x400..0x500, 1 | 4) | (0xc00..0xd00, 4) if !view.is_own => access.nothing(),
        (0x400..0x500, 1 | 4) => access.clamped().pass(), // IPRIORITYR
        (0xc00..0xd00, 4) => access.pass(),               // ICFGR0, ICFGR1
        // IGRPMODR0, NSACR: secure. INMIR0: no NMIs.
        (0xd00..0xd0c | 0xe00 | 0xf80..0xf8c, 4) => access.nothing(),
        _ => Action::IgnoreLogged,
    }
}
