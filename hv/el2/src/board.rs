//! The board as EL2 found it at enable: fixed until the next enable.

use arrayvec::ArrayVec;
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::blob::{Conduit, MAX_GICRS};
use bulkhead_model::id::{CpuId, Mpidr};
use bulkhead_model::vgic::kick::Kicks;

use crate::gicv2::Frames;
use crate::layout::{CPU_AREA_SIZE, CPU_STRUCT_OFFSET};
use crate::lock::Fixed;
use crate::percpu::PerCpu;

/// What never changes while Bulkhead is enabled.
pub struct Board {
    /// The hypervisor's memory.
    pub hv: Region<Hpa>,
    /// The cells' pool.
    pub pool: Option<Region<Hpa>>,
    /// The shared read-only area.
    pub shared: Region<Hpa>,
    /// The mailbox.
    pub mailbox: Region<Hpa>,
    /// The distributor.
    pub gicd: Region<Hpa>,
    /// What it has beside the distributor when it is a GICv2.
    pub gicv2: Option<Frames>,
    /// Bytes of the distributor that the short way serves ([`crate::vgic::plain_access`]): of a GICv3 all, else none.
    pub plain_frame: u64,
    /// The regions of redistributors; cells see theirs from the first one's base on.
    pub gicrs: ArrayVec<Region<Hpa>, MAX_GICRS>,
    /// Bytes from one redistributor to the next: 2 frames of 64 KiB, or 4 with GICv4.
    pub gicr_stride: u64,
    /// How CPUs of cells are made to enter EL2.
    pub kicks: Kicks,
    /// How firmware is called.
    pub psci: Conduit,
    /// The page where CPUs without PSCI wait while we are not there; 0: there are none.
    pub pen: u64,
    /// Physical address bits.
    pub pa_bits: u8,
    /// Physical base of the first CPU's area.
    pub cpu_areas: u64,
    /// Number of CPUs.
    pub cpu_count: usize,
}

/// Set by `prepare`, before any CPU joins.
pub static BOARD: Fixed<Board> = Fixed::new();

/// Returns the board. Whoever runs a guest has one.
#[inline(never)] // Most files ask for it.
pub fn board() -> &'static Board {
    match BOARD.get() {
        Some(board) => board,
        None => panic!("the board is set before a CPU joins"),
    }
}

impl Board {
    /// All CPUs' structs, in the order of the system's list.
    pub fn cpus(&self) -> impl ExactSizeIterator<Item = &'static PerCpu> + use<'_> {
        (0..self.cpu_count).map(|index| self.cpu_at(index))
    }

    /// The struct of the CPU at `index`, below `cpu_count`.
    #[inline(never)] // Once for all: it multiplies.
    fn cpu_at(&self, index: usize) -> &'static PerCpu {
        let address = self.cpu_areas + index as u64 * CPU_AREA_SIZE + CPU_STRUCT_OFFSET;
        // SAFETY: `prepare` wrote all structs before it set the board; they are changed only through atomics.
        unsafe { &*(address as *const PerCpu) }
    }

    /// Their number, in records.
    pub fn cpu_count(&self) -> u32 {
        self.cpus().last().map_or(0, |cpu| cpu.id.number() + 1)
    }

    /// Base of the redistributor that has this address.
    pub fn redistributor_at(&self, address: u64) -> Option<u64> {
        let region = self
            .gicrs
            .iter()
            .find(|region| region.contains(Hpa(address)))?;
        let offset = address - region.base().0;
        let gicr = address - offset % self.gicr_stride;
        (gicr + self.gicr_stride <= region.end().0).then_some(gicr)
    }

    /// Where cells see their first redistributor.
    pub fn first_redistributor(&self) -> u64 {
        self.gicrs.first().map_or(0, |region| region.base().0)
    }

    /// The struct of one CPU.
    pub fn cpu(&self, id: CpuId) -> Option<&'static PerCpu> {
        (id.index() < self.cpu_count).then(|| self.cpu_at(id.index()))
    }

    /// The struct of the CPU of that affinity.
    pub fn cpu_by_mpidr(&self, mpidr: Mpidr) -> Option<&'static PerCpu> {
        self.cpus().find(|cpu| cpu.mpidr == mpidr)
    }
}
