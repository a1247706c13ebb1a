//! The checks: all at once, one within the other, and none again before it is deactivated.

use core::sync::atomic::Ordering;

use inmate_rt::gic::{self, End};
use inmate_rt::lines::{Bits, Lines};
use inmate_rt::{IntId, Tree, cpu, icc};

use crate::COUNT;
use crate::record::{self, ASTRAY, BEGUN, ENDED, Plan, settle};

/// What keeps interrupts out.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mask {
    /// PSTATE.I.
    Daif,
    /// ICC_PMR_EL1.
    Pmr,
    /// ICC_IGRPEN1_EL1.
    Group,
}

impl Mask {
    fn close(self) {
        match self {
            Self::Daif => cpu::mask_interrupts(),
            Self::Pmr => icc::Pmr::set(0),
            Self::Group => icc::Igrpen1::set(0),
        }
        if self != Self::Daif {
            cpu::unmask_interrupts();
        }
    }

    fn open(self) {
        match self {
            Self::Daif => {}
            Self::Pmr => icc::Pmr::set(0xff),
            Self::Group => icc::Igrpen1::set(1),
        }
        cpu::unmask_interrupts();
        settle();
        cpu::mask_interrupts();
    }
}

/// How many handlers run within each other; the others come after them.
const CHAINED: usize = 13;
/// Priorities of the storm go from there by such steps.
const FIRST_PRIORITY: usize = 0x10;
const STEP: usize = 8;

/// Makes all checks; returns what was wrong.
pub fn all(tree: &Tree, ids: &[IntId; COUNT], end: End, mask: Mask) -> Result<(), &'static str> {
    let lines = Lines::new(tree);
    cpu::mask_interrupts();
    gic::set_end(end);
    in_order(lines, ids, mask)?;
    nested(lines, ids, mask)?;
    if end == End::Split {
        held(lines, ids, mask)?;
    }
    ensure(icc::Rpr::get() >= 0xf8, "a priority is still running")?;
    let is_left =
        |line: &IntId| lines.is_set(*line, Bits::Activate) || lines.is_set(*line, Bits::Pend);
    ensure(
        !ids.iter().any(is_left),
        "an interrupt is still active or pending",
    )
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}

/// Ranks the interrupts in another order than that of their numbers.
const fn rank(index: usize) -> usize {
    (index * 7 + 3) % COUNT
}

/// All pending at once, each with a priority of its own.
fn in_order(lines: Lines, ids: &[IntId; COUNT], mask: Mask) -> Result<(), &'static str> {
    let mut wanted = *ids;
    for (index, line) in ids.iter().enumerate() {
        let priority = u8::try_from(FIRST_PRIORITY + STEP * rank(index)).unwrap_or(u8::MAX);
        lines.set_priority(*line, priority);
        wanted[rank(index)] = *line;
    }
    record::begin(Plan {
        lines,
        chain: *ids,
        chained: 0,
    });
    mask.close();
    ids.iter().for_each(|line| lines.set(*line, Bits::Pend));
    settle();
    ensure(BEGUN.len() == 0, "served while masked")?;
    ensure(
        ids.iter().all(|line| lines.is_set(*line, Bits::Pend)),
        "not all are pending while masked",
    )?;
    if mask == Mask::Pmr {
        let half = COUNT / 2;
        icc::Pmr::set((FIRST_PRIORITY + STEP * half) as u64);
        settle();
        let urgent = wanted.iter().take(half).copied();
        ensure(BEGUN.is(urgent), "PMR halfway: not the more urgent half")?;
    }
    mask.open();
    ensure(
        BEGUN.is(wanted.into_iter()),
        "not in the order of priorities",
    )
}

/// Each handler raises a more urgent one and lets it in; the last one raises less urgent ones.
fn nested(lines: Lines, ids: &[IntId; COUNT], mask: Mask) -> Result<(), &'static str> {
    for (index, line) in ids.iter().enumerate() {
        lines.set_priority(*line, record::chain_priority(index, CHAINED));
    }
    record::begin(Plan {
        lines,
        chain: *ids,
        chained: CHAINED,
    });
    mask.close();
    lines.set(ids[0], Bits::Pend);
    settle();
    ensure(BEGUN.len() == 0, "served while masked")?;
    mask.open();
    let (inner, outer) = (ids[..CHAINED].iter().copied(), &ids[CHAINED..]);
    ensure(BEGUN.len() == COUNT, "nested: not all were served")?;
    ensure(
        BEGUN.is(ids.iter().copied()),
        "nested: begun in another order",
    )?;
    let mut ended = [ids[0]; COUNT];
    let order = inner.rev().chain(outer.iter().copied());
    ended
        .iter_mut()
        .zip(order)
        .for_each(|(to, from)| *to = from);
    ensure(
        ENDED.is(ended.into_iter()),
        "nested: ended in another order",
    )?;
    ensure(
        ASTRAY.load(Ordering::Relaxed) == 0,
        "nested: another running priority",
    )
}

/// An interrupt whose priority was dropped, but which is active, does not come again; once deactivated it does.
fn held(lines: Lines, ids: &[IntId; COUNT], mask: Mask) -> Result<(), &'static str> {
    record::begin(Plan {
        lines,
        chain: *ids,
        chained: 0,
    });
    gic::set_end(End::Dropped);
    mask.close();
    lines.set(ids[0], Bits::Pend);
    mask.open();
    ensure(BEGUN.len() == 1, "held: not served once")?;
    ensure(lines.is_set(ids[0], Bits::Activate), "held: not active")?;
    lines.set(ids[0], Bits::Pend);
    lines.set(ids[1], Bits::Pend);
    mask.open();
    let both = [ids[0], ids[1]];
    ensure(BEGUN.is(both.into_iter()), "held: not the other one alone")?;
    gic::deactivate(ids[0]);
    gic::deactivate(ids[1]);
    mask.open();
    ensure(BEGUN.len() == 3, "held: not served after its deactivation")?;
    gic::deactivate(ids[0]);
    gic::set_end(End::Split);
    Ok(())
}
