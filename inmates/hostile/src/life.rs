//! Seeming alive.

use inmate_rt::{Tree, comm, console, hypercall, println, timer};

/// Time from one beat to the next, milliseconds.
const PAUSE_MS: u64 = 20;

/// Beats so often, or for ever without a number, awake all the time.
pub fn beat(tree: &Tree, argument: &str) {
    let told = tree.comm().map(|range| range.base);
    if told != hypercall::comm_address() {
        println!("hostile: beat: the tree says {told:x?}, the hypervisor something else");
    }
    let count = argument.parse().unwrap_or(u64::MAX);
    for _ in 0..count {
        comm::beat();
        rest_ms(PAUSE_MS);
    }
    println!("hostile: beat: {count} times");
}

/// Prints so many lines of 100 characters, their ends included.
pub fn print(argument: &str) {
    for number in 1..=argument.parse().unwrap_or(0) {
        println!("hostile: line {number:06} {:.<77}", "");
        rest_ms(1);
    }
}

/// Says nonsense in the indices of the console, something else all the time, for so many milliseconds.
pub fn scribble(argument: &str) {
    let ms: u64 = argument.parse().unwrap_or(0);
    let end = timer::now() + timer::frequency_hz() * ms / 1000;
    let mut last: u64 = 0x0bad_0bad_0bad_0bad;
    // Numbers with no order to them (Knuth's MMIX generator), and those at the edges.
    let mut next = || {
        last = last
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        match last >> 61 {
            0 => 0,
            1 => u64::MAX,
            2 => last >> 48,
            _ => last,
        }
    };
    while timer::now() < end {
        console::spoil([next(), next(), next(), next()]);
    }
}

/// Does nothing, awake.
pub fn rest_ms(ms: u64) {
    let end = timer::now() + timer::frequency_hz() * ms / 1000;
    while timer::now() < end {}
}
