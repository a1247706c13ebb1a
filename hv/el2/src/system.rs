//! What all CPUs share: the ledger and the cells. One lock.
//!
//! One rule: the lock is held for one look or one change of states, never while tables are built, RAM is copied or zeroed, or
//! a CPU is waited for. What takes long is done by the one [`Operation`] that may be under way.

use bulkhead_abi::info::{CellInfo, Health, cpu_state};
use bulkhead_abi::{MAX_CELLS, NAME_SIZE, code};
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::blob::{Delivery, SystemConfig};
use bulkhead_model::cell::{Request as Event, State, next};
use bulkhead_model::heart::Heart;
use bulkhead_model::id::CellId;
use bulkhead_model::ledger::Ledger;
use bulkhead_model::paging::{Draft, Tables, root_pages, stage2};
use bulkhead_model::refused::Refused;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::board::{Board, board};
use crate::context::Stage2;
use crate::lock::Turns;
use crate::pages::{self, Pages};
use crate::panic::PANICKED;
use crate::percpu::{PerCpu, Request};
use crate::{cells, console, gate, gic, info, root, sysreg};

/// Pages that enable wants beyond the fixed parts: root's tables, with a few devices given away.
pub const LEAST_PAGES: u64 = 12;
/// Physical address bits that root's stage 2 covers unless RAM lies higher: 1 TiB in two pages.
const ROOT_BITS: u8 = 40;

/// A cell, root included. (Its size is a power of two: one instruction finds it by its number.)
#[repr(align(128))]
pub struct Cell {
    /// Where in its life it is.
    pub state: State,
    /// Its stage 2; `None` in a free slot, and root's (`root.rs`).
    pub tables: Option<Tables>,
    /// Its console: pages of ours, or [`console::NONE`].
    pub console: Hpa,
    /// How it gets its interrupts.
    pub delivery: Delivery,
    /// First instruction, and what becomes of it when it resets itself: see `entry_and_reset`.
    pub entry: u64,
    /// x0 there.
    pub argument: u64,
    /// RAM was zeroed by the cell's CPU (while creating and destroying).
    pub is_scrubbed: bool,
    /// Root asked for the stop that is under way or done, and has not been answered.
    pub root_stops: bool,
    /// Its start-level entries are invalid while it is being stopped.
    pub is_cut_off: bool,
    /// When it was told to stop, counter ticks.
    pub stop_time: u64,
    /// Cells that had this slot.
    pub generation: u32,
    /// Why it was last told to stop or start anew (`abi::info::cause`).
    pub cause: u32,
    /// How often it started anew.
    pub restarts: u32,
    /// Its heart, and what root knows of it.
    pub heart: Heart,
    /// See `heart`.
    pub health: Health,
}

impl Cell {
    const FREE: Self = Self {
        state: State::Free,
        tables: None,
        console: console::NONE,
        delivery: Delivery::Direct,
        entry: 0,
        argument: 0,
        is_scrubbed: false,
        root_stops: false,
        is_cut_off: false,
        stop_time: 0,
        generation: 0,
        cause: 0,
        restarts: 0,
        heart: Heart::UNKNOWN,
        health: Health::NONE,
    };
}

const _: () = assert!(size_of::<Cell>() == 128);

/// All of it. The cells come first: no offset is added to reach them.
#[repr(C)]
pub struct System {
    /// By cell id.
    pub cells: [Cell; MAX_CELLS],
    /// Who owns what.
    pub ledger: Ledger,
    /// `COMMIT` was answered.
    pub is_enabled: bool,
    /// GICD_CTLR before enable.
    pub gicd_ctlr_found: u32,
}

static SYSTEM: Turns<System> = Turns::new(System {
    ledger: Ledger::empty(),
    cells: [Cell::FREE; MAX_CELLS],
    is_enabled: false,
    gicd_ctlr_found: 0,
});

/// The lock, held.
pub type Guard = crate::lock::Guard<'static, System>;

/// Takes the lock, in turn.
///
/// # Errors
/// `PANICKED`, when the CPU that holds it may never come back.
#[inline(always)] // As `Turns::lock`.
pub fn lock() -> Result<Guard, Refused> {
    SYSTEM.lock()
}

static IS_BUSY: AtomicBool = AtomicBool::new(false);

/// An operation of root's on cells. There is one at a time, and nobody waits for it: so the ledger, the tables of a cell that
/// does not run and its RAM stay as they were found while no lock is held. Only who has one changes the ledger.
pub struct Operation(());

impl Operation {
    /// Begins one.
    ///
    /// # Errors
    /// `PENDING`: another one is under way; `PANICKED`, when that one may never end.
    pub fn begin() -> Result<Self, Refused> {
        if PANICKED.load(Ordering::Acquire) {
            return Err(Refused::new(code::PANICKED, 0, 0));
        }
        match IS_BUSY.swap(true, Ordering::Acquire) {
            true => Err(Refused::new(code::PENDING, 0, 0)),
            false => Ok(Self(())),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        IS_BUSY.store(false, Ordering::Release);
    }
}

/// Fills the ledger, which checks all of the blob that needs no hardware.
///
/// # Errors
/// Whatever the ledger refuses.
pub fn set_up_ledger(
    config: &SystemConfig,
    hv: Region<Hpa>,
    pool: Option<Region<Hpa>>,
    pa_bits: u8,
) -> Result<(), Refused> {
    lock()?.ledger.set_up(config, hv, pool, pa_bits)
}

/// Builds root's stage 2.
///
/// # Errors
/// Whatever the ledger refuses; `HV_PAGES_EXHAUSTED`.
pub fn set_up(config: &SystemConfig, board: &Board) -> Result<(), Refused> {
    let mut system = lock()?;
    let highest = config.ram.iter().map(|ram| ram.end().0).max().unwrap_or(0);
    let bits = u8::try_from(64 - highest.saturating_sub(1).leading_zeros()).unwrap_or(u8::MAX);
    let bits = bits.max(ROOT_BITS).min(board.pa_bits);
    let mut tables = new_tables(bits)?;
    let mut memory = memory_of(CellId::ROOT, &tables);
    tables.map(&mut memory, 0, Hpa(0), 1 << bits, stage2::NORMAL_RWX)?;
    system
        .ledger
        .not_roots()
        .try_for_each(|region| tables.unmap(&mut memory, region.base().0, region.size()))?;
    let shared = [
        (board.shared, stage2::NORMAL_RO),
        (board.mailbox, stage2::NORMAL_RW_XN),
    ];
    for (region, attributes) in shared {
        tables.map(
            &mut memory,
            region.base().0,
            region.base(),
            region.size(),
            attributes,
        )?;
    }
    let tables = tables.live(&mut memory);
    // SAFETY: `prepare` runs before any CPU joins.
    unsafe { root::set(tables) };
    system.cells[CellId::ROOT.index()].state = State::Running;
    // SAFETY: as above.
    unsafe { gate::set_root(&system.ledger) };
    system.publish(CellId::ROOT);
    Ok(())
}

/// Table memory whose invalidations reach the translations of this cell's tables.
pub fn memory_of<S>(cell: CellId, tables: &Tables<S>) -> Pages {
    Pages::Stage2 {
        vttbr: vttbr(cell, tables),
    }
}

/// VTTBR_EL2 for a cell: its id plus 1 is its VMID, so that 0, which Linux used without stage 2, stays free.
fn vttbr<S>(cell: CellId, tables: &Tables<S>) -> u64 {
    (cell.index() as u64 + 1) << 48 | tables.root().0
}

/// Allocates an empty stage 2 of so many input bits.
///
/// # Errors
/// `HV_PAGES_EXHAUSTED`.
pub fn new_tables(bits: u8) -> Result<Tables<Draft>, Refused> {
    let root = pages::allocate(root_pages(bits))?;
    Ok(Tables::for_stage2(root, bits))
}

/// What a CPU needs for these tables of the cell's.
pub fn registers(cell: CellId, tables: &Tables) -> Stage2 {
    let pa_range = match board().pa_bits {
        32 => 0,
        36 => 1,
        40 => 2,
        42 => 3,
        44 => 4,
        _ => 5u64,
    };
    // VTCR_EL2: RES1, PS, 4 KiB granule, walks inner shareable and write-back cacheable.
    let walks = 1 << 31 | 3 << 12 | 1 << 10 | 1 << 8;
    let vtcr = walks | pa_range << 16 | tables.vtcr_sl0() << 6 | tables.t0sz();
    Stage2 {
        vttbr: vttbr(cell, tables),
        vtcr,
    }
}

impl System {
    /// What a CPU of the cell needs for its stage 2.
    pub fn stage2(&self, cell: CellId) -> Option<Stage2> {
        if cell == CellId::ROOT {
            return root::registers();
        }
        let tables = self.cells[cell.index()].tables.as_ref()?;
        Some(registers(cell, tables))
    }

    /// The cell of that id, if there is one; root is none that one can act on.
    ///
    /// # Errors
    /// `NO_SUCH_CELL`.
    pub fn existing(&self, id: u64) -> Result<CellId, Refused> {
        usize::try_from(id)
            .ok()
            .and_then(CellId::new)
            .filter(|cell| *cell != CellId::ROOT && self.ledger.cell(*cell).is_some())
            .ok_or(Refused::new(code::NO_SUCH_CELL, id, 0))
    }

    /// Changes a cell's state.
    ///
    /// # Errors
    /// `WRONG_STATE`.
    pub fn advance(&mut self, cell: CellId, event: Event) -> Result<(), Refused> {
        let slot = &mut self.cells[cell.index()];
        slot.state = next(slot.state, event)?;
        Ok(())
    }

    /// Tells whether all CPUs of the cell wait at EL2, or are with firmware, with nothing left to do.
    pub fn are_parked(&self, cell: CellId) -> bool {
        self.ledger
            .cpus_of(cell)
            .filter_map(|cpu| board().cpu(cpu))
            .all(PerCpu::is_parked)
    }

    /// Tells the running CPUs of a cell, which is not root, to stop.
    pub fn stop_cpus(&mut self, cell: CellId) {
        // Only the lock's holder has firmware start a CPU, so those with it stay off.
        cells::cpus(self, cell)
            .filter(|cpu| cpu.state.load(Ordering::Acquire) != cpu_state::FIRMWARE)
            .for_each(|cpu| cpu.post(Request::Stop));
        // Request before state: `run::start` does it the other way round, so one of the two sees the other. And request
        // before stage 2: a CPU that faults for want of it finds the request.
        sysreg::dsb_ish();
        if !board().kicks.by_group0 {
            self.cut_off(cell);
        }
        cells::cpus(self, cell)
            .filter(|cpu| cpu.state.load(Ordering::Acquire) == cpu_state::GUEST)
            .for_each(gic::kick);
    }

    /// Takes all memory away from a cell's CPUs, until it has stopped: whatever they execute next faults into EL2.
    pub fn cut_off(&mut self, cell: CellId) {
        let slot = &mut self.cells[cell.index()];
        if let (Some(tables), false) = (&slot.tables, slot.is_cut_off) {
            tables.revoke_all(&mut memory_of(cell, tables));
            slot.is_cut_off = true;
        }
    }

    /// Writes what root may know of a cell that has changed to the info pages.
    pub fn publish(&self, id: CellId) {
        let (pages_free, pool_free) = (pages::free_count() as u64, self.ledger.pool_free());
        let root_cpus = self.cpu_mask(CellId::ROOT);
        info::update(id, &self.describe(id), root_cpus, pages_free, pool_free);
    }

    /// Bit n: CPU n of the system's list is the cell's.
    fn cpu_mask(&self, id: CellId) -> u64 {
        let cpus = self.ledger.cpus_of(id);
        cpus.fold(0, |mask, cpu| mask | 1 << cpu.index())
    }

    fn describe(&self, id: CellId) -> CellInfo {
        let cell = &self.cells[id.index()];
        let mut record = CellInfo {
            state: cell.state.number(),
            generation: cell.generation,
            name: [0; NAME_SIZE],
            cpus: 0,
            gpa: 0,
            hpa: 0,
            ram_size: 0,
            spi_count: 0,
            delivery: cell.delivery as u32,
            cause: cell.cause,
            restarts: cell.restarts,
            console: u64::MAX,
            health: cell.health,
            fault: info::NO_FAULT, // not written: `info::set_fault` does
        };
        let Some(holding) = self.ledger.cell(id) else {
            return record;
        };
        record.name = *holding.name.bytes();
        record.cpus = self.cpu_mask(id);
        if let Some(first) = holding.memory.first() {
            (record.gpa, record.hpa) = (first.gpa.base().0, first.hpa.base().0);
        }
        if let Some(console) = holding.console.first() {
            record.console = console.base().0;
        }
        record.ram_size = holding.ram().iter().map(|window| window.hpa.size()).sum();
        if id != CellId::ROOT {
            record.spi_count = holding.spis.count();
        }
        record
    }
}

/// Zeroes a cell's RAM through EL2's mapping and completes it to the point of coherency: its next reader has caches off.
pub fn zero(region: Region<Hpa>) {
    let base = region.base().0 as *mut u8;
    let size = usize::try_from(region.size()).unwrap_or(0);
    // SAFETY: the ledger gave this part of the pool, which EL2 maps, to a cell none of whose CPUs runs.
    unsafe { base.write_bytes(0, size) };
    sysreg::clean_to_poc(region.base().0, region.size());
}
