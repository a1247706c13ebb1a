//! What each CPU has: the guest's frame, EL2 as it was found, its post box, its counters.
//!
//! One rule: [`Cpu`] exists once a CPU, on that CPU; the frame and `found` are reached through it alone. Everything in
//! [`PerCpu`] that others may touch is atomic.

use core::cell::UnsafeCell;
use core::mem::offset_of;
use core::num::NonZero;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use bulkhead_abi::info::cpu_state;
use bulkhead_model::blob::CpuConfig;
use bulkhead_model::id::{CellId, CpuId, Mpidr};
use bulkhead_model::vgic::listed::Parked;
use bulkhead_model::vgic::sgi::sgi_value;

use crate::layout::{CPU_AREA_SIZE, CPU_STRUCT_OFFSET};
use crate::{info, sysreg};

/// The guest's general registers, saved by vectors.S.
#[repr(C)]
#[derive(Default)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// Program counter (ELR_EL2).
    pub pc: u64,
    /// PSTATE (SPSR_EL2).
    pub spsr: u64,
}

/// EL2 as it was found, to be put back on leaving. The first six are saved by entry.S.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Found {
    pub sctlr: u64,
    pub tcr: u64,
    pub mair: u64,
    pub ttbr0: u64,
    pub vbar: u64,
    pub tpidr: u64,
    pub hcr: u64,
    pub vtcr: u64,
    pub vttbr: u64,
    pub mdcr: u64,
    pub cptr: u64,
    pub cnthctl: u64,
    pub cntvoff: u64,
    pub hstr: u64,
    pub vpidr: u64,
    pub vmpidr: u64,
    pub ich_hcr: u64,
    pub ich_vmcr: u64,
    pub icc_pmr: u64,
    pub icc_ctlr: u64,
    pub icc_igrpen0: u64,
    pub zcr: u64,
    pub hcrx: u64,
    pub fgt: [u64; 5],
}

/// One CPU, as all CPUs see it.
#[repr(C)]
pub struct PerCpu {
    frame: UnsafeCell<Frame>,
    pad: u64,
    found: UnsafeCell<Found>,
    /// Index in the system's list.
    pub id: CpuId,
    /// Affinity.
    pub mpidr: Mpidr,
    /// What sends it SGI 0 (ICC_SGI1R_EL1); the number goes to bits 27:24.
    pub sgi: u64,
    /// Physical base of its redistributor; with a GICv2 what has the distributor's registers, which are banked, in its place.
    pub gicr: u64,
    /// Where its guest sees that; changes only while the CPU is parked or off.
    pub gicr_seen: AtomicU64,
    /// Its CPU interface of a GICv2, a bit; 0 until it has been here.
    pub interface: AtomicU8,
    /// GICC_CTLR as firmware left it, on a GICv2.
    pub bypass: AtomicU32,
    /// Owner; changes only while the CPU is parked or off.
    cell: AtomicU8,
    /// What it is asked to do, see [`Request`].
    request: AtomicU32,
    /// Arguments of the request.
    pub entry: AtomicU64,
    /// See `entry`.
    pub context: AtomicU64,
    /// `abi::info::cpu_state`.
    pub state: AtomicU32,
    /// PSCI's view, `model::psci::CpuPower`.
    pub power: AtomicU8,
    /// Linux ran on it when Bulkhead was enabled.
    pub was_online: bool,
    /// Physical address of the word where it waits for an address while nobody has it; 0: firmware starts it.
    pub release: u64,
    /// GICR_CTLR.EnableLPIs was cleared for a cell and must be set again for root.
    pub lpis_were_on: AtomicBool,
    /// Places of the interrupt controller, modulo 64 words, where its guest was told that there is nothing: each is logged once.
    pub told: AtomicU64,
    /// Interrupts of a cell with listed delivery that are in no list register.
    pub parked: Parked,
}

// SAFETY: `frame` and `found` are reached only through the one `Cpu`; the rest is atomic or never changes.
unsafe impl Sync for PerCpu {}

const _: () = assert!(offset_of!(PerCpu, frame) == 0);
const _: () = assert!(offset_of!(Frame, pc) == 248);
const _: () = assert!(offset_of!(PerCpu, found) == 272);
const _: () = assert!(CPU_STRUCT_OFFSET + size_of::<PerCpu>() as u64 <= CPU_AREA_SIZE);

/// What one CPU may ask of another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u32)]
pub enum Request {
    /// Nothing.
    None = 0,
    /// Start the owner's code at `entry` with `context` in x0.
    Start = 1,
    /// Stop whatever runs, and park.
    Stop = 2,
    /// Zero the RAM of the cell that owns this CPU, tell the cell, stay parked.
    Scrub = 3,
    /// Back to firmware (PSCI CPU_OFF).
    ToFirmware = 4,
}

impl PerCpu {
    /// Makes the struct of a CPU that is still with firmware, or in Linux.
    pub fn new(id: CpuId, config: &CpuConfig, gicr: u64, gicr_seen: u64) -> Self {
        Self {
            frame: UnsafeCell::new(Frame::default()),
            pad: 0,
            found: UnsafeCell::new(Found::default()),
            id,
            mpidr: config.mpidr,
            sgi: sgi_value(0, config.mpidr),
            gicr,
            gicr_seen: AtomicU64::new(gicr_seen),
            interface: AtomicU8::new(0),
            bypass: AtomicU32::new(0),
            cell: AtomicU8::new(0),
            request: AtomicU32::new(0),
            entry: AtomicU64::new(0),
            context: AtomicU64::new(0),
            state: AtomicU32::new(cpu_state::FIRMWARE),
            power: AtomicU8::new(0),
            was_online: config.online,
            release: config
                .release
                .filter(|_| !config.online)
                .map_or(0, NonZero::get),
            lpis_were_on: AtomicBool::new(false),
            told: AtomicU64::new(0),
            parked: Parked::none(),
        }
    }

    /// Returns its owner.
    pub fn cell(&self) -> CellId {
        CellId::from_byte(self.cell.load(Ordering::Relaxed))
    }

    /// Gives it to a cell. The CPU is parked or off; the request that starts it publishes this.
    pub fn set_cell(&self, cell: CellId) {
        self.cell.store(cell.byte(), Ordering::Relaxed);
    }

    /// Posts a request, whatever was posted before, and wakes the CPU if it is parked.
    pub fn post(&self, request: Request) {
        self.request.store(request as u32, Ordering::Release);
        sysreg::sev();
    }

    /// Tells whether no request waits.
    pub fn is_idle(&self) -> bool {
        self.request.load(Ordering::Acquire) == Request::None as u32
    }

    /// Tells whether it waits at EL2 or is with firmware, with nothing left to do.
    pub fn is_parked(&self) -> bool {
        self.is_idle()
            && matches!(
                self.state.load(Ordering::Acquire),
                cpu_state::PARKED | cpu_state::FIRMWARE
            )
    }

    /// Says what this CPU does now, to EL2 and to root.
    pub fn set_state(&self, state: u32) {
        self.state.store(state, Ordering::Release);
        info::set_cpu(self.id, self.cell(), state);
    }

    /// Takes the request out.
    pub fn take(&self) -> Request {
        if self.request.load(Ordering::Acquire) == 0 {
            return Request::None; // the usual case costs no exclusive access
        }
        match self.request.swap(0, Ordering::AcqRel) {
            1 => Request::Start,
            2 => Request::Stop,
            3 => Request::Scrub,
            4 => Request::ToFirmware,
            _ => Request::None,
        }
    }
}

/// This CPU.
pub struct Cpu {
    /// What others see of it.
    pub shared: &'static PerCpu,
    /// The guest's registers.
    pub frame: &'static mut Frame,
    /// EL2 as it was found.
    pub found: &'static mut Found,
}

impl Cpu {
    /// Takes this CPU's struct.
    ///
    /// # Safety
    /// `shared` is the executing CPU's own, and no other `Cpu` of it exists.
    pub unsafe fn claim(shared: &'static PerCpu) -> Self {
        // SAFETY: the caller says that nobody else reaches the frame.
        let frame = unsafe { &mut *shared.frame.get() };
        // SAFETY: nor `found`.
        let found = unsafe { &mut *shared.found.get() };
        Self {
            shared,
            frame,
            found,
        }
    }
}
