//! Listed delivery on this CPU: the registers that `model::vgic::listed` decides about, a GICv3's or a GICv2's.
//!
//! One rule: the physical CPU interface is EL2's here: each interrupt is acknowledged, its priority dropped at once, and the
//! guest's own deactivation goes through its list register to the physical interrupt.

#![forbid(unsafe_code)]

use aarch64_cpu::registers::{HCR_EL2, ICH_HCR_EL2, ICH_VMCR_EL2, Readable, Writeable};
use bulkhead_abi::code::{self, feature};
use bulkhead_abi::info::exit;
use bulkhead_model::refused::Refused;
use bulkhead_model::vgic::listed::{self, Gic, Lr, MAX_LRS, Parked};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::board::board;
use crate::percpu::PerCpu;
use crate::sysreg::{
    self, IccCtlr, IccDir, IccEoir1, IccIar1, IccIgrpen1, IccPmr, IchElrsr, IchLr0, IchLr1, IchLr2,
    IchLr3, IchVtr,
};
use crate::{gate, gicv2, info, intid, vgicv2};

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

/// Reads a register of the virtual interface that both controllers have, with the same bits where both have them, by its offset
/// in a GICv2.
#[inline(never)] // One place that asks which it is.
fn read(register: u64) -> u64 {
    if gicv2::is_there() {
        return gicv2::gich_read(register).into();
    }
    match register {
        gicv2::GICH_HCR => ICH_HCR_EL2.get(),
        gicv2::GICH_VMCR => ICH_VMCR_EL2.get(),
        _ => IchVtr::get(),
    }
}

fn set_control(value: u64) {
    if gicv2::is_there() {
        // Deactivations trap in another way there.
        let value = (value & !HCR_TDIR & 0xffff_ffff) as u32;
        return gicv2::gich_write(gicv2::GICH_HCR, value);
    }
    ICH_HCR_EL2.set(value);
    sysreg::isb();
}

/// How many list registers there are.
fn count() -> usize {
    MAX_LRS.min((read(gicv2::GICH_VTR) & 0x1f) as usize + 1)
}

fn set_lr(index: usize, lr: Lr) {
    if gicv2::is_there() {
        return gicv2::gich_write(gicv2::GICH_LR0 + 4 * index as u64, lr.to_v2());
    }
    match index {
        0 => IchLr0::set(lr.bits()),
        1 => IchLr1::set(lr.bits()),
        2 => IchLr2::set(lr.bits()),
        _ => IchLr3::set(lr.bits()),
    }
}

/// This CPU's interface.
struct Here<'a>(&'a PerCpu);

impl Gic for Here<'_> {
    fn count(&self) -> usize {
        count()
    }

    fn lr(&self, index: usize) -> Lr {
        if gicv2::is_there() {
            return Lr::from_v2(gicv2::gich_read(gicv2::GICH_LR0 + 4 * index as u64));
        }
        Lr::from_bits(match index {
            0 => IchLr0::get(),
            1 => IchLr1::get(),
            2 => IchLr2::get(),
            _ => IchLr3::get(),
        })
    }

    fn set_lr(&self, index: usize, lr: Lr) {
        set_lr(index, lr);
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
        if gicv2::is_there() {
            return intid::deactivate(self.0, intid);
        }
        // What was written to the distributor comes first.
        sysreg::dsb_sy();
        IccDir::set(intid.into());
    }

    fn set_mask(&self, priority: u8) {
        if gicv2::is_there() {
            return gicv2::set_mask(priority);
        }
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
        set_control(base_control(self.0) | full | parked);
    }

    fn take_ended(&self) -> u32 {
        let control = read(gicv2::GICH_HCR);
        let ended = control >> HCR_EOICOUNT_SHIFT & 0x1f;
        set_control(control & !(0x1f << HCR_EOICOUNT_SHIFT));
        ended as u32
    }

    fn splits_end(&self) -> bool {
        read(gicv2::GICH_VMCR) & VMCR_VEOIM != 0
    }

    fn parks_sgis(&self) -> bool {
        gicv2::is_there()
    }

    fn expect_notice(&self) {
        intid::arm(self.0, maintenance());
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
    let intid = if gicv2::is_there() {
        gicv2::acknowledge()
    } else {
        acknowledge()
    };
    if let Some(intid) = intid {
        accept(cpu, intid);
    }
    cpu.is_idle()
}

/// Acknowledges an interrupt and drops its priority. An SGI is over with that: a list register has no link to it.
#[inline]
fn acknowledge() -> Option<u16> {
    let intid = IccIar1::get();
    // The acknowledge has taken effect before anything follows from it (IHI 0069, `ICC_IAR1_EL1`).
    sysreg::dsb_sy();
    if (SPECIAL..1024).contains(&intid) {
        return None;
    }
    IccEoir1::set(intid);
    if !(16..1024).contains(&intid) {
        IccDir::set(intid); // an LPI of root's, or nobody's: it is lost here, and blocks nothing
    }
    (intid < 1024).then_some((intid & 0x3ff) as u16)
}

#[inline]
fn accept(cpu: &PerCpu, intid: u16) {
    let here = Here(cpu);
    if intid == maintenance() {
        listed::maintain(&here);
        here.deactivate(intid);
    } else if gicv2::is_there() {
        let (number, from) = (intid & 0x3ff, intid >> 10 & 7);
        let sources = if number < 16 {
            // From nobody of the cell: a kick, whose request is looked for next.
            vgicv2::interfaces(cpu.cell()).seen(1 << from)
        } else {
            0
        };
        listed::take(&here, number, sources);
    } else if IchElrsr::get() & 0xf == (1 << here.count()) - 1 {
        here.set_lr(0, Lr::pending(intid, here.priority(intid)));
    } else {
        listed::take(&here, intid, 0);
    }
}

/// Serves a trapped write of ICC_DIR_EL1, of one of the cell's interrupts.
pub fn deactivate(cpu: &PerCpu, intid: u16) {
    sysreg::dsb_sy(); // as in `show`
    listed::deactivate(&Here(cpu), intid);
}

/// Makes the physical controller have what is in list registers: an access of the guest to that sees all there is, until [`hide`].
pub fn show(cpu: &PerCpu) {
    if !is_on() {
        return;
    }
    // What the guest wrote to GICV has its effect on what GICH shows (DDI 0487, "Memory barriers": other registers, other peripheral).
    sysreg::dsb_sy();
    listed::fold(&Here(cpu));
    if gicv2::is_there() {
        gicv2::show_sgis(cpu);
    }
    sysreg::dsb_sy();
}

/// Undoes [`show`].
pub fn hide(cpu: &PerCpu) {
    if !is_on() {
        return;
    }
    if gicv2::is_there() {
        gicv2::hide_sgis(cpu);
    }
    listed::unfold(&Here(cpu));
}

/// Leaves nothing pending in a list register: this CPU is to sleep at EL2, where only physical interrupts wake it. Tells whether it
/// may: SGIs of a GICv2 are none that would, and a kick may have been taken out with them.
pub fn before_sleep(cpu: &PerCpu) -> bool {
    show(cpu);
    hide(cpu);
    let is_pending = |index| Here(cpu).lr(index).is_pending();
    cpu.is_idle() && !(is_on() && (0..count()).any(is_pending))
}

/// Opens the physical interface for EL2's own use, and the virtual one for the guest's. Both were reset.
pub fn start(cpu: &PerCpu) {
    cpu.parked.clear();
    clear(); // reset leaves them UNKNOWN (IHI 0069, `ICH_LR<n>_EL2`; IHI 0048, `GICH_LR<n>`)
    if !gicv2::is_there() {
        IccCtlr::set(CTLR_EOIMODE);
        IccIgrpen1::set(1);
    }
    listed::open(&Here(cpu));
}

/// Gives what the guest has not taken back to the controller, for another CPU, before this one goes off.
pub fn leave(cpu: &PerCpu) {
    listed::fold(&Here(cpu));
    clear();
}

/// Empties the list registers.
fn clear() {
    (0..count()).for_each(|index| set_lr(index, Lr::EMPTY));
}

/// Finds out which PPI is the maintenance interrupt, on a CPU of root, which has no use for it.
///
/// # Errors
/// `UNSUPPORTED_GIC`: none follows the condition.
pub fn find_maintenance(cpu: &PerCpu) -> Result<(), Refused> {
    if MAINTENANCE.load(Relaxed) != 0 {
        return Ok(());
    }
    let control = read(gicv2::GICH_HCR);
    let before = intid::pending_ppis(cpu, |_| true);
    clear(); // what is pending in one would keep the interrupt away
    set_control(HCR_EN | HCR_NPIE);
    let on = intid::pending_ppis(cpu, |now| now & !before != 0) & !before;
    set_control(control);
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
