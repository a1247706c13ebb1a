//! The smallest cell that prints: a line on its console, then sleep.
#![no_std]
#![no_main]

use inmate_rt::{Tree, cpu, entry, println};

entry!(main);

fn main(tree: Tree) -> ! {
    println!("hello from a cell: tree at {:#x}", tree.address());
    cpu::idle()
}
