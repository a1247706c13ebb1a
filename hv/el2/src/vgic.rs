//! Performs what `model::vgic` decides of a guest's access to the interrupt controller.
//!
//! One rule: no decision here; each physical access is one that the model named.

use bulkhead_abi::info::exit;
use bulkhead_model::addr::{Gpa, Hpa};
use bulkhead_model::id::{CellId, Mpidr};
use bulkhead_model::vgic::distributor::{DistView, SpiWords, gicd_access, gicd_plain};
use bulkhead_model::vgic::redistributor::{CELL_STRIDE, RedistView, gicr_access, gicr_plain};
use bulkhead_model::vgic::{Action, route};
use core::sync::atomic::Ordering::Relaxed;

use crate::board::board;
use crate::gate::{self, Gate};
use crate::percpu::PerCpu;
use crate::sysreg::IccSgi1r;
use crate::{gic, gicv2, info, listed, mmio, vgicv2};

/// What became of an access.
pub enum Answer {
    /// Not the interrupt controller's address.
    NotOurs,
    /// Done; a read gives this.
    Done(u64),
}

/// Serves a load (`write` is `None`) or store of `size` bytes at a guest physical address.
pub fn access(cpu: &PerCpu, ipa: Gpa, size: u8, write: Option<u64>) -> Answer {
    let board = board();
    if gicv2::is_there() {
        return vgicv2::access(cpu, ipa, size, write);
    }
    listed::show(cpu);
    let answer = if board.gicd.contains(Hpa(ipa.0)) {
        info::count_exit(cpu.id, exit::GICD);
        Answer::Done(distributor(cpu, ipa.0 - board.gicd.base().0, size, write))
    } else if cpu.cell() == CellId::ROOT {
        roots_redistributor(cpu, ipa.0, size, write)
    } else {
        cells_redistributor(cpu, ipa.0, size, write)
    };
    listed::hide(cpu);
    answer
}

/// Serves a 32-bit load or store of a hot register, the distributor's or of the CPU's own redistributor; a load gives this.
/// The short form of [`access`]; `None` where it takes the full one.
#[inline(always)]
pub fn plain_access(cpu: &PerCpu, ipa: Gpa, write: Option<u32>) -> Option<u32> {
    let offset = ipa.0.wrapping_sub(board().gicd.base().0);
    let (address, mask, cause) = if offset < board().plain_frame {
        let view = dist_view(cpu);
        let mask = gicd_plain(offset, write.is_some(), &view)?;
        (ipa.0, mask, exit::GICD)
    } else {
        let offset = ipa.0.wrapping_sub(cpu.gicr_seen.load(Relaxed));
        if !gicr_plain(offset) {
            return None;
        }
        (cpu.gicr + offset, u32::MAX, exit::GICR)
    };
    info::count_exit_here(cpu.id, cause);
    match write {
        // SAFETY: the model named a register of this width in a frame that EL2 maps, and allows the effect.
        Some(value) if value & mask != 0 => unsafe { mmio::write32(address, value & mask) },
        // SAFETY: as above; reading has no effect.
        None if mask != 0 => return Some(unsafe { mmio::read32(address) } & mask),
        _ => {}
    }
    Some(0)
}

/// Tells whether the address is one that [`access`] serves.
pub fn is_ours(cpu: &PerCpu, ipa: Gpa) -> bool {
    let board = board();
    if gicv2::is_there() {
        return vgicv2::is_ours(cpu, ipa);
    }
    let is_redistributor = if cpu.cell() == CellId::ROOT {
        board.redistributor_at(ipa.0).is_some()
    } else {
        let count = u64::from(gate::of(cpu.cell()).members().count_ones());
        let base = board.first_redistributor();
        (base..base + count * CELL_STRIDE).contains(&ipa.0)
    };
    is_redistributor || board.gicd.contains(Hpa(ipa.0))
}

fn distributor(cpu: &PerCpu, offset: u64, size: u8, write: Option<u64>) -> u64 {
    let view = dist_view(cpu);
    perform(
        cpu,
        view.owned,
        board().gicd.base().0,
        offset,
        gicd_access(offset, size, write, &view),
    )
}

fn dist_view(cpu: &PerCpu) -> DistView<'static, Gate> {
    let cell = cpu.cell();
    DistView {
        owned: gate::of(cell),
        is_root: cell == CellId::ROOT,
    }
}

/// Root sees all redistributors where they are, those of CPUs that nobody has too: Linux walks over them.
fn roots_redistributor(cpu: &PerCpu, ipa: u64, size: u8, write: Option<u64>) -> Answer {
    let Some(gicr) = board().redistributor_at(ipa) else {
        return Answer::NotOurs;
    };
    info::count_exit(cpu.id, exit::GICR);
    let target = board().cpus().find(|other| other.gicr == gicr);
    let view = RedistView {
        is_own: target.is_some_and(|target| target.cell() == CellId::ROOT),
        is_root: true,
        virtual_affinity: 0,
        number: 0,
        is_last: false,
    };
    let offset = ipa - gicr;
    let action = gicr_access(offset, size, write, &view);
    Answer::Done(perform(cpu, gate::of(CellId::ROOT), gicr, offset, action))
}

/// A cell sees its own, one after the other, from the place of the first.
fn cells_redistributor(cpu: &PerCpu, ipa: u64, size: u8, write: Option<u64>) -> Answer {
    let Some(offset) = ipa.checked_sub(board().first_redistributor()) else {
        return Answer::NotOurs;
    };
    let gate = gate::of(cpu.cell());
    let (number, offset) = (offset / CELL_STRIDE, offset % CELL_STRIDE);
    let Some(target) = gate.cpu(number).and_then(|id| board().cpu(id)) else {
        return Answer::NotOurs;
    };
    info::count_exit(cpu.id, exit::GICR);
    let number = (number & 0xffff) as u16;
    let view = RedistView {
        is_own: true,
        is_root: false,
        virtual_affinity: number.into(),
        number,
        is_last: gate.cpu(u64::from(number) + 1).is_none(),
    };
    Answer::Done(perform(
        cpu,
        gate,
        target.gicr,
        offset,
        gicr_access(offset, size, write, &view),
    ))
}

/// Notes where a CPU that starts, number `number` of its cell, sees its own redistributor.
pub fn place_redistributor(cpu: &PerCpu, number: usize) {
    let place = if gicv2::is_there() {
        gicv2::NO_REDISTRIBUTOR
    } else if cpu.cell() == CellId::ROOT {
        cpu.gicr
    } else {
        board().first_redistributor() + number as u64 * CELL_STRIDE
    };
    cpu.gicr_seen.store(place, Relaxed);
    cpu.told.store(0, Relaxed);
}

/// Logs that there is no such register; once, so that a guest that looks for more cannot drown what else is logged.
fn tell_nothing_there(cpu: &PerCpu, address: u64) {
    let bit = 1 << (address / 4 % 64);
    if cpu.told.fetch_or(bit, Relaxed) & bit == 0 {
        defmt::warn!(
            "cell {=usize}: no GIC register of this size at {=u64:#x}",
            cpu.cell().index(),
            address
        );
    }
}

/// Performs it on the registers at `base`; `offset` is where the guest reached for.
pub fn perform(cpu: &PerCpu, gate: &Gate, base: u64, offset: u64, action: Action) -> u64 {
    match action {
        Action::Value(value) => return value,
        Action::Ignore => {}
        Action::IgnoreLogged => tell_nothing_there(cpu, base + offset),
        Action::Read { offset, size, mask } => return read(base + offset, size) & mask,
        Action::Store {
            offset,
            size,
            value,
        } => {
            // A byte's neighbours may be another owner's, who merges the word.
            let _guard = (size == 1).then(gic::lock_distributor);
            store(base + offset, size, value);
        }
        Action::Merge {
            offset,
            value,
            mask,
        } => {
            let _guard = gic::lock_distributor();
            let old = read(base + offset, 4);
            store(base + offset, 4, old & !u64::from(mask) | u64::from(value));
        }
        Action::ReadInterfaces { offset, size, mask } => {
            let physical = (read(base + offset, size) & 0xffff_ffff) as u32 & mask;
            return vgicv2::interfaces(cpu.cell()).seen_each(physical).into();
        }
        Action::ReadRoute { spi, part } => {
            return part.of(virtual_route(cpu, gate, gic::read_route(spi)));
        }
        Action::WriteRoute { spi, part, value } => {
            let wanted = part.replaced(virtual_route(cpu, gate, gic::read_route(spi)), value);
            let find = |affinity| physical(cpu, gate, affinity);
            match route::target(wanted, cpu.mpidr, find) {
                Some(target) => gic::route(spi, target.get()),
                None => defmt::debug!(
                    "SPI {=u16} sent to a CPU that is not the cell's",
                    spi.intid()
                ),
            }
        }
    }
    0
}

/// Affinity as the cell sees it, to the physical one of a CPU of the cell.
fn physical(cpu: &PerCpu, gate: &Gate, affinity: Mpidr) -> Option<Mpidr> {
    let target = if cpu.cell() == CellId::ROOT {
        board().cpu_by_mpidr(affinity)?
    } else {
        board().cpu(gate.cpu(affinity.get())?)?
    };
    (target.cell() == cpu.cell()).then_some(target.mpidr)
}

/// A physical route as the cell sees it.
fn virtual_route(cpu: &PerCpu, gate: &Gate, value: u64) -> u64 {
    if cpu.cell() == CellId::ROOT {
        return value;
    }
    let target = board().cpu_by_mpidr(Mpidr::from_bits(value));
    target.and_then(|cpu| gate.number(cpu.id)).unwrap_or(0)
}

fn read(address: u64, size: u8) -> u64 {
    // SAFETY: the model named a register of this width in a frame that EL2 maps.
    unsafe { mmio::access(address, size, None) }.unwrap_or(0)
}

fn store(address: u64, size: u8, value: u64) {
    // SAFETY: the model named a register of this width in a frame that EL2 maps, and allows the effect.
    unsafe { mmio::access(address, size, Some(value)) };
}

/// Serves a write of ICC_SGI1R_EL1: to CPUs of the same cell only.
pub fn send_sgi(cpu: &PerCpu, value: u64) {
    info::count_exit(cpu.id, exit::SGI);
    let gate = gate::of(cpu.cell());
    let Some(map) = gate.map() else { return };
    if cpu.cell() == CellId::ROOT
        && let Some(value) = map.physical(value, gate.members())
    {
        IccSgi1r::set(value);
        return crate::sysreg::isb();
    }
    let plan = map.plan(value, cpu.id, gate.members());
    // The guest's stores before its SGI are visible to those who get it (its own barrier, which a trap does not undo).
    for target in plan.cpus().filter_map(|id| board().cpu(id)) {
        IccSgi1r::set(target.sgi | u64::from(plan.intid) << 24);
    }
    crate::sysreg::isb();
}

impl SpiWords for Gate {
    fn word(&self, index: usize) -> u32 {
        self.spis(index)
    }
}
