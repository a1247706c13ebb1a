//! Seeming alive.

use inmate_rt::{Tree, comm, hypercall, println, timer};

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

/// Does nothing, awake.
pub fn rest_ms(ms: u64) {
    let end = timer::now() + timer::frequency_hz() * ms / 1000;
    while timer::now() < end {}
}
