//! One trap: what the guest did, what `model` says to it, what is done.

#![forbid(unsafe_code)]

use aarch64_cpu::registers::{
    ELR_EL1, ESR_EL1, ESR_EL2, FAR_EL1, FAR_EL2, HPFAR_EL2, ID_AA64MMFR1_EL1, ID_AA64PFR1_EL1,
    Readable, SCTLR_EL1, SPSR_EL1, VBAR_EL1, Writeable,
};
use bulkhead_abi::info::{exit, fault};
use bulkhead_model::addr::Gpa;
use bulkhead_model::id::CellId;
use bulkhead_model::psci::Call;
use bulkhead_model::smccc::{self, Conduit, Route};
use bulkhead_model::trap::{
    DataAbort, FaultStatus, Injection, InstructionAbort, Interrupted, Syndrome, Trap, ipa_from,
};

use crate::guest::Exit;
use crate::percpu::Cpu;
use crate::vgic::{self, Answer};
use crate::{gic, hypercall, info, listed, parts, power, registers, root, sysreg};

/// Why a cell must stop.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// `abi::info::fault`.
    pub kind: u32,
    /// Guest physical address, or `u64::MAX`.
    pub ipa: u64,
}

/// What comes of a trap.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// The guest goes on, its registers and pc as they are now.
    Resume,
    /// x0 gets this, and the guest goes on.
    Return(i64),
    /// This CPU goes off.
    Park,
    /// It sleeps until an interrupt, then x0 = 0.
    Standby,
    /// Firmware answers.
    Forward,
    /// This CPU leaves the hypervisor.
    Leave,
    /// The cell stops.
    Stop(Fault),
}

/// Answers an exit.
pub fn exit(cpu: &mut Cpu, reason: Exit) -> Outcome {
    match reason {
        Exit::Synchronous => trap(cpu),
        Exit::Fiq => {
            info::count_exit(cpu.shared.id, exit::KICK);
            gic::take_kick(cpu.shared);
            Outcome::Resume // the run loop finds the request
        }
        Exit::Irq => {
            if !listed::irq(cpu.shared) {
                info::count_exit(cpu.shared.id, exit::KICK);
            }
            Outcome::Resume // as above
        }
        Exit::SystemError => {
            info::count_exit(cpu.shared.id, exit::OTHER);
            Outcome::Resume
        }
    }
}

fn trap(cpu: &mut Cpu) -> Outcome {
    match Syndrome(ESR_EL2.get()).decode() {
        Trap::Hvc { imm } => {
            info::count_exit(cpu.shared.id, exit::HVC);
            call(cpu, Conduit::Hvc, imm)
        }
        Trap::Smc { imm } => {
            info::count_exit(cpu.shared.id, exit::SMC);
            skip(cpu); // a trapped SMC's pc is its own (DDI 0487, "SMC instruction")
            call(cpu, Conduit::Smc, imm)
        }
        Trap::Sysreg(access) => registers::access(cpu, access),
        Trap::DataAbort(abort) => data_abort(cpu, abort),
        Trap::InstructionAbort(abort) => instruction_abort(cpu, abort),
        Trap::Wfx => {
            skip(cpu);
            Outcome::Resume
        }
        other => {
            info::count_exit(cpu.shared.id, exit::OTHER);
            defmt::warn!(
                "cell {=usize}: undefined at {=u64:#x}, esr {=u64:#x}",
                cpu.shared.cell().index(),
                cpu.frame.pc,
                ESR_EL2.get()
            );
            match other {
                Trap::Unknown { .. } | Trap::SystemError if cpu.shared.cell() != CellId::ROOT => {
                    Outcome::Stop(Fault {
                        kind: fault::UNHANDLED,
                        ipa: u64::MAX,
                    })
                }
                _ => inject(cpu, Injection::Undefined),
            }
        }
    }
}

fn call(cpu: &mut Cpu, conduit: Conduit, imm: u16) -> Outcome {
    let caller = cpu.shared.cell();
    let [x0, x1, x2, x3] = [
        cpu.frame.x[0],
        cpu.frame.x[1],
        cpu.frame.x[2],
        cpu.frame.x[3],
    ];
    if conduit == Conduit::Hvc && caller == CellId::ROOT && x0 <= 4 {
        return hypercall::stub(cpu, x0);
    }
    match smccc::route(caller, conduit, imm, x0, x1) {
        Route::Psci => match Call::decode([x0, x1, x2, x3]) {
            Some(call) => power::serve(cpu, call),
            None => Outcome::Return(smccc::NOT_SUPPORTED),
        },
        Route::Hypercall(function) => hypercall::serve(cpu, function),
        Route::Firmware => Outcome::Forward,
        Route::Return(value) => Outcome::Return(value),
    }
}

fn data_abort(cpu: &mut Cpu, abort: DataAbort) -> Outcome {
    if abort.status == FaultStatus::TlbConflict {
        return forget_translations();
    }
    let far = FAR_EL2.get();
    let ipa = abort.has_ipa().then(|| ipa_from(HPFAR_EL2.get(), far));
    let mut undecodable = false;
    // AArch32 has instructions of two lengths and conditional ones: nothing of it is emulated.
    let is_aarch64 = cpu.frame.spsr & PSTATE_AARCH32 == 0;
    if let (Some(ipa), false, true) = (ipa, abort.on_table_walk, is_aarch64) {
        match abort.access {
            Some(access) => {
                let value = cpu
                    .frame
                    .x
                    .get(usize::from(access.register))
                    .copied()
                    .unwrap_or(0);
                let write = access.is_write.then(|| access.truncate(value));
                let answer = match vgic::access(cpu.shared, ipa, access.size, write) {
                    Answer::NotOurs => parts::access(cpu.shared, ipa, access.size, write),
                    done => done,
                };
                if let Answer::Done(value) = answer {
                    if let (false, Some(x)) = (
                        access.is_write,
                        cpu.frame.x.get_mut(usize::from(access.register)),
                    ) {
                        *x = access.extend(value);
                    }
                    skip(cpu);
                    return Outcome::Resume;
                }
            }
            None => {
                undecodable = vgic::is_ours(cpu.shared, ipa) || parts::is_ours(cpu.shared, ipa, 1)
            }
        }
    }
    let kind = match (undecodable, abort.is_write) {
        (true, _) => fault::UNDECODABLE,
        (_, true) => fault::WRITE,
        (_, false) => fault::READ,
    };
    let far = abort.far_valid.then_some(far);
    stage2_fault(
        cpu,
        kind,
        ipa,
        Injection::DataAbort {
            is_write: abort.is_write,
            far,
        },
    )
}

fn instruction_abort(cpu: &mut Cpu, abort: InstructionAbort) -> Outcome {
    if abort.status == FaultStatus::TlbConflict {
        return forget_translations();
    }
    let far = FAR_EL2.get();
    let ipa = abort.has_ipa().then(|| ipa_from(HPFAR_EL2.get(), far));
    let far = abort.far_valid.then_some(far);
    stage2_fault(cpu, fault::FETCH, ipa, Injection::InstructionAbort { far })
}

/// A TLB that holds two entries for an address is emptied, and the access made again (DDI 0487, "TLB conflict aborts").
fn forget_translations() -> Outcome {
    sysreg::tlbi_all_el1_local();
    Outcome::Resume
}

/// A cell stops. Root retries when the entry is valid by now (it was being replaced), else gets an external abort.
fn stage2_fault(cpu: &mut Cpu, kind: u32, ipa: Option<Gpa>, injection: Injection) -> Outcome {
    let address = ipa.map_or(u64::MAX, |ipa| ipa.0);
    if cpu.shared.cell() != CellId::ROOT {
        if !cpu.shared.is_idle() {
            info::count_exit(cpu.shared.id, exit::KICK);
            return Outcome::Resume; // cut off to come here: the run loop finds the request
        }
        info::count_exit(cpu.shared.id, exit::ABORT);
        return Outcome::Stop(Fault { kind, ipa: address });
    }
    let is_mapped = ipa.is_some_and(|ipa| root::allows(ipa, kind));
    if is_mapped {
        info::count_exit(cpu.shared.id, exit::RETRY);
        return Outcome::Resume;
    }
    info::count_exit(cpu.shared.id, exit::ABORT);
    defmt::warn!(
        "root: access ({=u32}) to {=u64:#x} refused, pc {=u64:#x}",
        kind,
        address,
        cpu.frame.pc
    );
    inject(cpu, injection)
}

/// PSTATE: the exception came from AArch32.
pub const PSTATE_AARCH32: u64 = 1 << 4;
/// PSTATE bits that an executed instruction clears: SS (a step is done) and BTYPE (DDI 0487, `SPSR_EL2`).
pub const AFTER_INSTRUCTION: u64 = 1 << 21 | 0b11 << 10;

/// Goes on behind an instruction that was carried out for the guest.
pub fn skip(cpu: &mut Cpu) {
    cpu.frame.pc = cpu.frame.pc.wrapping_add(4);
    cpu.frame.spsr &= !AFTER_INSTRUCTION;
}

/// Makes the guest take an exception at EL1.
pub fn inject(cpu: &mut Cpu, injection: Injection) -> Outcome {
    let from = Interrupted {
        pc: cpu.frame.pc,
        pstate: cpu.frame.spsr,
        vbar: VBAR_EL1.get(),
        sctlr: SCTLR_EL1.get(),
        has_pan: ID_AA64MMFR1_EL1.get() >> 20 & 0xf != 0,
        has_mte: ID_AA64PFR1_EL1.get() >> 8 & 0xf >= 2,
    };
    let entry = injection.enter(&from);
    ELR_EL1.set(entry.elr);
    SPSR_EL1.set(entry.spsr);
    ESR_EL1.set(entry.esr);
    if let Some(far) = entry.far {
        FAR_EL1.set(far);
    }
    cpu.frame.pc = entry.pc;
    cpu.frame.spsr = entry.pstate;
    Outcome::Resume
}
