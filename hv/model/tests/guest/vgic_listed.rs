//! Listed delivery against a controller that has all state in one place: whatever the guest does, it is given the same.

use bulkhead_model::vgic::listed::{self, Gic, Lr, OPEN, Parked};
use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::Config;
use std::cell::{Cell, RefCell};

/// Interrupts of the world: SGIs, PPIs, SPIs.
const INTIDS: [u16; 12] = [0, 1, 2, 3, 27, 30, 32, 33, 34, 35, 36, 63];
const IDLE: u8 = 0xff;

/// One interrupt, in the physical controller or in the ideal one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct State {
    is_enabled: bool,
    /// From whom it is pending: an SGI of a GICv2 from any of eight CPUs, others from the first, so to speak.
    sources: u8,
    is_active: bool,
    priority: u8,
}

/// What the guest of either sees: its mask, what it is in the middle of, how it ends interrupts.
#[derive(Clone, Debug)]
struct Guest {
    mask: u8,
    running: Vec<u8>,
    splits_end: bool,
}

impl Guest {
    fn takes(&self, priority: u8) -> bool {
        priority < self.mask && priority < self.running.last().copied().unwrap_or(IDLE)
    }
}

/// The physical controller, the list registers, and EL2's settings of them.
struct World {
    physical: RefCell<[State; 64]>,
    mask: Cell<u8>,
    lrs: RefCell<Vec<Lr>>,
    parked: Parked,
    is_full: Cell<bool>,
    has_parked: Cell<bool>,
    ended: Cell<u32>,
    guest: Guest,
    /// It is a GICv2.
    is_v2: bool,
    /// The maintenance interrupt is on.
    expects_notice: Cell<bool>,
}

impl Gic for World {
    fn count(&self) -> usize {
        self.lrs.borrow().len()
    }
    fn lr(&self, index: usize) -> Lr {
        self.lrs.borrow()[index]
    }
    fn set_lr(&self, index: usize, lr: Lr) {
        let kept = if self.is_v2 {
            Lr::from_v2(lr.to_v2())
        } else {
            lr
        };
        let but_group = |lr: Lr| lr.bits() & !(1 << 60);
        assert_eq!(but_group(kept), but_group(lr));
        self.lrs.borrow_mut()[index] = kept;
    }
    fn parked(&self) -> &Parked {
        &self.parked
    }
    fn priority(&self, intid: u16) -> u8 {
        assert!(!self.is_sgi_of_v2(intid));
        self.physical.borrow()[usize::from(intid)].priority
    }
    fn is_active(&self, intid: u16) -> bool {
        assert!(!self.is_sgi_of_v2(intid));
        self.physical.borrow()[usize::from(intid)].is_active
    }
    fn set_pending(&self, intid: u16) {
        assert!(!self.is_sgi_of_v2(intid));
        self.physical.borrow_mut()[usize::from(intid)].sources = 1;
    }
    fn set_active(&self, intid: u16) {
        assert!(!self.is_sgi_of_v2(intid));
        self.physical.borrow_mut()[usize::from(intid)].is_active = true;
    }
    fn deactivate(&self, intid: u16) {
        self.physical.borrow_mut()[usize::from(intid)].is_active = false;
    }
    fn set_mask(&self, priority: u8) {
        self.mask.set(priority);
    }
    fn set_maintenance(&self, is_full: bool, has_parked: bool) {
        self.is_full.set(is_full);
        self.has_parked.set(has_parked);
        self.ended.set(0);
    }
    fn take_ended(&self) -> u32 {
        self.ended.take()
    }
    fn splits_end(&self) -> bool {
        self.guest.splits_end
    }
    fn parks_sgis(&self) -> bool {
        self.is_v2
    }
    fn expect_notice(&self) {
        self.expects_notice.set(true);
    }
}

fn is_free(lr: Lr) -> bool {
    !lr.is_pending() && !lr.is_active()
}

impl World {
    fn new(count: usize, states: [State; 64], splits_end: bool, is_v2: bool) -> Self {
        let world = Self {
            physical: RefCell::new(states),
            mask: Cell::new(OPEN),
            lrs: RefCell::new(vec![Lr::EMPTY; count]),
            parked: Parked::none(),
            is_full: Cell::new(false),
            has_parked: Cell::new(false),
            ended: Cell::new(0),
            guest: Guest {
                mask: IDLE,
                running: Vec::new(),
                splits_end,
            },
            is_v2,
            expects_notice: Cell::new(false),
        };
        world.hide_sgis();
        listed::fold(&world);
        listed::unfold(&world);
        world
    }

    fn is_sgi_of_v2(&self, intid: u16) -> bool {
        intid < 16 && self.is_v2
    }

    /// Makes the physical SGIs of a GICv2 what the guest is to see of them.
    fn show_sgis(&self) {
        let mut physical = self.physical.borrow_mut();
        for (intid, state) in (0..16).zip(physical.iter_mut()).filter(|_| self.is_v2) {
            let (sources, priority) = self.parked.sgi(intid);
            state.sources |= sources;
            state.priority = priority;
            state.is_active = self.parked.active_sgis() >> intid & 1 != 0;
        }
    }

    /// Undoes [`Self::show_sgis`].
    fn hide_sgis(&self) {
        let mut active = 0;
        let mut physical = self.physical.borrow_mut();
        for (intid, state) in (0..16).zip(physical.iter_mut()).filter(|_| self.is_v2) {
            self.parked.set_sgi(intid, state.sources, state.priority);
            active |= u32::from(state.is_active) << intid;
            (state.sources, state.priority, state.is_active) = (0, 0, false);
        }
        if self.is_v2 {
            self.parked.set_active_sgis(active);
        }
    }

    /// What the guest would see, with nothing in list registers.
    fn seen(&self) -> [State; 64] {
        self.show_sgis();
        let seen = *self.physical.borrow();
        self.hide_sgis();
        seen
    }

    /// EL2 takes interrupts until there is none.
    fn settle(&self) {
        for round in 0.. {
            assert!(round < 1000, "EL2 never gets out of it");
            if self.wants_maintenance() {
                listed::maintain(self);
                continue;
            }
            let Some(intid) = best(&self.physical.borrow(), |priority| {
                priority < self.mask.get()
            }) else {
                break;
            };
            let mut physical = self.physical.borrow_mut();
            let sources = std::mem::take(&mut physical[usize::from(intid)].sources);
            physical[usize::from(intid)].is_active = intid >= 16;
            drop(physical);
            listed::take(self, intid, sources);
        }
        let lrs = self.lrs.borrow();
        for (index, lr) in lrs.iter().enumerate().filter(|(_, lr)| !is_free(**lr)) {
            assert!(!lr.is_pending() || !lr.is_active(), "{lrs:?}");
            let same = |other: &&Lr| !is_free(**other) && other.intid() == lr.intid();
            assert!(
                !lrs[index + 1..].iter().any(|other| same(&other)),
                "{lrs:?}"
            );
        }
    }

    fn wants_maintenance(&self) -> bool {
        let lrs = self.lrs.borrow();
        let is_waiting = lrs.iter().any(|lr| lr.is_pending() && !lr.is_active());
        let is_noticed = lrs
            .iter()
            .any(|lr| is_free(*lr) && lr.bits() >> 61 & 1 == 0 && lr.bits() >> 41 & 1 != 0);
        self.is_full.get() && !is_waiting
            || self.has_parked.get() && self.ended.get() > 0
            || self.expects_notice.get() && is_noticed
    }

    /// ICC_IAR1_EL1, or GICV_IAR: which one, and from whom.
    fn acknowledge(&mut self) -> Option<(u16, u8)> {
        let mut lrs = self.lrs.borrow_mut();
        let waiting = lrs
            .iter_mut()
            .filter(|lr| lr.is_pending() && !lr.is_active());
        let lr = waiting.min_by_key(|lr| lr.priority())?;
        if !self.guest.takes(lr.priority()) {
            return None;
        }
        *lr = Lr::from_bits(lr.bits() ^ (0b11 << 62));
        self.guest.running.push(lr.priority());
        let source = if self.is_sgi_of_v2(lr.intid()) {
            (lr.bits() >> 32 & 7) as u8
        } else {
            0
        };
        Some((lr.intid(), source))
    }

    fn active_lr(&self, intid: u16) -> Option<usize> {
        let lrs = self.lrs.borrow();
        lrs.iter()
            .position(|lr| lr.is_active() && lr.intid() == intid)
    }

    fn deactivate_lr(&self, index: usize) {
        let mut lrs = self.lrs.borrow_mut();
        let lr = lrs[index];
        if lr.bits() >> 61 & 1 != 0 {
            Gic::deactivate(self, lr.intid());
        }
        lrs[index] = Lr::from_bits(lr.bits() & !(1 << 63));
    }

    /// ICC_EOIR1_EL1.
    fn end(&mut self, intid: u16) {
        let dropped = self.guest.running.pop();
        match self.active_lr(intid) {
            None => self.ended.set(self.ended.get() + 1),
            Some(index) if !self.guest.splits_end => {
                assert_eq!(Some(self.lrs.borrow()[index].priority()), dropped);
                self.deactivate_lr(index);
            }
            Some(_) => {}
        }
    }

    /// ICC_DIR_EL1.
    fn deactivate_by_guest(&self, intid: u16) {
        if self.has_parked.get() || self.is_v2 {
            listed::deactivate(self, intid);
        } else if let (Some(index), true) = (self.active_lr(intid), self.guest.splits_end) {
            self.deactivate_lr(index);
        }
    }

    /// An access of the guest to the controller's registers.
    fn access(&self, change: impl FnOnce(&mut [State; 64])) {
        listed::fold(self);
        self.show_sgis();
        change(&mut self.physical.borrow_mut());
        self.hide_sgis();
        self.expects_notice.set(false); // the guest may have turned it off
        listed::unfold(self);
    }
}

fn best(states: &[State; 64], passes: impl Fn(u8) -> bool) -> Option<u16> {
    let ready = |state: &State| {
        state.is_enabled && state.sources != 0 && !state.is_active && passes(state.priority)
    };
    let intids = INTIDS
        .into_iter()
        .filter(|intid| ready(&states[usize::from(*intid)]));
    intids.min_by_key(|intid| states[usize::from(*intid)].priority)
}

/// What happens: `n` chooses among the interrupts, or among those for which it can happen.
#[derive(Clone, Copy, Debug)]
enum Event {
    Raise(usize, u8),
    Acknowledge,
    End,
    Deactivate(usize),
    Mask(u8),
    Enable(usize, bool),
    SetPending(usize, bool),
    ClearActive(usize),
    Priority(usize, u8),
    Read,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let n = 0..INTIDS.len();
    vec(
        prop_oneof![
            8 => (n.clone(), 0..8_u8).prop_map(|(n, from)| Event::Raise(n, from)),
            8 => Just(Event::Acknowledge),
            4 => Just(Event::End),
            3 => n.clone().prop_map(Event::Deactivate),
            1 => (0..9_u8).prop_map(Event::Mask),
            1 => (n.clone(), any::<bool>()).prop_map(|(n, on)| Event::Enable(n, on)),
            1 => (n.clone(), any::<bool>()).prop_map(|(n, on)| Event::SetPending(n, on)),
            1 => n.clone().prop_map(Event::ClearActive),
            1 => (n, 0..8_u8).prop_map(|(n, level)| Event::Priority(n, level)),
            1 => Just(Event::Read),
        ],
        1..120,
    )
}

/// The world, and beside it the ideal controller with its guest, and what the guest has not ended or deactivated yet.
struct Pair {
    world: World,
    ideal: [State; 64],
    nested: Vec<u16>,
    ended: Vec<u16>,
}

impl Pair {
    fn new(count: usize, splits_end: bool, is_v2: bool) -> Self {
        let mut states = [State::default(); 64];
        for (n, intid) in (0..).zip(INTIDS) {
            states[usize::from(intid)] = State {
                is_enabled: true,
                priority: 0x10 + 0x10 * (n * 7 % 8),
                ..State::default()
            };
        }
        Self {
            world: World::new(count, states, splits_end, is_v2),
            ideal: states,
            nested: Vec::new(),
            ended: Vec::new(),
        }
    }

    fn both(&mut self, change: impl Fn(&mut [State; 64])) {
        self.world.access(&change);
        change(&mut self.ideal);
    }

    fn apply(&mut self, event: Event) {
        match event {
            // What comes again before the guest has taken it may be taken twice: the second waits behind the list register.
            Event::Raise(n, _)
                if self.ideal[usize::from(INTIDS[n])].sources != 0
                    && !self.world.is_sgi_of_v2(INTIDS[n]) => {}
            Event::Raise(n, from) => {
                let bit = self.bit(n, from);
                let intid = usize::from(INTIDS[n]);
                self.world.physical.borrow_mut()[intid].sources |= bit;
                self.ideal[intid].sources |= bit;
            }
            Event::Acknowledge => self.acknowledge(),
            Event::End => self.end(),
            Event::Deactivate(n) if !self.ended.is_empty() => {
                let intid = self.ended.remove(n % self.ended.len());
                self.world.deactivate_by_guest(intid);
                self.ideal[usize::from(intid)].is_active = false;
            }
            Event::Deactivate(_) => {}
            Event::Mask(level) => {
                self.world.guest.mask = if level == 8 { IDLE } else { 0x20 * level }
            }
            // Those of a GICv2 are always enabled.
            Event::Enable(n, _) if self.world.is_sgi_of_v2(INTIDS[n]) => {}
            Event::Enable(n, on) => self.both(|s| s[usize::from(INTIDS[n])].is_enabled = on),
            Event::SetPending(n, on) => {
                let sources = if on { self.bit(n, 5) } else { 0 };
                self.both(|s| s[usize::from(INTIDS[n])].sources = sources);
            }
            Event::ClearActive(n) if self.ended.contains(&INTIDS[n]) => {
                self.ended.retain(|intid| *intid != INTIDS[n]);
                self.both(|s| s[usize::from(INTIDS[n])].is_active = false);
            }
            Event::ClearActive(_) => {}
            Event::Priority(n, level) if !self.ideal[usize::from(INTIDS[n])].is_active => {
                self.both(|s| s[usize::from(INTIDS[n])].priority = 0x10 + 0x10 * level);
            }
            Event::Priority(..) => {}
            Event::Read => {
                let ideal = self.ideal;
                self.world.access(|physical| assert_eq!(*physical, ideal));
            }
        }
        self.world.settle();
    }

    /// Who sends it, if there is a choice.
    fn bit(&self, n: usize, from: u8) -> u8 {
        if self.world.is_sgi_of_v2(INTIDS[n]) {
            1 << from
        } else {
            1
        }
    }

    fn acknowledge(&mut self) {
        let wanted = best(&self.ideal, |priority| self.world.guest.takes(priority));
        let taken = self.world.acknowledge();
        assert_eq!(taken.is_some(), wanted.is_some(), "{taken:?} {wanted:?}");
        if let (Some((taken, source)), Some(wanted)) = (taken, wanted) {
            let wanted = self.ideal[usize::from(wanted)];
            let state = &mut self.ideal[usize::from(taken)];
            assert!(state.is_enabled && state.sources >> source & 1 != 0 && !state.is_active);
            assert_eq!(state.priority, wanted.priority);
            state.sources &= !(1 << source);
            state.is_active = true;
            self.nested.push(taken);
        }
    }

    fn end(&mut self) {
        if let Some(intid) = self.nested.pop() {
            self.world.end(intid);
            if self.world.guest.splits_end {
                self.ended.push(intid);
            } else {
                self.ideal[usize::from(intid)].is_active = false;
            }
        }
    }

    /// Ends all that is under way, then takes all that is pending: nothing is left anywhere.
    fn drain(&mut self) {
        self.world.guest.mask = IDLE;
        loop {
            while !self.nested.is_empty() {
                self.apply(Event::End);
            }
            while !self.ended.is_empty() {
                self.apply(Event::Deactivate(0));
            }
            self.apply(Event::Acknowledge);
            if self.nested.is_empty() {
                break;
            }
        }
        assert!(self.world.lrs.borrow().iter().all(|lr| is_free(*lr)));
        assert_eq!(self.world.seen(), self.ideal);
        assert!(!self.ideal.iter().any(|state| state.is_active));
        self.apply(Event::Read);
    }
}

proptest! {
    #![proptest_config(Config::with_cases(800))]
    #[test]
    fn the_guest_sees_no_list_registers(
        events in events(), count in 1..=4_usize, splits_end in any::<bool>(), is_v2 in any::<bool>()
    ) {
        let mut pair = Pair::new(count, splits_end, is_v2);
        for event in events {
            pair.apply(event);
        }
        pair.drain();
    }
}

/// Sixteen at once, in every rotation of priorities, each preempting the ones before as far as it may.
#[test]
fn a_storm_is_served_by_priority() {
    for (count, splits_end, is_nested, is_v2) in [1, 2, 3, 4]
        .into_iter()
        .flat_map(|count| [(count, false), (count, true)])
        .flat_map(|(count, splits)| [(count, splits, false), (count, splits, true)])
        .flat_map(|(count, splits, nested)| {
            [
                (count, splits, nested, false),
                (count, splits, nested, true),
            ]
        })
    {
        let mut pair = Pair::new(count, splits_end, is_v2);
        for n in 0..INTIDS.len() {
            pair.apply(Event::Raise(n, 0));
            if is_nested {
                pair.apply(Event::Acknowledge);
            }
        }
        let mut last = 0;
        loop {
            while let Some(intid) = pair.nested.last() {
                last = last.max(pair.ideal[usize::from(*intid)].priority);
                pair.apply(Event::End);
            }
            pair.apply(Event::Deactivate(0));
            pair.apply(Event::Acknowledge);
            let Some(intid) = pair.nested.last() else {
                break;
            };
            let priority = pair.ideal[usize::from(*intid)].priority;
            assert!(
                is_nested || priority >= last,
                "{priority:#x} after {last:#x}"
            );
        }
        pair.drain();
    }
}
