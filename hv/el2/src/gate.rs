//! What trap handlers ask of the ledger, laid out so that no lock is needed: who a cell's CPUs are, and its interrupts.
//!
//! One rule: a cell's gate changes only under the system's lock; its map of affinities only while none of its CPUs runs.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};

use bulkhead_abi::{MAX_CELLS, MAX_CPUS};
use bulkhead_model::id::{CellId, CpuId, Mpidr};
use bulkhead_model::ledger::Ledger;
use bulkhead_model::vgic::sgi::SgiMap;

use crate::gicv2;

/// One cell's.
pub struct Gate {
    map: UnsafeCell<Option<SgiMap>>,
    /// Bit n: CPU n of the system's list.
    members: AtomicU32,
    spis: [AtomicU32; 32],
    /// By the cell's number: index of the CPU plus 1, or 0.
    numbers: [AtomicU8; MAX_CPUS],
}

// SAFETY: `map` is written only while no CPU that reads it runs (module head); the rest is atomic.
unsafe impl Sync for Gate {}

static GATES: [Gate; MAX_CELLS] = [const {
    Gate {
        map: UnsafeCell::new(None),
        members: AtomicU32::new(0),
        spis: [const { AtomicU32::new(0) }; 32],
        numbers: [const { AtomicU8::new(0) }; MAX_CPUS],
    }
}; MAX_CELLS];

/// The cell's gate.
pub fn of(cell: CellId) -> &'static Gate {
    &GATES[cell.index()]
}

impl Gate {
    /// Affinities as the cell sees them; `None` with a GICv2, whose SGIs are sent by number.
    pub fn map(&self) -> Option<&SgiMap> {
        // SAFETY: readers are the cell's running CPUs; see the module head.
        let map = unsafe { &*self.map.get() };
        map.as_ref()
    }

    /// Its CPUs.
    pub fn members(&self) -> u32 {
        self.members.load(Relaxed)
    }

    /// The CPU that is number `number` of the cell, which is not root.
    pub fn cpu(&self, number: u64) -> Option<CpuId> {
        let slot = self
            .numbers
            .get(usize::try_from(number).ok()?)?
            .load(Relaxed);
        CpuId::new(slot.checked_sub(1)?.into())
    }

    /// The cell's number of a CPU.
    pub fn number(&self, cpu: CpuId) -> Option<u64> {
        (0..MAX_CPUS as u64).find(|number| self.cpu(*number) == Some(cpu))
    }

    /// Its interrupts `32 * index ..`.
    pub fn spis(&self, index: usize) -> u32 {
        self.spis.get(index).map_or(0, |word| word.load(Relaxed))
    }

    fn set_members(&self, ledger: &Ledger, cell: CellId) {
        self.members.store(
            ledger
                .cpus_of(cell)
                .fold(0, |mask, cpu| mask | 1 << cpu.index()),
            Relaxed,
        );
        for (number, slot) in self.numbers.iter().enumerate() {
            let cpu = ledger.virtual_cpu(cell, number);
            slot.store(cpu.map_or(0, |cpu| cpu.byte() + 1), Relaxed);
        }
        let spis = ledger.spis_of(cell);
        self.spis
            .iter()
            .enumerate()
            .for_each(|(index, word)| word.store(spis.word(index), Relaxed));
    }
}

/// Fills root's gate: affinities are physical.
///
/// # Safety
/// No CPU runs under us yet.
pub unsafe fn set_root(ledger: &Ledger) {
    let cpus = (0..ledger.cpu_count())
        .filter_map(CpuId::new)
        .map(|cpu| (cpu, ledger.mpidr(cpu)));
    // SAFETY: by the caller's word nobody reads it.
    unsafe { *of(CellId::ROOT).map.get() = map_of(cpus) };
    of(CellId::ROOT).set_members(ledger, CellId::ROOT);
}

fn map_of(cpus: impl Iterator<Item = (CpuId, Mpidr)>) -> Option<SgiMap> {
    (!gicv2::is_there()).then(|| SgiMap::new(cpus))
}

/// Follows a change of the ledger: `cell` was made or released.
///
/// # Safety
/// None of the cell's CPUs runs, and the caller holds the system's lock.
pub unsafe fn update(ledger: &Ledger, cell: CellId) {
    let cpus = ledger
        .cpus_of(cell)
        .zip(0..)
        .map(|(cpu, number)| (cpu, Mpidr::from_bits(number)));
    // SAFETY: by the caller's word nobody reads it.
    unsafe { *of(cell).map.get() = map_of(cpus) };
    of(cell).set_members(ledger, cell);
    of(CellId::ROOT).set_members(ledger, CellId::ROOT);
}
