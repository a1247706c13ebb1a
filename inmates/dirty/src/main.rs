//! A cell that looks whether its CPU, its interrupts and its RAM are as new, and then leaves them as dirty as it can.
//!
//! The words of `/chosen`, `bootargs`, in their order: `look`: compares CPU and interrupts with what a start promises;
//! `zeros`: so the RAM that it does not use; `fill`: fills that; `spoil=off`, `spoil=spin`: dirties everything, and turns
//! the cell off or spins.
#![no_std]
#![no_main]

mod interrupts;

use inmate_rt::attempt::Exception;
use inmate_rt::state::{self, End, Entry, REGISTERS};
use inmate_rt::{Tree, cpu, entry, exception, note_entry_state, println, spare};

entry!(main);
note_entry_state!();

/// What fills memory.
const DIRT: u64 = 0x5a5a_5a5a_5a5a_5a5a;

fn main(tree: Tree) -> ! {
    for word in tree.boot_arguments().split_whitespace() {
        match word {
            "look" => look(&tree),
            "zeros" => report(
                "words of RAM that are not zero",
                spare::count_nonzero(&tree),
            ),
            "fill" => spare::fill(&tree, DIRT),
            "spoil=off" => spoil(&tree, End::Off),
            "spoil=spin" => spoil(&tree, End::Spin),
            _ => println!("dirty: {word}: not one of my words"),
        }
    }
    println!("dirty: done");
    cpu::idle()
}

fn look(tree: &Tree) {
    let wrong = look_at_entry(entry_state()) + look_at_registers() + interrupts::look(tree);
    report("traces of who was here before", wrong);
}

fn report(what: &str, count: usize) {
    let verdict = if count == 0 { "right" } else { "WRONG" };
    println!("dirty: {count} {what}: {verdict}");
}

/// Prints one that differs; counts it.
pub fn compare(name: &str, found: u64, promised: u64) -> usize {
    if found != promised {
        println!("dirty: {name} is {found:#x}, not {promised:#x}");
    }
    usize::from(found != promised)
}

fn look_at_entry(entry: &Entry) -> usize {
    // x0 is the tree's address.
    let general = entry.x[1..].iter().filter(|x| **x != 0).count();
    let vectors = entry.v.iter().filter(|v| **v != 0).count();
    let special = Entry::NAMES.iter().zip(entry.special).zip(Entry::RESET);
    compare(
        "the number of general registers that are not zero",
        general as u64,
        0,
    ) + compare("the stack pointer", entry.sp, 0)
        + compare(
            "the number of V registers that are not zero",
            vectors as u64,
            0,
        )
        + compare("FPCR", entry.fp[0], 0)
        + compare("FPSR", entry.fp[1], 0)
        + special
            .map(|((name, found), promised)| compare(name, found, promised))
            .sum::<usize>()
}

fn look_at_registers() -> usize {
    let mut absent = 0;
    let wrong = REGISTERS
        .iter()
        .map(|register| match register.get() {
            Ok(found) => compare(register.name, found, 0),
            Err(Exception { .. }) => {
                absent += 1;
                0
            }
        })
        .sum();
    println!(
        "dirty: {} registers looked at, {absent} not there",
        REGISTERS.len() - absent
    );
    wrong
}

fn spoil(tree: &Tree, end: End) -> ! {
    // Interrupts that nobody asked for are masked; none comes.
    exception::set_handler(|_| {});
    cpu::mask_interrupts();
    interrupts::spoil(tree);
    let mut held = 0;
    for register in REGISTERS {
        if register.spoil().is_ok() && register.get().is_ok_and(|found| found != 0) {
            held += 1;
        }
    }
    state::spoil_locks();
    println!("dirty: {held} registers hold dirt: right");
    state::spoil_and_end(end)
}
