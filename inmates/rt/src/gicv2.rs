//! The interrupt controller where it is a GICv2 (Arm IHI 0048): the distributor, which Bulkhead filters, and this CPU's
//! interface.

use core::arch::asm;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use arm_gic::IntId;

use crate::cpu::{self, MAX_CPUS};
use crate::gic::Role;
use crate::{Tree, icc};

const GICD_CTLR: u64 = 0x0;
const GICD_TYPER: u64 = 0x4;
const GICD_ISENABLER: u64 = 0x100;
const GICD_ICENABLER: u64 = 0x180;
const GICD_IPRIORITYR: u64 = 0x400;
const GICD_ITARGETSR: u64 = 0x800;
const GICD_SGIR: u64 = 0xf00;
const GICC_IAR: u64 = 0xc;
const GICC_EOIR: u64 = 0x10;
/// Priority that every interrupt gets, the middle.
const PRIORITIES: u64 = 0x8080_8080;
/// INTIDs from there on are special.
const SPECIAL: u64 = 1020;
/// GICD_SGIR.TargetListFilter: all but the sender.
const OTHERS: u64 = 1 << 24;

/// Addresses of distributor and CPU interface; 0: it is a GICv3.
static DISTRIBUTOR: AtomicU64 = AtomicU64::new(0);
static INTERFACE: AtomicU64 = AtomicU64::new(0);
/// Whom each CPU had each SGI from, the last time: the interface's number of it, which is to be given back at its end.
static SOURCES: [[AtomicU8; 16]; MAX_CPUS] = [const { [const { AtomicU8::new(0) }; 16] }; MAX_CPUS];

/// Notes where it is, if there is one.
pub(crate) fn open(tree: &Tree) {
    if let Some((distributor, interface)) = tree.gicv2() {
        DISTRIBUTOR.store(distributor.base, Ordering::Relaxed);
        INTERFACE.store(interface.base, Ordering::Relaxed);
    }
}

/// Tells whether there is one.
pub(crate) fn is_there() -> bool {
    DISTRIBUTOR.load(Ordering::Relaxed) != 0
}

/// A register of the distributor.
fn distributor(offset: u64) -> Register {
    Register(DISTRIBUTOR.load(Ordering::Relaxed) + offset)
}

/// A register of the CPU interface; `None` with a GICv3.
pub(crate) fn interface(offset: u64) -> Option<Register> {
    match INTERFACE.load(Ordering::Relaxed) {
        0 => None,
        base => Some(Register(base + offset)),
    }
}

/// A register of 32 bits.
#[derive(Clone, Copy)]
pub(crate) struct Register(u64);

impl Register {
    /// Reads it.
    pub(crate) fn get(self) -> u64 {
        let value: u64;
        // SAFETY: `open` found it in the tree; it is mapped as device memory, and no memory of Rust's depends on it.
        unsafe {
            asm!("ldr {:w}, [{}]", "dsb sy", out(reg) value, in(reg) self.0, options(nostack, preserves_flags))
        };
        value & 0xffff_ffff
    }

    /// Writes it, and waits for the effect.
    pub(crate) fn set(self, value: u64) {
        // SAFETY: as above.
        unsafe {
            asm!("str {:w}, [{}]", "dsb sy", "isb", in(reg) value, in(reg) self.0, options(nostack, preserves_flags))
        };
    }

    /// Writes a byte of it.
    fn set_byte(self, value: u8) {
        // SAFETY: as above; used where bytes are allowed.
        unsafe {
            asm!("strb {:w}, [{}]", "dsb sy", in(reg) value, in(reg) self.0, options(nostack, preserves_flags))
        };
    }
}

/// Sets this CPU's part up, and the distributor: all interrupts disabled, none masked by priority.
pub(crate) fn set_up(role: Role) {
    let lines = (distributor(GICD_TYPER).get() & 0x1f) + 1;
    let words = match role {
        Role::First => lines,
        Role::Other => 1,
    };
    for word in 0..words {
        distributor(GICD_ICENABLER + 4 * word).set(0xffff_ffff);
        for part in 0..8 {
            distributor(GICD_IPRIORITYR + 32 * word + 4 * part).set(PRIORITIES);
        }
    }
    if role == Role::First {
        distributor(GICD_CTLR).set(1);
    }
}

/// Lets an interrupt in, to this CPU.
pub(crate) fn enable(intid: IntId) {
    let number = u64::from(intid.raw_value());
    if !intid.is_private() {
        distributor(GICD_ITARGETSR + number).set_byte(1 << (cpu::affinity() & 7));
    }
    distributor(GICD_ISENABLER + number / 32 * 4).set(1 << (number % 32));
}

/// Takes the interrupt that is pending; `None` when there is none.
pub(crate) fn acknowledge() -> Option<IntId> {
    let found = interface(GICC_IAR)?.get();
    let number = found & 0x3ff;
    if number >= SPECIAL {
        return None;
    }
    if let Some(source) = source((number & 0x3ff) as u32) {
        source.store((found >> 10 & 7) as u8, Ordering::Relaxed);
    }
    Some(intid((number & 0x3ff) as u32))
}

fn intid(number: u32) -> IntId {
    match number {
        0..16 => IntId::sgi(number),
        16..32 => IntId::ppi(number - 16),
        _ => IntId::spi(number - 32),
    }
}

/// Where this CPU notes whom it had an SGI from.
fn source(number: u32) -> Option<&'static AtomicU8> {
    let cpu = usize::try_from(cpu::affinity()).ok()?;
    SOURCES.get(cpu)?.get(usize::try_from(number).ok()?)
}

/// What ends or deactivates an interrupt: its number, and whom it came from.
pub(crate) fn end_value(intid: IntId) -> u64 {
    let number = intid.raw_value();
    let from = source(number).map_or(0, |source| source.load(Ordering::Relaxed));
    u64::from(from) << 10 | u64::from(number)
}

/// Ends it.
pub(crate) fn end(intid: IntId) {
    if let Some(register) = interface(GICC_EOIR) {
        register.set(end_value(intid));
    }
}

/// The number of this CPU's interface as the cell sees it; `None` with a GICv3.
pub(crate) fn own_number() -> Option<u64> {
    is_there().then(|| cpu::affinity() & 7)
}

/// Sends an SGI to CPUs of the cell.
pub(crate) fn send_sgi(intid: IntId, targets: u16) {
    let list = u64::from(targets & 0xff) << 16;
    distributor(GICD_SGIR).set(list | u64::from(intid.raw_value()));
}

/// Sends it to all but this one.
pub(crate) fn send_sgi_to_others(intid: IntId) {
    distributor(GICD_SGIR).set(OTHERS | u64::from(intid.raw_value()));
}

/// Deactivates an interrupt.
pub(crate) fn deactivate(intid: IntId) {
    icc::Dir::set(end_value(intid));
}
