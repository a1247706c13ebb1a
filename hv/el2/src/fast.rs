//! The short way: hot traps answered before the guest's callee-saved registers are even stored.
//!
//! One rule: the same model decides as on the long way, and whatever is not plain is left to it, with nothing done.

use aarch64_cpu::registers::{ELR_EL2, FAR_EL2, HPFAR_EL2, Readable, SPSR_EL2, Writeable};
use bulkhead_abi::info::exit;
use bulkhead_abi::{ABI_VERSION, call};
use bulkhead_model::addr::Gpa;
use bulkhead_model::trap::{Access, Syndrome, ipa_from};
use bulkhead_model::{psci, smccc};

use crate::percpu::PerCpu;
use crate::vgic::{self, Answer};
use crate::{firmware, handle, info, listed, registers};

/// x0 to x18 and x30 of the guest, as vectors.S has stored them in this CPU's frame; the others are live.
#[repr(C)]
pub struct Scratch {
    x: [u64; 19],
}

const VERSION: u64 = call::VERSION as u64;
const EC_HVC: u64 = 0x16;
const EC_SMC: u64 = 0x17;
const EC_SYSREG: u64 = 0x18;
const EC_DATA_ABORT: u64 = 0x24;

/// Serves an IRQ; from vectors.S. Says whether the guest may go on at once.
#[unsafe(no_mangle)]
extern "C" fn fast_irq(cpu: &'static PerCpu) -> bool {
    listed::irq(cpu)
}

/// Serves a trap if it is a hot one; from vectors.S. Says when it is not: nothing was changed.
#[unsafe(no_mangle)]
extern "C" fn fast_trap(cpu: &'static PerCpu, esr: u64, scratch: &mut Scratch) -> bool {
    match esr >> 26 & 0x3f {
        EC_HVC => hypercall(cpu, esr, scratch),
        EC_SMC => firmware_call(cpu, esr, scratch),
        EC_SYSREG => sgi(cpu, esr, scratch),
        EC_DATA_ABORT => data_abort(cpu, esr, scratch),
        _ => false,
    }
}

fn hypercall(cpu: &PerCpu, esr: u64, scratch: &mut Scratch) -> bool {
    let answer = match scratch.x[0] & 0xffff_ffff {
        _ if esr & 0xffff != 0 => None,
        VERSION => Some(ABI_VERSION.into()),
        function => psci::version(function),
    };
    let Some(value) = answer else {
        return workaround(cpu, esr, exit::HVC, scratch);
    };
    info::count_exit(cpu.id, exit::HVC);
    scratch.x[0] = value.cast_unsigned();
    true
}

fn firmware_call(cpu: &PerCpu, esr: u64, scratch: &mut Scratch) -> bool {
    let answer = if esr & 0xffff == 0 {
        psci::version(scratch.x[0])
    } else {
        None
    };
    let Some(value) = answer else {
        let is_done = workaround(cpu, esr, exit::SMC, scratch);
        if is_done {
            skip();
        }
        return is_done;
    };
    info::count_exit(cpu.id, exit::SMC);
    scratch.x[0] = value.cast_unsigned();
    skip();
    true
}

/// A call that guests on CPUs with Spectre's weaknesses make at each entry of their kernel.
fn workaround(cpu: &PerCpu, esr: u64, cause: usize, scratch: &mut Scratch) -> bool {
    let [x0, x1, ..] = &mut scratch.x;
    if esr & 0xffff != 0 || !smccc::is_workaround(cpu.cell(), *x0) {
        return false;
    }
    info::count_exit(cpu.id, cause);
    firmware::forward_quickly(x0, x1);
    true
}

fn sgi(cpu: &PerCpu, esr: u64, scratch: &Scratch) -> bool {
    let Some(register) = Syndrome(esr).write_of(registers::ICC_SGI1R) else {
        return false;
    };
    let Some(value) = scratch.x.get(usize::from(register)) else {
        return false;
    };
    vgic::send_sgi(cpu, *value);
    skip();
    true
}

#[inline(never)] // Its frame is not the other traps'.
fn data_abort(cpu: &PerCpu, esr: u64, scratch: &mut Scratch) -> bool {
    let Some(access) = Syndrome(esr).plain_access() else {
        return false;
    };
    let Some(register) = scratch.x.get_mut(usize::from(access.register)) else {
        return false;
    };
    if SPSR_EL2.get() & handle::PSTATE_AARCH32 != 0 || listed::is_on() {
        return false;
    }
    let ipa = ipa_from(HPFAR_EL2.get(), FAR_EL2.get());
    let word = access.is_write.then_some((*register & 0xffff_ffff) as u32);
    if access.size == 4
        && let Some(value) = vgic::plain_access(cpu, ipa, word)
    {
        if !access.is_write {
            *register = value.into();
        }
        skip();
        return true;
    }
    other_register(cpu, ipa, access, register)
}

#[inline(never)] // As above.
fn other_register(cpu: &PerCpu, ipa: Gpa, access: Access, register: &mut u64) -> bool {
    let write = access.is_write.then(|| access.truncate(*register));
    let Answer::Done(value) = vgic::access(cpu, ipa, access.size, write) else {
        return false;
    };
    if !access.is_write {
        *register = access.extend(value);
    }
    skip();
    true
}

/// Goes on behind the trapped instruction; see `handle::skip`.
fn skip() {
    ELR_EL2.set(ELR_EL2.get().wrapping_add(4));
    SPSR_EL2.set(SPSR_EL2.get() & !handle::AFTER_INSTRUCTION);
}
