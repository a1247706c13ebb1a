//! Listed delivery: which interrupt is in which list register (IHI 0069, "Virtual interrupt handling and prioritization"; IHI
//! 0048, "Virtual interrupt support").
//!
//! One rule: what is in no list register is in the physical interrupt controller, and whole: pending, active and enabled mean
//! there what they mean to the guest. So nothing is queued here. Interrupts that find no room go back there, and the physical
//! mask keeps them there until there is room; those that the guest has active are noted as *parked* meanwhile. The SGIs of a
//! GICv2 have a controller of their own for that ([`Parked`]).

mod lr;
mod parked;

pub use lr::Lr;
pub use parked::Parked;

/// List registers that are used, where there are as many: every Cortex has four.
pub const MAX_LRS: usize = 4;
/// A physical mask that lets everything through.
pub const OPEN: u8 = 0xff;
/// The CPU interface at hand, virtual and physical, and the distributor behind it.
pub trait Gic {
    /// Number of list registers to use, at most [`MAX_LRS`].
    fn count(&self) -> usize;
    /// Reads one.
    fn lr(&self, index: usize) -> Lr;
    /// Writes one.
    fn set_lr(&self, index: usize, lr: Lr);
    /// What was parked on this CPU.
    fn parked(&self) -> &Parked;
    /// Priority of an interrupt, as the guest has set it.
    fn priority(&self, intid: u16) -> u8;
    /// Tells whether it is physically active.
    fn is_active(&self, intid: u16) -> bool;
    /// Makes it physically pending.
    fn set_pending(&self, intid: u16);
    /// Makes it physically active.
    fn set_active(&self, intid: u16);
    /// Deactivates it physically. SGIs that are not active are none the worse.
    fn deactivate(&self, intid: u16);
    /// Lets only physical interrupts more urgent than this through.
    fn set_mask(&self, priority: u8);
    /// Asks for a maintenance interrupt when no list register is pending any more (`is_full`), and when the guest ends an
    /// interrupt that is in none (`has_parked`); then its deactivations trap, too.
    fn set_maintenance(&self, is_full: bool, has_parked: bool);
    /// Takes the number of interrupts that the guest ended and that were in no list register.
    fn take_ended(&self) -> u32;
    /// Tells whether the guest deactivates interrupts by a write of their own (EOImode 1).
    fn splits_end(&self) -> bool;
    /// It is a GICv2: SGIs are in what was parked, and nothing else is asked about them.
    fn parks_sgis(&self) -> bool;
    /// Lets the maintenance interrupt of a list register through that gives notice of its end.
    fn expect_notice(&self);
}

/// It is an SGI of a GICv2.
fn is_sgi(gic: &impl Gic, intid: u16) -> bool {
    intid < 16 && gic.parks_sgis()
}

fn is_active(gic: &impl Gic, intid: u16) -> bool {
    if is_sgi(gic, intid) {
        gic.parked().contains(intid)
    } else {
        gic.is_active(intid)
    }
}

fn priority(gic: &impl Gic, intid: u16) -> u8 {
    if is_sgi(gic, intid) {
        gic.parked().sgi(intid).1
    } else {
        gic.priority(intid)
    }
}

fn set_mask(gic: &impl Gic, priority: u8) {
    gic.parked().set_mask(priority);
    gic.set_mask(priority);
}

/// Puts an interrupt that was acknowledged, and whose priority was dropped, into a list register; or back, when there are more
/// urgent ones in all of them. `sources` are the CPUs of the cell that an SGI of a GICv2 is from.
pub fn take(gic: &impl Gic, intid: u16, sources: u8) {
    settle_ended(gic);
    if is_sgi(gic, intid) {
        gic.parked().add_sources(intid, sources);
        shut_if_full(gic);
    } else {
        place(gic, Lr::pending(intid, gic.priority(intid)));
    }
    take_sgis(gic);
}

/// Puts SGIs of a GICv2 into list registers as far as they may come. One that is in one already stays where it is until that is
/// done with, as no two list registers have the same number (IHI 0048, `GICH_LR<n>.VirtualID`); the end gives notice.
fn take_sgis(gic: &impl Gic) {
    if !gic.parks_sgis() {
        return;
    }
    let parked = gic.parked();
    for intid in parked.waiting_sgis() {
        let (sources, priority) = parked.sgi(intid);
        let here = lrs(gic).find(|(_, lr)| !lr.is_empty() && lr.intid() == intid);
        if let Some((index, lr)) = here {
            if lr.is_pending() {
                parked.remove_source(intid, lr.source()); // the same once more
            }
            gic.set_lr(index, with_notice(gic, lr));
        } else if parked.passes(priority) {
            let source = (sources.trailing_zeros() & 7) as u8;
            parked.remove_source(intid, source);
            let from = intid | u16::from(source) << lr::SOURCE_SHIFT;
            place(gic, with_notice(gic, Lr::pending(from, priority)));
        }
    }
}

/// The list register that an SGI gets while others of its number wait, if any do.
fn with_notice(gic: &impl Gic, lr: Lr) -> Lr {
    if gic.parked().sgi(lr.intid()).0 == 0 {
        return lr;
    }
    gic.expect_notice();
    lr.with_notice()
}

fn place(gic: &impl Gic, new: Lr) {
    let (mut free, mut victim) = (None, None);
    for (index, lr) in lrs(gic) {
        if lr.is_empty() {
            free = Some(index);
        } else if lr.intid() == new.intid() {
            return again(gic, index, lr, new);
        } else if victim.is_none_or(|(_, other)| rank(lr) > rank(other)) {
            victim = Some((index, lr));
        }
    }
    match (free, victim) {
        (Some(index), _) => gic.set_lr(index, new),
        (None, Some((_, lr))) if !lr.is_active() && lr.priority() <= new.priority() => {
            put_away(gic, new)
        }
        (None, Some((index, lr))) => {
            put_away(gic, lr);
            gic.set_lr(index, new);
        }
        (None, None) => {}
    }
    shut_if_full(gic);
}

/// An interrupt came that is in a list register already: a linked one, when its deactivation went past this CPU; or an SGI. One
/// that is active waits in the physical controller, as everywhere: no list register is pending and active.
fn again(gic: &impl Gic, index: usize, lr: Lr, new: Lr) {
    if lr.is_linked() {
        gic.set_lr(index, new);
    } else if lr.is_active() {
        put_away(gic, lr.made_pending());
        gic.set_lr(index, Lr::EMPTY);
        shut_if_full(gic);
    }
}

/// The higher, the sooner it has to make room: first the least urgent pending one, last the most urgent active one.
fn rank(lr: Lr) -> (bool, u8) {
    (!lr.is_active(), lr.priority())
}

/// What is out of the list registers, pending, is back in the physical controller; what is active is parked.
fn put_away(gic: &impl Gic, lr: Lr) {
    move_out(gic, lr);
    if lr.is_active() {
        gic.parked().insert(lr.intid());
    }
}

/// Makes the physical state that of the list register.
fn move_out(gic: &impl Gic, lr: Lr) {
    let intid = lr.intid();
    if is_sgi(gic, intid) {
        if lr.is_active() {
            gic.parked().insert(intid);
        }
        if lr.is_pending() {
            gic.parked().add_sources(intid, 1 << lr.source());
        }
        return;
    }
    if lr.is_active() && !lr.is_linked() {
        gic.set_active(intid);
    }
    if lr.is_pending() {
        gic.set_pending(intid);
    }
    if !lr.is_active() && lr.is_linked() {
        gic.deactivate(intid);
    }
}

/// With all list registers in use: only what is more urgent than one of them may come, until none of them is pending.
fn shut_if_full(gic: &impl Gic) {
    let has_parked = !gic.parked().is_empty();
    let waiting = lrs(gic).filter(|(_, lr)| lr.is_pending());
    match waiting.map(|(_, lr)| lr.priority()).max() {
        Some(least) if lrs(gic).all(|(_, lr)| !lr.is_empty()) => {
            set_mask(gic, least);
            gic.set_maintenance(true, has_parked);
        }
        _ => open(gic),
    }
}

/// Lets everything through: nothing is in a list register but what the guest is in.
pub fn open(gic: &impl Gic) {
    gic.set_maintenance(false, !gic.parked().is_empty());
    set_mask(gic, OPEN);
}

fn lrs(gic: &impl Gic) -> impl Iterator<Item = (usize, Lr)> {
    (0..gic.count()).map(|index| (index, gic.lr(index)))
}

/// Serves the maintenance interrupt.
pub fn maintain(gic: &impl Gic) {
    settle_ended(gic);
    for (index, _) in lrs(gic).filter(|(_, lr)| lr.gives_notice()) {
        gic.set_lr(index, Lr::EMPTY);
    }
    shut_if_full(gic);
    take_sgis(gic);
}

/// Deactivates what the guest has ended while it was parked: without split ends, that is always the most urgent active one.
fn settle_ended(gic: &impl Gic) {
    for _ in 0..gic.take_ended() {
        let urgent = gic
            .parked()
            .iter()
            .min_by_key(|intid| priority(gic, *intid));
        if let (Some(intid), false) = (urgent, gic.splits_end()) {
            gic.parked().remove(intid);
            gic.deactivate(intid);
        }
    }
}

/// Serves a trapped deactivation of one of the guest's interrupts (ICC_DIR_EL1, GICV_DIR).
pub fn deactivate(gic: &impl Gic, intid: u16) {
    settle_ended(gic);
    if !gic.splits_end() {
        return;
    }
    let here = lrs(gic).find(|(_, lr)| lr.is_active() && lr.intid() == intid);
    if let Some((index, _)) = here {
        gic.set_lr(index, Lr::EMPTY);
    }
    gic.parked().remove(intid);
    // Parked ones are physically active, SGIs too; so is one that another CPU of the cell has acknowledged.
    gic.deactivate(intid);
    shut_if_full(gic);
    take_sgis(gic);
}

/// Makes the physical controller have what is in list registers, so that an access to it sees all there is. None of them is
/// pending then.
pub fn fold(gic: &impl Gic) {
    settle_ended(gic);
    for (index, lr) in lrs(gic).filter(|(_, lr)| !lr.is_empty()) {
        move_out(gic, lr);
        if !lr.is_active() {
            gic.set_lr(index, Lr::EMPTY);
        }
    }
}

/// Undoes [`fold`] after the access, for those that are still active; the pending ones come by themselves.
pub fn unfold(gic: &impl Gic) {
    for (index, lr) in lrs(gic).filter(|(_, lr)| lr.is_active()) {
        let intid = lr.intid();
        if !is_active(gic, intid) {
            gic.set_lr(index, Lr::EMPTY);
        } else if !lr.is_linked() {
            gic.parked().remove(intid);
            gic.deactivate(intid);
        }
    }
    for intid in gic.parked().iter().filter(|intid| !is_active(gic, *intid)) {
        gic.parked().remove(intid);
    }
    open(gic);
    take_sgis(gic);
}
