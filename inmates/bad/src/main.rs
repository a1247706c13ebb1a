//! A cell that misbehaves on purpose, to see that nothing but itself takes harm.
//!
//! The words of `/chosen`, `bootargs` say what it does, one after the other. It announces each on its console and says
//! what came of it, if it still can:
//! `read=ADDR`, `write=ADDR`, `exec=ADDR`: touches that address; `spin`, `wfi`: masks everything and spins or sleeps;
//! `pmr`, `deaf`, `active`: masks by ICC_PMR_EL1, turns group 1 off, marks the highest priorities as active, before what follows;
//! `vector-loop`: gets stuck in its own exception vector; `off`, `reset`, `off-smc`, `reset-smc`: asks PSCI for it; `cpu-on`: asks for CPUs that
//! are not its own; `smc`: makes up calls; `sgi-all`: sends SGIs to everyone; `gic`: takes everyone's interrupts;
//! `beat=N`: beats N times, 20 ms apart, or for ever; `rest=MS`: does nothing so long; `cpu-off`: turns its only CPU off;
//! `unaligned`: loads and stores of the interrupt controller that cannot be decoded.
#![no_std]
#![no_main]

mod calls;
mod interrupts;
mod life;
mod memory;

use inmate_rt::attempt;
use inmate_rt::{Hvc, Smc, Tree, cpu, entry, icc, println, psci};

entry!(main);

fn main(tree: Tree) -> ! {
    let words = tree.boot_arguments();
    println!("bad: told to '{words}'");
    for word in words.split_whitespace() {
        println!("bad: {word}");
        obey(&tree, word);
    }
    println!("bad: done");
    cpu::idle()
}

fn obey(tree: &Tree, word: &str) {
    let (verb, argument) = word.split_once('=').unwrap_or((word, ""));
    match verb {
        "read" => memory::read(tree, argument),
        "write" => memory::write(tree, argument),
        "exec" => memory::execute(tree, argument),
        "unaligned" => memory::undecodable(tree),
        "beat" => life::beat(tree, argument),
        "rest" => life::rest_ms(argument.parse().unwrap_or(0)),
        "spin" => attempt::spin(),
        "wfi" => attempt::sleep(),
        "pmr" => icc::Pmr::set(0),
        "deaf" => icc::Igrpen1::set(0),
        // Of either half, as non-secure software sees it.
        "active" => icc::Ap1r0::set(0x1_0001),
        "vector-loop" => attempt::loop_in_vector(),
        "off-smc" => println!("bad: off: answered {:?}", psci::system_off::<Smc>()),
        "reset-smc" => println!("bad: reset: answered {:?}", psci::system_reset::<Smc>()),
        "off" => println!("bad: off: answered {:?}", psci::system_off::<Hvc>()),
        "reset" => println!("bad: reset: answered {:?}", psci::system_reset::<Hvc>()),
        "cpu-off" => println!("bad: cpu-off: answered {:?}", psci::cpu_off::<Hvc>()),
        "cpu-on" => calls::start_every_cpu(),
        "smc" => calls::make_up(),
        "sgi-all" => interrupts::send_to_all(),
        "gic" => interrupts::take_all(tree),
        _ => println!("bad: {word}: not one of my words"),
    }
}
