//! The end of a cell: stopped, fenced, destroyed; and its new start when it asked for one.
//!
//! One rule: nobody is waited for. Who asks is told `PENDING`, and a CPU that does not stop loses all it could reach.

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use arrayvec::ArrayVec;
use bulkhead_abi::info::cause;
use bulkhead_abi::{MAX_CPUS, code};
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::blob::MAX_DEVICES;
use bulkhead_model::cell::{Request as Event, State, next};
use bulkhead_model::id::{CellId, CpuId, Mpidr};
use bulkhead_model::psci::CpuPower;
use bulkhead_model::refused::Refused;
use core::sync::atomic::Ordering;

use crate::board::board;
use crate::cells::{cpus, discard, pending, scrub, start_first};
use crate::system::{self, Operation, System};
use crate::{console, gate, gic, power, root};

/// How long a cell's CPUs may take to stop, seconds. Then the cell is fenced.
const STOP_SECONDS: u64 = 2;
/// After so many of them it loses its memory: whatever it executes faults.
const CUT_OFF_SECONDS: u64 = 1;

/// `CELL_STOP`.
///
/// # Errors
/// `WRONG_STATE`, `PENDING`, `CPU_SILENT`.
pub fn stop(system: &mut System, id: CellId) -> Result<(), Refused> {
    let slot = &mut system.cells[id.index()];
    if slot.state == State::Stopped && slot.root_stops {
        slot.root_stops = false;
        defmt::info!("cell {=usize} stopped", id.index());
        return Ok(());
    }
    begin_stop(system, id, Event::Stop, cause::ROOT)?;
    system.cells[id.index()].root_stops = true;
    finish_stop(system, id)?;
    system.publish(id);
    Err(pending(system, id)) // the next call finds it stopped
}

/// Tells a running cell's CPUs to stop, for good or to start anew (`event`), for that cause (`abi::info::cause`).
pub fn begin_stop(
    system: &mut System,
    id: CellId,
    event: Event,
    cause: u32,
) -> Result<(), Refused> {
    let was = system.cells[id.index()].state;
    system.advance(id, event)?;
    if system.cells[id.index()].state != was {
        let slot = &mut system.cells[id.index()];
        (slot.stop_time, slot.cause) = (CNTPCT_EL0.get(), cause);
        system.stop_cpus(id);
        system.publish(id);
    }
    Ok(())
}

/// Notes that all CPUs of a cell that is being stopped are parked; starts it anew if it asked for that.
pub fn settle(system: &mut System, id: CellId) -> Result<(), Refused> {
    cpus(system, id).for_each(|cpu| power::set(cpu, CpuPower::Off));
    if core::mem::take(&mut system.cells[id.index()].is_cut_off)
        && let Some(tables) = &system.cells[id.index()].tables
    {
        tables.restore_all(&mut system::memory_of(id, tables));
    }
    system.advance(id, Event::Parked)?;
    if system.cells[id.index()].state == State::Loaded {
        defmt::info!("cell {=usize} restarts", id.index());
        let slot = &mut system.cells[id.index()];
        slot.restarts = slot.restarts.wrapping_add(1);
        start_first(system, id)?;
    }
    system.publish(id);
    Ok(())
}

/// Answers `PENDING` until they have; cuts the cell off when one does not in time.
pub fn finish_stop(system: &mut System, id: CellId) -> Result<(), Refused> {
    if system.are_parked(id) {
        return settle(system, id);
    }
    // A guest may have dodged the kick (its own CPUs reach each other's redistributors), or delayed it: once more.
    system.stop_cpus(id);
    let waited = CNTPCT_EL0
        .get()
        .wrapping_sub(system.cells[id.index()].stop_time);
    if waited >= CUT_OFF_SECONDS * CNTFRQ_EL0.get() {
        system.cut_off(id);
    }
    if waited < STOP_SECONDS * CNTFRQ_EL0.get() {
        return Err(pending(system, id));
    }
    let silent = cpus(system, id).find(|cpu| !cpu.is_parked());
    system.advance(id, Event::Silent)?;
    system.publish(id);
    let mpidr = silent.map_or(0, |cpu| cpu.mpidr.get());
    defmt::error!(
        "cell {=usize} fenced: CPU {=u64:#x} does not answer",
        id.index(),
        mpidr
    );
    Err(Refused::new(code::CPU_SILENT, mpidr, 0))
}

/// `CELL_DESTROY`.
///
/// # Errors
/// `NO_SUCH_CELL`, `WRONG_STATE`, `PENDING`, `CPU_SILENT`.
pub fn destroy(operation: &Operation, id: u64, caller: Mpidr) -> Result<u64, Refused> {
    let mut guard = system::lock()?;
    let system = &mut *guard;
    let id = system.existing(id)?;
    match system.cells[id.index()].state {
        State::Running | State::Restarting => {
            begin_stop(system, id, Event::Stop, cause::ROOT)?;
            return Err(pending(system, id));
        }
        State::Stopping | State::Failing => {
            finish_stop(system, id)?;
            return Err(pending(system, id));
        }
        State::Creating => return Err(pending(system, id)),
        State::Fenced if !system.are_parked(id) => {
            let silent = pending(system, id);
            return Err(Refused::new(code::CPU_SILENT, silent.a, 0));
        }
        State::Destroying => {}
        state => {
            next(state, Event::Destroy)?;
            if !system.are_parked(id) {
                return Err(pending(system, id));
            }
            system.advance(id, Event::Destroy)?;
            scrub(system, id)?;
            system.publish(id);
            return Err(pending(system, id));
        }
    }
    if !system.cells[id.index()].is_scrubbed || !system.are_parked(id) {
        return Err(pending(system, id));
    }
    drop(guard);
    release(operation, id, Some(caller))?;
    defmt::info!("cell {=usize} destroyed", id.index());
    Ok(0)
}

/// Gives everything of a cell back. Its RAM is zeroed and its CPUs are parked; no other operation, so nobody, starts them.
/// Its interrupts go to `caller`; `None`: they are as root left them.
///
/// # Errors
/// `PANICKED`.
pub fn release(_: &Operation, id: CellId, caller: Option<Mpidr>) -> Result<(), Refused> {
    let mut system = system::lock()?;
    let spis = system.ledger.spis_of(id).clone();
    let mut devices: ArrayVec<Region<Hpa>, MAX_DEVICES> = ArrayVec::new();
    if let Some(cell) = system.ledger.cell(id) {
        for window in &cell.devices {
            let pages = window.hpa.to_pages();
            if !system.ledger.have_others(id, &pages) {
                let _ = devices.try_push(pages); // has room for all
            }
        }
    }
    system.cells[id.index()].is_cut_off = false; // a fenced one was
    let tables = system.cells[id.index()].tables.take();
    let console = core::mem::replace(&mut system.cells[id.index()].console, console::NONE);
    drop(system);
    // Until the ledger says so, the interrupts are not root's: it cannot touch what is being cleaned.
    if let Some(caller) = caller {
        gic::hand_over(&spis, caller);
    }
    devices.into_iter().for_each(root::give_back);
    if let Some(tables) = tables {
        discard(id, &tables);
    }
    let mut system = system::lock()?;
    let freed: ArrayVec<CpuId, MAX_CPUS> = system.ledger.cpus_of(id).collect();
    system.cells[id.index()].state = State::Free;
    system.ledger.release(id);
    // SAFETY: the cell's CPUs are parked, as the caller checked; we hold the lock.
    unsafe { gate::update(&system.ledger, id) };
    for cpu in freed.into_iter().filter_map(|cpu| board().cpu(cpu)) {
        cpu.set_cell(CellId::ROOT);
        power::set(cpu, CpuPower::Off);
        cpu.set_state(cpu.state.load(Ordering::Acquire));
    }
    drop(system);
    // Only where nothing fails any more: from now on root's kernel must not touch it.
    console::give_back(console);
    if let Ok(system) = system::lock() {
        system.publish(id);
    }
    Ok(())
}
