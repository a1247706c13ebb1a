//! Counts what Bulkhead costs, from inside a cell, in QEMU's `-icount shift=0` where a cycle is an instruction.
//!
//! One line a figure: `bench NAME MIN MODE EL2`, the least and the most frequent count of all rounds and, counted apart,
//! the most frequent count at EL2. Then windows, `bench window NAME begin COUNT` to `bench window NAME end`, in which
//! nothing happens but COUNT interrupts: for counting exits from outside. `bench done` ends it: the cell
//! then turns itself off. In `/chosen`, `bootargs`, the word `figures` or `windows` asks for one of both, and `rounds=N`
//! for so many rounds of each figure.
#![no_std]
#![no_main]

mod operations;
mod sgi;
mod tally;
mod timer_latency;
mod windows;

use inmate_rt::gic::{Gic, Role};
use inmate_rt::{Tree, cpu, entry, println};

entry!(main);

fn main(tree: Tree) -> ! {
    println!("bench: {} CPU", tree.cpu_count());
    let words = tree.boot_arguments();
    let asks_for = |what| words.is_empty() || words.split_whitespace().any(|word| word == what);
    let argument = |word: &'static str| word.strip_prefix("rounds=")?.parse().ok();
    if let Some(rounds) = words.split_whitespace().find_map(argument) {
        tally::set_rounds(rounds);
    }
    let mut gic = Gic::new(&tree, Role::First);
    if asks_for("figures") {
        operations::run(&tree);
        timer_latency::run(&tree, &mut gic);
        sgi::measure(&tree, &mut gic);
    }
    if asks_for("windows") {
        sgi::run_window(&tree);
        windows::run(&tree, &mut gic);
    }
    println!("bench done");
    cpu::turn_cell_off()
}
