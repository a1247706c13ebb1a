//! Who owns what: the only truth. Stage 2 and the interrupt controller are built from it.
//!
//! One rule: every page, CPU and SPI has one owner. What is not the hypervisor's, the pool's, the interrupt
//! controller's or a cell's is root's. A change is prepared as a [`Claim`], which changes nothing, and then committed.

mod claim;
mod parts;
mod pool;

use core::slice::from_ref;

use arrayvec::ArrayVec;
use bulkhead_abi::enter::HV_ALIGN;
use bulkhead_abi::{MAX_CELLS, MAX_CPUS, code};

use crate::addr::{Gpa, Hpa, Region};
use crate::blob::{
    self, Heartbeat, MAX_DEVICES, MAX_GICRS, MAX_MEMORY, MAX_RAM, Name, SystemConfig,
};
use crate::id::{CellId, CpuId, Mpidr, Spi, SpiSet};
use crate::refused::Refused;

pub use claim::Claim;
use claim::{check_apart, check_none, copy, push};

/// A part of a cell's physical address space and what is behind it: as many bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Window {
    /// Where the cell sees it.
    pub gpa: Region<Gpa>,
    /// Where it is.
    pub hpa: Region<Hpa>,
}

/// What a cell has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Holding {
    /// Its name.
    pub name: Name,
    /// Its CPUs, by its own numbers. Root's are in the system's order.
    pub cpus: ArrayVec<CpuId, MAX_CPUS>,
    /// Its memory. Root's is what nobody else has, and not listed.
    pub memory: ArrayVec<Window, MAX_MEMORY>,
    /// Its device windows: pages, or parts of some ([`Ledger::may_forward`]). Root's are not listed.
    pub devices: ArrayVec<Window, MAX_DEVICES>,
    /// Its interrupts. Root's are all that nobody else has.
    pub spis: SpiSet,
    /// Its heartbeat. The last window of its memory is its comm page, then.
    pub heartbeat: Heartbeat,
    /// Where it sees its console: pages of the hypervisor's own memory, whose members are this cell and root
    /// ([`bulkhead_abi::console`]). One or none: an `Option` would make the empty ledger something else than zeros, which EL2's
    /// image would have to carry.
    pub console: ArrayVec<Region<Gpa>, 1>,
}

impl Holding {
    /// Its memory without the comm page.
    pub fn ram(&self) -> &[Window] {
        blob::ram(&self.memory, self.heartbeat)
    }

    /// Its comm page.
    pub fn comm(&self) -> Option<(Window, Heartbeat)> {
        let page = *self.memory.last()?;
        self.heartbeat.is_wanted().then_some((page, self.heartbeat))
    }

    /// Takes all over. (A clone would be made elsewhere and moved here, item by item.)
    fn fill(&mut self, other: &Self) {
        let Self {
            name,
            cpus,
            memory,
            devices,
            spis,
            heartbeat,
            console,
        } = other;
        self.name = *name;
        copy(&mut self.cpus, cpus);
        copy(&mut self.memory, memory);
        copy(&mut self.devices, devices);
        self.spis = spis.clone();
        self.heartbeat = *heartbeat;
        copy(&mut self.console, console);
    }

    /// Nothing yet.
    fn new(name: Name) -> Self {
        Self {
            name,
            cpus: ArrayVec::new(),
            memory: ArrayVec::new(),
            devices: ArrayVec::new(),
            spis: SpiSet::EMPTY,
            heartbeat: Heartbeat::NONE,
            console: ArrayVec::new(),
        }
    }
}

/// Whose an address is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Owner {
    /// The hypervisor's own memory.
    Hypervisor,
    /// The pool: memory for cells that no cell has.
    Pool,
    /// The interrupt controller: its registers are filtered.
    Gic,
    /// A cell, or root: RAM or a device.
    Cell(CellId),
    /// Beyond the physical address space.
    Absent,
}

#[derive(Clone, Copy, Debug)]
struct Cpu {
    mpidr: Mpidr,
    owner: CellId,
    /// The owner's own number of it; root's is the index in the system's list.
    number: u8,
}

/// The ledger.
#[derive(Clone, Debug)]
pub struct Ledger {
    hv: Option<Region<Hpa>>,
    pool: Option<Region<Hpa>>,
    /// The distributor, then the redistributors, or what a GICv2 has.
    gic: ArrayVec<Region<Hpa>, { 1 + MAX_GICRS }>,
    /// The CPU interfaces of a GICv2: each CPU of root reaches its own.
    gicc: Option<Region<Hpa>>,
    ram: ArrayVec<Region<Hpa>, MAX_RAM>,
    pa_bits: u8,
    cpus: ArrayVec<Cpu, MAX_CPUS>,
    /// By cell id. Empty slots are free; root's is always taken once set up.
    cells: [Option<Holding>; MAX_CELLS],
    /// Counts the changes, so that no claim outlives one.
    generation: u64,
}

impl Ledger {
    /// Returns a ledger of nothing, for a `static`: to be set up.
    pub const fn empty() -> Self {
        Self {
            hv: None,
            pool: None,
            gic: ArrayVec::new_const(),
            gicc: None,
            ram: ArrayVec::new_const(),
            pa_bits: 0,
            cpus: ArrayVec::new_const(),
            cells: [const { None }; MAX_CELLS],
            generation: 0,
        }
    }

    /// Makes one: everything is root's except the hypervisor's memory, the pool and the interrupt controller.
    ///
    /// The value is large: on a small stack use [`Self::empty`] in a `static` and [`Self::set_up`].
    ///
    /// # Errors
    /// As [`Self::set_up`].
    pub fn new(
        system: &SystemConfig,
        hv: Region<Hpa>,
        pool: Option<Region<Hpa>>,
        pa_bits: u8,
    ) -> Result<Self, Refused> {
        let mut ledger = Self::empty();
        ledger.set_up(system, hv, pool, pa_bits)?;
        Ok(ledger)
    }

    /// Fills an [empty](Self::empty) ledger in place, or changes nothing.
    ///
    /// `hv` and `pool` may lie in the system's RAM or not (a reserved range may be left out of a board's memory nodes).
    ///
    /// # Errors
    /// `UNALIGNED`, `WRAPS` (beyond `pa_bits`), `OVERLAPS_ITSELF`, `MEMORY_OF_HYPERVISOR`, `DEVICE_IN_RAM`, `NO_CPU`,
    /// `CPU_TWICE`, `RELEASE_OUTSIDE`.
    #[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
    pub fn set_up(
        &mut self,
        system: &SystemConfig,
        hv: Region<Hpa>,
        pool: Option<Region<Hpa>>,
        pa_bits: u8,
    ) -> Result<(), Refused> {
        let mut gic = ArrayVec::new();
        push(&mut gic, system.gicd)?;
        let frames = system.gicv2.map(|gic| gic.frames());
        for region in frames.iter().flatten().chain(&system.gicrs) {
            push(&mut gic, *region)?;
        }
        check_system(system, &gic, hv, pool, pa_bits)?;
        (self.hv, self.pool, self.pa_bits) = (Some(hv), pool, pa_bits);
        self.gic = gic;
        self.gicc = system.gicv2.map(|gic| gic.gicc);
        copy(&mut self.ram, &system.ram);
        self.cpus = (0..)
            .zip(&system.cpus)
            .map(|(number, cpu)| Cpu {
                mpidr: cpu.mpidr,
                owner: CellId::ROOT,
                number,
            })
            .collect();
        self.cells = [const { None }; MAX_CELLS];
        self.cells[CellId::ROOT.index()] = Some(Holding::new(Name::ROOT));
        self.update_root();
        Ok(())
    }

    /// Enters a claim: from now on all of it is the new cell's. Cannot fail.
    ///
    /// # Panics
    /// When the ledger has changed since the claim was prepared: our own bug.
    #[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
    pub fn commit_create(&mut self, claim: &Claim) -> CellId {
        assert!(
            claim.generation == self.generation,
            "a claim outlived a change of the ledger"
        );
        let id = claim.id;
        for (number, cpu) in (0..).zip(&claim.holding.cpus) {
            if let Some(cpu) = self.cpus.get_mut(cpu.index()) {
                (cpu.owner, cpu.number) = (id, number);
            }
        }
        let cell = &mut self.cells[id.index()];
        *cell = None;
        cell.get_or_insert(Holding::new(claim.holding.name))
            .fill(&claim.holding);
        self.update_root();
        id
    }

    /// Gives everything of a cell back: CPUs, devices and interrupts to root, memory to the pool. Does nothing when
    /// there is no such cell.
    ///
    /// # Panics
    /// For the root cell: our own bug.
    pub fn release(&mut self, cell: CellId) {
        assert!(cell != CellId::ROOT, "the root cell stays");
        self.cells[cell.index()] = None;
        for (number, cpu) in (0..)
            .zip(&mut self.cpus)
            .filter(|(_, cpu)| cpu.owner == cell)
        {
            (cpu.owner, cpu.number) = (CellId::ROOT, number);
        }
        self.update_root();
    }

    /// Makes root's holding what the others leave.
    fn update_root(&mut self) {
        self.generation += 1;
        let mut spis = SpiSet::ALL;
        for (_, cell) in self.cells() {
            spis.remove_all(&cell.spis);
        }
        if let Some(root) = &mut self.cells[CellId::ROOT.index()] {
            root.spis = spis;
            root.cpus.clear();
            let roots = self.cpus.iter().filter(|cpu| cpu.owner == CellId::ROOT);
            root.cpus
                .extend(roots.filter_map(|cpu| CpuId::new(cpu.number.into())));
        }
    }

    /// Returns what a cell has; `None` when there is no such cell.
    #[inline(never)] // Small where it is called, which is everywhere.
    pub fn cell(&self, cell: CellId) -> Option<&Holding> {
        self.cells[cell.index()].as_ref()
    }

    /// All cells, the root cell first.
    pub fn holdings(&self) -> impl Iterator<Item = (CellId, &Holding)> {
        (0..MAX_CELLS)
            .filter_map(CellId::new)
            .filter_map(|id| Some((id, self.cell(id)?)))
    }

    /// All cells but root.
    fn cells(&self) -> impl Iterator<Item = (CellId, &Holding)> {
        self.holdings().filter(|(id, _)| *id != CellId::ROOT)
    }

    /// Number of CPUs in the system's list.
    pub fn cpu_count(&self) -> usize {
        self.cpus.len()
    }

    /// Returns the CPU of this affinity.
    pub fn cpu_by_mpidr(&self, mpidr: Mpidr) -> Option<CpuId> {
        self.cpus
            .iter()
            .position(|cpu| cpu.mpidr == mpidr)
            .and_then(CpuId::new)
    }

    /// Returns the CPU's affinity; 0 for one that is not in the system's list.
    pub fn mpidr(&self, cpu: CpuId) -> Mpidr {
        self.cpus
            .get(cpu.index())
            .map(|cpu| cpu.mpidr)
            .unwrap_or_default()
    }

    /// Returns the CPU's owner; root for one that is not in the system's list.
    pub fn cpu_owner(&self, cpu: CpuId) -> CellId {
        self.cpus
            .get(cpu.index())
            .map_or(CellId::ROOT, |cpu| cpu.owner)
    }

    /// Returns the owner's own number of the CPU. Root's numbers are those of the system's list.
    pub fn virtual_number(&self, cpu: CpuId) -> usize {
        self.cpus
            .get(cpu.index())
            .map_or(cpu.index(), |cpu| cpu.number.into())
    }

    /// Returns the CPU that is number `number` of the cell.
    pub fn virtual_cpu(&self, cell: CellId, number: usize) -> Option<CpuId> {
        if cell == CellId::ROOT {
            let cpu = CpuId::new(number)?;
            return self
                .cpus
                .get(number)
                .filter(|cpu| cpu.owner == cell)
                .map(|_| cpu);
        }
        self.cell(cell)?.cpus.get(number).copied()
    }

    /// The cell's CPUs in the order of its own numbers.
    #[inline(never)] // As `cell`.
    pub fn cpus_of(&self, cell: CellId) -> impl Iterator<Item = CpuId> + '_ {
        let cpus = self.cell(cell).map_or(&[][..], |holding| &holding.cpus);
        cpus.iter().copied()
    }

    /// The cell's interrupts.
    pub fn spis_of(&self, cell: CellId) -> &SpiSet {
        self.cell(cell)
            .map_or(&SpiSet::EMPTY, |holding| &holding.spis)
    }

    /// Returns the owner of an interrupt.
    pub fn spi_owner(&self, spi: Spi) -> CellId {
        self.cells()
            .find(|(_, cell)| cell.spis.contains(spi))
            .map_or(CellId::ROOT, |(id, _)| id)
    }

    /// What root's stage 2 must leave out: the hypervisor's memory, the whole pool, the interrupt controller but for
    /// a GICv2's CPU interfaces, the cells' devices.
    pub fn not_roots(&self) -> impl Iterator<Item = Region<Hpa>> + '_ {
        let devices = self
            .cells()
            .flat_map(|(_, cell)| cell.devices.iter().map(|window| window.hpa.to_pages()));
        let fixed = [self.hv.as_slice(), self.pool.as_slice(), &self.gic];
        let fixed = fixed.into_iter().flatten().copied();
        fixed
            .filter(|region| Some(*region) != self.gicc)
            .chain(devices)
    }

    /// Returns whose an address is.
    pub fn owner(&self, address: Hpa) -> Owner {
        let has = |windows: &[Window]| windows.iter().any(|window| window.hpa.contains(address));
        if address.0.checked_shr(self.pa_bits.into()).unwrap_or(0) != 0 {
            Owner::Absent
        } else if self.hv.is_some_and(|hv| hv.contains(address)) {
            Owner::Hypervisor
        } else if self.gic.iter().any(|gic| gic.contains(address)) {
            Owner::Gic
        } else if let Some((id, _)) = self
            .cells()
            .find(|(_, cell)| has(&cell.memory) || has(&cell.devices))
        {
            Owner::Cell(id)
        } else if self.pool.is_some_and(|pool| pool.contains(address)) {
            Owner::Pool
        } else {
            Owner::Cell(CellId::ROOT)
        }
    }
}

fn check_system(
    system: &SystemConfig,
    gic: &[Region<Hpa>],
    hv: Region<Hpa>,
    pool: Option<Region<Hpa>>,
    pa_bits: u8,
) -> Result<(), Refused> {
    if !hv.base().0.is_multiple_of(HV_ALIGN) {
        return Err(Refused::new(code::UNALIGNED, hv.base().0, hv.size()));
    }
    let memory = [&system.ram[..], from_ref(&hv), pool.as_slice()];
    let [ram, hypervisors, pools] = memory;
    for part in [gic, ram, hypervisors, pools] {
        for region in part {
            Region::pages(region.base(), region.size())?;
            region.below(pa_bits)?;
        }
    }
    check_none(pools, &hv, code::MEMORY_OF_HYPERVISOR)?;
    for (index, region) in gic.iter().enumerate() {
        for other in gic.iter().take(index) {
            check_apart(other, region)?;
        }
        for part in memory {
            check_none(part, region, code::DEVICE_IN_RAM)?;
        }
    }
    if system.cpus.is_empty() {
        return Err(Refused::new(code::NO_CPU, 0, 0));
    }
    for (index, cpu) in system.cpus.iter().enumerate() {
        let mut before = system.cpus.iter().take(index);
        if before.any(|other| other.mpidr == cpu.mpidr) {
            return Err(Refused::new(code::CPU_TWICE, cpu.mpidr.get(), 0));
        }
        let Some(word) = cpu.release else { continue };
        let has = |part: &[Region<Hpa>]| part.iter().any(|region| region.contains(Hpa(word.get())));
        if !has(ram) || has(hypervisors) || has(pools) {
            return Err(Refused::new(
                code::RELEASE_OUTSIDE,
                cpu.mpidr.get(),
                word.get(),
            ));
        }
    }
    Ok(())
}
