//! The state of one interrupt in the physical controller: pending, active, its priority.
//!
//! One rule: SGIs and PPIs are those of the CPU that is named, with a GICv2 always the one at hand; distributor and redistributor have
//! their registers at the same offsets.

use crate::board::board;
use crate::gic::SGI_BASE;
use crate::mmio;
use crate::percpu::PerCpu;

const ISENABLER: u64 = 0x100;
const ISPENDR: u64 = 0x200;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
const IPRIORITYR: u64 = 0x400;
/// Polls until an interrupt that changed its level is seen to.
const POLLS: u32 = 10_000;

fn base(cpu: &PerCpu, intid: u16) -> u64 {
    if intid < 32 {
        cpu.gicr + SGI_BASE
    } else {
        board().gicd.base().0
    }
}

/// Writes an interrupt's bit to a register where zeros do nothing.
fn set(cpu: &PerCpu, register: u64, intid: u16) {
    let address = base(cpu, intid) + register + u64::from(intid / 32) * 4;
    // SAFETY: EL2 maps both frames, and INTIDs below 1024 stay inside; the caller has the right to the effect.
    unsafe { mmio::write32(address, 1 << (intid % 32)) };
}

fn priority_address(cpu: &PerCpu, intid: u16) -> u64 {
    base(cpu, intid) + IPRIORITYR + u64::from(intid)
}

/// Returns its priority.
#[inline]
pub fn priority(cpu: &PerCpu, intid: u16) -> u8 {
    // SAFETY: mapped; a byte of IPRIORITYR, which allows byte accesses.
    unsafe { mmio::read8(priority_address(cpu, intid)) }
}

/// Tells whether it is active.
pub fn is_active(cpu: &PerCpu, intid: u16) -> bool {
    let address = base(cpu, intid) + ISACTIVER + u64::from(intid / 32) * 4;
    // SAFETY: as in `set`.
    unsafe { mmio::read32(address) >> (intid % 32) & 1 != 0 }
}

/// Makes it pending.
pub fn set_pending(cpu: &PerCpu, intid: u16) {
    set(cpu, ISPENDR, intid);
}

/// Makes it active.
pub fn set_active(cpu: &PerCpu, intid: u16) {
    set(cpu, ISACTIVER, intid);
}

/// Deactivates it.
pub fn deactivate(cpu: &PerCpu, intid: u16) {
    set(cpu, ICACTIVER, intid);
}

/// Lets a PPI of EL2's own through, whatever the guest did to it: more urgent than anything of the guest's.
pub fn arm(cpu: &PerCpu, ppi: u16) {
    // SAFETY: as in `priority`.
    unsafe { mmio::write8(priority_address(cpu, ppi), 0) };
    set(cpu, ICACTIVER, ppi);
    set(cpu, ISENABLER, ppi);
}

/// Reads which PPIs are pending until `is_enough` says so, boundedly.
pub fn pending_ppis(cpu: &PerCpu, is_enough: impl Fn(u32) -> bool) -> u32 {
    let read = || {
        // SAFETY: as in `set`.
        unsafe { mmio::read32(cpu.gicr + SGI_BASE + ISPENDR) & 0xffff_0000 }
    };
    let mut pending = read();
    for _ in 0..POLLS {
        if is_enough(pending) {
            break;
        }
        pending = read();
    }
    pending
}
