//! A CPU comes under Bulkhead and leaves it: from Linux, or from firmware.

use aarch64_cpu::registers::{MIDR_EL1, MPIDR_EL1, Readable, VBAR_EL2, Writeable};
use bulkhead_abi::enter::inject;
use bulkhead_abi::info::cpu_state;
use bulkhead_model::id::CellId;
use bulkhead_model::psci::CpuPower;
use bulkhead_model::refused::Refused;
use spin::mutex::SpinMutex;

use crate::percpu::{Cpu, Found, Frame, PerCpu};
use crate::{boot, context, gic, guest, power, run, system};

unsafe extern "C" {
    /// In entry.S: to the frame's pc, EL2 as found.
    fn leave_el2(found: *const Found, frame: *const Frame) -> !;
}

/// EL2 as Linux's first CPU had it: for CPUs that come from firmware and leave to Linux.
static FOUND: SpinMutex<Option<Found>> = SpinMutex::new(None);

/// `ENTER_JOIN`, from entry.S: this CPU's Linux goes on under us, or as before with an error.
#[unsafe(no_mangle)]
extern "C" fn join_cpu(shared: &'static PerCpu, return_to: u64, spsr: u64) -> ! {
    // SAFETY: entry.S found this CPU's own struct; it joins once.
    let mut cpu = unsafe { Cpu::claim(shared) };
    cpu.frame.pc = return_to;
    cpu.frame.spsr = spsr;
    match join(&mut cpu) {
        Ok(()) => run::run(cpu),
        Err(refused) => {
            cpu.frame.x[..3].copy_from_slice(&[
                (-refused.code()).cast_unsigned(),
                refused.a,
                refused.b,
            ]);
            go(cpu)
        }
    }
}

fn join(cpu: &mut Cpu) -> Result<(), Refused> {
    boot::inject_failure(inject::JOIN_EARLY)?;
    let stage2 = system::lock()?.stage2(CellId::ROOT);
    let stage2 = stage2.ok_or(Refused::new(bulkhead_abi::code::NOT_ENABLED, 0, 0))?;
    context::note(cpu.found);
    context::note_optional(cpu.found);
    gic::note_interface(cpu.shared, cpu.found)?;
    VBAR_EL2.set(guest::vectors_address());
    context::set_traps_for_root(cpu.found, stage2);
    gic::set_interface_for_root(cpu.found);
    if let Err(refused) = boot::inject_failure(inject::JOIN_LATE) {
        restore(cpu);
        return Err(refused);
    }
    FOUND.lock().get_or_insert(*cpu.found);
    power::set(cpu.shared, CpuPower::On);
    cpu.shared.set_state(cpu_state::GUEST);
    Ok(())
}

fn restore(cpu: &Cpu) {
    gic::restore_interface(cpu.found);
    context::restore(cpu.found);
}

/// The `LEAVE` hypercall: this CPU's Linux goes on without us; x0 = 0.
pub fn leave(cpu: Cpu) -> ! {
    cpu.frame.x[0] = 0;
    power::set(cpu.shared, CpuPower::Off);
    cpu.shared.set_state(cpu_state::FIRMWARE);
    restore(&cpu);
    go(cpu)
}

fn go(cpu: Cpu) -> ! {
    let (found, frame) = (&raw const *cpu.found, &raw const *cpu.frame);
    // SAFETY: both are this CPU's; `found` holds EL2 as it was before it joined.
    unsafe { leave_el2(found, frame) }
}

/// A CPU that firmware started for us, from entry.S. Its request waits.
#[unsafe(no_mangle)]
extern "C" fn arrive_cpu(shared: &'static PerCpu) -> ! {
    // SAFETY: entry.S found this CPU's own struct; it was with firmware, so no other `Cpu` of it exists.
    let cpu = unsafe { Cpu::claim(shared) };
    if let Some(found) = *FOUND.lock() {
        *cpu.found = found;
        cpu.found.vpidr = MIDR_EL1.get();
        cpu.found.vmpidr = MPIDR_EL1.get();
        context::keep_counters(cpu.found);
        context::set_optional(cpu.found);
    }
    VBAR_EL2.set(guest::vectors_address());
    gic::open_interface(cpu.shared);
    cpu.shared.set_state(cpu_state::PARKED);
    run::run(cpu)
}
