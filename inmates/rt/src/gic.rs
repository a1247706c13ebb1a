//! The interrupt controller, a GICv3 or GICv2, as far as it is this CPU's.
//!
//! Bulkhead filters the distributor and gives the redistributor of this CPU only; both look like whole ones. So the
//! driver's own set-up of everything is right here, and wrong on any system that shares its GIC unfiltered.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU8, Ordering};

use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{
    GicCpuInterface, GicDistributor, GicRedistributor, GicRedistributorIterator, SgiTarget,
    SgiTargetGroup,
};
use arm_gic::{IntId, InterruptGroup, UniqueMmioPointer};

use crate::{Tree, cpu, gicv2, icc};

/// The distributor and one CPU's redistributor and interface.
pub struct Gic(Kind);

enum Kind {
    V3 {
        distributor: GicDistributor<'static>,
        redistributor: GicRedistributor<'static>,
    },
    V2,
}

/// Who sets up the distributor.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// The cell's first CPU: it does.
    First,
    /// Another CPU.
    Other,
}

impl Gic {
    /// Sets this CPU's part up: all its interrupts disabled, none masked by priority, group 1 on.
    ///
    /// # Panics
    /// When the tree has no GIC, or a GICv3 that has no redistributor for this CPU.
    pub fn new(tree: &Tree, role: Role) -> Self {
        let kind = if gicv2::is_there() {
            gicv2::set_up(role);
            Kind::V2
        } else {
            set_up(tree, role)
        };
        set_end(End::Joined);
        icc::Pmr::set(0xff);
        icc::Igrpen1::set(1);
        Self(kind)
    }

    /// Lets an interrupt in, to this CPU.
    ///
    /// # Panics
    /// On an INTID that is no SGI, PPI or SPI.
    pub fn enable(&mut self, intid: IntId) {
        let (distributor, redistributor) = match &mut self.0 {
            Kind::V3 {
                distributor,
                redistributor,
            } => (distributor, redistributor),
            Kind::V2 => return gicv2::enable(intid),
        };
        let done = if intid.is_private() {
            redistributor.enable_interrupt(intid, true)
        } else {
            distributor
                .set_routing(intid, Some(cpu::affinity()))
                .and_then(|()| distributor.enable_interrupt(intid, true))
        };
        done.expect("INTID");
    }
}

fn set_up(tree: &Tree, role: Role) -> Kind {
    let (distributor, redistributors) = tree.gic().expect("no arm,gic-v3 in the tree");
    let distributor = NonNull::new(distributor.base as *mut Gicd).expect("distributor at 0");
    let redistributors =
        NonNull::new(redistributors.base as *mut GicrSgi).expect("redistributors at 0");
    // SAFETY: the tree says that they are there, mapped as device memory. CPUs share the distributor; its registers
    // are set by single stores to each interrupt's own bits or bytes, but for ICFGR, which only `First` writes.
    let mut distributor = GicDistributor::new(unsafe { UniqueMmioPointer::new(distributor) });
    // SAFETY: as above; of the frames found only this CPU's is used.
    let frames = unsafe { GicRedistributorIterator::new(redistributors) };
    let mut redistributor = frames
        .expect("unknown redistributor")
        .find(|frame| frame.typer().core_mpidr() == cpu::affinity())
        .expect("no redistributor for this CPU");
    GicCpuInterface::enable_system_register_el1();
    // It says so when it was awake already, which is as good.
    let _ = redistributor.mark_core_awake();
    redistributor.configure_default_settings();
    if role == Role::First {
        distributor.configure_default_settings();
    }
    Kind::V3 {
        distributor,
        redistributor,
    }
}

/// How the interrupts of this CPU are ended after their handler (IHI 0069, `ICC_CTLR_EL1.EOImode`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    /// EOIR1 drops the priority and deactivates.
    Joined,
    /// EOIR1 drops the priority, DIR deactivates.
    Split,
    /// EOIR1 drops the priority; the caller deactivates.
    Dropped,
}

/// The [`End`] of now.
static END: AtomicU8 = AtomicU8::new(End::Joined as u8);

/// Chooses. For all CPUs; the caller's interface is set, the others' by their [`Gic::new`].
pub fn set_end(end: End) {
    const EOIMODE: u64 = 1 << 1;
    END.store(end as u8, Ordering::Relaxed);
    icc::Ctlr::set(if end == End::Joined { 0 } else { EOIMODE });
}

/// Takes the interrupt that is pending. It masks all that are not more urgent, until its end.
pub fn acknowledge() -> Option<IntId> {
    if gicv2::is_there() {
        gicv2::acknowledge()
    } else {
        GicCpuInterface::get_and_acknowledge_interrupt(InterruptGroup::Group1)
    }
}

/// Ends an interrupt that was acknowledged.
pub(crate) fn end(intid: IntId) {
    if gicv2::is_there() {
        gicv2::end(intid);
    } else {
        GicCpuInterface::end_interrupt(intid, InterruptGroup::Group1);
    }
    if END.load(Ordering::Relaxed) == End::Split as u8 {
        deactivate(intid);
    }
}

/// Deactivates an interrupt whose priority was dropped.
pub fn deactivate(intid: IntId) {
    if gicv2::is_there() {
        gicv2::deactivate(intid);
    } else {
        icc::Dir::set(intid.raw_value().into());
    }
}

/// Sends an SGI to one CPU of the cell.
///
/// # Panics
/// On an INTID that is no SGI, and on CPUs from 16 on.
pub fn send_sgi(intid: IntId, cpu: usize) {
    assert!(cpu < 16, "CPU {cpu} is not in the first cluster");
    send_sgi_to(intid, 1 << cpu);
}

/// Sends an SGI to the CPUs of the cell whose bits are set, its own among them.
///
/// # Panics
/// On an INTID that is no SGI.
pub fn send_sgi_to(intid: IntId, target_list: u16) {
    if gicv2::is_there() {
        return gicv2::send_sgi(intid, target_list);
    }
    send(
        intid,
        SgiTarget::List {
            affinity3: 0,
            affinity2: 0,
            affinity1: 0,
            target_list,
        },
    );
}

/// Sends an SGI to all CPUs of the cell but this one.
///
/// # Panics
/// On an INTID that is no SGI.
pub fn send_sgi_to_others(intid: IntId) {
    if gicv2::is_there() {
        return gicv2::send_sgi_to_others(intid);
    }
    send(intid, SgiTarget::All);
}

fn send(intid: IntId, target: SgiTarget) {
    GicCpuInterface::send_sgi(intid, target, SgiTargetGroup::CurrentGroup1).expect("INTID");
}
