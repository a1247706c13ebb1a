//! The physical GICv3: finding it, kicking a CPU, cleaning what changes owner (Arm IHI 0069); a GICv2 where the board has
//! one ([`gicv2`]).
//!
//! One rule: what a guest may do here was decided by `model::vgic`; what EL2 does for itself touches only the
//! CPU or the interrupts that the ledger gave to the cell at hand.

mod interface;

use aarch64_cpu::registers::{ICC_SRE_EL2, Readable};
use bulkhead_abi::code::{self, feature};
use bulkhead_model::id::{Mpidr, Spi, SpiSet};
use bulkhead_model::refused::Refused;
use bulkhead_model::vgic::kick::Kicks;
use bulkhead_model::vgic::sgi::sgi_value;
use core::sync::atomic::Ordering;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::board::board;
use crate::percpu::PerCpu;
use crate::sysreg::{self, IccCtlr, IccEoir0, IccIar0, IccPmr, IccSgi0r, IccSgi1r};
use crate::{gicv2, mmio};
pub use interface::{
    Interface, note_interface, open_interface, quiet_interface, reset_interface, restore_interface,
    set_interface_for_root,
};

static DISTRIBUTOR: SpinMutex<()> = SpinMutex::new(());

/// Held for each read-modify-write of a distributor register that several owners share.
#[inline(never)] // Once for all.
pub fn lock_distributor() -> SpinMutexGuard<'static, ()> {
    DISTRIBUTOR.lock()
}

/// Bytes of a frame of registers (IHI 0069, "Register map").
pub const FRAME: u64 = 0x1_0000;
const GICD_CTLR: u64 = 0x0;
const GICD_CTLR_GRP0: u32 = 1;
const GICD_CTLR_RWP: u32 = 1 << 31;
const GICD_TYPER: u64 = 0x4;
const GICD_ICENABLER: u64 = 0x180;
const GICD_ICPENDR: u64 = 0x280;
const GICD_ICACTIVER: u64 = 0x380;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ICFGR: u64 = 0xc00;
const GICD_IROUTER: u64 = 0x6000;
const GICD_PIDR2: u64 = 0xffe8;

const GICR_CTLR: u64 = 0x0;
const GICR_CTLR_ENABLE_LPIS: u32 = 1;
const GICR_CTLR_RWP: u32 = 1 << 3;
const GICR_WAKER: u64 = 0x14;
const GICR_WAKER_PROCESSOR_SLEEP: u32 = 1 << 1;
const GICR_WAKER_CHILDREN_ASLEEP: u32 = 1 << 2;
const GICR_TYPER: u64 = 0x8;
/// Offset of SGI_base, where a redistributor has its SGIs and PPIs.
pub const SGI_BASE: u64 = 0x1_0000;
const GICR_IGROUPR0: u64 = SGI_BASE + 0x80;
const GICR_ISENABLER0: u64 = SGI_BASE + 0x100;
const GICR_ICENABLER0: u64 = SGI_BASE + 0x180;
const GICR_ICPENDR0: u64 = SGI_BASE + 0x280;
const GICR_ICACTIVER0: u64 = SGI_BASE + 0x380;
const GICR_IPRIORITYR: u64 = SGI_BASE + 0x400;
const GICR_ICFGR1: u64 = SGI_BASE + 0xc04;

/// The SGI that kicks. It is set up for that on the target at that moment only, so a guest may use the number as its
/// own: whoever is kicked loses its interrupt state anyway, and root is never kicked. SGIs 8 to 15 are the secure side's
/// where there is one, as Arm recommends.
const KICK: u8 = 7;
/// Priority that no guest's interrupt has (`model::vgic` keeps theirs at 0x10 or lower urgency).
const KICK_PRIORITY: u32 = 0;
/// Polls of RWP before it is given up; registers settle within a few.
const RWP_POLLS: u32 = 1_000_000;

fn gicd_read(offset: u64) -> u32 {
    // SAFETY: EL2 maps the distributor; callers use aligned offsets below 64 KiB.
    unsafe { mmio::read32(board().gicd.base().0 + offset) }
}

fn gicd_write(offset: u64, value: u32) {
    // SAFETY: as above; the caller has the right to the effect.
    unsafe { mmio::write32(board().gicd.base().0 + offset, value) }
}

fn gicr_read(gicr: u64, offset: u64) -> u32 {
    // SAFETY: EL2 maps the redistributors; callers use aligned offsets below 128 KiB.
    unsafe { mmio::read32(gicr + offset) }
}

fn gicr_write(gicr: u64, offset: u64, value: u32) {
    // SAFETY: as above; the caller has the right to the effect.
    unsafe { mmio::write32(gicr + offset, value) }
}

/// Waits until a register write has reached the interrupt controller (IHI 0069, `GICD_CTLR.RWP`). Bounded.
fn wait_until(is_done: impl Fn() -> bool) {
    for _ in 0..RWP_POLLS {
        if is_done() {
            return;
        }
    }
    defmt::warn!("the interrupt controller's RWP bit stays set");
}

fn gicd_settle() {
    wait_until(|| gicd_read(GICD_CTLR) & GICD_CTLR_RWP == 0);
}

/// Checks that the distributor is one that Bulkhead can drive, and tells how CPUs are kicked there.
///
/// # Errors
/// `UNSUPPORTED_GIC`.
pub fn check(gicd: u64) -> Result<Kicks, Refused> {
    // SAFETY: mapped by `prepare`; a 64 KiB frame.
    let pidr2 = unsafe { mmio::read32(gicd + GICD_PIDR2) };
    if !matches!(pidr2 >> 4 & 0xf, 3 | 4) {
        return Err(Refused::new(
            code::UNSUPPORTED_GIC,
            feature::NOT_GICV3,
            pidr2.into(),
        ));
    }
    // SAFETY: as above.
    let ctlr = unsafe { mmio::read32(gicd + GICD_CTLR) };
    check_system_registers()?;
    Ok(Kicks::new(ctlr, reaches_group0()))
}

fn check_system_registers() -> Result<(), Refused> {
    let sre = ICC_SRE_EL2.get();
    if sre & 0b1001 != 0b1001 {
        return Err(Refused::new(
            code::UNSUPPORTED_GIC,
            feature::NO_SYSTEM_REGISTERS,
            sre,
        ));
    }
    Ok(())
}

/// Tells whether SCR_EL3.FIQ is 0: else non-secure accesses of ICC_PMR_EL1 are to its lower half, and the lowest bit that
/// is there is lost on its way (IHI 0069, `ICC_PMR_EL1`). Interrupts are masked; the register is put back.
fn reaches_group0() -> bool {
    let found = IccPmr::get();
    IccPmr::set(0x80 >> (IccCtlr::get() >> 8 & 7));
    let is_kept = IccPmr::get() != 0;
    IccPmr::set(found);
    is_kept
}

/// `GICR_TYPER` of the redistributor at `gicr`.
pub fn redistributor_typer(gicr: u64) -> u64 {
    // SAFETY: `gicr` lies in a region of the blob that `prepare` mapped.
    unsafe { mmio::read64(gicr + GICR_TYPER) }
}

/// Number of the first INTID that the distributor does not have.
pub fn intid_limit() -> u16 {
    let lines = 32 * ((gicd_read(GICD_TYPER) & 0x1f) + 1);
    lines.min(1020) as u16
}

/// Lets Group 0 interrupts through the distributor, where they kick. Returns GICD_CTLR as it was.
pub fn enable_kicks() -> u32 {
    let found = gicd_read(GICD_CTLR);
    set_group0(found | GICD_CTLR_GRP0);
    found
}

/// Undoes [`enable_kicks`].
pub fn disable_kicks(found: u32) {
    set_group0(found);
}

/// With two security states the bit is another one (IHI 0069, `GICD_CTLR`), and Group 0 firmware's.
fn set_group0(bits: u32) {
    if !board().kicks.by_group0 {
        return;
    }
    let _guard = lock_distributor();
    let now = gicd_read(GICD_CTLR);
    gicd_write(GICD_CTLR, now & !GICD_CTLR_GRP0 | bits & GICD_CTLR_GRP0);
    gicd_settle();
}

/// Makes a CPU that runs a guest enter EL2. A Group 0 SGI is an FIQ, which HCR_EL2.FMO routes to EL2; its priority passes
/// every PMR that EL2 lets through, and the guest has no access to Group 0. Where EL2 has none either, the caller has made
/// the CPU's stage 2 invalid, and a Group 1 SGI of the same priority ends a WFI, masked or not.
pub fn kick(target: &PerCpu) {
    if gicv2::is_there() {
        return gicv2::kick(target);
    }
    let bit = 1 << KICK;
    let gicr = target.gicr;
    gicr_write(gicr, GICR_ICACTIVER0, bit);
    let priorities = GICR_IPRIORITYR + u64::from(KICK & !3);
    let shift = 8 * u32::from(KICK & 3);
    gicr_write(
        gicr,
        priorities,
        gicr_read(gicr, priorities) & !(0xff << shift) | KICK_PRIORITY << shift,
    );
    let by_group0 = board().kicks.by_group0;
    if by_group0 {
        gicr_write(gicr, GICR_IGROUPR0, gicr_read(gicr, GICR_IGROUPR0) & !bit);
    }
    gicr_write(gicr, GICR_ISENABLER0, bit);
    // The redistributor's new state and the posted request are complete before the SGI is generated.
    sysreg::dsb_sy();
    let value = sgi_value(KICK, target.mpidr);
    if by_group0 {
        IccSgi0r::set(value);
    } else {
        IccSgi1r::set(value);
    }
    sysreg::isb();
}

/// Acknowledges the Group 0 kick that brought this CPU here, and makes the SGI a Group 1 interrupt again.
pub fn take_kick(cpu: &PerCpu) {
    if gicv2::is_there() {
        return gicv2::take_fiq();
    }
    if !board().kicks.by_group0 {
        return;
    }
    let intid = IccIar0::get();
    // 1020 to 1023 are no interrupts (IHI 0069, "INTIDs"); any other is ended, or its priority blocks all for good.
    if intid < 1020 {
        IccEoir0::set(intid);
    }
    gicr_write(cpu.gicr, GICR_IGROUPR0, u32::MAX);
    sysreg::isb();
}

/// Leaves nothing of the former owner in this CPU's redistributor: SGIs and PPIs off, neither pending nor active,
/// group 1, level-sensitive PPIs, priorities in the middle; root's LPIs stay out of other cells.
pub fn prepare_redistributor(cpu: &PerCpu, for_root: bool) {
    if gicv2::is_there() {
        return gicv2::prepare_private(for_root);
    }
    let gicr = cpu.gicr;
    // Awake, whatever the former owner wrote (IHI 0069, `GICR_WAKER`): asleep it would forward no kick.
    gicr_write(
        gicr,
        GICR_WAKER,
        gicr_read(gicr, GICR_WAKER) & !GICR_WAKER_PROCESSOR_SLEEP,
    );
    wait_until(|| gicr_read(gicr, GICR_WAKER) & GICR_WAKER_CHILDREN_ASLEEP == 0);
    if for_root {
        start_lpis(cpu);
    } else {
        stop_lpis(cpu);
    }
    gicr_write(gicr, GICR_ICENABLER0, u32::MAX);
    gicr_settle(gicr); // off before its state is cleared
    gicr_write(gicr, GICR_ICPENDR0, u32::MAX);
    gicr_write(gicr, GICR_ICACTIVER0, u32::MAX);
    gicr_write(gicr, GICR_IGROUPR0, u32::MAX);
    gicr_write(gicr, GICR_ICFGR1, 0);
    for index in 0..8 {
        gicr_write(gicr, GICR_IPRIORITYR + 4 * index, 0xa0a0_a0a0);
    }
    sysreg::dsb_sy();
}

fn gicr_settle(gicr: u64) {
    wait_until(|| gicr_read(gicr, GICR_CTLR) & GICR_CTLR_RWP == 0);
}

/// Turns root's LPIs off on a CPU that goes to a cell, where the redistributor can.
fn stop_lpis(cpu: &PerCpu) {
    let ctlr = gicr_read(cpu.gicr, GICR_CTLR);
    if ctlr & GICR_CTLR_ENABLE_LPIS == 0 {
        return;
    }
    cpu.lpis_were_on.store(true, Ordering::Relaxed);
    gicr_write(cpu.gicr, GICR_CTLR, ctlr & !GICR_CTLR_ENABLE_LPIS);
    gicr_settle(cpu.gicr);
    if gicr_read(cpu.gicr, GICR_CTLR) & GICR_CTLR_ENABLE_LPIS != 0 {
        defmt::warn!("this redistributor cannot turn LPIs off: root's may reach the cell");
    }
}

/// Undoes [`stop_lpis`].
fn start_lpis(cpu: &PerCpu) {
    if cpu.lpis_were_on.swap(false, Ordering::Relaxed) {
        gicr_write(
            cpu.gicr,
            GICR_CTLR,
            gicr_read(cpu.gicr, GICR_CTLR) | GICR_CTLR_ENABLE_LPIS,
        );
    }
}

/// Turns SPIs off, clears their state, and routes them to `target`. They change owner.
pub fn hand_over(spis: &SpiSet, target: Mpidr) {
    for index in 1..32 {
        let word = spis.word(index);
        if word != 0 {
            let offset = 4 * index as u64;
            gicd_write(GICD_ICENABLER + offset, word);
            gicd_settle(); // off before its state is cleared
            gicd_write(GICD_ICPENDR + offset, word);
            gicd_write(GICD_ICACTIVER + offset, word);
        }
    }
    for spi in spis.iter() {
        if gicv2::is_there() {
            gicv2::route(spi, target);
        } else {
            route(spi, target.get());
        }
        // A neighbour's owner may be changing the word. Nothing else here is shared, and nobody waits for all of it.
        let _guard = lock_distributor();
        // Level-sensitive: the upper of two bits (IHI 0069, `GICD_ICFGR<n>`). It is off, as a change demands.
        let offset = GICD_ICFGR + u64::from(spi.intid() / 16 * 4);
        gicd_write(offset, gicd_read(offset) & !(2 << (spi.intid() % 16 * 2)));
        // Reset leaves 0, which would tie with the kick.
        // SAFETY: a byte of GICD_IPRIORITYR, which allows byte accesses, of an interrupt that changes owner.
        unsafe {
            mmio::write8(
                board().gicd.base().0 + GICD_IPRIORITYR + u64::from(spi.intid()),
                0xa0,
            )
        };
    }
    sysreg::dsb_sy();
}

/// Takes root's SPIs away from CPUs that go to a cell: those that `spis` lacks and that go to one of `cpus`, or to any CPU, go
/// to `target` from now on.
pub fn turn_away(spis: &SpiSet, cpus: &[Mpidr], target: Mpidr) {
    const ANY_CPU: u64 = 1 << 31;
    if gicv2::is_there() {
        return gicv2::turn_away(spis, cpus, target);
    }
    for spi in (32..intid_limit())
        .filter_map(Spi::new)
        .filter(|spi| !spis.contains(*spi))
    {
        let route_now = read_route(spi);
        if route_now & ANY_CPU != 0 || cpus.contains(&Mpidr::from_bits(route_now)) {
            route(spi, target.get());
        }
    }
}

/// Writes GICD_IROUTER of an SPI.
pub fn route(spi: Spi, value: u64) {
    // SAFETY: the register exists for every SPI below `intid_limit`; writes to others are ignored (IHI 0069).
    unsafe {
        mmio::write64(
            board().gicd.base().0 + GICD_IROUTER + 8 * u64::from(spi.intid()),
            value,
        )
    }
}

/// Reads GICD_IROUTER of an SPI.
pub fn read_route(spi: Spi) -> u64 {
    // SAFETY: as in `route`.
    unsafe { mmio::read64(board().gicd.base().0 + GICD_IROUTER + 8 * u64::from(spi.intid())) }
}
