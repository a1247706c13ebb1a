//! All attempts, one after the other, over as many lives as it takes.
//!
//! One rule: RAM outside of the image stays as it is when a cell is started anew, so that each life goes on behind the attempt
//! that ended the one before, and judges it by that it did.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use inmate_rt::attempt::Exception;
use inmate_rt::{Hvc, attempt, comm, cpu, println, psci, spare};

use crate::World;
use crate::{calls, controller, hangs, instructions, interface, memory, power, registers, sgis};

/// One thing that a cell must not be able to do: its name, and doing it.
pub type Attempt = (&'static str, Deed);

/// What is done, by how it must end.
pub enum Deed {
    /// It is answered; an error says what it got.
    Answered(fn(&World) -> Result<(), &'static str>),
    /// An exception of the cell's own.
    Exception(fn(&World) -> Result<(), Exception>),
    /// The cell is stopped, or starts anew.
    Fatal(fn(&World) -> Result<(), Exception>),
    /// It comes to nothing, an exception or a stop, as the CPU has it.
    Harmless(fn(&World) -> Result<(), Exception>),
    /// The cell says nothing more, until its heartbeat is missed and it is started anew.
    Silent(fn(&World) -> Result<(), Exception>),
    /// So, but with a GICv2, where nothing would end it (hv/README.md, "Known weaknesses").
    SilentV3(fn(&World) -> Result<(), Exception>),
}

const TABLES: [&[Attempt]; 12] = [
    instructions::ATTEMPTS,
    registers::ATTEMPTS,
    calls::ATTEMPTS,
    power::ATTEMPTS,
    sgis::ATTEMPTS,
    controller::ATTEMPTS,
    controller::LOADS,
    controller::STORES,
    interface::ATTEMPTS,
    memory::ACCESSES,
    memory::ATTEMPTS,
    hangs::ATTEMPTS,
];

/// What is kept from life to life.
struct Kept {
    begun: &'static AtomicUsize,
    returned: &'static AtomicUsize,
    wrong: &'static AtomicUsize,
    lives: &'static AtomicUsize,
}

fn kept() -> Kept {
    let [begun, returned, wrong, lives] = spare::kept();
    Kept {
        begun,
        returned,
        wrong,
        lives,
    }
}

fn all() -> impl Iterator<Item = &'static Attempt> {
    TABLES.into_iter().flatten()
}

/// Goes on; turns the cell off when all has been attempted and was refused, and fails when something was not.
pub fn go_on(world: &World) -> ! {
    let kept = kept();
    kept.lives.fetch_add(1, Relaxed);
    let begun = kept.begun.load(Relaxed);
    let has_ended_a_life = begun > kept.returned.load(Relaxed);
    if let (true, Some((name, deed))) = (has_ended_a_life, all().nth(begun.saturating_sub(1))) {
        let is_right = !matches!(deed, Deed::Answered(_) | Deed::Exception(_));
        judge(name, is_right, "the end of a life");
    }
    for (number, (name, deed)) in all().enumerate().skip(begun) {
        comm::beat();
        kept.begun.store(number + 1, Relaxed);
        attempt_one(world, name, deed);
        kept.returned.store(number + 1, Relaxed);
    }
    finish(world)
}

fn attempt_one(world: &World, name: &str, deed: &Deed) {
    match deed {
        Deed::Answered(run) => match run(world) {
            Ok(()) => judge(name, true, "refused"),
            Err(what) => judge(name, false, what),
        },
        Deed::Exception(run) => judge(name, run(world).is_err(), "an exception, or not"),
        Deed::Harmless(run) => judge(name, true, came_back(run(world))),
        Deed::Silent(_) | Deed::SilentV3(_) if !world.is_watched => {
            println!("hostile: {name}: left out, as nobody would miss a heartbeat");
        }
        Deed::SilentV3(_) if world.interface.is_some() => {
            println!("hostile: {name}: left out, as no kick would end it");
        }
        Deed::Fatal(run) | Deed::Silent(run) | Deed::SilentV3(run) => {
            judge(name, false, came_back(run(world)));
        }
    }
}

fn came_back(result: Result<(), Exception>) -> &'static str {
    match result {
        Ok(()) => "nothing happened",
        Err(_) => "an exception",
    }
}

fn judge(name: &str, is_right: bool, what: &str) {
    let verdict = if is_right { "right" } else { "WRONG" };
    println!("hostile: {name}: {what}: {verdict}");
    kept().wrong.fetch_add(usize::from(!is_right), Relaxed);
}

fn finish(world: &World) -> ! {
    let kept = kept();
    let wrong = kept.wrong.load(Relaxed);
    println!(
        "hostile: {} attempts in {} lives: {wrong} not right",
        kept.begun.load(Relaxed),
        kept.lives.load(Relaxed),
    );
    if wrong == 0 {
        let _ = psci::system_off::<Hvc>();
    }
    // For whoever sees no console: it fails, in this life and all that follow.
    let _ = attempt::load32(world.foreign);
    cpu::idle()
}
