//! Accesses to the interrupt controller that a syndrome does not describe: paired, exclusive, atomic, with write-back, of
//! vector registers. Some are an exception of the cell's own, or a plain access, as the CPU has it.

use inmate_rt::attempt;

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Fatal, Harmless};

macro_rules! loads {
    ($($deed:ident $name:literal = $function:ident,)*) => {
        &[$((concat!($name, " of the distributor"), $deed(|world: &World| attempt::$function(world.distributor(0x100)).map(drop))),)*]
    };
}

macro_rules! stores {
    ($($deed:ident $name:literal = $function:ident,)*) => {
        &[$((concat!($name, " to the distributor"), $deed(|world: &World| attempt::$function(world.distributor(0x100), 0).map(drop))),)*]
    };
}

pub const LOADS: &[Attempt] = loads![
    Fatal "load with write-back" = load_writeback,
    Fatal "load of a pair" = load_pair,
    Fatal "load of a SIMD register" = load_simd,
    Fatal "load of a pair of SIMD registers" = load_simd_pair,
    Fatal "exclusive load" = load_exclusive,
    Fatal "exclusive load of a pair" = load_exclusive_pair,
    Harmless "acquiring load" = load_acquire,
    Harmless "unprivileged load" = load_unprivileged,
    Harmless "atomic addition" = atomic_add,
    Harmless "atomic swap" = atomic_swap,
    Harmless "atomic compare-and-swap" = atomic_compare,
    Harmless "atomic compare-and-swap of a pair" = atomic_compare_pair,
];

pub const STORES: &[Attempt] = stores![
    Fatal "store with write-back" = store_writeback,
    Fatal "store of a pair" = store_pair,
    Fatal "store of a SIMD register" = store_simd,
    Fatal "exclusive store" = store_exclusive,
    Harmless "releasing store" = store_release,
    Harmless "unprivileged store" = store_unprivileged,
    Harmless "zeroing of a cache block" = zero_block,
    Harmless "cleaning of a cache line" = clean_invalidate,
];
