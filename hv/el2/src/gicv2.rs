//! The physical GICv2: CPU interfaces, kicks, cleaning what changes owner (Arm IHI 0048). [`crate::gic`] asks when the board
//! has one.
//!
//! One rule: as there. SGIs, PPIs and the CPU interface are banked: each CPU reaches its own only, so all that is done to
//! them is done on the CPU that they belong to.

use bulkhead_abi::code::{self, feature};
use bulkhead_model::addr::{Gpa, Hpa, PAGE_SIZE, Region};
use bulkhead_model::blob::{Delivery, GicV2};
use bulkhead_model::id::{Mpidr, Spi, SpiSet};
use bulkhead_model::ledger::Window;
use bulkhead_model::refused::Refused;
use bulkhead_model::vgic::v2::sgi_value;
use core::sync::atomic::Ordering::Relaxed;

use crate::board::board;
use crate::gic::{self, Interface};
use crate::percpu::{Found, PerCpu};
use crate::{listed, mmio, sysreg, vgicv2};

const GICD_TYPER: u64 = 0x4;
const GICD_ISENABLER0: u64 = 0x100;
const GICD_ICENABLER0: u64 = 0x180;
const GICD_ICPENDR0: u64 = 0x280;
const GICD_ISACTIVER0: u64 = 0x300;
const GICD_ICACTIVER0: u64 = 0x380;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ITARGETSR: u64 = 0x800;
const GICD_SGIR: u64 = 0xf00;
const GICD_CPENDSGIR: u64 = 0xf10;
const GICD_SPENDSGIR: u64 = 0xf20;

const GICC_CTLR: u64 = 0x0;
const GICC_CTLR_ENABLE: u32 = 1;
/// A write of GICC_EOIR only drops the priority. With two security states it is EOImodeNS that non-secure software has there.
const GICC_CTLR_EOIMODE: u32 = 1 << 9;
/// Group 0 as FIQ, where software has Group 0 at all.
const GICC_CTLR_FIQEN: u32 = 1 << 3;
/// Bypass of a disabled interface: firmware's choice.
const GICC_CTLR_BYPASS: u32 = 0xf << 5;
const GICC_PMR: u64 = 0x4;
const GICC_BPR: u64 = 0x8;
const GICC_IAR: u64 = 0xc;
const GICC_EOIR: u64 = 0x10;
const GICC_RPR: u64 = 0x14;
/// The binary point of Group 1, where non-secure software has both groups; else it is nothing.
const GICC_ABPR: u64 = 0x1c;
const GICC_APR: u64 = 0xd0;
const GICC_NSAPR: u64 = 0xe0;
const GICC_IIDR: u64 = 0xfc;
/// GICC_RPR when nothing is active.
const IDLE_PRIORITY: u32 = 0xff;
/// GICC_IIDR: the architecture version.
const IIDR_ARCHITECTURE_SHIFT: u32 = 16;

pub const GICH_HCR: u64 = 0x0;
pub const GICH_VTR: u64 = 0x4;
pub const GICH_VMCR: u64 = 0x8;
const GICH_APR: u64 = 0xf0;
pub const GICH_LR0: u64 = 0x100;
/// GICH_VMCR of a guest that starts as others do with their GICC: Group 0, its only one, is on, and VMPriMask lets through what
/// is more urgent than 0x10.
const VMCR_START: u32 = 2 << 27 | 1;

/// The first INTID that is no interrupt.
const SPECIAL: u32 = 1020;
/// SGIs.
const SGIS: u32 = 0xffff;
/// Priority masks: all but what is more urgent than a guest's interrupts; none.
const MASK_ALL: u32 = bulkhead_model::vgic::MOST_URGENT as u32;
const MASK_NONE: u32 = 0xff;

/// Stands for the address of a redistributor: no guest has that.
pub const NO_REDISTRIBUTOR: u64 = 1 << 63;

/// Its registers' places, found at enable.
#[derive(Clone, Copy)]
pub struct Frames {
    /// As the board's tree has them.
    pub regions: GicV2,
    /// Where the second page of the CPU interface is, which has GICC_DIR.
    pub gicc_second: Hpa,
    /// GICD_TYPER.
    pub typer: u32,
}

/// The board's. Only reached when it has a GICv2.
pub fn frames() -> &'static Frames {
    match &board().gicv2 {
        Some(frames) => frames,
        None => panic!("the board has no GICv2"),
    }
}

/// Tells whether the board has one.
pub fn is_there() -> bool {
    board().gicv2.is_some()
}

/// Checks that it is one, and finds its second pages.
///
/// # Errors
/// `UNSUPPORTED_GIC`.
pub fn check(gicd: u64, regions: GicV2) -> Result<Frames, Refused> {
    let gicc = regions.gicc.base().0;
    // Its second page is at least behind the first one.
    if regions.gicc.size() < 2 * PAGE_SIZE {
        let refused = Refused::new(
            code::UNSUPPORTED_GIC,
            feature::NOT_GICV2,
            regions.gicc.size(),
        );
        return Err(refused);
    }
    // SAFETY: mapped by `prepare`, which made it a page at least.
    let version = |gicc: u64| unsafe { mmio::read32(gicc + GICC_IIDR) };
    let found = version(gicc);
    if found >> IIDR_ARCHITECTURE_SHIFT & 0xf != 2 {
        let refused = Refused::new(code::UNSUPPORTED_GIC, feature::NOT_GICV2, found.into());
        return Err(refused);
    }
    // Where pages of 64 KiB are wanted each page of the interface is shown sixteen times: the second one is behind them.
    let is_spread = regions.gicc.size() >= 2 * gic::FRAME && version(gicc + 0xf000) == found;
    let second = if is_spread { gic::FRAME } else { PAGE_SIZE };
    Ok(Frames {
        regions,
        gicc_second: Hpa(gicc + second),
        // SAFETY: mapped by `prepare`.
        typer: unsafe { mmio::read32(gicd + GICD_TYPER) },
    })
}

impl Frames {
    /// What a cell sees as its CPU interface: two pages of the physical one, or the first of the virtual one. What is in the second
    /// one of that traps ([`crate::vgicv2`]).
    pub fn cells_interface(&self, delivery: Delivery) -> ([Window; 2], usize) {
        let seen = self.regions.gicc.base().0;
        let window = |place: u64, page: Hpa| Window {
            gpa: Region::page_of(Gpa(place)),
            hpa: Region::page_of(page),
        };
        let (first, count) = match delivery {
            Delivery::Direct => (Hpa(seen), 2),
            Delivery::Listed => (self.regions.gicv.base(), 1),
        };
        let second = window(seen + PAGE_SIZE, self.gicc_second);
        ([window(seen, first), second], count)
    }
}

fn gicd_read(offset: u64) -> u32 {
    // SAFETY: as below; reading has no effect.
    unsafe { mmio::read32(board().gicd.base().0 + offset) }
}

fn gicd_read8(offset: u64) -> u8 {
    // SAFETY: as below, of registers that allow byte accesses.
    unsafe { mmio::read8(board().gicd.base().0 + offset) }
}

fn gicd_write8(offset: u64, value: u8) {
    // SAFETY: as below, of registers that allow byte accesses.
    unsafe { mmio::write8(board().gicd.base().0 + offset, value) }
}

fn gicd_write(offset: u64, value: u32) {
    // SAFETY: EL2 maps the distributor; offsets are aligned and below 4 KiB, and the caller has the right to the effect.
    unsafe { mmio::write32(board().gicd.base().0 + offset, value) }
}

fn gicc_read(offset: u64) -> u32 {
    // SAFETY: EL2 maps the CPU interfaces; offsets are aligned and in the first page.
    unsafe { mmio::read32(frames().regions.gicc.base().0 + offset) }
}

fn gicc_write(offset: u64, value: u32) {
    // SAFETY: as above, and this CPU's interface is the caller's to set.
    unsafe { mmio::write32(frames().regions.gicc.base().0 + offset, value) }
}

/// Reads a register of this CPU's virtual interface.
pub fn gich_read(offset: u64) -> u32 {
    // SAFETY: EL2 maps the control blocks; offsets are aligned and in the first page.
    unsafe { mmio::read32(frames().regions.gich.base().0 + offset) }
}

/// Writes one. It is complete before the guest goes on (DDI 0487, Device-nGnRE memory).
pub fn gich_write(offset: u64, value: u32) {
    // SAFETY: as above; this CPU's block is EL2's.
    unsafe { mmio::write32(frames().regions.gich.base().0 + offset, value) };
    sysreg::dsb_sy();
}

/// Notes, before a guest of ours has it, how firmware left this CPU's interface, and which one it is: the registers of
/// private interrupts' targets say so, unless there is only one CPU (IHI 0048, `GICD_ITARGETSR<n>`).
pub fn note_cpu(cpu: &PerCpu) {
    cpu.bypass.store(gicc_read(GICC_CTLR), Relaxed);
    let bit = gicd_read8(GICD_ITARGETSR);
    cpu.interface.store(bit.max(1), Relaxed);
}

/// Notes how this CPU's interface was found; root's part of it stays as it is.
pub fn note_interface(found: &mut Found) {
    found.ich_hcr = gich_read(GICH_HCR).into();
}

/// Root has its interface as it was; list registers are off.
pub fn set_interface_for_root() {
    gich_write(GICH_HCR, 0);
}

/// Puts back what root could not change itself.
pub fn restore_interface(found: &Found) {
    gich_write(GICH_HCR, (found.ich_hcr & 0xffff_ffff) as u32);
}

/// Generates all SGIs for a CPU that was cut off from its memory: one that its guest lets through ends its WFI. What is
/// pending of them is cleared when the CPU parks.
pub fn kick(target: &PerCpu) {
    // The posted request and the tables are complete before the SGIs are generated.
    sysreg::dsb_sy();
    let interface = target.interface.load(Relaxed);
    for intid in 0..16 {
        gicd_write(
            GICD_SGIR,
            (sgi_value(intid, interface) & 0xffff_ffff) as u32,
        );
    }
}

/// An FIQ came: a guest had its interface signal them. They are EL2's, so from now on it gets IRQs.
pub fn take_fiq() {
    gicc_write(GICC_CTLR, gicc_read(GICC_CTLR) & !GICC_CTLR_FIQEN);
    sysreg::dsb_sy();
}

fn set_control(cpu: &PerCpu, value: u32) {
    let bypass = cpu.bypass.load(Relaxed) & GICC_CTLR_BYPASS;
    gicc_write(GICC_CTLR, bypass | value);
}

/// Resets this CPU's interface: nothing active. A cell's lets through what is more urgent than its own interrupts, so that
/// a kick ends a WFI even if the cell never comes to the interface; root's Linux sets up its own.
pub fn reset_interface(cpu: &PerCpu, interface: Interface) {
    let is_root = interface == Interface::Root;
    gich_write(GICH_HCR, 0);
    forget_active_priorities();
    gicc_write(GICC_BPR, 0);
    gicc_write(GICC_ABPR, 0);
    gicc_write(GICC_PMR, if is_root { MASK_NONE } else { MASK_ALL });
    let is_listed = interface == Interface::Cell(Delivery::Listed);
    let split = if is_listed { GICC_CTLR_EOIMODE } else { 0 };
    set_control(cpu, if is_root { 0 } else { GICC_CTLR_ENABLE | split });
    sysreg::dsb_sy();
    if is_listed {
        gich_write(GICH_VMCR, VMCR_START);
        gich_write(GICH_APR, 0);
        listed::start(cpu);
    }
}

/// Acknowledges an interrupt for EL2 and drops its priority; an SGI is over with that. Returns what GICC_IAR says: its number,
/// and in bits 12:10 the interface that an SGI is from.
pub fn acknowledge() -> Option<u16> {
    let found = gicc_read(GICC_IAR);
    // The acknowledge has taken effect before anything follows from it.
    sysreg::dsb_sy();
    if found & 0x3ff >= SPECIAL {
        return None;
    }
    gicc_write(GICC_EOIR, found);
    if found & 0x3ff < 16 {
        // SAFETY: GICC_DIR, the first register of the second page, which EL2 maps; this CPU's interface is EL2's.
        unsafe { mmio::write32(frames().gicc_second.0, found) };
    }
    Some((found & 0x1fff) as u16)
}

/// Lets only what is more urgent through; SGIs, and with them kicks, always are.
pub fn set_mask(priority: u8) {
    gicc_write(GICC_PMR, u32::from(priority).max(MASK_ALL));
    sysreg::dsb_sy();
}

/// Makes the physical SGIs what the guest is to see of them.
pub fn show_sgis(cpu: &PerCpu) {
    let interfaces = vgicv2::interfaces(cpu.cell());
    for intid in 0..16 {
        let (sources, priority) = cpu.parked.sgi(intid);
        gicd_write8(GICD_IPRIORITYR + u64::from(intid), priority);
        let sources = interfaces.physical(sources);
        if sources != 0 {
            // QEMU takes one that is from nobody for pending.
            gicd_write8(GICD_SPENDSGIR + u64::from(intid), sources);
        }
    }
    gicd_write(GICD_ISACTIVER0, cpu.parked.active_sgis());
}

/// Undoes [`show_sgis`], with what came and what the guest did meanwhile. Those from nobody of the cell are kicks, and over.
pub fn hide_sgis(cpu: &PerCpu) {
    let interfaces = vgicv2::interfaces(cpu.cell());
    for intid in 0..16 {
        let place = u64::from(intid);
        let priority = gicd_read8(GICD_IPRIORITYR + place);
        gicd_write8(GICD_IPRIORITYR + place, 0);
        let pending = gicd_read8(GICD_SPENDSGIR + place);
        gicd_write8(GICD_CPENDSGIR + place, pending);
        let sources = interfaces.seen(pending);
        cpu.parked.set_sgi(intid, sources, priority);
    }
    cpu.parked.set_active_sgis(gicd_read(GICD_ISACTIVER0));
    gicd_write(GICD_ICACTIVER0, SGIS);
    // Who sent a kick that was taken out here has posted its request before.
    sysreg::dsb_sy();
}

fn forget_active_priorities() {
    for index in 0..4 {
        gicc_write(GICC_APR + 4 * index, 0);
        gicc_write(GICC_NSAPR + 4 * index, 0);
    }
    if gicc_read(GICC_RPR) != IDLE_PRIORITY {
        // An implementation that looks at them at the next end of an interrupt only (QEMU does): any SGI's will do, as none
        // is active or pending.
        gicc_write(GICC_EOIR, 0);
    }
}

/// Leaves this CPU's interface off, with no kick pending: it waits at EL2.
pub fn quiet_interface(cpu: &PerCpu) {
    gich_write(GICH_HCR, 0);
    set_control(cpu, 0);
    forget_sgis();
    sysreg::dsb_sy();
}

/// No SGI is pending from any CPU.
fn forget_sgis() {
    for index in 0..4 {
        gicd_write(GICD_CPENDSGIR + 4 * index, u32::MAX);
    }
}

/// Leaves nothing of the former owner in this CPU's private interrupts: PPIs off, none pending or active, priorities in
/// the middle; their kind nobody could change. SGIs are on; a cell's have the priority of reset, which no other interrupt of its has: so they
/// kick, whatever it masks, until it sets them.
pub fn prepare_private(for_root: bool) {
    gicd_write(GICD_ICENABLER0, u32::MAX);
    sysreg::dsb_sy(); // off before its state is cleared
    gicd_write(GICD_ICPENDR0, u32::MAX);
    forget_sgis();
    gicd_write(GICD_ICACTIVER0, u32::MAX);
    for index in 0..8 {
        let is_sgi = index < 4;
        let priorities = if is_sgi && !for_root { 0 } else { 0xa0a0_a0a0 };
        gicd_write(GICD_IPRIORITYR + 4 * index, priorities);
    }
    gicd_write(GICD_ISENABLER0, SGIS);
    sysreg::dsb_sy();
}

/// Sends an SPI to a CPU: to none when it has not been here yet.
pub fn route(spi: Spi, target: Mpidr) {
    let cpu = board().cpu_by_mpidr(target);
    set_targets(spi, cpu.map_or(0, |cpu| cpu.interface.load(Relaxed)));
}

fn set_targets(spi: Spi, interfaces: u8) {
    // A neighbour's owner may be merging the word.
    let _guard = gic::lock_distributor();
    gicd_write8(GICD_ITARGETSR + u64::from(spi.intid()), interfaces);
}

/// Takes root's SPIs away from CPUs that go to a cell: those that `spis` lacks go to the others that they went to, or to
/// `target` if there was no other.
pub fn turn_away(spis: &SpiSet, cpus: &[Mpidr], target: Mpidr) {
    let interface = |mpidr: &Mpidr| {
        let cpu = board().cpu_by_mpidr(*mpidr);
        cpu.map_or(0, |cpu| cpu.interface.load(Relaxed))
    };
    let taken = cpus.iter().fold(0, |mask, mpidr| mask | interface(mpidr));
    let all = (32..gic::intid_limit()).filter_map(Spi::new);
    for spi in all.filter(|spi| !spis.contains(*spi)) {
        let now = gicd_read8(GICD_ITARGETSR + u64::from(spi.intid()));
        match now & !taken {
            left if left == now => {}
            0 => set_targets(spi, interface(&target)),
            left => set_targets(spi, left),
        }
    }
}
