//! The shared read-only area as EL2 writes it: cells, CPUs, counters, the panic record, the log rings.
//!
//! One rule: root can read it at any moment, so nothing in it is trusted back.

use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering, fence};

use bulkhead_abi::info::{
    CellInfo, FaultRecord, Health, INFO_SIZE, Info, LOG_RING_SIZE, PanicRecord,
};
use bulkhead_abi::{ABI_VERSION, enter};
use bulkhead_model::id::{CellId, CpuId};

use crate::board::Board;

/// `Info::log_offset`.
const LOG_OFFSET: u32 = {
    assert!(INFO_SIZE == 0x2000);
    0x2000
};
/// Physical base of the area; 0 before it exists.
static BASE: AtomicU64 = AtomicU64::new(0);

fn info() -> Option<*mut Info> {
    match BASE.load(Ordering::Relaxed) {
        0 => None,
        base => Some(base as *mut Info),
    }
}

/// Fills a field of [`Info`] by its path.
macro_rules! put {
    ($info:expr, $($field:tt)+) => {
        put!(@split $info, [] $($field)+)
    };
    (@split $info:expr, [$($path:tt)*] = $value:expr) => {{
        // SAFETY: `info()` is the mapped area, large enough for an `Info`; writers of one field exclude each other.
        let field = unsafe { &raw mut (*$info) $($path)* };
        // SAFETY: as above; aligned as the area is.
        unsafe { field.write_volatile($value) };
    }};
    (@split $info:expr, [$($path:tt)*] $next:tt $($rest:tt)*) => {
        put!(@split $info, [$($path)* $next] $($rest)*)
    };
}

/// Sets the area up. Its memory is zeroed.
pub fn set_up(base: u64, build_id: u64, board: &Board) {
    BASE.store(base, Ordering::Relaxed);
    let Some(info) = info() else { return };
    put!(info, .magic = enter::IMAGE_MAGIC);
    put!(info, .version = ABI_VERSION);
    put!(info, .cpu_count = board.cpu_count());
    put!(info, .log_offset = LOG_OFFSET);
    put!(info, .build_id = build_id);
    put!(info, .hv_base = board.hv.base().0);
    put!(info, .hv_size = board.hv.size());
    put!(info, .pool_base = board.pool.map_or(0, |pool| pool.base().0));
    put!(info, .security_states = board.kicks.security_states.into());
    put!(info, .pool_size = board.pool.map_or(0, |pool| pool.size()));
    for cpu in board.cpus() {
        put!(info, .cpus[cpu.id.index()].mpidr = cpu.mpidr.get());
    }
}

/// Changes what describes a cell, but for its fault, and memory; readers see by `sequence` that it is under way. The caller
/// holds the system's lock.
pub fn update(id: CellId, cell: &CellInfo, root_cpus: u64, pages_free: u64, pool_free: u64) {
    const BEFORE_FAULT: usize = offset_of!(CellInfo, fault);
    const _: () = assert!(BEFORE_FAULT + size_of::<FaultRecord>() == size_of::<CellInfo>());
    const WORD: usize = size_of::<u64>();
    const _: () = assert!(BEFORE_FAULT.is_multiple_of(WORD) && align_of::<CellInfo>() == WORD);
    let Some(info) = info() else { return };
    bump(info);
    // SAFETY: as in `put`; an id is an index of the cells.
    let to = unsafe { &raw mut (*info).cells[id.index()] };
    let from = (&raw const *cell).cast::<u64>(); // bytes would be copied one by one
    // SAFETY: all but the last field of one record, which root reads and we alone write, under the lock.
    unsafe { core::ptr::copy_nonoverlapping(from, to.cast(), BEFORE_FAULT / WORD) };
    put!(info, .cells[CellId::ROOT.index()].cpus = root_cpus);
    put!(info, .hv_pages_free = pages_free);
    put!(info, .pool_free = pool_free);
    bump(info);
}

/// Sets a cell's last fault. The caller holds the system's lock.
pub fn set_fault(id: CellId, fault: FaultRecord) {
    let Some(info) = info() else { return };
    bump(info);
    put!(info, .cells[id.index()].fault = fault);
    bump(info);
}

/// Changes what is known of a cell's heart, by itself: it changes often. The caller holds the system's lock.
pub fn set_health(cell: CellId, health: Health) {
    let Some(info) = info() else { return };
    put!(info, .cells[cell.index()].health = health);
}

/// Makes the sequence odd, or even again.
fn bump(info: *mut Info) {
    // SAFETY: as in `put`.
    let sequence = unsafe { &raw mut (*info).sequence };
    fence(Ordering::SeqCst); // what was written before is visible before the new number
    // SAFETY: mapped and aligned.
    let old = unsafe { sequence.read_volatile() };
    // SAFETY: as above; the only writer holds the system's lock.
    unsafe { sequence.write_volatile(old.wrapping_add(1)) };
    fence(Ordering::SeqCst);
}

/// Changes owner and state of a CPU.
pub fn set_cpu(cpu: CpuId, cell: CellId, state: u32) {
    let Some(info) = info() else { return };
    put!(info, .cpus[cpu.index()].cell = cell.number());
    put!(info, .cpus[cpu.index()].state = state);
}

/// Counts an exit of this CPU (`abi::info::exit`).
#[inline(never)] // Wherever something is counted: one call.
pub fn count_exit(cpu: CpuId, cause: usize) {
    count_exit_here(cpu, cause);
}

/// The same without a call, for the short way.
#[inline(always)]
pub fn count_exit_here(cpu: CpuId, cause: usize) {
    let Some(info) = info() else { return };
    // SAFETY: as in `put`; `cause` is below `exit::COUNT`, checked by the index.
    let counter = unsafe { &raw mut (*info).cpus[cpu.index()].exits[cause] };
    // SAFETY: mapped and aligned.
    let old = unsafe { counter.read_volatile() };
    // SAFETY: as above; a CPU counts for itself only.
    unsafe { counter.write_volatile(old + 1) };
}

/// Stores the record of our own bug; the first one stays.
pub fn record_panic(record: PanicRecord) {
    let Some(info) = info() else { return };
    // SAFETY: as in `put`.
    let count = unsafe { &raw mut (*info).panic.count };
    // SAFETY: mapped and aligned.
    if unsafe { count.read_volatile() } == 0 {
        put!(info, .panic = record);
    }
}

/// Returns this CPU's log ring: its base. `None` before the area exists.
pub fn log_ring(cpu: usize) -> Option<u64> {
    info().map(|info| info as u64 + INFO_SIZE + cpu as u64 * LOG_RING_SIZE)
}

/// No fault.
pub const NO_FAULT: FaultRecord = FaultRecord {
    kind: 0,
    cpu: 0,
    esr: 0,
    far: 0,
    ipa: 0,
    pc: 0,
    spsr: 0,
    x: [0; 31],
};
