//! Turning CPUs on and off, as PSCI says: for root on physical affinities, for other cells on their own numbers.

use bulkhead_abi::code;
use bulkhead_abi::info::{cause, cpu_state};
use bulkhead_model::addr::Hpa;
use bulkhead_model::cell::{Request as Event, State, entry_and_reset};
use bulkhead_model::id::{CellId, Mpidr};
use bulkhead_model::ledger::Owner;
use bulkhead_model::psci::{self, Call, CpuPower, Decision, Target, View};
use bulkhead_model::refused::Refused;
use core::sync::atomic::Ordering;

use crate::board::board;
use crate::handle::Outcome;
use crate::percpu::{Cpu, PerCpu, Request};
use crate::system::{self, System};
use crate::{cells, firmware, stop};

/// Returns a CPU's power as its cell sees it.
pub fn get(cpu: &PerCpu) -> CpuPower {
    match cpu.power.load(Ordering::Acquire) {
        0 => CpuPower::Off,
        1 => CpuPower::OnPending,
        _ => CpuPower::On,
    }
}

/// Sets it.
pub fn set(cpu: &PerCpu, power: CpuPower) {
    let value = match power {
        CpuPower::Off => 0,
        CpuPower::OnPending => 1,
        CpuPower::On => 2,
    };
    cpu.power.store(value, Ordering::Release);
}

/// Has a CPU that is off run its owner's code.
///
/// # Errors
/// `CPU_SILENT`: firmware does not start it.
pub fn turn_on(cpu: &PerCpu, entry: u64, context: u64) -> Result<(), Refused> {
    cpu.entry.store(entry, Ordering::Relaxed);
    cpu.context.store(context, Ordering::Relaxed);
    set(cpu, CpuPower::OnPending);
    wake(cpu, Request::Start).inspect_err(|_| set(cpu, CpuPower::Off))
}

/// Posts a request to a CPU that runs no guest; has firmware start it when it is there.
///
/// # Errors
/// `CPU_SILENT`: firmware does not start it.
pub fn wake(cpu: &PerCpu, request: Request) -> Result<(), Refused> {
    cpu.post(request);
    if cpu.state.load(Ordering::Acquire) != cpu_state::FIRMWARE {
        return Ok(());
    }
    cpu.set_state(cpu_state::WAKING);
    firmware::cpu_on(cpu).map_err(|status| {
        cpu.set_state(cpu_state::FIRMWARE);
        cpu.post(Request::None);
        defmt::error!(
            "firmware does not start CPU {=u64:#x}: {=i64}",
            cpu.mpidr.get(),
            status
        );
        Refused::new(code::CPU_SILENT, cpu.mpidr.get(), status.cast_unsigned())
    })
}

/// What PSCI decides from; the system is locked meanwhile.
struct Locked<'a> {
    system: &'a System,
    caller: CellId,
}

impl View for Locked<'_> {
    fn find(&self, affinity: Mpidr) -> Option<Target> {
        let cpu = if self.caller == CellId::ROOT {
            board().cpu_by_mpidr(affinity)?
        } else {
            let number = usize::try_from(affinity.get()).ok()?;
            board().cpu(self.system.ledger.virtual_cpu(self.caller, number)?)?
        };
        if cpu.cell() != self.caller {
            return Some(Target::Foreign);
        }
        Some(Target::Own {
            cpu: cpu.id,
            power: get(cpu),
        })
    }

    fn is_entry(&self, address: u64) -> bool {
        if self.caller == CellId::ROOT {
            return self.system.ledger.owner(Hpa(address)) == Owner::Cell(CellId::ROOT);
        }
        cells::is_entry(self.system, self.caller, address)
    }
}

/// The cell ends, or starts anew: its other CPUs are told now, this one parks, the last one settles it.
fn end(system: &mut System, cell: CellId, event: Event, cause: u32) -> Outcome {
    match stop::begin_stop(system, cell, event, cause) {
        Ok(()) => Outcome::Park,
        Err(_) => Outcome::Return(psci::DENIED),
    }
}

/// Serves a PSCI call of the guest on this CPU.
pub fn serve(cpu: &Cpu, call: Call) -> Outcome {
    let caller = cpu.shared.cell();
    let Ok(mut system) = system::lock() else {
        return Outcome::Return(psci::DENIED);
    };
    if caller != CellId::ROOT && system.cells[caller.index()].state != State::Running {
        return Outcome::Return(psci::DENIED); // it is being stopped: nothing starts any more
    }
    match psci::answer(
        call,
        caller,
        &Locked {
            system: &system,
            caller,
        },
    ) {
        Decision::Return(value) => Outcome::Return(value),
        Decision::TurnOn {
            cpu: target,
            entry,
            context,
        } => {
            let turned = board()
                .cpu(target)
                .filter(|cpu| cpu.is_idle())
                .map(|cpu| turn_on(cpu, entry, context));
            Outcome::Return(if matches!(turned, Some(Ok(()))) {
                psci::SUCCESS
            } else {
                psci::DENIED
            })
        }
        Decision::TurnOff => Outcome::Park,
        // A pending interrupt of the cell ends this at once; none needs an exit.
        Decision::Standby => Outcome::Standby,
        Decision::SystemOff => end(&mut system, caller, Event::Stop, cause::SYSTEM_OFF),
        Decision::SystemReset => {
            let (_, event) = entry_and_reset(system.cells[caller.index()].entry);
            end(&mut system, caller, event, cause::SYSTEM_RESET)
        }
        Decision::Forward => Outcome::Forward,
    }
}
