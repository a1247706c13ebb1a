//! Whether a cell may have what it asks for.
//!
//! One rule: nothing here changes the ledger, and whatever is wrong is refused by the name of the thing.

use arrayvec::{ArrayVec, CapacityError};
use bulkhead_abi::{MAX_CELLS, MAX_CPUS, code};

use super::{Holding, Ledger, Window};
use crate::addr::{Address, Gpa, Hpa, Region};
use crate::blob::{
    CellConfig, DeviceConfig, MAX_DEVICES, MAX_MEMORY, MemoryConfig, Name, Placement,
};
use crate::id::{CellId, CpuId, Mpidr, Spi, SpiSet};
use crate::refused::Refused;

/// A cell that may be created, as long as the ledger is not changed: see [`Ledger::commit_create`].
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) id: CellId,
    pub(super) holding: Holding,
    pub(super) generation: u64,
}

impl Claim {
    /// The id it will have.
    pub fn id(&self) -> CellId {
        self.id
    }

    /// What it will have.
    pub fn holding(&self) -> &Holding {
        &self.holding
    }
}

impl Ledger {
    /// Checks all that a cell asks for and finds its memory. Changes nothing.
    ///
    /// `cpu_is_off` tells whether Linux has given a CPU up. That the distributor has the SPIs is the caller's to
    /// check.
    ///
    /// # Errors
    /// `BAD_NAME`, `NAME_TAKEN`, `NO_CELL_SLOT`; `NO_CPU`, `NO_SUCH_CPU`, `CPU_TWICE`, `CPU_OF_CELL`, `LAST_CPU`,
    /// `CPU_OF_LINUX`; `NO_RAM`, `EMPTY`, `WRAPS`, `UNALIGNED`, `OVERLAPS_ITSELF`, `DEVICE_IS_GIC`,
    /// `MEMORY_OF_HYPERVISOR`, `MEMORY_OF_CELL`, `MEMORY_OF_LINUX`, `MEMORY_ABSENT`, `POOL_FULL`, `DEVICE_IN_RAM`,
    /// `DEVICE_OF_CELL`; `SPI_TWICE`, `SPI_OF_CELL`.
    #[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
    pub fn prepare_create(
        &self,
        config: &CellConfig,
        cpu_is_off: impl Fn(CpuId) -> bool,
    ) -> Result<Claim, Refused> {
        self.check_name(&config.name)?;
        let id = self.free_slot()?;
        let cpus = self.claim_cpus(&config.cpus, cpu_is_off)?;
        self.check_guest_addresses(config)?;
        let memory = self.claim_memory(&config.memory)?;
        let devices = self.claim_devices(&config.devices)?;
        let spis = self.claim_spis(&config.spis)?;
        let holding = Holding {
            name: config.name,
            cpus,
            memory,
            devices,
            spis,
        };
        Ok(Claim {
            id,
            holding,
            generation: self.generation,
        })
    }

    fn check_name(&self, name: &Name) -> Result<(), Refused> {
        match self.holdings().find(|(_, cell)| cell.name == *name) {
            Some((id, _)) => Err(Refused::new(code::NAME_TAKEN, id.index() as u64, 0)),
            None => Ok(()),
        }
    }

    fn free_slot(&self) -> Result<CellId, Refused> {
        (1..MAX_CELLS)
            .filter_map(CellId::new)
            .find(|id| self.cell(*id).is_none())
            .ok_or(Refused::new(code::NO_CELL_SLOT, MAX_CELLS as u64, 0))
    }

    fn claim_cpus(
        &self,
        mpidrs: &[Mpidr],
        is_off: impl Fn(CpuId) -> bool,
    ) -> Result<ArrayVec<CpuId, MAX_CPUS>, Refused> {
        let mut cpus = ArrayVec::new();
        for mpidr in mpidrs {
            let refused = |code, b| Refused::new(code, mpidr.get(), b);
            let cpu = self
                .cpu_by_mpidr(*mpidr)
                .ok_or(refused(code::NO_SUCH_CPU, 0))?;
            let owner = self.cpu_owner(cpu);
            if cpus.contains(&cpu) {
                return Err(refused(code::CPU_TWICE, 0));
            }
            if owner != CellId::ROOT {
                return Err(refused(code::CPU_OF_CELL, owner.index() as u64));
            }
            cpus.try_push(cpu).map_err(too_many)?;
        }
        let last = *mpidrs.last().ok_or(Refused::new(code::NO_CPU, 0, 0))?;
        self.check_root_keeps_one(&cpus, last, is_off)?;
        Ok(cpus)
    }

    /// Refuses CPUs that root uses, and all that root has.
    fn check_root_keeps_one(
        &self,
        taken: &[CpuId],
        last: Mpidr,
        is_off: impl Fn(CpuId) -> bool,
    ) -> Result<(), Refused> {
        let kept = || {
            self.cpus_of(CellId::ROOT)
                .filter(|cpu| !taken.contains(cpu))
        };
        if kept().next().is_none() {
            return Err(Refused::new(code::LAST_CPU, last.get(), 0));
        }
        match taken.iter().find(|cpu| !is_off(**cpu)) {
            None => Ok(()),
            Some(cpu) if kept().all(&is_off) => {
                Err(Refused::new(code::LAST_CPU, self.mpidr(*cpu).get(), 0))
            }
            Some(cpu) => Err(Refused::new(code::CPU_OF_LINUX, self.mpidr(*cpu).get(), 0)),
        }
    }

    /// Checks what the cell will see: whole pages in the address space, apart from each other and from the interrupt
    /// controller, which every cell sees where it is.
    fn check_guest_addresses(&self, config: &CellConfig) -> Result<(), Refused> {
        if config.memory.is_empty() {
            return Err(Refused::new(code::NO_RAM, 0, 0));
        }
        let mut seen: ArrayVec<Region<Gpa>, { MAX_MEMORY + MAX_DEVICES }> = ArrayVec::new();
        let memory = config.memory.iter().map(|memory| (memory.gpa, memory.size));
        let devices = config
            .devices
            .iter()
            .map(|device| (device.gpa, device.size));
        for (gpa, size) in memory.chain(devices) {
            let region = self.pages(gpa, size)?;
            self.check_not_gic(Region::new(Hpa(gpa.0), size)?)?;
            check_apart(seen.iter().copied(), &region)?;
            seen.try_push(region).map_err(too_many)?;
        }
        Ok(())
    }

    fn claim_memory(
        &self,
        wanted: &[MemoryConfig],
    ) -> Result<ArrayVec<Window, MAX_MEMORY>, Refused> {
        let mut taken: ArrayVec<Region<Hpa>, MAX_MEMORY> = ArrayVec::new();
        for memory in wanted {
            if let Placement::At(hpa) = memory.placement {
                let region = self.pages(hpa, memory.size)?;
                self.check_memory(region)?;
                check_apart(taken.iter().copied(), &region)?;
                taken.try_push(region).map_err(too_many)?;
            }
        }
        let mut windows = ArrayVec::new();
        for memory in wanted {
            let hpa = match memory.placement {
                Placement::At(hpa) => Region::pages(hpa, memory.size)?,
                Placement::Pool => self.take_from_pool(memory, &mut taken)?,
            };
            windows
                .try_push(Window {
                    gpa: Region::pages(memory.gpa, memory.size)?,
                    hpa,
                })
                .map_err(too_many)?;
        }
        Ok(windows)
    }

    fn take_from_pool(
        &self,
        memory: &MemoryConfig,
        taken: &mut ArrayVec<Region<Hpa>, MAX_MEMORY>,
    ) -> Result<Region<Hpa>, Refused> {
        let region = self.first_fit(memory.gpa, memory.size, taken);
        let region = region
            .ok_or_else(|| Refused::new(code::POOL_FULL, memory.size, self.largest_free(taken)))?;
        taken.try_push(region).map_err(too_many)?;
        Ok(region)
    }

    /// Refuses memory that is not all in the pool, or another cell's.
    fn check_memory(&self, region: Region<Hpa>) -> Result<(), Refused> {
        if let Some(shared) = self.hv.and_then(|hv| hv.overlap(&region)) {
            return Err(Refused::new(code::MEMORY_OF_HYPERVISOR, shared.0, 0));
        }
        if let Some((id, address)) = self.shared_with_cell(region, |cell| &cell.memory) {
            return Err(Refused::new(
                code::MEMORY_OF_CELL,
                address.0,
                id.index() as u64,
            ));
        }
        let outside = match self.pool {
            Some(pool) if pool.covers(&region) => return Ok(()),
            Some(pool) if pool.contains(region.base()) => pool.end(),
            _ => region.base(),
        };
        let is_ram = self.ram.iter().any(|ram| ram.contains(outside));
        Err(Refused::new(
            if is_ram {
                code::MEMORY_OF_LINUX
            } else {
                code::MEMORY_ABSENT
            },
            outside.0,
            0,
        ))
    }

    fn claim_devices(
        &self,
        wanted: &[DeviceConfig],
    ) -> Result<ArrayVec<Window, MAX_DEVICES>, Refused> {
        let mut windows: ArrayVec<Window, MAX_DEVICES> = ArrayVec::new();
        for device in wanted {
            let hpa = self.pages(device.hpa, device.size)?;
            self.check_device(hpa)?;
            check_apart(windows.iter().map(|window| window.hpa), &hpa)?;
            windows
                .try_push(Window {
                    gpa: Region::pages(device.gpa, device.size)?,
                    hpa,
                })
                .map_err(too_many)?;
        }
        Ok(windows)
    }

    /// Refuses a device window that is not root's to give.
    fn check_device(&self, region: Region<Hpa>) -> Result<(), Refused> {
        if let Some(shared) = self.hv.and_then(|hv| hv.overlap(&region)) {
            return Err(Refused::new(code::MEMORY_OF_HYPERVISOR, shared.0, 0));
        }
        if let Some(shared) = self
            .ram
            .iter()
            .chain(&self.pool)
            .find_map(|ram| ram.overlap(&region))
        {
            return Err(Refused::new(code::DEVICE_IN_RAM, shared.0, 0));
        }
        self.check_not_gic(region)?;
        match self.shared_with_cell(region, |cell| &cell.devices) {
            Some((id, address)) => Err(Refused::new(
                code::DEVICE_OF_CELL,
                address.0,
                id.index() as u64,
            )),
            None => Ok(()),
        }
    }

    fn check_not_gic(&self, region: Region<Hpa>) -> Result<(), Refused> {
        match self.gic.iter().find_map(|gic| gic.overlap(&region)) {
            Some(shared) => Err(Refused::new(code::DEVICE_IS_GIC, shared.0, 0)),
            None => Ok(()),
        }
    }

    fn claim_spis(&self, wanted: &[Spi]) -> Result<SpiSet, Refused> {
        let mut spis = SpiSet::EMPTY;
        for spi in wanted {
            let owner = self.spi_owner(*spi);
            if spis.contains(*spi) {
                return Err(Refused::new(code::SPI_TWICE, spi.intid().into(), 0));
            }
            if owner != CellId::ROOT {
                return Err(Refused::new(
                    code::SPI_OF_CELL,
                    spi.intid().into(),
                    owner.index() as u64,
                ));
            }
            spis.insert(*spi);
        }
        Ok(spis)
    }

    /// Makes a region of whole pages that is in the physical address space.
    fn pages<A: Address>(&self, base: A, size: u64) -> Result<Region<A>, Refused> {
        let region = Region::pages(base, size)?;
        region.below(self.pa_bits)?;
        Ok(region)
    }

    /// Finds a cell with a window on the region, and the first address that it has of it.
    fn shared_with_cell(
        &self,
        region: Region<Hpa>,
        windows: impl Fn(&Holding) -> &[Window],
    ) -> Option<(CellId, Hpa)> {
        self.cells().find_map(|(id, cell)| {
            windows(cell)
                .iter()
                .find_map(|window| Some((id, window.hpa.overlap(&region)?)))
        })
    }
}

/// A list has room for all that a blob can hold, so this is never seen.
fn too_many<T>(_: CapacityError<T>) -> Refused {
    Refused::new(code::TOO_MANY, 0, 0)
}

/// Refuses a region that shares an address with one of the same cell.
fn check_apart<A: Address>(
    mut others: impl Iterator<Item = Region<A>>,
    region: &Region<A>,
) -> Result<(), Refused> {
    match others.find(|other| other.overlaps(region)) {
        Some(other) => Err(Refused::new(
            code::OVERLAPS_ITSELF,
            other.base().get(),
            region.base().get(),
        )),
        None => Ok(()),
    }
}
