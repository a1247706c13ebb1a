//! Falling silent in every way that a kick must get through, and storms.
//!
//! Not here: the few ways that no kick ends (hv/README.md, "Known weaknesses"). The scenarios `kicks` and `fenced` have those.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};

use inmate_rt::gic::{self, Gic, Role};
use inmate_rt::lines::{Bits, Lines};
use inmate_rt::{IntId, Tree, comm, cpu, departure, exception, icc, timer};

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Answered, Silent, SilentV3};

pub const ATTEMPTS: &[Attempt] = &[
    (
        "foreign interrupts ended and deactivated",
        Answered(end_others),
    ),
    ("registers of Group 0", Answered(group0)),
    (
        "a storm of the timer",
        Answered(|world| storm(world, Source::Timer)),
    ),
    (
        "a storm of SGIs",
        Answered(|world| storm(world, Source::Sgi)),
    ),
    (
        "a storm of FIQs",
        Answered(|world| storm(world, Source::Fiq)),
    ),
    ("spinning, all masked", Silent(|_| departure::spin())),
    ("sleeping, all masked", Silent(|_| departure::sleep())),
    (
        "spinning, masked by priority",
        Silent(|_| masked(|| icc::Pmr::set(0), Rest::Spin)),
    ),
    (
        "sleeping, masked by priority",
        SilentV3(|_| masked(|| icc::Pmr::set(0), Rest::Sleep)),
    ),
    (
        "spinning, Group 1 off",
        Silent(|_| masked(|| icc::Igrpen1::set(0), Rest::Spin)),
    ),
    (
        "spinning, all priorities active",
        Silent(|_| masked(|| icc::Ap1r0::set(0x1_0001), Rest::Spin)),
    ),
    (
        "spinning, in an interrupt that it never ends",
        Silent(|world| never_ended(world, Rest::Spin)),
    ),
    (
        "sleeping, in an interrupt that it never ends",
        SilentV3(|world| never_ended(world, Rest::Sleep)),
    ),
    (
        "sleeping, all SGIs active",
        SilentV3(|world| departure::sleep_with_active_sgis(world.sgis(0x300))),
    ),
    (
        "sleeping, all SGIs off",
        Silent(|world| departure::sleep_without_sgis(world.sgis(0x180))),
    ),
];

#[derive(Clone, Copy)]
enum Rest {
    Spin,
    Sleep,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Source {
    Timer,
    Sgi,
    /// SGIs that a GICv2 is told to signal as FIQs.
    Fiq,
}

const SGI: IntId = IntId::sgi(5);
/// `GICC_CTLR.FIQEn`, as [`icc::Igrpen0`] has it.
const FIQS: u64 = 1;
/// Interrupts of a storm.
const STORM: u32 = 5000;
static CAME: AtomicU32 = AtomicU32::new(0);

impl World {
    /// A register of this CPU's SGIs; without redistributors one of the distributor.
    fn sgis(&self, register: u64) -> inmate_rt::attempt::Outside {
        match self.redistributors {
            Some(frames) => self.at(frames.base + 0x1_0000 + register),
            None => self.distributor(register),
        }
    }

    /// The timer's interrupt is due, and enabled, so that it ends a sleep.
    pub fn ring_timer(&self) {
        if let Some(interrupt) = self.tree.timer_interrupt() {
            Gic::new(&self.tree, Role::First).enable(interrupt);
        }
        timer::set_alarm(0);
    }
}

impl Rest {
    fn begin(self) -> ! {
        match self {
            Self::Spin => departure::spin(),
            Self::Sleep => departure::sleep(),
        }
    }
}

fn masked(mask: fn(), rest: Rest) -> ! {
    mask();
    rest.begin()
}

fn never_ended(world: &World, rest: Rest) -> ! {
    let mut gic = Gic::new(&world.tree, Role::First);
    gic.enable(SGI);
    Lines::new(&world.tree).set_priority(SGI, 0);
    exception::set_handler(match rest {
        Rest::Spin => spin_in,
        Rest::Sleep => sleep_in,
    });
    gic::send_sgi(SGI, 0);
    cpu::unmask_interrupts();
    rest.begin()
}

/// Takes an interrupt, the most urgent that it can have, and goes on in it.
pub fn leave_unended(tree: &Tree) {
    cpu::mask_interrupts();
    Gic::new(tree, Role::First).enable(SGI);
    Lines::new(tree).set_priority(SGI, 0);
    gic::send_sgi(SGI, 0);
    while gic::acknowledge().is_none() {
        cpu::relax();
    }
}

/// Interrupts that are pending for all list registers that there can be, and no SGI that could join them.
pub fn fill(tree: &Tree) {
    let lines = Lines::new(tree);
    icc::Pmr::set(0);
    for number in 0..16 {
        let (sgi, ppi) = (IntId::sgi(number), IntId::ppi(number));
        lines.set_priority(sgi, 0xf0);
        lines.set(sgi, Bits::Activate);
        lines.set_priority(ppi, 0x20);
        lines.set(ppi, Bits::Enable);
        lines.set(ppi, Bits::Pend);
    }
}

fn spin_in(_: IntId) {
    departure::spin()
}

fn sleep_in(_: IntId) {
    departure::sleep()
}

/// The interrupt is due again as soon as it is served.
fn storm(world: &World, source: Source) -> Result<(), &'static str> {
    if source == Source::Fiq && world.interface.is_none() {
        return Ok(());
    }
    cpu::mask_interrupts();
    CAME.store(0, Relaxed);
    exception::set_handler(if source == Source::Fiq {
        on_fiq
    } else {
        on_storm
    });
    match source {
        Source::Timer => world.ring_timer(),
        Source::Sgi | Source::Fiq => {
            Gic::new(&world.tree, Role::First).enable(SGI);
            if source == Source::Fiq {
                icc::Igrpen0::set(FIQS);
            }
            gic::send_sgi(SGI, 0);
        }
    }
    cpu::unmask_interrupts();
    // The handler ends it; an emulator may let this go first.
    for _ in 0..1_000_000 {
        if CAME.load(Relaxed) >= STORM {
            break;
        }
        cpu::relax();
    }
    cpu::mask_interrupts();
    timer::stop();
    if CAME.load(Relaxed) >= STORM {
        Ok(())
    } else {
        Err("it ended early")
    }
}

fn on_storm(intid: IntId) {
    comm::beat();
    let has_ended = CAME.fetch_add(1, Relaxed) >= STORM;
    if has_ended {
        timer::stop();
    } else if intid == SGI {
        gic::send_sgi(SGI, 0);
    }
}

/// EL2 has it signal IRQs, each time.
fn on_fiq(intid: IntId) {
    if icc::Igrpen0::get() & FIQS == 0 {
        icc::Igrpen0::set(FIQS);
        on_storm(intid);
    }
}

/// EOIR1 and DIR of every interrupt, in both modes of ending; with a GICv2 from every CPU that an SGI may come from.
fn end_others(world: &World) -> Result<(), &'static str> {
    const CPUID_SHIFT: u64 = 10;
    for mode in [0, 1 << 1] {
        icc::Ctlr::set(mode);
        for intid in (0..1024).chain([8192, 0xff_ffff]) {
            icc::Eoir1::set(intid);
            icc::Dir::set(intid);
        }
        let sgis = (0..16).flat_map(|sgi| (1..8).map(move |cpu| cpu << CPUID_SHIFT | sgi));
        for sgi in sgis.take_while(|_| world.interface.is_some()) {
            icc::Eoir1::set(sgi);
            icc::Dir::set(sgi);
        }
    }
    icc::Ctlr::set(0);
    Ok(())
}

/// They are nobody's but the kick's.
fn group0(world: &World) -> Result<(), &'static str> {
    if world.interface.is_some() {
        return Ok(()); // Group 1 is all that there is: see `interface`
    }
    icc::Igrpen0::set(0);
    icc::Bpr0::set(7);
    icc::Ap0r0::set(u64::MAX);
    for intid in 0..16 {
        icc::Eoir0::set(intid);
    }
    if icc::Iar0::get() >= 1020 {
        Ok(())
    } else {
        Err("an interrupt of Group 0")
    }
}
