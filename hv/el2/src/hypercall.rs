//! Hypercalls: ours, and what remains of the kernel's hypervisor stub.

#![forbid(unsafe_code)]

use aarch64_cpu::registers::{ICH_VTR_EL2, Readable};
use bulkhead_abi::{ABI_VERSION, call};
use bulkhead_model::id::CellId;
use bulkhead_model::refused::Refused;

use crate::handle::Outcome;
use crate::percpu::Cpu;
use crate::system::Operation;
use crate::{cells, enable, heart, stop, system};

/// PSTATE.M of EL1 with either stack pointer, execution state AArch64.
const EL1T: u64 = 0b0100;

/// Root's kernel believes in its stub (Linux, `arch/arm64/kernel/hyp-stub.S`): setting vectors fails there, resetting
/// them succeeds, it tells the interrupt controller's virtual features, nothing else is served.
pub fn stub(cpu: &mut Cpu, function: u64) -> Outcome {
    const HVC_STUB_ERROR: i64 = 0xbad_ca11;
    Outcome::Return(match function {
        0 => HVC_STUB_ERROR,
        2 => 0,
        // HVC_GET_ICH_VTR_EL2, of kernels after 6.12: without an answer a CPU does not come back online.
        4 => {
            cpu.frame.x[1] = ICH_VTR_EL2.get();
            0
        }
        _ => -1,
    })
}

/// Serves a vendor hypervisor call.
pub fn serve(cpu: &mut Cpu, function: u32) -> Outcome {
    match function {
        call::VERSION => return Outcome::Return(ABI_VERSION.into()),
        call::UID_QUERY => {
            let words = call::UID.map(u64::from);
            cpu.frame.x[..4].copy_from_slice(&words);
            return Outcome::Resume;
        }
        call::REVISION_QUERY => {
            cpu.frame.x[..2].copy_from_slice(&[ABI_VERSION.into(), 0]);
            return Outcome::Resume;
        }
        call::COMM_ADDRESS => {
            return Outcome::Return(match heart::address(cpu.shared.cell()) {
                Ok(address) => address.cast_signed(),
                Err(_) => bulkhead_model::smccc::NOT_SUPPORTED,
            });
        }
        _ => {}
    }
    let is_kernel = cpu.frame.spsr & 0b1_1110 == EL1T;
    if cpu.shared.cell() != CellId::ROOT || !is_kernel {
        return Outcome::Return(bulkhead_model::smccc::NOT_SUPPORTED);
    }
    if !(call::COMMIT..=call::CELL_WATCH).contains(&function) {
        return Outcome::Return(bulkhead_model::smccc::NOT_SUPPORTED);
    }
    let [x0, x1, x2] = match roots(cpu, function) {
        Ok(_) if function == call::LEAVE => return Outcome::Leave,
        Ok(value) => [value, 0, 0],
        Err(refused) => [(-refused.code()).cast_unsigned(), refused.a, refused.b],
    };
    cpu.frame.x[..3].copy_from_slice(&[x0, x1, x2]);
    Outcome::Resume
}

/// Serves a call of root's kernel.
fn roots(cpu: &Cpu, function: u32) -> Result<u64, Refused> {
    let [x1, x2, x3] = [cpu.frame.x[1], cpu.frame.x[2], cpu.frame.x[3]];
    if function == call::LEAVE {
        // All CPUs do at once.
        return enable::may_leave(&*system::lock()?).map(|()| 0);
    }
    if function == call::CELL_WATCH {
        // Beside an operation: whoever is under way, the other cells are looked after.
        return Ok(heart::watch(&mut *system::lock()?));
    }
    let operation = &Operation::begin()?;
    match function {
        call::CELL_CREATE => return cells::create(operation, x1, cpu.shared.mpidr),
        call::CELL_LOAD => return cells::load(operation, x1, x2, x3),
        call::CELL_DESTROY => return stop::destroy(operation, x1, cpu.shared.mpidr),
        _ => {}
    }
    let mut system = system::lock()?;
    let system = &mut *system;
    match function {
        call::COMMIT => enable::commit(system),
        call::DISABLE => enable::disable(system),
        function => {
            let id = system.existing(x1)?;
            match function {
                call::CELL_LOADED => cells::loaded(system, id, x2, x3),
                call::CELL_START => return cells::start(system, id),
                call::CELL_STOP => stop::stop(system, id),
                _ => cells::wait(system, id),
            }
        }
    }?;
    Ok(0)
}
