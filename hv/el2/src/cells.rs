//! Root's hypercalls on cells: prepare, then commit.
//!
//! One rule: a refusal changes nothing. What takes long (zeroing, stopping) is done by the cell's own CPU; the caller asks
//! again (`PENDING`).

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use arrayvec::ArrayVec;
use bulkhead_abi::enter::MAILBOX_SIZE;
use bulkhead_abi::{MAX_CPUS, PAGE_SIZE, code};
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{self, CellConfig};
use bulkhead_model::cell::{Request as Event, State, next};
use bulkhead_model::id::{CellId, CpuId, Mpidr};
use bulkhead_model::ledger::{Claim, Holding, Window};
use bulkhead_model::paging::{TableMemory, Tables, stage2};
use bulkhead_model::psci::CpuPower;
use bulkhead_model::refused::Refused;
use core::sync::atomic::Ordering;

use crate::board::board;
use crate::percpu::{PerCpu, Request};
use crate::system::{self, System};
use crate::{firmware, gate, gic, pages, power, sysreg};

/// How long a cell's CPUs may take to stop, seconds. Then the cell is fenced.
const STOP_SECONDS: u64 = 2;
/// After so many of them it loses its memory: whatever it executes faults.
const CUT_OFF_SECONDS: u64 = 1;

/// `CELL_CREATE`: returns the id.
///
/// # Errors
/// Whatever the blob or the ledger refuses, `NO_SUCH_SPI`, `HV_PAGES_EXHAUSTED`.
pub fn create(length: u64, caller: Mpidr) -> Result<u64, Refused> {
    let mut system = system::lock()?;
    if !system.is_enabled {
        return Err(Refused::new(code::NOT_ENABLED, 0, 0));
    }
    let config = read_blob(length)?;
    let claim = system
        .ledger
        .prepare_create(&config, |cpu| board().cpu(cpu).is_some_and(is_off))?;
    if let Some(spi) = config
        .spis
        .iter()
        .find(|spi| spi.intid() >= gic::intid_limit())
    {
        return Err(Refused::new(code::NO_SUCH_SPI, spi.intid().into(), 0));
    }
    let id = claim.id();
    let tables = build_stage2(&mut system, &claim)?;
    if let Err(refused) = take_devices(&system, claim.holding()) {
        discard(&mut system, id, &tables);
        return Err(refused);
    }
    let id = system.ledger.commit_create(claim);
    let slot = &mut system.cells[id.index()];
    slot.tables = Some(tables);
    slot.generation = slot.generation.wrapping_add(1);
    slot.fault = crate::info::NO_FAULT;
    system.advance(id, Event::Create)?;
    // SAFETY: the cell's CPUs are off, as the ledger checked; we hold the lock.
    unsafe { gate::update(&system.ledger, id) };
    for cpu in cpus(&system, id) {
        cpu.set_cell(id);
        power::set(cpu, CpuPower::Off);
        cpu.set_state(cpu.state.load(Ordering::Acquire));
    }
    let first = cpus(&system, id).next();
    if let Some(first) = first {
        let taken: ArrayVec<Mpidr, MAX_CPUS> = cpus(&system, id).map(|cpu| cpu.mpidr).collect();
        gic::turn_away(system.ledger.spis_of(id), &taken, caller);
        let started = scrub(&mut system, id, first);
        if started.is_err() {
            release(&mut system, id, first.mpidr);
        }
        started?;
    }
    system.publish();
    defmt::info!("cell {=usize} created", id.index());
    Ok(id.index() as u64)
}

/// The answer "call again", with the CPU that is waited for.
fn pending(system: &System, id: CellId) -> Refused {
    let busy = cpus(system, id).find(|cpu| !cpu.is_parked());
    Refused::new(code::PENDING, busy.map_or(0, |cpu| cpu.mpidr.get()), 0)
}

/// The CPUs of a cell.
fn cpus(system: &System, cell: CellId) -> impl Iterator<Item = &'static PerCpu> + '_ {
    system
        .ledger
        .cpus_of(cell)
        .filter_map(|cpu| board().cpu(cpu))
}

fn is_off(cpu: &PerCpu) -> bool {
    use bulkhead_abi::info::cpu_state::{FIRMWARE, PARKED};
    cpu.is_idle()
        && power::get(cpu) == CpuPower::Off
        && matches!(cpu.state.load(Ordering::Acquire), FIRMWARE | PARKED)
}

/// Copies the blob out of root's reach, then checks it.
fn read_blob(length: u64) -> Result<CellConfig, Refused> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > blob::MAX_SIZE || length as u64 > PAGE_SIZE {
        return Err(Refused::new(
            code::BAD_LENGTH,
            length as u64,
            blob::MAX_SIZE as u64,
        ));
    }
    let page = pages::allocate(1)
        .ok_or_else(|| Refused::new(code::HV_PAGES_EXHAUSTED, 1, pages::free_count() as u64))?;
    copy_from_mailbox(page, length);
    // SAFETY: the page is ours; `length` is at most its size.
    let config =
        CellConfig::decode(unsafe { core::slice::from_raw_parts(page.0 as *const u8, length) });
    pages::free(page, 1);
    config
}

/// Copies `length` bytes, at most the mailbox's, from its start to memory that EL2 maps and the caller owns.
fn copy_from_mailbox(to: Hpa, length: usize) {
    let from = board().mailbox.base().0 as *const u8;
    // SAFETY: both are mapped and do not overlap; root may write the mailbox meanwhile, and any bytes do.
    unsafe { core::ptr::copy_nonoverlapping(from, to.0 as *mut u8, length) };
}

fn build_stage2(system: &mut System, claim: &Claim) -> Result<Tables, Refused> {
    let id = claim.id();
    let highest = windows(claim.holding())
        .map(|(window, _)| window.gpa.end().0)
        .max()
        .unwrap_or(0);
    let bits = u8::try_from(64 - highest.saturating_sub(1).leading_zeros()).unwrap_or(u8::MAX);
    let tables = system.new_tables(id, bits.clamp(32, board().pa_bits))?;
    for (window, attributes) in windows(claim.holding()) {
        let mut memory = system::memory_of(id, &tables);
        let (gpa, hpa) = (window.gpa.base().0, window.hpa.base());
        if let Err(refused) = tables.map(&mut memory, gpa, hpa, window.hpa.size(), attributes) {
            discard(system, id, &tables);
            return Err(refused);
        }
    }
    Ok(tables)
}

fn windows(holding: &Holding) -> impl Iterator<Item = (&Window, u64)> {
    let memory = holding
        .memory
        .iter()
        .map(|window| (window, stage2::NORMAL_RWX));
    memory.chain(
        holding
            .devices
            .iter()
            .map(|window| (window, stage2::DEVICE_RW)),
    )
}

/// Frees a stage 2 that nobody runs on.
fn discard(system: &mut System, id: CellId, tables: &Tables) {
    tables.free_all(&mut system::memory_of(id, tables));
    pages::free(tables.root(), system.cells[id.index()].root_pages);
    system.cells[id.index()].tables = None;
}

/// Takes device windows out of root's stage 2: all of them or none.
fn take_devices(system: &System, holding: &Holding) -> Result<(), Refused> {
    let Some(root) = &system.cells[CellId::ROOT.index()].tables else {
        return Ok(());
    };
    let mut memory = system::memory_of(CellId::ROOT, root);
    for (index, window) in holding.devices.iter().enumerate() {
        if let Err(refused) = root.unmap(&mut memory, window.hpa.base().0, window.hpa.size()) {
            let taken = holding.devices.iter().take(index);
            taken.for_each(|window| give_back(root, &mut memory, window.hpa));
            return Err(refused);
        }
    }
    Ok(())
}

/// Maps a device into root's stage 2 again. The tables that it needs exist since it was taken out.
fn give_back(root: &Tables, memory: &mut impl TableMemory, device: Region<Hpa>) {
    if root
        .map(
            memory,
            device.base().0,
            device.base(),
            device.size(),
            stage2::NORMAL_RWX,
        )
        .is_err()
    {
        defmt::error!(
            "a device at {=u64:#x} could not be given back to root",
            device.base().0
        );
    }
}

/// Has the cell's RAM zeroed by its first CPU.
fn scrub(system: &mut System, id: CellId, first: &'static PerCpu) -> Result<(), Refused> {
    system.cells[id.index()].is_scrubbed = false;
    power::wake(first, Request::Scrub)
}

/// The cell's RAM, copied so that the lock is not held while it is worked on.
fn ram(id: CellId) -> ArrayVec<Region<Hpa>, { blob::MAX_MEMORY }> {
    let Ok(system) = system::lock() else {
        return ArrayVec::new();
    };
    let memory = system
        .ledger
        .cell(id)
        .into_iter()
        .flat_map(|cell| &cell.memory);
    memory.map(|window| window.hpa).collect()
}

/// On the cell's first CPU, before it starts: nothing of a former run is left in a cache, where it could be written back over
/// what the new one writes while its caches are off (DDI 0487, "Mismatched memory attributes").
pub fn flush_here(id: CellId) {
    ram(id)
        .iter()
        .for_each(|region| sysreg::clean_to_poc(region.base().0, region.size()));
}

/// On the cell's first CPU: zeroes its RAM, then says so.
pub fn scrub_here(cpu: &PerCpu) {
    let id = cpu.cell();
    ram(id).into_iter().for_each(system::zero);
    let Ok(mut system) = system::lock() else {
        return;
    };
    system.cells[id.index()].is_scrubbed = true;
    if system.cells[id.index()].state == State::Creating
        && system.advance(id, Event::Zeroed).is_ok()
    {
        system.publish();
    }
}

/// `CELL_WAIT`.
///
/// # Errors
/// `PENDING`, `NO_SUCH_CELL`.
pub fn wait(id: u64) -> Result<u64, Refused> {
    let system = system::lock()?;
    let id = system.existing(id)?;
    match system.cells[id.index()].state {
        State::Creating | State::Stopping | State::Failing | State::Destroying => {
            Err(pending(&system, id))
        }
        _ if system.cells[id.index()].state != State::Running && !system.are_parked(id) => {
            Err(pending(&system, id))
        }
        _ => Ok(0),
    }
}

/// `CELL_LOAD`.
///
/// # Errors
/// `NO_SUCH_CELL`, `WRONG_STATE`, `BAD_LENGTH`, `IMAGE_OUTSIDE`.
pub fn load(id: u64, gpa: u64, length: u64) -> Result<u64, Refused> {
    let mut system = system::lock()?;
    let id = system.existing(id)?;
    next(system.cells[id.index()].state, Event::Load)?;
    if !system.are_parked(id) {
        return Err(pending(&system, id));
    }
    if length > MAILBOX_SIZE {
        return Err(Refused::new(code::BAD_LENGTH, length, MAILBOX_SIZE));
    }
    let outside = Refused::new(code::IMAGE_OUTSIDE, gpa, length);
    let part = Region::new(Gpa(gpa), length).map_err(|_| outside)?;
    let holding = system.ledger.cell(id);
    let window = holding
        .and_then(|cell| cell.memory.iter().find(|window| window.gpa.covers(&part)))
        .ok_or(outside)?;
    let to = Hpa(window.hpa.base().0 + (gpa - window.gpa.base().0));
    copy_from_mailbox(to, usize::try_from(length).unwrap_or(0));
    // The cell starts with its caches off.
    sysreg::clean_to_poc(to.0, length);
    if system.cells[id.index()].state != State::Loading {
        system.advance(id, Event::Load)?;
        system.publish();
    }
    Ok(0)
}

/// `CELL_LOADED`.
///
/// # Errors
/// `NO_SUCH_CELL`, `WRONG_STATE`, `ENTRY_OUTSIDE`.
pub fn loaded(id: u64, entry: u64, argument: u64) -> Result<u64, Refused> {
    let mut system = system::lock()?;
    let id = system.existing(id)?;
    next(system.cells[id.index()].state, Event::Loaded)?;
    if !is_entry(&system, id, entry) {
        return Err(Refused::new(code::ENTRY_OUTSIDE, entry, 0));
    }
    system.advance(id, Event::Loaded)?;
    let slot = &mut system.cells[id.index()];
    (slot.entry, slot.argument) = (entry, argument);
    system.publish();
    Ok(0)
}

/// Tells whether a CPU of the cell can start there: an aligned address in its RAM.
pub fn is_entry(system: &System, cell: CellId, entry: u64) -> bool {
    let is_ram = |holding: &Holding| {
        holding
            .memory
            .iter()
            .any(|window| window.gpa.contains(Gpa(entry)))
    };
    entry.is_multiple_of(4) && system.ledger.cell(cell).is_some_and(is_ram)
}

/// `CELL_START`.
///
/// # Errors
/// `NO_SUCH_CELL`, `WRONG_STATE`.
pub fn start(id: u64) -> Result<u64, Refused> {
    let mut system = system::lock()?;
    let id = system.existing(id)?;
    next(system.cells[id.index()].state, Event::Start)?;
    start_first(&mut system, id)?;
    system.publish();
    defmt::info!("cell {=usize} started", id.index());
    Ok(0)
}

/// Has the first CPU of a loaded cell run its code. The state comes first: the CPU looks at it.
fn start_first(system: &mut System, id: CellId) -> Result<(), Refused> {
    let first = cpus(system, id)
        .next()
        .ok_or(Refused::new(code::NO_CPU, 0, 0))?;
    let before = system.cells[id.index()].state;
    system.advance(id, Event::Start)?;
    // No interrupt is left active, pending or enabled by a former run.
    gic::hand_over(system.ledger.spis_of(id), first.mpidr);
    let slot = &mut system.cells[id.index()];
    let (entry, argument) = (slot.entry, slot.argument);
    slot.fault = crate::info::NO_FAULT;
    slot.root_stops = false;
    power::turn_on(first, entry, argument).inspect_err(|_| system.cells[id.index()].state = before)
}

/// `CELL_STOP`.
///
/// # Errors
/// `NO_SUCH_CELL`, `WRONG_STATE`, `PENDING`, `CPU_SILENT`.
pub fn stop(id: u64) -> Result<u64, Refused> {
    let mut system = system::lock()?;
    let id = system.existing(id)?;
    let slot = &mut system.cells[id.index()];
    if slot.state == State::Stopped && slot.root_stops {
        slot.root_stops = false;
        defmt::info!("cell {=usize} stopped", id.index());
        return Ok(0);
    }
    begin_stop(&mut system, id, Event::Stop)?;
    system.cells[id.index()].root_stops = true;
    finish_stop(&mut system, id)?;
    system.publish();
    Err(pending(&system, id)) // the next call finds it stopped
}

/// Tells a running cell's CPUs to stop, for good or to start anew (`event`).
pub fn begin_stop(system: &mut System, id: CellId, event: Event) -> Result<(), Refused> {
    let was = system.cells[id.index()].state;
    system.advance(id, event)?;
    if system.cells[id.index()].state != was {
        system.cells[id.index()].stop_time = CNTPCT_EL0.get();
        system.stop_cpus(id);
        system.publish();
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
        start_first(system, id)?;
    }
    system.publish();
    Ok(())
}

/// Takes all memory away from a cell's CPUs, until it has stopped.
fn cut_off(system: &mut System, id: CellId) {
    if let Some(tables) = &system.cells[id.index()].tables {
        tables.revoke_all(&mut system::memory_of(id, tables));
    }
    system.cells[id.index()].is_cut_off = true;
}

/// Answers `PENDING` until they have; cuts the cell off when one does not in time.
fn finish_stop(system: &mut System, id: CellId) -> Result<(), Refused> {
    if system.are_parked(id) {
        return settle(system, id);
    }
    // A guest may have dodged the kick (its own CPUs reach each other's redistributors), or delayed it: once more.
    system.stop_cpus(id);
    let waited = CNTPCT_EL0
        .get()
        .wrapping_sub(system.cells[id.index()].stop_time);
    if waited >= CUT_OFF_SECONDS * CNTFRQ_EL0.get() && !system.cells[id.index()].is_cut_off {
        // Whatever it executes next faults into EL2, where it finds the request.
        cut_off(system, id);
    }
    if waited < STOP_SECONDS * CNTFRQ_EL0.get() {
        return Err(pending(system, id));
    }
    let silent = cpus(system, id).find(|cpu| !cpu.is_parked());
    system.advance(id, Event::Silent)?;
    system.publish();
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
pub fn destroy(id: u64, caller: Mpidr) -> Result<u64, Refused> {
    let mut system = system::lock()?;
    let id = system.existing(id)?;
    match system.cells[id.index()].state {
        State::Running | State::Restarting => {
            begin_stop(&mut system, id, Event::Stop)?;
            return Err(pending(&system, id));
        }
        State::Stopping | State::Failing => {
            finish_stop(&mut system, id)?;
            return Err(pending(&system, id));
        }
        State::Creating => return Err(pending(&system, id)),
        State::Fenced if !system.are_parked(id) => {
            let silent = pending(&system, id);
            return Err(Refused::new(code::CPU_SILENT, silent.a, 0));
        }
        State::Destroying => {}
        state => {
            next(state, Event::Destroy)?;
            if !system.are_parked(id) {
                return Err(pending(&system, id));
            }
            system.advance(id, Event::Destroy)?;
            let first = cpus(&system, id)
                .next()
                .ok_or(Refused::new(code::NO_CPU, 0, 0))?;
            scrub(&mut system, id, first)?;
            system.publish();
            return Err(pending(&system, id));
        }
    }
    if !system.cells[id.index()].is_scrubbed || !system.are_parked(id) {
        return Err(pending(&system, id));
    }
    release(&mut system, id, caller);
    system.publish();
    defmt::info!("cell {=usize} destroyed", id.index());
    Ok(0)
}

/// Gives everything of a cell back. Its RAM is zeroed and its CPUs are parked.
fn release(system: &mut System, id: CellId, caller: Mpidr) {
    system.cells[id.index()].state = State::Free;
    gic::hand_over(system.ledger.spis_of(id), caller);
    if let (Some(root), Some(holding)) = (
        &system.cells[CellId::ROOT.index()].tables,
        system.ledger.cell(id),
    ) {
        let mut memory = system::memory_of(CellId::ROOT, root);
        holding
            .devices
            .iter()
            .for_each(|window| give_back(root, &mut memory, window.hpa));
    }
    if let Some(tables) = system.cells[id.index()].tables.take() {
        discard(system, id, &tables);
    }
    let freed: ArrayVec<CpuId, MAX_CPUS> = system.ledger.cpus_of(id).collect();
    system.ledger.release(id);
    // SAFETY: the cell's CPUs are parked, as the caller checked; we hold the lock.
    unsafe { gate::update(&system.ledger, id) };
    for cpu in freed.into_iter().filter_map(|cpu| board().cpu(cpu)) {
        cpu.set_cell(CellId::ROOT);
        power::set(cpu, CpuPower::Off);
        cpu.set_state(cpu.state.load(Ordering::Acquire));
    }
}

/// `DISABLE`: sends parked CPUs back to firmware. No cell may exist.
///
/// # Errors
/// `CELLS_EXIST`, `PENDING`.
pub fn disable() -> Result<u64, Refused> {
    let mut system = system::lock()?;
    let cells = system.ledger.holdings().count() - 1;
    if cells != 0 {
        return Err(Refused::new(code::CELLS_EXIST, cells as u64, 0));
    }
    if !firmware::take_back_parked_cpus() {
        return Err(Refused::new(code::PENDING, 0, 0));
    }
    system.is_enabled = false;
    gic::disable_kicks(system.gicd_ctlr_found);
    Ok(0)
}

/// `LEAVE`: only when nothing depends on this CPU's being under us: before `COMMIT` or after `DISABLE`.
///
/// # Errors
/// `WRONG_STATE`, `CELLS_EXIST`.
pub fn may_leave() -> Result<(), Refused> {
    let system = system::lock()?;
    match system.ledger.holdings().count() - 1 {
        0 if system.is_enabled => Err(Refused::new(
            code::WRONG_STATE,
            State::Running.number().into(),
            0,
        )),
        0 => Ok(()),
        cells => Err(Refused::new(code::CELLS_EXIST, cells as u64, 0)),
    }
}

/// `COMMIT`: all CPUs that Linux runs on have joined.
///
/// # Errors
/// `CPU_MISSING`, `INJECTED`.
pub fn commit() -> Result<u64, Refused> {
    let mut system = system::lock()?;
    if system.is_enabled {
        return Err(Refused::new(code::ALREADY_ENABLED, 0, 0));
    }
    crate::boot::inject_failure(bulkhead_abi::enter::inject::COMMIT)?;
    let missing = board()
        .cpus()
        .find(|cpu| cpu.was_online && power::get(cpu) != CpuPower::On);
    if let Some(cpu) = missing {
        return Err(Refused::new(code::CPU_MISSING, cpu.mpidr.get(), 0));
    }
    system.gicd_ctlr_found = gic::enable_kicks();
    system.is_enabled = true;
    system.publish();
    defmt::info!("enabled on {=usize} CPUs", board().cpus().len());
    Ok(0)
}
