//! The distributor's registers of a GICv2 (Arm IHI 0048, "Distributor register descriptions"). The first of each kind are
//! banked: each CPU reaches its own SGIs and PPIs there.
//!
//! CPU interfaces need no emulation: each CPU's guest has its own, or its virtual one.

use super::Action;
use super::access::Access;
use super::distributor::{SpiWords, bytes, pairs};
use super::interfaces::Interfaces;

/// Offset of the register that sends SGIs.
pub const GICD_SGIR: u64 = 0xf00;
/// Bytes of the distributor's registers.
pub const DISTRIBUTOR_SIZE: u64 = 0x1000;
/// `GICD_CTLR` as a cell sees it: Enable.
const CELL_CTLR: u64 = 1;
/// `GICD_TYPER` as a cell sees it, besides the number of CPUs: ITLinesNumber, SecurityExtn.
const CELL_TYPER: u32 = 0x1f | 1 << 10;
const TYPER_CPUS_SHIFT: u32 = 5;
/// The SGIs in the first of the registers of one bit an interrupt.
const SGIS: u32 = 0xffff;

/// Who accesses it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, S> {
    /// SPIs of the accessing cell.
    pub owned: &'a S,
    /// It is the root cell: it sees the machine as it is.
    pub is_root: bool,
    /// Interfaces of the cell's CPUs.
    pub interfaces: Interfaces,
    /// Physical interface of the accessing CPU, a bit.
    pub own: u8,
    /// Number of the cell's CPUs. Not used for root.
    pub count: u32,
    /// `GICD_TYPER`.
    pub typer: u32,
}

impl<S: SpiWords> View<'_, S> {
    /// The cell's bits of a register of one bit an interrupt; the first such register is the CPU's own.
    fn bits(&self, index: usize) -> u32 {
        if index == 0 {
            u32::MAX
        } else {
            self.owned.word(index)
        }
    }

    /// The cell's bits of interrupts `first` to `first + 31`, in 0 to 31; `first` is a multiple of their number used.
    fn bits_from(&self, first: usize) -> u32 {
        self.bits(first / 32) >> (first % 32)
    }

    fn typer(&self) -> u32 {
        if self.is_root {
            return self.typer;
        }
        self.typer & CELL_TYPER | (self.count.saturating_sub(1) & 7) << TYPER_CPUS_SHIFT
    }

    /// A cell of one CPU has a distributor for one: no targets are to be chosen (`GICD_ITARGETSR<n>`).
    fn is_uniprocessor(&self) -> bool {
        !self.is_root && self.count == 1
    }
}

/// Decides an access of `size` bytes at `offset` to the distributor; `write` is what is written.
#[must_use]
pub fn gicd_access<S: SpiWords>(
    offset: u64,
    size: u8,
    write: Option<u64>,
    view: &View<'_, S>,
) -> Action {
    // Boards with pages of 64 KiB show the same registers sixteen times.
    let Some(access) = Access::new(offset % DISTRIBUTOR_SIZE, size, write) else {
        return Action::IgnoreLogged;
    };
    let place = (offset % DISTRIBUTOR_SIZE) as usize;
    let field = |place: usize, size: u8| {
        let all = if size == 1 { 1 } else { 0xf };
        bytes(view.bits_from(place) & all)
    };
    match (place, size) {
        (0x0, 4) => access.read_only(if view.is_root { u64::MAX } else { CELL_CTLR }),
        (0x4, 4) => access.constant(view.typer().into()),
        (0x8 | 0xfd0..0x1000, 4) => access.read_only(u64::MAX), // IIDR, identification
        // IGROUPR: all in group 1, which only the secure side sees
        (0x80..0x100, 4) => access.nothing(),
        // A cell's SGIs cannot be disabled (it is IMPLEMENTATION DEFINED whether SGIs can): a kick is one.
        (0x180, 4) if !view.is_root => access.set_clear_of(u32::MAX, !SGIS),
        // ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER
        (0x100..0x400, 4) => access.set_clear(view.bits(place % 0x80 / 4)),
        (0x400..0x800, 1 | 4) => access.clamped().fields(field(place - 0x400, size)),
        (0x800..0x820, 1 | 4) => access.constant(own_target(view, size)),
        (0x820..0xc00, 1 | 4) if view.is_uniprocessor() => access.nothing(),
        (0x820..0xc00, 1 | 4) => masks(access, field(place - 0x800, size), view),
        // SGIs are what they are; so are PPIs on a GIC-400, and elsewhere their kind may be the same for all CPUs (QEMU's is).
        (0xc00 | 0xc04, 4) => access.read_only(u64::MAX),
        (0xc08..0xd00, 4) => access.fields(pairs(view.bits_from(4 * (place - 0xc00)) & 0xffff)),
        // The lines' levels where the controller tells them, NSACR
        (0xd00..0xf00, 4) => access.nothing(),
        (0xf00, 4) => sgi(access, view),
        // CPENDSGIR, SPENDSGIR: the CPUs that an SGI came from
        (0xf10..0xf30, 1 | 4) => masks(access, u32::MAX >> (32 - 8 * u32::from(size)), view),
        _ => Action::IgnoreLogged,
    }
}

/// `GICD_ITARGETSR0` to `7`: the CPU that reads them.
fn own_target<S: SpiWords>(view: &View<'_, S>, size: u8) -> u64 {
    if view.is_uniprocessor() {
        return 0;
    }
    let own = u64::from(view.interfaces.seen(view.own));
    if size == 1 { own } else { own * 0x0101_0101 }
}

/// Masks of CPU interfaces, a byte each; those of `mask` are the cell's.
fn masks<S: SpiWords>(access: Access, mask: u32, view: &View<'_, S>) -> Action {
    if mask == 0 {
        return access.nothing();
    }
    match access.write {
        Some(value) => {
            let value = view.interfaces.physical_each((value & 0xffff_ffff) as u32);
            Access {
                write: Some(value.into()),
                ..access
            }
            .fields(mask)
        }
        None => Action::ReadInterfaces {
            offset: access.offset,
            size: access.size,
            mask,
        },
    }
}

/// `GICD_SGIR`: TargetListFilter 25:24, CPUTargetList 23:16, SGIINTID 3:0.
fn sgi<S: SpiWords>(access: Access, view: &View<'_, S>) -> Action {
    let Some(value) = access.write else {
        return Action::Value(0);
    };
    let targets = match value >> 24 & 3 {
        0 => view.interfaces.physical((value >> 16 & 0xff) as u8),
        1 => view.interfaces.all() & !view.own,
        2 => view.own,
        _ => 0,
    };
    match targets {
        0 => Action::Ignore,
        targets => Action::Store {
            offset: access.offset,
            size: 4,
            value: sgi_value((value & 0xf) as u8, targets),
        },
    }
}

/// Returns the value for `GICD_SGIR` that sends `intid` to these physical interfaces.
#[must_use]
pub const fn sgi_value(intid: u8, targets: u8) -> u64 {
    (targets as u64) << 16 | intid as u64 & 0xf
}
