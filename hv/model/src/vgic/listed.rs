//! Listed delivery: which interrupt is in which list register (IHI 0069, "Virtual interrupt handling and prioritization").
//!
//! One rule: what is in no list register is in the physical interrupt controller, and whole: pending, active and enabled mean
//! there what they mean to the guest. So nothing is queued here. Interrupts that find no room go back there, and the physical
//! mask keeps them there until there is room; those that the guest has active are noted as *parked* meanwhile.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// List registers that are used, where there are as many: every Cortex has four.
pub const MAX_LRS: usize = 4;
/// A physical mask that lets everything through.
pub const OPEN: u8 = 0xff;
/// SGIs have no link to a physical interrupt (IHI 0069, `ICH_LR<n>_EL2.HW`).
const FIRST_LINKED: u16 = 16;

/// A list register (IHI 0069, `ICH_LR<n>_EL2`), of a Group 1 interrupt whose virtual INTID is the physical one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lr(u64);

impl Lr {
    /// Nothing in it.
    pub const EMPTY: Self = Self(0);
    const PENDING: u64 = 1 << 62;
    const ACTIVE: u64 = 1 << 63;
    const LINKED: u64 = 1 << 61;
    const GROUP_1: u64 = 1 << 60;

    /// An interrupt that has come.
    #[inline]
    #[must_use]
    pub const fn pending(intid: u16, priority: u8) -> Self {
        let link = if intid < FIRST_LINKED {
            0
        } else {
            Self::LINKED | (intid as u64) << 32
        };
        Self(Self::PENDING | Self::GROUP_1 | (priority as u64) << 48 | link | intid as u64)
    }

    /// The register's value as it was read.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The value to write.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The interrupt's number.
    #[must_use]
    pub const fn intid(self) -> u16 {
        (self.0 & 0x3ff) as u16
    }

    /// Its priority: the less, the more urgent.
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.0 >> 48 & 0xff) as u8
    }

    /// The guest shall take it.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// The guest has taken it and not deactivated it.
    #[must_use]
    pub const fn is_active(self) -> bool {
        self.0 & Self::ACTIVE != 0
    }

    const fn is_empty(self) -> bool {
        self.0 & (Self::PENDING | Self::ACTIVE) == 0
    }

    const fn is_linked(self) -> bool {
        self.0 & Self::LINKED != 0
    }

    const fn deactivated(self) -> Self {
        Self(self.0 & !Self::ACTIVE)
    }
}

/// Interrupts that a guest has active on a CPU and that are in no list register. They are physically active.
#[derive(Debug)]
pub struct Parked([AtomicU32; 32]);

impl Parked {
    /// Returns none.
    #[must_use]
    pub const fn none() -> Self {
        Self([const { AtomicU32::new(0) }; 32])
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.0.iter().for_each(|word| word.store(0, Relaxed));
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| word.load(Relaxed) == 0)
    }

    fn insert(&self, intid: u16) {
        if let Some(word) = self.0.get(usize::from(intid / 32)) {
            word.store(word.load(Relaxed) | 1 << (intid % 32), Relaxed);
        }
    }

    /// Tells whether it was there.
    fn remove(&self, intid: u16) -> bool {
        self.0.get(usize::from(intid / 32)).is_some_and(|word| {
            let before = word.load(Relaxed);
            word.store(before & !(1 << (intid % 32)), Relaxed);
            before >> (intid % 32) & 1 != 0
        })
    }

    fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        (0..1024).filter(|intid| {
            let word = self.0.get(usize::from(intid / 32));
            word.is_some_and(|word| word.load(Relaxed) >> (intid % 32) & 1 != 0)
        })
    }
}

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
    /// Deactivates it physically.
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
}

/// Puts an interrupt that was acknowledged, and whose priority was dropped, into a list register; or back, when there are more
/// urgent ones in all of them.
pub fn take(gic: &impl Gic, intid: u16) {
    settle_ended(gic);
    let new = Lr::pending(intid, gic.priority(intid));
    let (mut free, mut victim) = (None, None);
    for (index, lr) in lrs(gic) {
        if lr.is_empty() {
            free = Some(index);
        } else if lr.intid() == intid {
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
        put_away(gic, Lr(lr.0 | Lr::PENDING));
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
            gic.set_mask(least);
            gic.set_maintenance(true, has_parked);
        }
        _ => open(gic),
    }
}

fn open(gic: &impl Gic) {
    gic.set_maintenance(false, !gic.parked().is_empty());
    gic.set_mask(OPEN);
}

fn lrs(gic: &impl Gic) -> impl Iterator<Item = (usize, Lr)> {
    (0..gic.count()).map(|index| (index, gic.lr(index)))
}

/// Serves the maintenance interrupt.
pub fn maintain(gic: &impl Gic) {
    settle_ended(gic);
    shut_if_full(gic);
}

/// Deactivates what the guest has ended while it was parked: without split ends, that is always the most urgent active one.
fn settle_ended(gic: &impl Gic) {
    for _ in 0..gic.take_ended() {
        let urgent = gic.parked().iter().min_by_key(|intid| gic.priority(*intid));
        if let (Some(intid), false) = (urgent, gic.splits_end()) {
            gic.parked().remove(intid);
            gic.deactivate(intid);
        }
    }
}

/// Serves a trapped deactivation of one of the guest's interrupts (ICC_DIR_EL1).
pub fn deactivate(gic: &impl Gic, intid: u16) {
    settle_ended(gic);
    if !gic.splits_end() {
        return;
    }
    let here = lrs(gic).find(|(_, lr)| lr.is_active() && lr.intid() == intid);
    if let Some((index, lr)) = here {
        gic.set_lr(index, lr.deactivated());
    }
    gic.parked().remove(intid);
    // Parked ones are physically active, SGIs too; so is one that another CPU of the cell has acknowledged.
    gic.deactivate(intid);
    shut_if_full(gic);
}

/// Empties the list registers, so that an access to the physical controller sees all there is. Returns the active ones.
pub fn fold(gic: &impl Gic) -> [Lr; MAX_LRS] {
    settle_ended(gic);
    let mut active = [Lr::EMPTY; MAX_LRS];
    for ((index, lr), kept) in lrs(gic).zip(&mut active) {
        if !lr.is_empty() {
            move_out(gic, lr);
            gic.set_lr(index, Lr::EMPTY);
        }
        if lr.is_active() {
            *kept = lr;
        }
    }
    active
}

/// Undoes [`fold`] after the access, for those that are still active; the pending ones come by themselves.
pub fn unfold(gic: &impl Gic, active: [Lr; MAX_LRS]) {
    for (index, lr) in active.into_iter().enumerate().take(gic.count()) {
        let stays = lr.is_active() && gic.is_active(lr.intid());
        if stays {
            gic.set_lr(index, lr);
        }
        if stays && !lr.is_linked() {
            gic.deactivate(lr.intid());
        }
    }
    for intid in gic.parked().iter().filter(|intid| !gic.is_active(*intid)) {
        gic.parked().remove(intid);
    }
    open(gic);
}
