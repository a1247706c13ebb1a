//! Power calls of root and of cells (PSCI 1.1, Arm DEN 0022).
//!
//! One rule: a CPU is turned on or off only inside its owner's cell, and never by firmware's hand.
//!
//! No crate: `arm-psci` 0.2 decodes two dozen functions more than are served here and brings three procedural macros;
//! `smccc` 0.2 has the numbers, amid calls that only EL2 could make.

use crate::id::{CellId, CpuId, Mpidr};
use crate::smccc::{self, Function};

pub use crate::smccc::NOT_SUPPORTED;

/// Done.
pub const SUCCESS: i64 = 0;
/// An argument is wrong.
pub const INVALID_PARAMETERS: i64 = -2;
/// Not allowed.
pub const DENIED: i64 = -3;
/// The CPU is on.
pub const ALREADY_ON: i64 = -4;
/// The CPU is being turned on.
pub const ON_PENDING: i64 = -5;
/// The entry point is not the caller's memory.
pub const INVALID_ADDRESS: i64 = -9;

const VERSION_1_1: i64 = 0x1_0001;
/// `MIGRATE_INFO_TYPE`: no trusted OS that would have to migrate.
const MIGRATION_NOT_REQUIRED: i64 = 2;

/// Identifiers without the 64-bit flag.
mod number {
    pub const VERSION: u32 = 0x8400_0000;
    pub const CPU_SUSPEND: u32 = 0x8400_0001;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON: u32 = 0x8400_0003;
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    pub const FEATURES: u32 = 0x8400_000a;
    pub const SYSTEM_SUSPEND: u32 = 0x8400_000e;
    pub const SYSTEM_RESET2: u32 = 0x8400_0012;
    pub const MEM_PROTECT: u32 = 0x8400_0013;
    pub const MEM_PROTECT_CHECK_RANGE: u32 = 0x8400_0014;
    pub const SIXTY_FOUR: u32 = 1 << 30;
}

/// A decoded call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Call {
    /// `PSCI_VERSION`.
    Version,
    /// `PSCI_FEATURES`.
    Features {
        /// The function asked about.
        function: u32,
    },
    /// `CPU_ON`.
    CpuOn {
        /// Affinity.
        target: u64,
        /// Guest physical address.
        entry: u64,
        /// x0 there.
        context: u64,
    },
    /// `CPU_OFF`.
    CpuOff,
    /// `CPU_SUSPEND`, to any state.
    CpuSuspend,
    /// `AFFINITY_INFO`.
    AffinityInfo {
        /// Affinity.
        target: u64,
        /// Lowest affinity level that matters.
        level: u64,
    },
    /// `MIGRATE_INFO_TYPE`.
    MigrateInfoType,
    /// `SYSTEM_OFF`.
    SystemOff,
    /// `SYSTEM_RESET`.
    SystemReset,
    /// `SYSTEM_SUSPEND`.
    SystemSuspend,
    /// `SYSTEM_RESET2`, `MEM_PROTECT`, `MEM_PROTECT_CHECK_RANGE`: about the machine, firmware's if anyone's.
    Machine,
    /// Any other.
    Other,
}

impl Call {
    /// Decodes x0 to x3; `None` when it is not PSCI's. A 32-bit call has only the low halves.
    #[must_use]
    pub const fn decode(registers: [u64; 4]) -> Option<Self> {
        let [x0, x1, x2, x3] = registers;
        let function = Function::new(x0);
        if !function.is_psci() {
            return None;
        }
        let mask = if function.is_64_bit() {
            u64::MAX
        } else {
            0xffff_ffff
        };
        let (x1, x2, x3) = (x1 & mask, x2 & mask, x3 & mask);
        Some(match function.id() & !number::SIXTY_FOUR {
            number::CPU_ON => Self::CpuOn {
                target: x1,
                entry: x2,
                context: x3,
            },
            number::CPU_SUSPEND => Self::CpuSuspend,
            number::AFFINITY_INFO => Self::AffinityInfo {
                target: x1,
                level: x2,
            },
            number::SYSTEM_SUSPEND => Self::SystemSuspend,
            number::SYSTEM_RESET2 | number::MEM_PROTECT_CHECK_RANGE => Self::Machine,
            _ if function.is_64_bit() => Self::Other,
            number::VERSION => Self::Version,
            number::CPU_OFF => Self::CpuOff,
            number::MIGRATE_INFO_TYPE => Self::MigrateInfoType,
            number::SYSTEM_OFF => Self::SystemOff,
            number::SYSTEM_RESET => Self::SystemReset,
            number::FEATURES => Self::Features {
                function: Function::new(x1).id(),
            },
            number::MEM_PROTECT => Self::Machine,
            _ => Self::Other,
        })
    }
}

/// Power of a CPU as its cell sees it. Off, then `TurnOn`, then on-pending until its first instruction, then on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CpuPower {
    /// Turned off, or never on.
    Off,
    /// Turned on, not there yet.
    OnPending,
    /// Running.
    On,
}

/// A CPU named by an affinity.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Target {
    /// Of the caller's cell.
    Own {
        /// Which.
        cpu: CpuId,
        /// Its power.
        power: CpuPower,
    },
    /// Of another cell: root knows that it exists.
    Foreign,
}

/// What a call is answered from. The caller holds a lock from before [`answer`] until it has acted on the answer.
pub trait View {
    /// Finds the CPU with an affinity as the cell sees it: physical for root, virtual (Aff0 = number) for others.
    fn find(&self, affinity: Mpidr) -> Option<Target>;
    /// Tells whether a CPU of the cell can start there: its RAM.
    fn is_entry(&self, address: u64) -> bool;
}

/// What is to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Put this in x0.
    Return(i64),
    /// Make `cpu` on-pending, have it start, and return [`SUCCESS`].
    TurnOn {
        /// Which; it is off.
        cpu: CpuId,
        /// Guest physical address of its first instruction.
        entry: u64,
        /// x0 there.
        context: u64,
    },
    /// The calling CPU goes off.
    TurnOff,
    /// The calling CPU may sleep until an interrupt; then [`SUCCESS`].
    Standby,
    /// The cell stops.
    SystemOff,
    /// The cell starts anew.
    SystemReset,
    /// Firmware answers (root only).
    Forward,
}

/// Answers `PSCI_VERSION`, which needs no view; `None` for whatever else, or differently written.
#[must_use]
#[inline]
pub const fn version(x0: u64) -> Option<i64> {
    if x0 & 0xffff_ffff == number::VERSION as u64 {
        Some(VERSION_1_1)
    } else {
        None
    }
}

/// Answers a call.
#[must_use]
pub fn answer<V: View>(call: Call, caller: CellId, view: &V) -> Decision {
    let is_root = caller == CellId::ROOT;
    match call {
        Call::Version => Decision::Return(VERSION_1_1),
        Call::Features { function } => features(function, is_root),
        Call::CpuOn {
            target,
            entry,
            context,
        } => cpu_on(view, target, entry, context),
        Call::CpuOff => Decision::TurnOff,
        Call::CpuSuspend => Decision::Standby,
        Call::AffinityInfo { target, level } => {
            Decision::Return(affinity_info(view, target, level))
        }
        Call::MigrateInfoType => Decision::Return(MIGRATION_NOT_REQUIRED),
        Call::SystemOff | Call::SystemReset | Call::Machine if is_root => Decision::Forward,
        Call::SystemOff => Decision::SystemOff,
        Call::SystemReset => Decision::SystemReset,
        // Root may have seen it in firmware before we came.
        Call::SystemSuspend if is_root => Decision::Return(DENIED),
        Call::SystemSuspend | Call::Machine | Call::Other => Decision::Return(NOT_SUPPORTED),
    }
}

fn features(function: u32, is_root: bool) -> Decision {
    let call = Call::decode([u64::from(function), 0, 0, 0]);
    match call {
        Some(Call::Machine) if is_root => Decision::Forward,
        None if is_root && function == smccc::VERSION => Decision::Forward,
        None if function == smccc::VERSION => Decision::Return(SUCCESS),
        None | Some(Call::SystemSuspend | Call::Machine | Call::Other) => {
            Decision::Return(NOT_SUPPORTED)
        }
        // Of CPU_SUSPEND 0 says: original format of the power state, no OS-initiated mode.
        Some(_) => Decision::Return(SUCCESS),
    }
}

fn find<V: View>(view: &V, target: u64) -> Option<Target> {
    if target & !Mpidr::MASK == 0 {
        view.find(Mpidr::from_bits(target))
    } else {
        None
    }
}

fn cpu_on<V: View>(view: &V, target: u64, entry: u64, context: u64) -> Decision {
    Decision::Return(match find(view, target) {
        None => INVALID_PARAMETERS,
        Some(Target::Foreign) => DENIED,
        Some(Target::Own {
            power: CpuPower::On,
            ..
        }) => ALREADY_ON,
        Some(Target::Own {
            power: CpuPower::OnPending,
            ..
        }) => ON_PENDING,
        Some(Target::Own { .. }) if !view.is_entry(entry) => INVALID_ADDRESS,
        Some(Target::Own {
            cpu,
            power: CpuPower::Off,
        }) => {
            return Decision::TurnOn {
                cpu,
                entry,
                context,
            };
        }
    })
}

/// Levels above 0 are not served, as PSCI 1.0 allows.
fn affinity_info<V: View>(view: &V, target: u64, level: u64) -> i64 {
    match (level, find(view, target)) {
        (
            0,
            Some(Target::Own {
                power: CpuPower::On,
                ..
            }),
        ) => 0,
        (
            0,
            Some(Target::Own {
                power: CpuPower::Off,
                ..
            })
            | Some(Target::Foreign),
        ) => 1,
        (
            0,
            Some(Target::Own {
                power: CpuPower::OnPending,
                ..
            }),
        ) => 2,
        _ => INVALID_PARAMETERS,
    }
}
