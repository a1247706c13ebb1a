//! The distributor's registers (IHI 0069, "The GIC Distributor register descriptions"). Affinity routing is on: the
//! registers of SGIs and PPIs are the redistributors'.

use super::Action;
use super::access::Access;
use super::route::Part;
use crate::id::{Spi, SpiSet};

/// `GICD_CTLR` as a cell sees it, in either security layout: EnableGrp1A, ARE_NS, DS, RWP.
const CELL_CTLR: u64 = 1 << 1 | 1 << 4 | 1 << 6 | 1 << 31;
/// `GICD_TYPER` as a cell sees it: ITLinesNumber, SecurityExtn, IDbits, A3V, No1N, RSS. No LPIs, no message-based, no
/// extended SPIs, no NMIs.
const CELL_TYPER: u32 = 0x1f | 1 << 10 | 0x1f << 19 | 1 << 24 | 1 << 25 | 1 << 26;

/// A set of SPIs, wherever it is kept.
pub trait SpiWords {
    /// Bits of INTIDs `32 * index ..`; 0 beyond the last word.
    fn word(&self, index: usize) -> u32;
}

impl SpiWords for SpiSet {
    fn word(&self, index: usize) -> u32 {
        Self::word(self, index)
    }
}

/// Who accesses it.
#[derive(Clone, Copy, Debug)]
pub struct DistView<'a, S> {
    /// SPIs of the accessing cell.
    pub owned: &'a S,
    /// It is the root cell: it sees the machine as it is, and may send message-based SPIs.
    pub is_root: bool,
}

impl<S: SpiWords> DistView<'_, S> {
    /// The cell's bits of a register of one bit an interrupt; the first such register is the redistributors'.
    fn bits(&self, index: usize) -> u32 {
        if index == 0 {
            0
        } else {
            self.owned.word(index)
        }
    }

    fn owns(&self, spi: Spi) -> bool {
        self.bits(usize::from(spi.intid() / 32)) & 1 << (spi.intid() % 32) != 0
    }

    /// The cell's bits of interrupts `first` to `first + 31`, in 0 to 31; `first` is a multiple of their number used.
    fn bits_from(&self, first: usize) -> u32 {
        self.bits(first / 32) >> (first % 32)
    }
}

/// Decides an access of `size` bytes at `offset`, below 64 KiB, to the distributor; `write` is what is written.
#[must_use]
pub fn gicd_access<S: SpiWords>(
    offset: u64,
    size: u8,
    write: Option<u64>,
    view: &DistView<'_, S>,
) -> Action {
    let Some(access) = Access::new(offset, size, write) else {
        return Action::IgnoreLogged;
    };
    let place = (offset & 0xffff) as usize;
    match (place, size) {
        (0x0, 4) => access.read_only(if view.is_root { u64::MAX } else { CELL_CTLR }),
        (0x4, 4) => access.read_only(if view.is_root {
            u64::MAX
        } else {
            CELL_TYPER.into()
        }),
        (0x8 | 0xffd0..0x1_0000, 4) => access.read_only(u64::MAX), // IIDR, identification
        (0xc, 4) => access.read_only(if view.is_root { u64::MAX } else { 0 }), // TYPER2
        (0x10, 4) => access.nothing(),                             // STATUSR
        (0x40 | 0x48, 2 | 4) => message(access, view),             // SETSPI_NSR, CLRSPI_NSR
        (0x50 | 0x58, 2 | 4) => access.nothing(),                  // SETSPI_SR, CLRSPI_SR
        // IGROUPR: all in group 1, which only one security state shows
        (0x80..0x100, 4) => access.read_only(view.bits(place % 0x80 / 4).into()),
        // ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER
        (0x100..0x400, 4) => access.set_clear(view.bits(place % 0x80 / 4)),
        (0x400..0x800, 1) => access
            .clamped()
            .fields(bytes(view.bits_from(place - 0x400) & 1)),
        (0x400..0x800, 4) => access
            .clamped()
            .fields(bytes(view.bits_from(place - 0x400) & 0xf)),
        (0x800..0xc00, 1 | 4) => access.nothing(), // ITARGETSR: affinity routing is on
        (0xc00..0xd00, 4) => access.fields(pairs(view.bits_from(4 * (place - 0xc00)) & 0xffff)),
        // IGRPMODR, NSACR: secure. SGIR: affinity routing is on. INMIR: no NMIs.
        (0xd00..0xd80 | 0xe00..0xf04 | 0xf80..0x1000, 4) => access.nothing(),
        (0xf10..0xf30, 1 | 4) => access.nothing(), // CPENDSGIR, SPENDSGIR
        (0x6000..0x8000, 4 | 8) => router(access, view),
        _ => Action::IgnoreLogged,
    }
}

/// Returns the bits of the register itself that a 32-bit access at `offset` has: a load gets those and zeros, a store
/// writes those of the value, or does nothing when none is set. The short form of [`gicd_access`]; `None` where it takes the
/// full one.
#[inline]
#[must_use]
pub fn gicd_plain<S: SpiWords>(offset: u64, is_write: bool, view: &DistView<'_, S>) -> Option<u32> {
    match offset {
        0x4 if !is_write => Some(if view.is_root { u32::MAX } else { CELL_TYPER }),
        0x100..0x400 if offset & 3 == 0 => Some(view.bits((offset & 0x7f) as usize / 4)),
        _ => None,
    }
}

/// A message-based SPI, whose number is written.
fn message<S: SpiWords>(access: Access, view: &DistView<'_, S>) -> Action {
    let Some(value) = access.write else {
        return Action::Value(0);
    };
    match Spi::new((value & 0x1fff) as u16) {
        Some(spi) if view.is_root && view.owns(spi) => Action::Store {
            offset: access.offset,
            size: 4,
            value: spi.intid().into(),
        },
        _ => Action::Ignore,
    }
}

fn router<S: SpiWords>(access: Access, view: &DistView<'_, S>) -> Action {
    let part = match (access.size, access.offset & 4) {
        (8, _) => Part::Whole,
        (_, 0) => Part::Low,
        _ => Part::High,
    };
    match (Spi::new((access.offset >> 3 & 0x3ff) as u16), access.write) {
        (Some(spi), None) if view.owns(spi) => Action::ReadRoute { spi, part },
        (Some(spi), Some(value)) if view.owns(spi) => Action::WriteRoute { spi, part, value },
        _ => access.nothing(),
    }
}

/// Four bits to four bytes.
pub(super) fn bytes(bits: u32) -> u32 {
    ((bits * 0x0020_4081) & 0x0101_0101) * 0xff
}

/// Sixteen bits to sixteen pairs.
pub(super) fn pairs(bits: u32) -> u32 {
    let bits = (bits | bits << 8) & 0x00ff_00ff;
    let bits = (bits | bits << 4) & 0x0f0f_0f0f;
    let bits = (bits | bits << 2) & 0x3333_3333;
    ((bits | bits << 1) & 0x5555_5555) * 3
}
