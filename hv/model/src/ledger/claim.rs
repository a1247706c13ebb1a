//! Whether a cell may have what it asks for.
//!
//! One rule: nothing here changes the ledger, and whatever is wrong is refused by the name of the thing.

use arrayvec::ArrayVec;
use bulkhead_abi::{MAX_CELLS, code, console};

use super::{Holding, Ledger, Window};
use crate::addr::{Address, Gpa, Hpa, Region};
use crate::blob::{CellConfig, DeviceConfig, MAX_MEMORY, MemoryConfig, Name, Placement};
use crate::id::{CellId, CpuId, Mpidr, Spi};
use crate::refused::Refused;
use crate::vgic::redistributor::CELL_STRIDE;

/// A cell that may be created, as long as the ledger is not changed: see [`Ledger::commit_create`].
#[derive(Clone, Debug)]
pub struct Claim {
    pub(super) id: CellId,
    pub(super) holding: Holding,
    pub(super) generation: u64,
}

impl Claim {
    /// Of nothing: to be [prepared](Ledger::prepare_in). No ledger takes it as it is.
    pub fn empty() -> Self {
        Self {
            id: CellId::ROOT,
            holding: Holding::new(Name::ROOT),
            generation: 0, // a ledger that is set up counts from 1
        }
    }

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
    pub fn prepare_create(
        &self,
        config: &CellConfig,
        cpu_is_off: impl Fn(CpuId) -> bool,
    ) -> Result<Claim, Refused> {
        let mut claim = Claim::empty();
        self.prepare_in(&mut claim, config, cpu_is_off)?;
        Ok(claim)
    }

    /// The same in an [empty](Claim::empty) claim, where it is: it is large, and EL2's stack small.
    ///
    /// # Errors
    /// As [`Self::prepare_create`]; the claim is none then.
    #[inline(never)] // Keeps what it needs on EL2's stack out of its caller's frame.
    pub fn prepare_in(
        &self,
        claim: &mut Claim,
        config: &CellConfig,
        cpu_is_off: impl Fn(CpuId) -> bool,
    ) -> Result<(), Refused> {
        self.check_name(&config.name)?;
        claim.id = self.free_slot()?;
        let holding = &mut claim.holding;
        holding.name = config.name;
        holding.heartbeat = config.heartbeat;
        self.claim_cpus(&config.cpus, cpu_is_off, holding)?;
        self.claim_memory(&config.memory, holding)?;
        self.claim_devices(&config.devices, holding)?;
        self.claim_spis(&config.spis, holding)?;
        if let Some(gpa) = config.console {
            let region = self.claim_guest(gpa, console::SIZE, holding)?;
            push(&mut holding.console, region)?;
        }
        claim.generation = self.generation;
        Ok(())
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
        holding: &mut Holding,
    ) -> Result<(), Refused> {
        let (mut kept, mut on) = (0_u32, 0_u32);
        for cpu in self.cpus_of(CellId::ROOT) {
            kept |= 1 << cpu.index();
            on |= u32::from(!is_off(cpu)) << cpu.index();
        }
        let mut used = None;
        for mpidr in mpidrs {
            let refused = |code, b| Err(Refused::new(code, mpidr.get(), b));
            let Some(cpu) = self.cpu_by_mpidr(*mpidr) else {
                return refused(code::NO_SUCH_CPU, 0);
            };
            let owner = self.cpu_owner(cpu);
            if holding.cpus.contains(&cpu) {
                return refused(code::CPU_TWICE, 0);
            }
            if owner != CellId::ROOT {
                return refused(code::CPU_OF_CELL, owner.index() as u64);
            }
            push(&mut holding.cpus, cpu)?;
            kept &= !(1 << cpu.index());
            if on & 1 << cpu.index() != 0 {
                used.get_or_insert(*mpidr);
            }
        }
        // Root keeps one CPU at least, and all that it uses.
        match (mpidrs.last(), used) {
            (None, _) => Err(Refused::new(code::NO_CPU, 0, 0)),
            (Some(last), _) if kept == 0 => Err(Refused::new(code::LAST_CPU, last.get(), 0)),
            (_, None) => Ok(()),
            (_, Some(used)) if kept & on == 0 => Err(Refused::new(code::LAST_CPU, used.get(), 0)),
            (_, Some(used)) => Err(Refused::new(code::CPU_OF_LINUX, used.get(), 0)),
        }
    }

    /// Checks what the cell will see: in the address space, apart from the interrupt controller, which every cell sees where
    /// it is, from the cell's redistributors, which are one behind the other from the board's first on, and from each other.
    fn claim_guest(&self, gpa: Gpa, size: u64, holding: &Holding) -> Result<Region<Gpa>, Refused> {
        let region = Region::registers(gpa, size)?;
        region.below(self.pa_bits)?;
        let seen = Region::new(Hpa(gpa.0), size)?;
        self.check_not_gic(seen)?;
        if let (None, Some(first)) = (self.gicc, self.gic.get(1)) {
            // The board's first region of redistributors may be smaller: those of one cluster.
            let size = holding.cpus.len() as u64 * CELL_STRIDE;
            check_none(
                &[Region::new(first.base(), size)?],
                &seen,
                code::DEVICE_IS_GIC,
            )?;
        }
        for other in holding.memory.iter().chain(&holding.devices) {
            check_apart(&other.gpa, &region)?;
        }
        Ok(region)
    }

    fn claim_memory(&self, wanted: &[MemoryConfig], holding: &mut Holding) -> Result<(), Refused> {
        if wanted.is_empty() {
            return Err(Refused::new(code::NO_RAM, 0, 0));
        }
        let mut taken: ArrayVec<Region<Hpa>, MAX_MEMORY> = ArrayVec::new();
        for memory in wanted {
            self.claim_guest(memory.gpa, memory.size, holding)?;
            if let Placement::At(hpa) = memory.placement {
                let region = self.registers(hpa, memory.size)?; // pages: see below
                self.check_memory(region)?;
                for other in &taken {
                    check_apart(other, &region)?;
                }
                push(&mut taken, region)?;
            }
        }
        for memory in wanted {
            let hpa = match memory.placement {
                Placement::At(hpa) => Region::pages(hpa, memory.size)?,
                Placement::Pool => self.take_from_pool(memory, &mut taken)?,
            };
            let gpa = self.claim_guest(memory.gpa, memory.size, holding)?;
            push(&mut holding.memory, Window { gpa, hpa })?;
        }
        Ok(())
    }

    fn take_from_pool(
        &self,
        memory: &MemoryConfig,
        taken: &mut ArrayVec<Region<Hpa>, MAX_MEMORY>,
    ) -> Result<Region<Hpa>, Refused> {
        match self.first_fit(memory.gpa, memory.size, taken) {
            Some(region) => push(taken, region).map(|()| region),
            None => {
                let largest = self.largest_free(taken);
                Err(Refused::new(code::POOL_FULL, memory.size, largest))
            }
        }
    }

    /// Refuses memory that is not all in the pool, or another cell's.
    fn check_memory(&self, region: Region<Hpa>) -> Result<(), Refused> {
        self.check_not_hypervisors(region)?;
        self.check_not_cells(region, code::MEMORY_OF_CELL)?;
        let outside = match self.pool {
            Some(pool) if pool.covers(&region) => return Ok(()),
            Some(pool) if pool.contains(region.base()) => pool.end(),
            _ => region.base(),
        };
        let is_ram = self.ram.iter().any(|ram| ram.contains(outside));
        let code = if is_ram {
            code::MEMORY_OF_LINUX
        } else {
            code::MEMORY_ABSENT
        };
        Err(Refused::new(code, outside.0, 0))
    }

    fn claim_devices(&self, wanted: &[DeviceConfig], holding: &mut Holding) -> Result<(), Refused> {
        for device in wanted {
            let gpa = self.claim_guest(device.gpa, device.size, holding)?;
            let hpa = self.registers(device.hpa, device.size)?;
            // A part is seen where it is: EL2 translates nothing.
            if hpa.is_part() && device.gpa.0 != device.hpa.0 {
                return Err(Refused::new(code::UNALIGNED, device.gpa.0, device.hpa.0));
            }
            self.check_device(hpa)?;
            for other in &holding.devices {
                check_apart(&other.hpa, &hpa)?;
            }
            push(&mut holding.devices, Window { gpa, hpa })?;
        }
        Ok(())
    }

    /// Refuses a device window that is not root's to give.
    fn check_device(&self, region: Region<Hpa>) -> Result<(), Refused> {
        self.check_not_hypervisors(region)?;
        check_none(&self.ram, &region, code::DEVICE_IN_RAM)?;
        check_none(self.pool.as_slice(), &region, code::DEVICE_IN_RAM)?;
        self.check_not_gic(region)?;
        self.check_not_cells(region, code::DEVICE_OF_CELL)
    }

    fn check_not_hypervisors(&self, region: Region<Hpa>) -> Result<(), Refused> {
        check_none(self.hv.as_slice(), &region, code::MEMORY_OF_HYPERVISOR)
    }

    fn check_not_gic(&self, region: Region<Hpa>) -> Result<(), Refused> {
        check_none(&self.gic, &region, code::DEVICE_IS_GIC)
    }

    fn claim_spis(&self, wanted: &[Spi], holding: &mut Holding) -> Result<(), Refused> {
        for spi in wanted {
            let refused = |code, b| Err(Refused::new(code, spi.intid().into(), b));
            if holding.spis.contains(*spi) {
                return refused(code::SPI_TWICE, 0);
            }
            let owner = self.spi_owner(*spi);
            if owner != CellId::ROOT {
                return refused(code::SPI_OF_CELL, owner.index() as u64);
            }
            holding.spis.insert(*spi);
        }
        Ok(())
    }

    /// Makes a region of whole pages, or of a part of one, that is in the physical address space.
    fn registers(&self, base: Hpa, size: u64) -> Result<Region<Hpa>, Refused> {
        let region = Region::registers(base, size)?;
        region.below(self.pa_bits)?;
        Ok(region)
    }

    /// Refuses what a cell has: of its memory or of its devices, as the code says.
    fn check_not_cells(&self, region: Region<Hpa>, code: i64) -> Result<(), Refused> {
        match self.found(&region, code, CellId::ROOT) {
            Some((id, other)) => {
                let first = other.base().max(region.base());
                Err(Refused::new(code, first.0, id.index() as u64))
            }
            None => Ok(()),
        }
    }

    /// Finds a cell, but for this one, that has something of the region: memory or a device, as the code says; and what.
    #[inline(never)] // Once for all who ask.
    pub(super) fn found(
        &self,
        region: &Region<Hpa>,
        code: i64,
        but: CellId,
    ) -> Option<(CellId, Region<Hpa>)> {
        for (id, cell) in self.holdings() {
            let windows: &[Window] = match code {
                _ if id == but => &[],
                code::MEMORY_OF_CELL => &cell.memory,
                _ => &cell.devices,
            };
            for window in windows {
                if window.hpa.overlaps(region) {
                    return Some((id, window.hpa));
                }
            }
        }
        None
    }
}

/// Adds to a list that has room for all that a blob can hold.
pub(super) fn push<T, const N: usize>(list: &mut ArrayVec<T, N>, item: T) -> Result<(), Refused> {
    let full = Refused::new(code::TOO_MANY, 0, 0);
    list.try_push(item).map_err(|_| full)
}

/// Makes a list the same as another, at once, where a clone would copy item by item, and then move.
pub(super) fn copy<T: Copy, const N: usize>(to: &mut ArrayVec<T, N>, from: &ArrayVec<T, N>) {
    to.clear();
    let _ = to.try_extend_from_slice(from); // both have room for as many
}

/// Refuses with `code` a region that has an address of one of `others`.
pub(super) fn check_none(
    others: &[Region<Hpa>],
    region: &Region<Hpa>,
    code: i64,
) -> Result<(), Refused> {
    for other in others {
        if let Some(shared) = other.overlap(region) {
            return Err(Refused::new(code, shared.0, 0));
        }
    }
    Ok(())
}

/// Refuses two regions of one cell that share an address.
pub(super) fn check_apart<A: Address>(
    other: &Region<A>,
    region: &Region<A>,
) -> Result<(), Refused> {
    if other.overlaps(region) {
        let (a, b) = (other.base().get(), region.base().get());
        return Err(Refused::new(code::OVERLAPS_ITSELF, a, b));
    }
    Ok(())
}
