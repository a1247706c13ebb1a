//! A guest's access to the distributor of a GICv2: what `model::vgic::v2` is told, and asked.

use bulkhead_abi::info::exit;
use bulkhead_model::addr::{Gpa, Hpa, PAGE_SIZE};
use bulkhead_model::id::CellId;
use bulkhead_model::vgic::interfaces::{Interfaces, MAX_INTERFACES};
use bulkhead_model::vgic::v2::{DISTRIBUTOR_SIZE, GICD_SGIR, View, gicd_access};
use core::sync::atomic::Ordering::Relaxed;

use crate::board::board;
use crate::gicv2::frames;
use crate::percpu::PerCpu;
use crate::vgic::{Answer, perform};
use crate::{gate, info, listed, registers};

/// See [`crate::vgic::access`].
pub fn access(cpu: &PerCpu, ipa: Gpa, size: u8, write: Option<u64>) -> Answer {
    let gicd = board().gicd;
    if !gicd.contains(Hpa(ipa.0)) {
        return second_page(cpu, ipa, size, write);
    }
    let offset = (ipa.0 - gicd.base().0) % DISTRIBUTOR_SIZE;
    let cause = if offset == GICD_SGIR {
        exit::SGI
    } else {
        exit::GICD
    };
    info::count_exit(cpu.id, cause);
    let (cell, gate) = (cpu.cell(), gate::of(cpu.cell()));
    let view = View {
        owned: gate,
        is_root: cell == CellId::ROOT,
        interfaces: interfaces(cell),
        own: cpu.interface.load(Relaxed),
        count: gate.members().count_ones(),
        typer: frames().typer,
    };
    let action = gicd_access(offset, size, write, &view);
    let sees = offset != GICD_SGIR; // who sends an SGI sees nothing by that
    if sees {
        listed::show(cpu);
    }
    let value = perform(cpu, gate, gicd.base().0, offset, action);
    if sees {
        listed::hide(cpu);
    }
    Answer::Done(value)
}

/// Serves an access to the second page of a CPU interface, which has GICV_DIR and nothing else. Cells with listed delivery do not
/// have it, so that no deactivation of what is in no list register goes by.
fn second_page(cpu: &PerCpu, ipa: Gpa, size: u8, write: Option<u64>) -> Answer {
    let second = frames().regions.gicc.base().0 + PAGE_SIZE;
    if !listed::is_on() || ipa.0 & !(PAGE_SIZE - 1) != second {
        return Answer::NotOurs;
    }
    info::count_exit(cpu.id, exit::SYSREG);
    if let (Some(value), 4, true) = (write, size, ipa.0 == second) {
        let intid = value & 0x3ff;
        if registers::owns(cpu, intid) {
            listed::deactivate(cpu, intid as u16);
        }
    }
    Answer::Done(0)
}

/// See [`crate::vgic::is_ours`].
pub fn is_ours(_: &PerCpu, ipa: Gpa) -> bool {
    board().gicd.contains(Hpa(ipa.0))
}

/// The CPU interfaces of a cell's CPUs. One that has not been here yet has none.
pub fn interfaces(cell: CellId) -> Interfaces {
    if cell == CellId::ROOT {
        return board()
            .cpus()
            .filter(|cpu| cpu.cell() == CellId::ROOT)
            .map(|cpu| cpu.interface.load(Relaxed))
            .fold(Interfaces::NONE, |all, bit| {
                all.with(bit.trailing_zeros() as usize, bit)
            });
    }
    let gate = gate::of(cell);
    (0..MAX_INTERFACES)
        .filter_map(|number| Some((number, board().cpu(gate.cpu(number as u64)?)?)))
        .fold(Interfaces::NONE, |all, (number, cpu)| {
            all.with(number, cpu.interface.load(Relaxed))
        })
}
