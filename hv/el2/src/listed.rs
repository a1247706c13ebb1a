//! Listed delivery on this CPU: the registers that `model::vgic::listed` decides about.
//!
//! One rule: the physical CPU interface is EL2's here: each interrupt is acknowledged, its priority dropped at once, and the
//! guest's own deactivation goes through its list register to the physical interrupt.

#![forbid(unsafe_code)]

use aarch64_cpu::registers::{HCR_EL2, ICH_HCR_EL2, ICH_VMCR_EL2, Readable, Writeable};
use bulkhead_abi::code::{self, feature};
use bulkhead_abi::info::exit;
use bulkhead_model::refused::Refused;
use bulkhead_model::vgic::listed::{self, Gic, Lr, MAX_LRS, OPEN, Parked};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::board::board;
use crate::percpu::PerCpu;
use crate::sysreg::{
    self, IccCtlr, IccDir, IccEoir1, IccIar1, IccIgrpen1, IccPmr, IchElrsr, IchLr0, IchLr1, IchLr2,
    IchLr3, IchVtr,
};
use crate::{gate, gicv2, info, intid};

const HCR_EN: u64 = 1;
/// Maintenance interrupt when an ended interrupt is in no list register.
const HCR_LRENPIE: u64 = 1 << 2;
/// Maintenance interrupt when no list register is pending.
const HCR_NPIE: u64 = 1 << 3;
/// Deactivations trap.
const HCR_TDIR: u64 = 1 << 14;
const HCR_EOICOUNT_SHIFT: u32 = 27;
const VMCR_VEOIM: u64 = 1 << 9;
const CTLR_EOIMODE: u64 = 1 << 1;
/// The first INTID that is no interrupt.
const SPECIAL: u64 = 1020;

/// INTID of the maintenance interrupt, the same on all CPUs; 0 before it is known.
static MAINTENANCE: AtomicU32 = AtomicU32::new(0);

fn maintenance() -> u16 {
    (MAINTENANCE.load(Relaxed) & 0x1f) as u16
}

/// Tells whether the guest of this CPU gets its interrupts by list registers.
#[inline]
pub fn is_on() -> bool {
    HCR_EL2.is_set(HCR_EL2::IMO)
}

/// This CPU's interface.
struct Here<'a>(&'a PerCpu);

impl Gic for Here<'_> {
    fn count(&self) -> usize {
        MAX_LRS.min((IchVtr::get() & 0x1f) as usize + 1)
    }

    fn lr(&self, index: usize) -> Lr {
        Lr::from_bits(match index {
            0 => IchLr0::get(),
            1 => IchLr1::get(),
            2 => IchLr2::get(),
            _ => IchLr3::get(),
        })
    }

    fn set_lr(&self, index: usize, lr: Lr) {
        match index {
            0 => IchLr0::set(lr.bits()),
            1 => IchLr1::set(lr.bits()),
            2 => IchLr2::set(lr.bits()),
            _ => IchLr3::set(lr.bits()),
        }
    }

    fn parked(&self) -> &Parked {
        &self.0.parked
    }

    fn priority(&self, intid: u16) -> u8 {
        intid::priority(self.0, intid)
    }

    fn is_active(&self, intid: u16) -> bool {
        intid::is_active(self.0, intid)
    }

    fn set_pending(&self, intid: u16) {
        intid::set_pending(self.0, intid);
    }

    fn set_active(&self, intid: u16) {
        intid::set_active(self.0, intid);
    }

    fn deactivate(&self, intid: u16) {
        // What was written to the distributor comes first.
        sysreg::dsb_sy();
        IccDir::set(intid.into());
    }

    fn set_mask(&self, priority: u8) {
        IccPmr::set(board().kicks.mask(priority).into());
        sysreg::isb();
    }

    fn set_maintenance(&self, is_full: bool, has_parked: bool) {
        if is_full || has_parked {
            intid::arm(self.0, maintenance());
        }
        let full = if is_full { HCR_NPIE } else { 0 };
        let parked = if has_parked {
            HCR_LRENPIE | HCR_TDIR
        } else {
            0
        };
        ICH_HCR_EL2.set(base_control(self.0) | full | parked);
        sysreg::isb();
    }

    fn take_ended(&self) -> u32 {
        let control = ICH_HCR_EL2.get();
        let ended = control >> HCR_EOICOUNT_SHIFT & 0x1f;
        ICH_HCR_EL2.set(control & !(0x1f << HCR_EOICOUNT_SHIFT));
        ended as u32
    }

    fn splits_end(&self) -> bool {
        ICH_VMCR_EL2.get() & VMCR_VEOIM != 0
    }
}

/// In a cell of several CPUs deactivations always trap: one CPU may make them for another.
fn base_control(cpu: &PerCpu) -> u64 {
    if gate::of(cpu.cell()).members().is_power_of_two() {
        HCR_EN
    } else {
        HCR_EN | HCR_TDIR
    }
}

/// Serves an IRQ: of the guest, for maintenance, or one that only wakes this CPU. Tells whether the guest may go on at once.
pub fn irq(cpu: &PerCpu) -> bool {
    info::count_exit(cpu.id, exit::IRQ);
    let intid = IccIar1::get();
    // The acknowledge has taken effect before anything follows from it (IHI 0069, `ICC_IAR1_EL1`).
    sysreg::dsb_sy();
    if intid < SPECIAL {
        IccEoir1::set(intid);
        accept(cpu, (intid & 0x3ff) as u16);
    } else if intid > 1023 {
        IccEoir1::set(intid); // of root's, or nobody's: it is lost here, and blocks nothing
        IccDir::set(intid);
    }
    cpu.is_idle()
}

#[inline]
fn accept(cpu: &PerCpu, intid: u16) {
    let here = Here(cpu);
    if intid < 16 {
        IccDir::set(intid.into()); // a list register has no link to it
    }
    if intid == maintenance() {
        listed::maintain(&here);
        here.deactivate(intid);
    } else if IchElrsr::get() & 0xf == (1 << here.count()) - 1 {
        here.set_lr(0, Lr::pending(intid, here.priority(intid)));
    } else {
        listed::take(&here, intid);
    }
}

/// Serves a trapped write of ICC_DIR_EL1, of one of the cell's interrupts.
pub fn deactivate(cpu: &PerCpu, intid: u16) {
    listed::deactivate(&Here(cpu), intid);
}

/// Runs an access of the guest to the interrupt controller with the list registers empty, so that it sees all there is.
pub fn with_all_physical<T>(cpu: &PerCpu, access: impl FnOnce() -> T) -> T {
    if !is_on() {
        return access();
    }
    let active = listed::fold(&Here(cpu));
    sysreg::dsb_sy();
    let value = access();
    listed::unfold(&Here(cpu), active);
    value
}

/// Leaves nothing pending in a list register: this CPU is to sleep at EL2, where only physical interrupts wake it.
pub fn before_sleep(cpu: &PerCpu) {
    with_all_physical(cpu, || ());
}

/// Opens the physical interface for EL2's own use, and the virtual one for the guest's. Both were reset.
pub fn start(cpu: &PerCpu) {
    cpu.parked.clear();
    IccCtlr::set(CTLR_EOIMODE);
    IccPmr::set(OPEN.into());
    IccIgrpen1::set(1);
    ICH_HCR_EL2.set(base_control(cpu));
    sysreg::isb();
}

/// Empties the list registers.
pub fn clear() {
    let count = (IchVtr::get() & 0x1f) + 1;
    IchLr0::set(0);
    if count > 1 {
        IchLr1::set(0);
    }
    if count > 2 {
        IchLr2::set(0);
    }
    if count > 3 {
        IchLr3::set(0);
    }
}

/// Finds out which PPI is the maintenance interrupt, on a CPU of root, which has no use for it.
///
/// # Errors
/// `UNSUPPORTED_GIC`: none follows the condition.
pub fn find_maintenance(cpu: &PerCpu) -> Result<(), Refused> {
    if MAINTENANCE.load(Relaxed) != 0 {
        return Ok(());
    }
    if gicv2::is_there() {
        let refused = Refused::new(code::UNSUPPORTED_GIC, feature::NO_LISTED_DELIVERY, 0);
        return Err(refused);
    }
    let control = ICH_HCR_EL2.get();
    let before = intid::pending_ppis(cpu, |_| true);
    ICH_HCR_EL2.set(HCR_EN | HCR_NPIE);
    let on = intid::pending_ppis(cpu, |now| now & !before != 0) & !before;
    ICH_HCR_EL2.set(control);
    // A timer that came meanwhile stays.
    let off = intid::pending_ppis(cpu, |now| now & on != on);
    let found = on & !off;
    if !found.is_power_of_two() {
        return Err(Refused::new(
            code::UNSUPPORTED_GIC,
            feature::NO_MAINTENANCE,
            found.into(),
        ));
    }
    MAINTENANCE.store(found.trailing_zeros(), Relaxed);
    Ok(())
}
