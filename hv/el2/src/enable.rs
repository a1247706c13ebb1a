//! The hypercalls around the life of the hypervisor itself: enabled, about to go, may this CPU leave.

use bulkhead_abi::code;
use bulkhead_model::cell::State;
use bulkhead_model::id::CellId;
use bulkhead_model::psci::CpuPower;
use bulkhead_model::refused::Refused;

use crate::board::board;
use crate::system::System;
use crate::{firmware, gic, pen, power};

/// `DISABLE`: sends parked CPUs back to firmware. No cell may exist.
///
/// # Errors
/// `CELLS_EXIST`, `PENDING`.
pub fn disable(system: &mut System) -> Result<(), Refused> {
    let cells = system.ledger.holdings().count() - 1;
    if cells != 0 {
        return Err(Refused::new(code::CELLS_EXIST, cells as u64, 0));
    }
    if !firmware::take_back_parked_cpus() {
        return Err(Refused::new(code::PENDING, 0, 0));
    }
    system.is_enabled = false;
    gic::disable_kicks(system.gicd_ctlr_found);
    Ok(())
}

/// `LEAVE`: only when nothing depends on this CPU's being under us: before `COMMIT` or after `DISABLE`.
///
/// # Errors
/// `WRONG_STATE`, `CELLS_EXIST`.
pub fn may_leave(system: &System) -> Result<(), Refused> {
    match system.ledger.holdings().count() - 1 {
        0 if system.is_enabled => Err(Refused::new(
            code::WRONG_STATE,
            State::Running.number().into(),
            0,
        )),
        0 => Ok(()),
        cells => Err(Refused::new(code::CELLS_EXIST, cells as u64, 0)),
    }
}

/// `COMMIT`: all CPUs that Linux runs on have joined.
///
/// # Errors
/// `CPU_MISSING`, `INJECTED`.
pub fn commit(system: &mut System) -> Result<(), Refused> {
    if system.is_enabled {
        return Err(Refused::new(code::ALREADY_ENABLED, 0, 0));
    }
    crate::boot::inject_failure(bulkhead_abi::enter::inject::COMMIT)?;
    let missing = board()
        .cpus()
        .find(|cpu| cpu.was_online && power::get(cpu) != CpuPower::On);
    if let Some(cpu) = missing {
        return Err(Refused::new(code::CPU_MISSING, cpu.mpidr.get(), 0));
    }
    system.gicd_ctlr_found = gic::enable_kicks();
    system.is_enabled = true;
    system.publish(CellId::ROOT);
    pen::empty();
    defmt::info!("enabled on {=usize} CPUs", board().cpus().len());
    Ok(())
}
