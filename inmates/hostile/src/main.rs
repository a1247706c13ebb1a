//! A cell that attempts whatever it must not be able to do, to see that nothing but itself takes harm.
//!
//! The words of `/chosen`, `bootargs` say what it does, one after the other. It announces each on its console and says
//! what came of it, if it still can:
//! `attempts=ADDR`: all of [`lives`], ADDR being memory of someone else, or `ADDR,GICH,GICV` with what of a GICv2 is nobody's;
//! `read=ADDR`, `write=ADDR`, `pair=ADDR`, `exec=ADDR`: touches that address; `spin`, `wfi`: masks everything and spins or sleeps;
//! `pmr`, `deaf`, `active`, `unended`: masks by ICC_PMR_EL1, turns group 1 off, marks the highest priorities as active, takes an interrupt
//! and does not end it, before what follows;
//! `full`: has every PPI pending, and every SGI active and the least urgent; `vector-loop`: gets stuck in its own exception vector;
//! `off`, `reset`, `off-smc`, `reset-smc`, `cpu-off`: asks PSCI for it;
//! `beat=N`: beats N times, 20 ms apart, or for ever; `rest=MS`: does nothing so long; `print=N`: prints N lines of 100 characters, 1 ms
//! apart; `scribble=MS`: says nonsense in the indices of its ring console so long.
#![no_std]
#![no_main]

mod calls;
mod controller;
mod hangs;
mod instructions;
mod interface;
mod life;
mod lives;
mod memory;
mod power;
mod registers;
mod sgis;

use inmate_rt::attempt::Outside;
use inmate_rt::tree::Range;
use inmate_rt::{Hvc, IntId, Smc, Tree, cpu, departure, entry, icc, println, psci};

entry!(main);

/// What attempts are made on.
pub struct World {
    tree: Tree,
    /// Memory of someone else.
    foreign: Outside,
    distributor: Range,
    /// Of a GICv3.
    redistributors: Option<Range>,
    /// Of a GICv2.
    interface: Option<Range>,
    /// Of a GICv2, where they were told, else foreign memory.
    gich: Outside,
    gicv: Outside,
    /// The one SPI that the cell has, the console's.
    own_spi: Option<IntId>,
    /// A missed heartbeat is noticed.
    is_watched: bool,
}

impl World {
    /// That address, which is not in the cell's RAM.
    fn at(&self, address: u64) -> Outside {
        Outside::new(address, &self.tree).expect("an address in RAM")
    }

    fn distributor(&self, offset: u64) -> Outside {
        self.at(self.distributor.base + offset)
    }
}

fn main(tree: Tree) -> ! {
    let words = tree.boot_arguments();
    println!("hostile: told to '{words}'");
    for word in words.split_whitespace() {
        println!("hostile: {word}");
        obey(&tree, word);
    }
    println!("hostile: done");
    cpu::idle()
}

fn obey(tree: &Tree, word: &str) {
    let (verb, argument) = word.split_once('=').unwrap_or((word, ""));
    match verb {
        "attempts" => attempt_all(tree, argument),
        "read" => memory::read(tree, argument),
        "write" => memory::write(tree, argument),
        "pair" => memory::read_pair(tree, argument),
        "exec" => memory::execute(tree, argument),
        "print" => life::print(argument),
        "scribble" => life::scribble(argument),
        "beat" => life::beat(tree, argument),
        "rest" => life::rest_ms(argument.parse().unwrap_or(0)),
        "spin" => departure::spin(),
        "wfi" => departure::sleep(),
        "pmr" => icc::Pmr::set(0),
        "deaf" => icc::Igrpen1::set(0),
        // Of either half, as non-secure software sees it.
        "active" => icc::Ap1r0::set(0x1_0001),
        "unended" => hangs::leave_unended(tree),
        "full" => hangs::fill(tree),
        "vector-loop" => departure::loop_in_vector(),
        "off-smc" => println!("hostile: off: answered {:?}", psci::system_off::<Smc>()),
        "reset-smc" => println!("hostile: reset: answered {:?}", psci::system_reset::<Smc>()),
        "off" => println!("hostile: off: answered {:?}", psci::system_off::<Hvc>()),
        "reset" => println!("hostile: reset: answered {:?}", psci::system_reset::<Hvc>()),
        "cpu-off" => println!("hostile: cpu-off: answered {:?}", psci::cpu_off::<Hvc>()),
        _ => println!("hostile: {word}: not one of my words"),
    }
}

fn attempt_all(tree: &Tree, argument: &str) {
    let mut places = argument.split(',').map(|word| memory::outside(tree, word));
    let Some(Some(foreign)) = places.next() else {
        return;
    };
    let mut other = || places.next().flatten().unwrap_or(foreign);
    let (gich, gicv) = (other(), other());
    let (distributor, redistributors, interface) = match (tree.gic(), tree.gicv2()) {
        (Some((distributor, redistributors)), _) => (distributor, Some(redistributors), None),
        (None, Some((distributor, interface))) => (distributor, None, Some(interface)),
        (None, None) => return println!("hostile: no interrupt controller in the tree"),
    };
    lives::go_on(&World {
        tree: *tree,
        foreign,
        distributor,
        redistributors,
        interface,
        gich,
        gicv,
        own_spi: tree.console().and_then(|console| console.interrupt),
        is_watched: tree.comm().is_some(),
    })
}
