//! The watch over the cells' hearts: root calls, EL2 looks.
//!
//! One rule: the comm page is the cell's. EL2 writes its head before the cell runs, reads one word of it after, and believes
//! nothing but that the word changed.

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use bulkhead_abi::comm::{self, Comm};
use bulkhead_abi::info::{Health, cause};
use bulkhead_abi::{MAX_CELLS, code};
use bulkhead_model::blob::Heartbeat;
use bulkhead_model::cell::{State, entry_and_reset};
use bulkhead_model::heart::{Verdict, interval_ms};
use bulkhead_model::id::CellId;
use bulkhead_model::refused::Refused;

use crate::system::{self, System};
use crate::{info, stop, sysreg};

/// The cell is about to start: its page says what it has to, and its time runs.
pub fn start(system: &mut System, id: CellId) {
    let slot = &mut system.cells[id.index()];
    slot.heart = slot.heart.start(CNTPCT_EL0.get());
    slot.health = Health::NONE;
    let Some((window, promise)) = system.ledger.cell(id).and_then(|cell| cell.comm()) else {
        return;
    };
    slot.health.heartbeat_ms = promise.period_ms;
    let head = Comm {
        magic: comm::MAGIC,
        version: comm::VERSION,
        size: comm::SIZE,
        heartbeat_ms: promise.period_ms,
        reserved: [0; 11],
        beats: 0,
    };
    let page = window.hpa.base().0;
    // SAFETY: a page that the ledger gave to this cell, mapped at EL2; none of the cell's CPUs runs.
    unsafe { (page as *mut Comm).write(head) };
    // The cell may read it with its caches off, and its first beat is not to be hidden by our line.
    sysreg::clean_to_poc(page, size_of::<Comm>() as u64);
}

/// `CELL_WATCH`: returns after how long to call again, milliseconds; 0 for never.
pub fn watch(system: &mut System) -> u64 {
    for id in (1..MAX_CELLS).filter_map(CellId::new) {
        let slot = &system.cells[id.index()];
        // A cell that ends by itself has nobody but us to look after a CPU of it that dodged its kick.
        if slot.state.is_stopping() && !slot.root_stops {
            let _ = stop::finish_stop(system, id);
        }
        if let Some((page, promise)) = beating(system, id) {
            look(system, id, page, promise);
        }
    }
    interval(system)
}

/// After how long to look again, milliseconds; 0 for never.
pub fn interval(system: &System) -> u64 {
    let ids = (1..MAX_CELLS).filter_map(CellId::new);
    interval_ms(ids.filter_map(|id| {
        let (_, promise) = system.ledger.cell(id)?.comm()?;
        let state = system.cells[id.index()].state;
        (state == State::Running || state.is_stopping()).then_some(promise.period_ms)
    }))
}

/// Comm page and promise of a running cell that has one.
fn beating(system: &System, id: CellId) -> Option<(u64, Heartbeat)> {
    let (window, promise) = system.ledger.cell(id)?.comm()?;
    let is_running = system.cells[id.index()].state == State::Running;
    is_running.then_some((window.hpa.base().0, promise))
}

fn look(system: &mut System, id: CellId, page: u64, promise: Heartbeat) {
    let beats = beats(page);
    let (now, frequency) = (CNTPCT_EL0.get(), CNTFRQ_EL0.get());
    let slot = &mut system.cells[id.index()];
    let (heart, verdict) = slot.heart.look(promise, beats, now, frequency);
    slot.heart = heart;
    slot.health = Health {
        beats,
        silent_ms: heart.silent_ms(now, frequency),
        heartbeat_ms: promise.period_ms,
        is_stalled: heart.is_stalled.into(),
    };
    info::set_health(id, slot.health);
    match verdict {
        Verdict::Same => {}
        Verdict::Revived => defmt::info!("cell {=usize} beats again", id.index()),
        Verdict::Stalled | Verdict::Restart => defmt::warn!("cell {=usize} is stalled", id.index()),
    }
    if verdict == Verdict::Restart {
        // Refused in no state that we are in: it runs, and we hold the lock.
        let (_, event) = entry_and_reset(system.cells[id.index()].entry);
        let _ = stop::begin_stop(system, id, event, cause::STALL);
    }
}

/// Reads the counter of beats.
fn beats(page: u64) -> u64 {
    let address = page + core::mem::offset_of!(Comm, beats) as u64;
    // A cell whose caches are off writes past ours: our line, which is clean, goes first (DDI 0487, "Mismatched memory
    // attributes").
    sysreg::clean_to_poc(address, 8);
    // SAFETY: inside a page of the pool, mapped at EL2; any value does.
    unsafe { (address as *const u64).read_volatile() }
}

/// `COMM_ADDRESS` of that cell.
///
/// # Errors
/// `NOT_SUPPORTED`: it has no comm page.
pub fn address(id: CellId) -> Result<u64, Refused> {
    let system = system::lock()?;
    let comm = system.ledger.cell(id).and_then(|cell| cell.comm());
    comm.map(|(window, _)| window.gpa.base().0)
        .ok_or(Refused::new(code::NOT_SUPPORTED, 0, 0))
}
