//! A GICv3's CPU interface on this CPU: as Linux had it, as root and cells get it, and quiet at EL2.
//!
//! One rule: on a GICv2 [`crate::gicv2`] does it.

use aarch64_cpu::registers::{ICC_SRE_EL2, ICH_HCR_EL2, ICH_VMCR_EL2, Readable, Writeable};
use bulkhead_abi::code::{self, feature};
use bulkhead_model::blob::Delivery;
use bulkhead_model::refused::Refused;

use super::{GICR_ICPENDR0, KICK, check_system_registers, gicr_write, take_kick};
use crate::board::board;
use crate::percpu::{Found, PerCpu};
use crate::sysreg::{
    self, IccAp0r0, IccAp1r0, IccAp1r1, IccAp1r2, IccAp1r3, IccBpr0, IccBpr1, IccCtlr, IccEoir1,
    IccIgrpen0, IccIgrpen1, IccPmr, IccRpr, IccSreEl1, IchAp0r0, IchAp0r1, IchAp0r2, IchAp0r3,
    IchAp1r0, IchAp1r1, IchAp1r2, IchAp1r3, IchVtr,
};
use crate::{gicv2, listed};

const CTLR_EOIMODE: u64 = 1 << 1;
const ICH_HCR_TC: u64 = 1 << 10;
const VMCR_VEOIM: u64 = 1 << 9;
const VMCR_VPMR_SHIFT: u32 = 24;
const VMCR_VENG1: u64 = 1 << 1;

/// A CPU has come from firmware: its interface is made usable for EL2.
pub fn open_interface(cpu: &PerCpu) {
    if gicv2::is_there() {
        return gicv2::note_cpu(cpu);
    }
    ICC_SRE_EL2.set(0xf);
    sysreg::isb();
    IccSreEl1::set(0x7);
    sysreg::isb();
}

/// Checks that this CPU's interface can be taken over, and notes how it was found.
///
/// # Errors
/// `UNSUPPORTED_GIC`, `UNSUPPORTED_CPU`.
pub fn note_interface(cpu: &PerCpu, found: &mut Found) -> Result<(), Refused> {
    if gicv2::is_there() {
        gicv2::note_cpu(cpu);
        gicv2::note_interface(found);
        return Ok(());
    }
    check_system_registers()?;
    found.icc_pmr = IccPmr::get();
    // Linux without pseudo-NMI leaves it open at 0xf0, whatever it masks by DAIF.
    if found.icc_pmr < 0xf0 {
        return Err(Refused::new(
            code::UNSUPPORTED_CPU,
            feature::ROOT_MASKS_BY_PRIORITY,
            found.icc_pmr,
        ));
    }
    found.icc_ctlr = IccCtlr::get();
    if board().kicks.by_group0 {
        found.icc_igrpen0 = IccIgrpen0::get();
    }
    found.ich_hcr = ICH_HCR_EL2.get();
    found.ich_vmcr = ICH_VMCR_EL2.get();
    Ok(())
}

/// Gives root's Linux its interrupts directly: group 1 physical, end of interrupt that deactivates (its DIR has no
/// physical effect under HCR_EL2.FMO), and the virtual PMR and CTLR as it left the physical ones.
pub fn set_interface_for_root(found: &Found) {
    if gicv2::is_there() {
        return gicv2::set_interface_for_root();
    }
    ICH_HCR_EL2.set(0);
    let veoim = if found.icc_ctlr & CTLR_EOIMODE != 0 {
        VMCR_VEOIM
    } else {
        0
    };
    ICH_VMCR_EL2.set(found.icc_pmr << VMCR_VPMR_SHIFT | veoim | VMCR_VENG1);
    IccCtlr::set(found.icc_ctlr & !CTLR_EOIMODE);
    IccPmr::set(0xff);
    enable_group0(1);
    sysreg::isb();
}

fn enable_group0(value: u64) {
    if board().kicks.by_group0 {
        IccIgrpen0::set(value);
    }
}

/// Puts the interface back as it was found.
pub fn restore_interface(found: &Found) {
    if gicv2::is_there() {
        return gicv2::restore_interface(found);
    }
    enable_group0(found.icc_igrpen0);
    IccCtlr::set(found.icc_ctlr);
    IccPmr::set(found.icc_pmr);
    ICH_VMCR_EL2.set(found.ich_vmcr);
    ICH_HCR_EL2.set(found.ich_hcr);
    sysreg::isb();
}

/// Whose this CPU's interface becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interface {
    /// Root's.
    Root,
    /// Another cell's, with this delivery.
    Cell(Delivery),
}

/// Resets this CPU's interface: nothing active, all masked but the kick; or, with listed delivery, EL2's, and all open.
pub fn reset_interface(cpu: &PerCpu, interface: Interface) {
    if gicv2::is_there() {
        return gicv2::reset_interface(cpu, interface);
    }
    let is_root = interface == Interface::Root;
    IccSreEl1::set(0x7); // The former owner may have turned it off where it can be.
    sysreg::isb();
    let kicks = &board().kicks;
    // A kick of Group 1 must find its group enabled even if the cell never comes to it; nothing else passes the mask.
    IccIgrpen1::set((!is_root && !kicks.by_group0).into());
    IccPmr::set(if is_root {
        0xff
    } else {
        kicks.least_pmr.into()
    });
    IccCtlr::set(0);
    clear_active_priorities();
    if kicks.by_group0 {
        IccIgrpen0::set(1);
        IccAp0r0::set(0);
        IccBpr0::set(0);
    }
    IccBpr1::set(0);
    ICH_VMCR_EL2.set(0);
    clear_virtual_priorities();
    ICH_HCR_EL2.set(if is_root { 0 } else { ICH_HCR_TC });
    if interface == Interface::Cell(Delivery::Listed) {
        listed::start(cpu);
    }
    sysreg::isb();
}

/// Both groups'; how many registers there are depends on the preemption bits (IHI 0069, `ICH_AP0R<n>_EL2`).
fn clear_virtual_priorities() {
    let preemption_bits = (IchVtr::get() >> 26 & 7) + 1;
    IchAp0r0::set(0);
    IchAp1r0::set(0);
    if preemption_bits >= 6 {
        IchAp0r1::set(0);
        IchAp1r1::set(0);
    }
    if preemption_bits >= 7 {
        IchAp0r2::set(0);
        IchAp0r3::set(0);
        IchAp1r2::set(0);
        IchAp1r3::set(0);
    }
}

/// Group 1's; how many registers there are depends on the priority bits (IHI 0069, `ICC_AP1R<n>_EL1`).
fn clear_active_priorities() {
    let priority_bits = (IccCtlr::get() >> 8 & 7) + 1;
    IccAp1r0::set(0);
    if priority_bits >= 6 {
        IccAp1r1::set(0);
    }
    if priority_bits >= 7 {
        IccAp1r2::set(0);
        IccAp1r3::set(0);
    }
    // QEMU ignores non-secure writes of ICC_AP1R0_EL1 where there are two security states: a cell that was stopped in an
    // interrupt would leave a CPU that takes none. What is still active is ended, whatever it was; its state is cleared already.
    for _ in 0..32 {
        if IccRpr::get() & 0xff == 0xff {
            break;
        }
        IccEoir1::set(0);
        sysreg::isb();
    }
}

/// Leaves this CPU's interface with nothing enabled and no kick pending: it waits at EL2.
pub fn quiet_interface(cpu: &PerCpu) {
    if listed::is_on() {
        listed::leave(cpu);
    }
    if gicv2::is_there() {
        return gicv2::quiet_interface(cpu);
    }
    IccIgrpen1::set(0);
    sysreg::isb();
    take_kick(cpu);
    gicr_write(cpu.gicr, GICR_ICPENDR0, 1 << KICK);
}
