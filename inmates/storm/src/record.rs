//! What the handler saw, and what it does while it serves: it may raise others and let them in.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use critical_section::Mutex;
use inmate_rt::lines::{Bits, Lines};
use inmate_rt::{IntId, cpu, icc};

use crate::COUNT;

/// INTIDs in the order of something.
pub struct Record {
    entries: [AtomicU32; 2 * COUNT],
    used: AtomicUsize,
}

impl Record {
    const fn new() -> Self {
        Self {
            entries: [const { AtomicU32::new(0) }; 2 * COUNT],
            used: AtomicUsize::new(0),
        }
    }

    fn push(&self, intid: IntId) {
        let index = self.used.fetch_add(1, Ordering::Relaxed);
        if let Some(entry) = self.entries.get(index) {
            entry.store(intid.raw_value(), Ordering::Relaxed);
        }
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Tells whether these and no others were there, in this order.
    pub fn is(&self, wanted: impl ExactSizeIterator<Item = IntId>) -> bool {
        self.len() == wanted.len()
            && self
                .entries
                .iter()
                .zip(wanted)
                .all(|(entry, wanted)| entry.load(Ordering::Relaxed) == wanted.raw_value())
    }
}

/// Handlers begun, and ended.
pub static BEGUN: Record = Record::new();
pub static ENDED: Record = Record::new();
/// Handlers that ran at another priority than their interrupt's.
pub static ASTRAY: AtomicU32 = AtomicU32::new(0);

/// What handlers do beside noting that they ran.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Where priorities were set.
    pub lines: Lines,
    /// The interrupts: the handler of each raises the next one and lets it in, up to the last of the chain, ...
    pub chain: [IntId; COUNT],
    /// ... which raises all that are left. As many as are in the chain; 0: handlers raise nothing.
    pub chained: usize,
}

static PLAN: Mutex<Cell<Option<Plan>>> = Mutex::new(Cell::new(None));

/// Forgets what was noted; from now on handlers follow that plan.
pub fn begin(plan: Plan) {
    critical_section::with(|section| PLAN.borrow(section).set(Some(plan)));
    BEGUN.used.store(0, Ordering::Relaxed);
    ENDED.used.store(0, Ordering::Relaxed);
    ASTRAY.store(0, Ordering::Relaxed);
}

/// Priority of the interrupt with that index in the chain of a plan, in steps that group priorities keep apart.
pub fn chain_priority(index: usize, chained: usize) -> u8 {
    /// Each is more urgent than the one before.
    const INNER: [u8; 13] = [
        0xd0, 0xc0, 0xb0, 0xa0, 0x90, 0x80, 0x70, 0x60, 0x50, 0x40, 0x30, 0x20, 0x10,
    ];
    /// Less urgent than all of those.
    const OUTER: [u8; 3] = [0xd8, 0xe0, 0xf0];
    let priority = match index.checked_sub(chained) {
        None => INNER.get(index),
        Some(rest) => OUTER.get(rest),
    };
    *priority.expect("13 within each other, 3 after them")
}

pub fn on_interrupt(intid: IntId) {
    BEGUN.push(intid);
    let plan = critical_section::with(|section| PLAN.borrow(section).get());
    let place = plan.and_then(|plan| {
        let index = plan.chain.iter().position(|other| *other == intid)?;
        (plan.chained > 0).then_some((plan, index))
    });
    if let Some((plan, index)) = place {
        let priority = chain_priority(index, plan.chained);
        if icc::Rpr::get() & 0xf0 != u64::from(priority & 0xf0) {
            ASTRAY.fetch_add(1, Ordering::Relaxed);
        }
        let raised = match index + 1 {
            next if next < plan.chained => next..next + 1,
            next if next == plan.chained => next..COUNT,
            _ => 0..0,
        };
        for other in &plan.chain[raised] {
            plan.lines.set(*other, Bits::Pend);
        }
        cpu::unmask_interrupts();
        settle();
        cpu::mask_interrupts();
    }
    ENDED.push(intid);
}

/// Gives what was raised the time to come.
pub fn settle() {
    (0..100).for_each(|_| cpu::relax());
}
