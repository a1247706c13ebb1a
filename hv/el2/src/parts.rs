//! Pages of device registers that several have a part of: EL2 makes each access to them.
//!
//! One rule: the ledger says who has the bytes, and a device that does not answer does harm to nobody but who asked it.

use aarch64_cpu::registers::{ESR_EL2, FAR_EL2, Readable, Writeable};
use bulkhead_abi::info::exit;
use bulkhead_model::addr::{Gpa, Hpa};

use crate::percpu::PerCpu;
use crate::vgic::Answer;
use crate::{info, mmio, system};

/// Makes a load (`write` is `None`) or store of `size` bytes at a guest physical address, where the caller has them. Parts of
/// pages are seen where they are.
pub fn access(cpu: &PerCpu, ipa: Gpa, size: u8, write: Option<u64>) -> Answer {
    if !is_ours(cpu, ipa, size) {
        return Answer::NotOurs;
    }
    info::count_exit(cpu.id, exit::PART);
    let (esr, far) = (ESR_EL2.get(), FAR_EL2.get());
    // SAFETY: the ledger says that these are registers of the caller's, aligned, of 1, 2, 4 or 8 bytes; `cells::create` has
    // mapped their page, and nothing unmaps it. What the device does is what it would do for the caller.
    if let Some(value) = unsafe { mmio::access(ipa.0, size, write) } {
        return Answer::Done(value);
    }
    // What is recorded is what the guest did, not our exception.
    ESR_EL2.set(esr);
    FAR_EL2.set(far);
    Answer::NotOurs
}

/// Tells whether so many bytes are the caller's, of a page that is nobody's.
pub fn is_ours(cpu: &PerCpu, ipa: Gpa, size: u8) -> bool {
    let ledger = system::lock();
    ledger.is_ok_and(|system| system.ledger.may_forward(cpu.cell(), Hpa(ipa.0), size))
}
