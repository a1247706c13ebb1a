//! The shared read-only area: what root reads without an exit. Info first, then one log ring a CPU.
//!
//! EL2 writes, root only reads (its stage 2 says so). `Info::sequence` is odd while cells are being changed.

use crate::{MAX_CELLS, MAX_CPUS, NAME_SIZE};

/// States of a cell ([`CellInfo::state`]).
pub mod state {
    /// The slot is free.
    pub const FREE: u32 = 0;
    /// Its RAM is being zeroed by its own CPU.
    pub const CREATING: u32 = 1;
    /// Empty: wants an image.
    pub const CREATED: u32 = 2;
    /// Part of an image was loaded.
    pub const LOADING: u32 = 3;
    /// Ready to start.
    pub const LOADED: u32 = 4;
    /// Running.
    pub const RUNNING: u32 = 5;
    /// Its CPUs were told to stop and have not all done so.
    pub const STOPPING: u32 = 6;
    /// Stopped by root or by itself (`SYSTEM_OFF`); wants an image to run again.
    pub const STOPPED: u32 = 7;
    /// Stopped by a fault; see [`super::CellInfo::fault`].
    pub const FAILED: u32 = 8;
    /// Its RAM is being zeroed before it goes.
    pub const DESTROYING: u32 = 9;
    /// A CPU of it does not answer: cut off from all memory, kept for ever.
    pub const FENCED: u32 = 10;
    /// Names by number.
    pub const NAMES: [&str; 11] = [
        "free",
        "creating",
        "created",
        "loading",
        "loaded",
        "running",
        "stopping",
        "stopped",
        "failed",
        "destroying",
        "fenced",
    ];
}

/// What a CPU is doing ([`CpuInfo::state`]).
pub mod cpu_state {
    /// With firmware: off since before enable, or handed back.
    pub const FIRMWARE: u32 = 0;
    /// In its cell, at EL1 or EL0.
    pub const GUEST: u32 = 1;
    /// Waiting at EL2.
    pub const PARKED: u32 = 2;
    /// Hit a bug of ours; see the panic record.
    pub const DEAD: u32 = 3;
    /// Asked to do something, has not yet.
    pub const WAKING: u32 = 4;
}

/// Causes of exits ([`CpuInfo::exits`]), by index.
pub mod exit {
    /// HVC.
    pub const HVC: usize = 0;
    /// SMC.
    pub const SMC: usize = 1;
    /// SGI generation.
    pub const SGI: usize = 2;
    /// Distributor access.
    pub const GICD: usize = 3;
    /// Redistributor access.
    pub const GICR: usize = 4;
    /// Other system register.
    pub const SYSREG: usize = 5;
    /// Stage-2 fault that was retried.
    pub const RETRY: usize = 6;
    /// Stage-2 fault that was refused.
    pub const ABORT: usize = 7;
    /// Kick.
    pub const KICK: usize = 8;
    /// Anything else.
    pub const OTHER: usize = 9;
    /// Interrupt of a cell with listed delivery.
    pub const IRQ: usize = 10;
    /// Access to a page of device registers that several have a part of.
    pub const PART: usize = 11;
    /// How many causes.
    pub const COUNT: usize = 12;
    /// Names by index.
    pub const NAMES: [&str; COUNT] = [
        "hvc", "smc", "sgi", "gicd", "gicr", "sysreg", "retry", "abort", "kick", "other", "irq",
        "part",
    ];
}

/// Kinds of faults ([`FaultRecord::kind`]).
pub mod fault {
    /// None recorded.
    pub const NONE: u32 = 0;
    /// Read of an address that is not the cell's.
    pub const READ: u32 = 1;
    /// Write.
    pub const WRITE: u32 = 2;
    /// Instruction fetch.
    pub const FETCH: u32 = 3;
    /// An access to an emulated register that cannot be decoded (ISV = 0).
    pub const UNDECODABLE: u32 = 4;
    /// An exception that nothing handles.
    pub const UNHANDLED: u32 = 5;
    /// Names by number.
    pub const NAMES: [&str; 6] = [
        "none",
        "read",
        "write",
        "fetch",
        "undecodable access",
        "unhandled exception",
    ];
}

/// Why a cell was stopped.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct FaultRecord {
    /// See [`fault`].
    pub kind: u32,
    /// Index of the CPU in the system's list.
    pub cpu: u32,
    /// `ESR_EL2`.
    pub esr: u64,
    /// `FAR_EL2`, guest virtual address.
    pub far: u64,
    /// Guest physical address, or `u64::MAX` when unknown.
    pub ipa: u64,
    /// Program counter.
    pub pc: u64,
    /// `SPSR_EL2`.
    pub spsr: u64,
    /// x0 to x30.
    pub x: [u64; 31],
}

/// Why a cell was last told to stop, or to start anew ([`CellInfo::cause`]).
pub mod cause {
    /// It was not.
    pub const NONE: u32 = 0;
    /// Root asked.
    pub const ROOT: u32 = 1;
    /// It called `SYSTEM_OFF`.
    pub const SYSTEM_OFF: u32 = 2;
    /// It called `SYSTEM_RESET`.
    pub const SYSTEM_RESET: u32 = 3;
    /// A fault.
    pub const FAULT: u32 = 4;
    /// Its heart stood still, and its file says "restart".
    pub const STALL: u32 = 5;
    /// Names by number.
    pub const NAMES: [&str; 6] = [
        "none",
        "root",
        "SYSTEM_OFF",
        "SYSTEM_RESET",
        "fault",
        "stall",
    ];
}

/// How a cell is, by its heartbeat. As of the last `CELL_WATCH`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Health {
    /// Beats since its start.
    pub beats: u64,
    /// Since the last beat was seen, or since its start, milliseconds.
    pub silent_ms: u64,
    /// The period that it promised, milliseconds; 0: no heartbeat.
    pub heartbeat_ms: u32,
    /// 1: silent for too long.
    pub is_stalled: u32,
}

impl Health {
    /// No heartbeat.
    pub const NONE: Self = Self {
        beats: 0,
        silent_ms: 0,
        heartbeat_ms: 0,
        is_stalled: 0,
    };
}

/// One cell.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CellInfo {
    /// See [`state`].
    pub state: u32,
    /// Counts the cells that had this slot.
    pub generation: u32,
    /// Zero-terminated.
    pub name: [u8; NAME_SIZE],
    /// Bit n: CPU n of the system's list is this cell's.
    pub cpus: u64,
    /// Guest address of its first RAM region.
    pub gpa: u64,
    /// Physical address of it.
    pub hpa: u64,
    /// Size of all its RAM, bytes.
    pub ram_size: u64,
    /// Number of SPIs it owns.
    pub spi_count: u32,
    /// 0 = direct, 1 = listed.
    pub delivery: u32,
    /// Why it was last told to stop or to start anew: see [`cause`].
    pub cause: u32,
    /// How often it started anew since root started it, by itself or for a stall.
    pub restarts: u32,
    /// Guest address of its console ([`crate::console`]), or `u64::MAX`: it has none.
    pub console: u64,
    /// Its heartbeat.
    pub health: Health,
    /// Last fault.
    pub fault: FaultRecord,
}

/// One CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct CpuInfo {
    /// Affinity fields of MPIDR_EL1.
    pub mpidr: u64,
    /// Owner.
    pub cell: u32,
    /// See [`cpu_state`].
    pub state: u32,
    /// Exits since enable, by cause ([`exit`]).
    pub exits: [u64; exit::COUNT],
}

/// Our own bug, if there was one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct PanicRecord {
    /// 0: none.
    pub count: u32,
    /// Index of the CPU.
    pub cpu: u32,
    /// Line in `file`, or 0 for an exception at EL2.
    pub line: u32,
    /// Zero.
    pub reserved: u32,
    /// `ESR_EL2`.
    pub esr: u64,
    /// `ELR_EL2`.
    pub elr: u64,
    /// `FAR_EL2`.
    pub far: u64,
    /// Source file, zero-terminated, cut at the front.
    pub file: [u8; 48],
}

/// Head of the shared read-only area.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// [`crate::enter::IMAGE_MAGIC`].
    pub magic: u64,
    /// [`crate::ABI_VERSION`].
    pub version: u32,
    /// Odd while EL2 changes what follows.
    pub sequence: u32,
    /// CPUs in the system's list.
    pub cpu_count: u32,
    /// Offset of the first log ring, bytes; ring n is at `log_offset + n * LOG_RING_SIZE`.
    pub log_offset: u32,
    /// First eight bytes of the hash in the image's note `.note.gnu.build-id`, little-endian: tells which ELF file the log
    /// is read with.
    pub build_id: u64,
    /// Physical base of the hypervisor's memory.
    pub hv_base: u64,
    /// Its size, bytes.
    pub hv_size: u64,
    /// Free pages of the hypervisor.
    pub hv_pages_free: u64,
    /// Physical base of the pool.
    pub pool_base: u64,
    /// Its size, bytes.
    pub pool_size: u64,
    /// Free bytes of the pool.
    pub pool_free: u64,
    /// Security states of the interrupt controller: 1 or 2.
    pub security_states: u64,
    /// Our own bug, if there was one.
    pub panic: PanicRecord,
    /// By cell id; 0 is the root cell.
    pub cells: [CellInfo; MAX_CELLS],
    /// By index in the system's list.
    pub cpus: [CpuInfo; MAX_CPUS],
}

/// Bytes of the info part, whole pages.
pub const INFO_SIZE: u64 = 0x2000;
/// Bytes of one log ring, its head included.
pub const LOG_RING_SIZE: u64 = 0x1000;

/// Head of a log ring; `LOG_RING_SIZE - 8` bytes of data follow, a defmt stream (rzCOBS frames, each ended by a 0).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LogRing {
    /// Bytes ever written; the next one goes to `written % (LOG_RING_SIZE - 8)`.
    pub written: u64,
}

const _: () = assert!(size_of::<Info>() as u64 <= INFO_SIZE);
