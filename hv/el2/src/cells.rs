//! Root's hypercalls that make a cell and run it: prepare, then commit.
//!
//! One rule: a refusal changes nothing. What takes long (zeroing, stopping) is done by the cell's own CPU; the caller asks
//! again (`PENDING`).

use arrayvec::ArrayVec;
use bulkhead_abi::enter::MAILBOX_SIZE;
use bulkhead_abi::{MAX_CPUS, PAGE_SIZE, code};
use bulkhead_model::addr::{Gpa, Hpa, Region};
use bulkhead_model::blob::{self, CellConfig, Delivery};
use bulkhead_model::cell::{Request as Event, State, entry_and_reset, next};
use bulkhead_model::heart::Heart;
use bulkhead_model::id::{CellId, Mpidr};
use bulkhead_model::ledger::{Claim, Holding, Window};
use bulkhead_model::paging::{Tables, stage2};
use bulkhead_model::psci::CpuPower;
use bulkhead_model::refused::Refused;
use core::sync::atomic::Ordering;

use crate::board::board;
use crate::layout::bytes;
use crate::percpu::{PerCpu, Request};
use crate::system::{self, Operation, System};
use crate::{boot, console, gate, gic, heart, listed, pages, power, root, stop, sysreg};

/// `CELL_CREATE`: returns the id, with the address of the console if there is one.
///
/// # Errors
/// Whatever the blob or the ledger refuses, `NO_SUCH_SPI`, `HV_PAGES_EXHAUSTED`.
#[inline(never)] // As `fill_claim`.
pub fn create(operation: &Operation, length: u64, caller: Mpidr) -> Result<u64, Refused> {
    let (id, console, are_taken) = enter(operation, length, caller)?;
    if let Err(refused) = are_taken {
        stop::release(operation, id, None)?;
        return Err(refused);
    }
    let mut system = system::lock()?;
    let spis = system.ledger.spis_of(id).clone();
    let taken: ArrayVec<Mpidr, MAX_CPUS> = cpus(&system, id).map(|cpu| cpu.mpidr).collect();
    drop(system);
    if let Some(first) = taken.first() {
        gic::turn_away(&spis, &taken, caller);
        gic::hand_over(&spis, *first);
    }
    system = system::lock()?;
    let started = scrub(&mut system, id);
    system.publish(id);
    drop(system);
    if let Err(refused) = started {
        stop::release(operation, id, Some(caller))?;
        return Err(refused);
    }
    defmt::info!("cell {=usize} created", id.index());
    Ok(console.0 | id.index() as u64)
}

/// What `enter` made: the cell, its console, and whether root has let go of all its devices; if not, the cell must go.
type Entered = (CellId, Hpa, Result<(), Refused>);

/// Makes a cell in the ledger, with its tables and console, and takes its devices from root; or changes nothing.
#[inline(never)] // As `fill_claim`.
fn enter(operation: &Operation, length: u64, caller: Mpidr) -> Result<Entered, Refused> {
    let mut claim = Claim::empty();
    let delivery = fill_claim(&mut claim, length, caller)?;
    let (id, holding) = (claim.id(), claim.holding());
    let parts = holding.devices.iter().filter(|window| window.hpa.is_part());
    for part in parts {
        boot::map_registers(operation, part.hpa.to_pages())?;
    }
    let console = &console::take(holding)?;
    let base = console.map_or(console::NONE, |window| window.hpa.base());
    let mut tables = None;
    let entered = build_stage2(&claim, delivery, console.as_slice()).and_then(|built| {
        tables = Some(built);
        commit(&claim, delivery, &mut tables, base)
    });
    if let Err(refused) = entered {
        tables.iter().for_each(|tables| discard(id, tables));
        console::give_back(base);
        return Err(refused);
    }
    // Only now: an access of root's to what it keeps of a page is made for it as soon as it traps.
    let mut devices = holding.devices.iter();
    let are_taken = devices.try_for_each(|window| root::take(window.hpa.to_pages()));
    Ok((id, base, are_taken))
}

/// Reads what root wants, and checks whether it may have it.
#[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
fn fill_claim(claim: &mut Claim, length: u64, caller: Mpidr) -> Result<Delivery, Refused> {
    if !system::lock()?.is_enabled {
        return Err(Refused::new(code::NOT_ENABLED, 0, 0));
    }
    let mut config = CellConfig::empty();
    read_blob(&mut config, length)?;
    let config = &config;
    let limit = gic::intid_limit();
    if let Some(spi) = config.spis.iter().find(|spi| spi.intid() >= limit) {
        return Err(Refused::new(code::NO_SUCH_SPI, spi.intid().into(), 0));
    }
    if config.delivery == Delivery::Listed
        && let Some(cpu) = board().cpu_by_mpidr(caller)
    {
        listed::find_maintenance(cpu)?;
    }
    let is_off = |cpu| board().cpu(cpu).is_some_and(is_off);
    system::lock()?.ledger.prepare_in(claim, config, is_off)?;
    Ok(config.delivery)
}

/// Enters a claim, and takes the tables made for it; or changes nothing, when Linux has turned a CPU on meanwhile.
#[inline(never)] // As `fill_claim`.
fn commit(
    claim: &Claim,
    delivery: Delivery,
    tables: &mut Option<Tables>,
    console: Hpa,
) -> Result<(), Refused> {
    let mut system = system::lock()?;
    let mut claimed = claim
        .holding()
        .cpus
        .iter()
        .filter_map(|cpu| board().cpu(*cpu));
    if let Some(cpu) = claimed.find(|cpu| !is_off(cpu)) {
        return Err(Refused::new(code::CPU_OF_LINUX, cpu.mpidr.get(), 0));
    }
    let id = system.ledger.commit_create(claim);
    let slot = &mut system.cells[id.index()];
    (slot.tables, slot.console) = (tables.take(), console);
    slot.delivery = delivery;
    slot.generation = slot.generation.wrapping_add(1);
    crate::info::set_fault(id, crate::info::NO_FAULT);
    system.advance(id, Event::Create)?;
    // SAFETY: the cell's CPUs are off, as was checked; we hold the lock, without which none is turned on.
    unsafe { gate::update(&system.ledger, id) };
    for cpu in cpus(&system, id) {
        cpu.set_cell(id);
        power::set(cpu, CpuPower::Off);
        cpu.set_state(cpu.state.load(Ordering::Acquire));
    }
    Ok(())
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
fn read_blob(config: &mut CellConfig, length: u64) -> Result<(), Refused> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > blob::MAX_SIZE || length as u64 > PAGE_SIZE {
        return Err(Refused::new(
            code::BAD_LENGTH,
            length as u64,
            blob::MAX_SIZE as u64,
        ));
    }
    let page = pages::allocate(1)?;
    copy_from_mailbox(page, length);
    // SAFETY: the page is ours; `length` is at most its size.
    let read = config.read(unsafe { core::slice::from_raw_parts(page.0 as *const u8, length) });
    pages::free(page, 1);
    read
}

/// Copies `length` bytes, at most the mailbox's, from its start to memory that EL2 maps and the caller owns.
fn copy_from_mailbox(to: Hpa, length: usize) {
    let from = board().mailbox.base().0 as *const u8;
    // SAFETY: both are mapped and do not overlap; root may write the mailbox meanwhile, and any bytes do.
    unsafe { core::ptr::copy_nonoverlapping(from, to.0 as *mut u8, length) };
}

#[inline(never)] // As `fill_claim`.
fn build_stage2(claim: &Claim, delivery: Delivery, console: &[Window]) -> Result<Tables, Refused> {
    let id = claim.id();
    let interface = board().gicv2.map(|gic| gic.cells_interface(delivery));
    let interface = match &interface {
        Some((pages, count)) => &pages[..*count],
        None => &[],
    };
    let parts = windows(claim.holding(), interface, console);
    let all = parts.iter().flat_map(|(windows, _)| *windows);
    let highest = all.fold(0, |highest, window| window.gpa.end().0.max(highest));
    let bits = u8::try_from(64 - highest.saturating_sub(1).leading_zeros()).unwrap_or(u8::MAX);
    let mut tables = system::new_tables(bits.clamp(32, board().pa_bits))?;
    let mut memory = system::memory_of(id, &tables);
    let mut all = parts
        .iter()
        .flat_map(|(windows, attributes)| windows.iter().map(|window| (window, *attributes)));
    let mapped = all.try_for_each(|(window, attributes)| {
        if window.hpa.is_part() {
            return Ok(()); // EL2 makes each access.
        }
        let (gpa, hpa) = (window.gpa.base().0, window.hpa.base());
        tables.map(&mut memory, gpa, hpa, window.hpa.size(), attributes)
    });
    let tables = tables.live(&mut memory);
    if let Err(refused) = mapped {
        discard(id, &tables);
        return Err(refused);
    }
    Ok(tables)
}

/// What a cell has, by how it is mapped.
fn windows<'a>(
    holding: &'a Holding,
    interface: &'a [Window],
    console: &'a [Window],
) -> [(&'a [Window], u64); 5] {
    let ram = holding.ram();
    let comm = holding.memory.get(ram.len()..).unwrap_or(&[]);
    [
        (ram, stage2::NORMAL_RWX),
        (comm, stage2::NORMAL_RW_XN),
        (&holding.devices, stage2::DEVICE_RW),
        (interface, stage2::DEVICE_RW),
        (console, stage2::NON_CACHEABLE_RW_XN),
    ]
}

/// Frees a stage 2 that nobody runs on.
pub fn discard(id: CellId, tables: &Tables) {
    tables.free_all(&mut system::memory_of(id, tables));
    pages::free(tables.root(), tables.root_pages());
}

/// Has the cell's RAM zeroed by its first CPU.
pub fn scrub(system: &mut System, id: CellId) -> Result<(), Refused> {
    system.cells[id.index()].is_scrubbed = false;
    let first = cpus(system, id).next();
    power::wake(
        first.ok_or(Refused::new(code::NO_CPU, 0, 0))?,
        Request::Scrub,
    )
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
        system.publish(id);
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
/// `NO_SUCH_CELL`, `WRONG_STATE`, `BAD_LENGTH`, `IMAGE_OUTSIDE`.
pub fn load(_: &Operation, id: u64, gpa: u64, length: u64) -> Result<u64, Refused> {
    let to = begin_load(id, gpa, length)?;
    // No lock: the cell's CPUs are parked, and no other operation starts them.
    copy_from_mailbox(to, bytes(length));
    // The cell starts with its caches off.
    sysreg::clean_to_poc(to.0, length);
    Ok(0)
}

/// Checks a part of an image, notes that it is loaded, and returns where it goes.
fn begin_load(id: u64, gpa: u64, length: u64) -> Result<Hpa, Refused> {
    let mut guard = system::lock()?;
    let system = &mut *guard;
    let id = system.existing(id)?;
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
        .and_then(|cell| cell.ram().iter().find(|window| window.gpa.covers(&part)))
        .ok_or(outside)?;
    let to = Hpa(window.hpa.base().0 + (gpa - window.gpa.base().0));
    if system.cells[id.index()].state != State::Loading {
        system.advance(id, Event::Load)?;
        system.publish(id);
    }
    Ok(to)
}

/// `CELL_LOADED`.
///
/// # Errors
/// `WRONG_STATE`, `ENTRY_OUTSIDE`.
pub fn loaded(system: &mut System, id: CellId, entry: u64, argument: u64) -> Result<(), Refused> {
    next(system.cells[id.index()].state, Event::Loaded)?;
    if !is_entry(system, id, entry_and_reset(entry).0) {
        return Err(Refused::new(code::ENTRY_OUTSIDE, entry, 0));
    }
    system.advance(id, Event::Loaded)?;
    let slot = &mut system.cells[id.index()];
    (slot.entry, slot.argument) = (entry, argument);
    system.publish(id);
    Ok(())
}

/// Tells whether a CPU of the cell can start there: an aligned address in its RAM.
pub fn is_entry(system: &System, cell: CellId, entry: u64) -> bool {
    let is_ram = |holding: &Holding| {
        holding
            .ram()
            .iter()
            .any(|window| window.gpa.contains(Gpa(entry)))
    };
    entry.is_multiple_of(4) && system.ledger.cell(cell).is_some_and(is_ram)
}

/// `CELL_START`: returns after how long to look at the cells, milliseconds.
///
/// # Errors
/// `WRONG_STATE`.
pub fn start(system: &mut System, id: CellId) -> Result<u64, Refused> {
    next(system.cells[id.index()].state, Event::Start)?;
    let slot = &mut system.cells[id.index()];
    (slot.cause, slot.restarts, slot.heart) = (0, 0, Heart::UNKNOWN);
    start_first(system, id)?;
    system.publish(id);
    defmt::info!("cell {=usize} started", id.index());
    Ok(heart::interval(system))
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
    heart::start(system, id);
    let slot = &mut system.cells[id.index()];
    let (entry, argument) = (entry_and_reset(slot.entry).0, slot.argument);
    slot.root_stops = false;
    crate::info::set_fault(id, crate::info::NO_FAULT);
    power::turn_on(first, entry, argument).inspect_err(|_| system.cells[id.index()].state = before)
}
