//! Calls to the board's own firmware, by SMC (the only conduit where Linux found EL2).

use core::arch::asm;

use bulkhead_abi::info::cpu_state;
use bulkhead_model::blob::Conduit;
use bulkhead_model::id::CellId;
use bulkhead_model::psci::NOT_SUPPORTED;
use core::sync::atomic::Ordering;
use smccc::{Smc, psci};

use crate::board::board;
use crate::layout;
use crate::pen;
use crate::percpu::{Frame, PerCpu, Request};

unsafe extern "C" {
    static entry_from_firmware: u8;
}

/// Has firmware start a CPU at our entry.
///
/// # Errors
/// PSCI's status.
pub fn cpu_on(cpu: &PerCpu) -> Result<(), i64> {
    let entry = &raw const entry_from_firmware as u64;
    if cpu.release != 0 {
        pen::release(cpu, entry);
        return Ok(());
    }
    if board().psci != Conduit::Smc {
        return Err(NOT_SUPPORTED);
    }
    psci::cpu_on::<Smc>(cpu.mpidr.get(), entry, layout::image_base()).map_err(i64::from)
}

/// Turns this CPU off in firmware, or has it wait in its pen. Returns only when firmware refuses.
pub fn cpu_off(cpu: &PerCpu) {
    if cpu.release != 0 {
        pen::enter(cpu);
    }
    if psci::cpu_off::<Smc>().is_err() {
        defmt::error!("firmware does not turn this CPU off");
    }
}

/// Passes the guest's SMC on as it is: x0 to x17 in and out. Where no firmware listens, EL3 may not come back.
pub fn forward(frame: &mut Frame) {
    if board().psci != Conduit::Smc {
        frame.x[0] = NOT_SUPPORTED.cast_unsigned();
        return;
    }
    let mut arguments = [0; 17];
    arguments.copy_from_slice(&frame.x[1..18]);
    let function = (frame.x[0] & 0xffff_ffff) as u32;
    let answer = smccc::smc64(function, arguments);
    frame.x[..18].copy_from_slice(&answer);
}

/// The same for a call without arguments but x1, which leaves all registers but its answer.
pub fn forward_quickly(x0: &mut u64, x1: &mut u64) {
    if board().psci != Conduit::Smc {
        *x0 = NOT_SUPPORTED.cast_unsigned();
        return;
    }
    // SAFETY: firmware keeps to DEN 0028, by any version of which it changes no more than x0 to x17.
    unsafe {
        asm!("smc #0", inout("x0") *x0, inout("x1") *x1, out("x2") _, out("x3") _, out("x4") _, out("x5") _,
            out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("x13") _,
            out("x14") _, out("x15") _, out("x16") _, out("x17") _, options(nostack))
    };
}

/// Sends root's parked CPUs back to firmware; returns whether all are there.
pub fn take_back_parked_cpus() -> bool {
    if !pen::prepare() {
        return false;
    }
    let mut all_there = true;
    for cpu in board().cpus().filter(|cpu| cpu.cell() == CellId::ROOT) {
        match cpu.state.load(Ordering::Acquire) {
            cpu_state::PARKED => {
                if cpu.is_idle() {
                    cpu.post(Request::ToFirmware);
                }
                all_there = false;
            }
            cpu_state::WAKING => all_there = false,
            cpu_state::FIRMWARE => all_there &= is_off(cpu),
            _ => {}
        }
    }
    all_there
}

fn is_off(cpu: &PerCpu) -> bool {
    if cpu.release != 0 {
        return pen::has(cpu);
    }
    let state = psci::affinity_info::<Smc>(cpu.mpidr.get(), psci::LowestAffinityLevel::All);
    matches!(state, Ok(psci::AffinityState::Off))
}
