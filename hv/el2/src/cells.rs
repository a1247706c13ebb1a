//! Root's hypercalls that make a cell and run it: prepare, then commit.
//!
//! One rule: a refusal changes nothing. What takes long (zeroing, stopping) is done by the cell's own CPU; the caller asks
//! again (`PENDING`).

use arrayvec::ArrayVec;
use bulkhead_abi::enter::MAILBOX_SIZE;
use bulkhead_abi::{MAX_CPUS, PAGE_SIZE, code};
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{self, CellConfig, Delivery};
use bulkhead_model::cell::{Request as Event, State, next};
use bulkhead_model::id::{CellId, Mpidr};
use bulkhead_model::ledger::{Claim, Holding, Window};
use bulkhead_model::paging::{TableMemory, Tables, stage2};
use bulkhead_model::psci::CpuPower;
use bulkhead_model::refused::Refused;
use core::sync::atomic::Ordering;

use crate::board::board;
use crate::percpu::{PerCpu, Request};
use crate::system::{self, System};
use crate::{gate, gic, listed, pages, power, stop, sysreg};

/// `CELL_CREATE`: returns the id.
///
/// # Errors
/// Whatever the blob or the ledger refuses, `NO_SUCH_SPI`, `HV_PAGES_EXHAUSTED`.
pub fn create(system: &mut System, length: u64, caller: Mpidr) -> Result<u64, Refused> {
    if !system.is_enabled {
        return Err(Refused::new(code::NOT_ENABLED, 0, 0));
    }
    let config = read_blob(length)?;
    if config.delivery == Delivery::Listed
        && let Some(cpu) = board().cpu_by_mpidr(caller)
    {
        listed::find_maintenance(cpu)?;
    }
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
    let tables = build_stage2(system, &claim)?;
    if let Err(refused) = take_devices(system, claim.holding()) {
        discard(system, id, &tables);
        return Err(refused);
    }
    let id = system.ledger.commit_create(claim);
    let slot = &mut system.cells[id.index()];
    slot.tables = Some(tables);
    slot.delivery = config.delivery;
    slot.generation = slot.generation.wrapping_add(1);
    slot.fault = crate::info::NO_FAULT;
    system.advance(id, Event::Create)?;
    // SAFETY: the cell's CPUs are off, as the ledger checked; we hold the lock.
    unsafe { gate::update(&system.ledger, id) };
    for cpu in cpus(system, id) {
        cpu.set_cell(id);
        power::set(cpu, CpuPower::Off);
        cpu.set_state(cpu.state.load(Ordering::Acquire));
    }
    let first = cpus(system, id).next();
    if let Some(first) = first {
        let taken: ArrayVec<Mpidr, MAX_CPUS> = cpus(system, id).map(|cpu| cpu.mpidr).collect();
        gic::turn_away(system.ledger.spis_of(id), &taken, caller);
        gic::hand_over(system.ledger.spis_of(id), first.mpidr);
        let started = scrub(system, id, first);
        if started.is_err() {
            stop::release(system, id, caller);
        }
        started?;
    }
    system.publish();
    defmt::info!("cell {=usize} created", id.index());
    Ok(id.index() as u64)
}

/// The answer "call again", with the CPU that is waited for.
pub fn pending(system: &System, id: CellId) -> Refused {
    let busy = cpus(system, id).find(|cpu| !cpu.is_parked());
    Refused::new(code::PENDING, busy.map_or(0, |cpu| cpu.mpidr.get()), 0)
}

/// The CPUs of a cell.
pub fn cpus(system: &System, cell: CellId) -> impl Iterator<Item = &'static PerCpu> + '_ {
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
    let mut tables = system.new_tables(id, bits.clamp(32, board().pa_bits))?;
    let mut memory = system::memory_of(id, &tables);
    let mapped = windows(claim.holding()).try_for_each(|(window, attributes)| {
        let (gpa, hpa) = (window.gpa.base().0, window.hpa.base());
        tables.map(&mut memory, gpa, hpa, window.hpa.size(), attributes)
    });
    let tables = tables.live(&mut memory);
    if let Err(refused) = mapped {
        discard(system, id, &tables);
        return Err(refused);
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
pub fn discard(system: &mut System, id: CellId, tables: &Tables) {
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
pub fn give_back(root: &Tables, memory: &mut impl TableMemory, device: Region<Hpa>) {
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
pub fn scrub(system: &mut System, id: CellId, first: &'static PerCpu) -> Result<(), Refused> {
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
/// `PENDING`.
pub fn wait(system: &System, id: CellId) -> Result<(), Refused> {
    match system.cells[id.index()].state {
        State::Creating | State::Stopping | State::Failing | State::Destroying => {
            Err(pending(system, id))
        }
        _ if system.cells[id.index()].state != State::Running && !system.are_parked(id) => {
            Err(pending(system, id))
        }
        _ => Ok(()),
    }
}

/// `CELL_LOAD`.
///
/// # Errors
/// `WRONG_STATE`, `BAD_LENGTH`, `IMAGE_OUTSIDE`.
pub fn load(system: &mut System, id: CellId, gpa: u64, length: u64) -> Result<(), Refused> {
    next(system.cells[id.index()].state, Event::Load)?;
    if !system.are_parked(id) {
        return Err(pending(system, id));
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
    Ok(())
}

/// `CELL_LOADED`.
///
/// # Errors
/// `WRONG_STATE`, `ENTRY_OUTSIDE`.
pub fn loaded(system: &mut System, id: CellId, entry: u64, argument: u64) -> Result<(), Refused> {
    next(system.cells[id.index()].state, Event::Loaded)?;
    if !is_entry(system, id, entry) {
        return Err(Refused::new(code::ENTRY_OUTSIDE, entry, 0));
    }
    system.advance(id, Event::Loaded)?;
    let slot = &mut system.cells[id.index()];
    (slot.entry, slot.argument) = (entry, argument);
    system.publish();
    Ok(())
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
/// `WRONG_STATE`.
pub fn start(system: &mut System, id: CellId) -> Result<(), Refused> {
    next(system.cells[id.index()].state, Event::Start)?;
    start_first(system, id)?;
    system.publish();
    defmt::info!("cell {=usize} started", id.index());
    Ok(())
}

/// Has the first CPU of a loaded cell run its code. The state comes first: the CPU looks at it.
pub fn start_first(system: &mut System, id: CellId) -> Result<(), Refused> {
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
