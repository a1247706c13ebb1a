//! A kernel on all CPUs of the cell: each has its tick, and they pass interrupts to each other.
//!
//! CPU 0 checks what PSCI answers, starts the others, by SMC and by HVC, and has interrupts passed round, to a list, to
//! all but the sender, and to nobody; turns one off and on again, and has one suspended. Then comes a window of
//! [`WINDOW`] interrupts from CPU 0 to CPU 1, between two lines, for whoever counts exits. With `churn` in `bootargs` its CPUs turn each
//! other on and themselves off instead, without end.
#![no_std]
#![no_main]

mod churn;
mod cpus;
mod passing;
mod power;

use inmate_rt::{Tree, cpu, entry, println};

/// Interrupts of the window.
const WINDOW: u32 = 1000;

entry!(main);

fn main(tree: Tree) -> ! {
    let count = tree.cpu_count();
    println!("smp: {count} CPUs");
    if tree.boot_arguments() == "churn" {
        churn::for_ever(count)
    }
    match check(&tree, count) {
        Ok(()) => println!("smp: {count} CPUs: all right"),
        Err(what) => println!("smp: WRONG: {what}"),
    }
    println!("smp: window in 3 s");
    cpus::sleep_ms(3000);
    passing::to_one(1, WINDOW);
    println!("smp: window of {WINDOW} done");
    cpus::sleep_ms(1000);
    println!("smp: ticks {:?}", &cpus::ticks()[..count]);
    loop {
        cpus::sleep_ms(10_000);
        cpu::relax();
    }
}

fn check(tree: &Tree, count: usize) -> Result<(), &'static str> {
    power::before_others_start(count)?;
    cpus::begin(tree);
    cpus::start_all(count)?;
    power::after_others_started(count)?;
    passing::all_ways(count)?;
    power::off_and_on(count)?;
    power::suspended(1)?;
    passing::all_ways(count)
}

/// Tells what is wrong unless something holds.
fn ensure(holds: bool, otherwise: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(otherwise) }
}
