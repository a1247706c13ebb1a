//! The loop of each CPU: take requests, run the guest, answer its exits; or wait.

#![forbid(unsafe_code)]

use aarch64_cpu::registers::{CNTPCT_EL0, ESR_EL2, FAR_EL2, Readable};
use bulkhead_abi::info::{FaultRecord, cause, cpu_state};
use bulkhead_model::cell::{Request as Event, State};
use bulkhead_model::id::CellId;
use bulkhead_model::psci::CpuPower;
use core::sync::atomic::Ordering;

use crate::gic::Interface;
use crate::handle::{self, Fault, Outcome};
use crate::percpu::{Cpu, Request};
use crate::{
    cells, context, firmware, gic, guest, info, life, listed, pen, power, stop, sysreg, system,
    vgic,
};

/// Never returns but to Linux, by leaving.
pub fn run(mut cpu: Cpu) -> ! {
    loop {
        match cpu.shared.take() {
            Request::None => {}
            Request::Start => {
                start(&mut cpu);
                continue; // look into the box again: see `start`
            }
            Request::Stop => park(&cpu),
            Request::Scrub => {
                cells::scrub_here(cpu.shared);
                sysreg::sev();
            }
            Request::ToFirmware => to_firmware(&cpu),
        }
        if cpu.shared.state.load(Ordering::Relaxed) != cpu_state::GUEST {
            sysreg::wfe();
            continue;
        }
        let reason = guest::enter(&mut cpu);
        match handle::exit(&mut cpu, reason) {
            Outcome::Resume => {}
            Outcome::Return(value) => cpu.frame.x[0] = value.cast_unsigned(),
            Outcome::Forward => firmware::forward(cpu.frame),
            Outcome::Standby => {
                if listed::before_sleep(cpu.shared) {
                    sysreg::wfi();
                }
                cpu.frame.x[0] = 0;
            }
            Outcome::Park => park(&cpu),
            Outcome::Leave => life::leave(cpu),
            Outcome::Stop(fault) => fail(&cpu, fault),
        }
    }
}

/// Starts the owner's code on this CPU.
fn start(cpu: &mut Cpu) {
    let cell = cpu.shared.cell();
    let found = system::lock().ok().and_then(|system| {
        // A cell that is being stopped starts no CPU.
        let may_run = cell == CellId::ROOT || system.cells[cell.index()].state == State::Running;
        if !may_run {
            power::set(cpu.shared, CpuPower::Off);
            return None;
        }
        let number = system.ledger.virtual_number(cpu.shared.id);
        let delivery = system.cells[cell.index()].delivery;
        system.stage2(cell).map(|stage2| (number, delivery, stage2))
    });
    let Some((number, delivery, stage2)) = found else {
        return;
    };
    if cell != CellId::ROOT && number == 0 {
        cells::flush_here(cell);
    }
    vgic::place_redistributor(cpu.shared, number);
    gic::prepare_redistributor(cpu.shared, cell == CellId::ROOT);
    let interface = match cell {
        CellId::ROOT => Interface::Root,
        _ => Interface::Cell(delivery),
    };
    gic::reset_interface(cpu.shared, interface);
    let entry = cpu.shared.entry.load(Ordering::Relaxed);
    let argument = cpu.shared.context.load(Ordering::Relaxed);
    context::reset(cpu, cell, number, delivery, stage2, entry, argument);
    power::set(cpu.shared, CpuPower::On);
    cpu.shared.set_state(cpu_state::GUEST);
    // Whoever posts `Stop` from now on sees a guest to kick, or we see the request: state before request.
    sysreg::dsb_ish();
}

/// Stops whatever runs here and waits at EL2.
fn park(cpu: &Cpu) {
    gic::quiet_interface(cpu.shared);
    context::quiesce();
    power::set(cpu.shared, CpuPower::Off);
    cpu.shared.set_state(cpu_state::PARKED);
    settle(cpu.shared.cell());
}

/// Notes that a cell has stopped when its last CPU has.
fn settle(cell: CellId) {
    let Ok(mut system) = system::lock() else {
        return;
    };
    let is_stopping = cell != CellId::ROOT && system.cells[cell.index()].state.is_stopping();
    if is_stopping && system.are_parked(cell) && stop::settle(&mut system, cell).is_err() {
        defmt::error!("cell {=usize} does not settle", cell.index());
    }
}

/// Stops this CPU's cell for what it did: the record, the other CPUs, this one.
#[inline(never)] // The record is large, and what else runs here needs no room for it.
fn fail(cpu: &Cpu, fault: Fault) {
    let cell = cpu.shared.cell();
    let record = FaultRecord {
        kind: fault.kind,
        cpu: cpu.shared.id.number(),
        esr: ESR_EL2.get(),
        far: FAR_EL2.get(),
        ipa: fault.ipa,
        pc: cpu.frame.pc,
        spsr: cpu.frame.spsr,
        x: cpu.frame.x,
    };
    defmt::error!(
        "cell {=usize}: CPU {=usize} stopped: fault {=u32} at {=u64:#x}, pc {=u64:#x}",
        cell.index(),
        cpu.shared.id.index(),
        fault.kind,
        fault.ipa,
        record.pc
    );
    if let Ok(mut system) = system::lock() {
        let is_first = system.cells[cell.index()].state == State::Running;
        if system.advance(cell, Event::Fault).is_ok() && is_first {
            info::set_fault(cell, record);
            system.cells[cell.index()].cause = cause::FAULT;
            system.cells[cell.index()].stop_time = CNTPCT_EL0.get();
            system.stop_cpus(cell);
            system.publish(cell);
        }
    }
    park(cpu);
}

/// Hands this parked CPU back to firmware.
fn to_firmware(cpu: &Cpu) {
    pen::before(cpu.shared);
    cpu.shared.set_state(cpu_state::FIRMWARE);
    firmware::cpu_off(cpu.shared);
    cpu.shared.set_state(cpu_state::PARKED);
}
