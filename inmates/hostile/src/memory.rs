//! Touching what is not the cell's.

use inmate_rt::attempt::{self, Exception, Outside};
use inmate_rt::{Tree, departure, println};

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Fatal, Harmless};

macro_rules! foreign {
    ($($deed:ident $name:literal = $function:ident($($value:literal)?),)*) => {
        &[$((concat!($name, " foreign memory"), $deed(|world: &World| attempt::$function(world.foreign $(, $value)?).map(drop))),)*]
    };
}

pub const ACCESSES: &[Attempt] = foreign![
    Fatal "a byte loaded from" = load8(),
    Fatal "64 bits loaded from" = load64(),
    Fatal "a pair loaded from" = load_pair(),
    Fatal "a SIMD register loaded from" = load_simd(),
    Fatal "an exclusive load from" = load_exclusive(),
    Fatal "an acquiring load from" = load_acquire(),
    Harmless "an unprivileged load from" = load_unprivileged(),
    Fatal "a byte stored to" = store8(0),
    Fatal "64 bits stored to" = store64(0),
    Fatal "a pair stored to" = store_pair(0),
    Fatal "a SIMD register stored to" = store_simd(0),
    Fatal "an exclusive store to" = store_exclusive(0),
    Fatal "a releasing store to" = store_release(0),
    Harmless "an atomic addition to" = atomic_add(),
    Harmless "an atomic swap with" = atomic_swap(),
    Harmless "a block zeroed in" = zero_block(0),
    Harmless "a cache line cleaned of" = clean(0),
    Harmless "a cache line invalidated of" = invalidate(0),
    Harmless "instructions invalidated of" = invalidate_instructions(0),
];

pub const ATTEMPTS: &[Attempt] = &[
    (
        "instructions in foreign memory",
        Fatal(|world| departure::execute(world.foreign)),
    ),
    (
        "instructions in the interrupt controller",
        Fatal(|world| departure::execute(world.distributor(0))),
    ),
    (
        "vectors in foreign memory",
        Fatal(|world| departure::vectors_at(world.foreign)),
    ),
    (
        "the stack in foreign memory",
        Fatal(|world| departure::stack_at(world.foreign)),
    ),
    (
        "translation tables in foreign memory",
        Fatal(|world| departure::walk_from(world.foreign)),
    ),
    (
        "translation tables that hardware marks in foreign memory",
        Fatal(|world| departure::mark_tables(world.foreign)),
    ),
    (
        "translation tables in the interrupt controller",
        Fatal(|world| departure::walk_from(world.distributor(0))),
    ),
    (
        "a table of its own that goes on in foreign memory",
        Fatal(|world| departure::walk_on_at(world.foreign)),
    ),
    (
        "8 bytes across the end of its RAM",
        Fatal(|world| attempt::load_across_end(&world.tree)),
    ),
    (
        "the last page of all that it can name",
        Fatal(|world| attempt::load64(world.at(0x7f_ffff_f000)).map(drop)),
    ),
];

/// Reads 32 bits.
pub fn read(tree: &Tree, argument: &str) {
    let Some(address) = outside(tree, argument) else {
        return;
    };
    match attempt::load32(address) {
        Ok(value) => println!("hostile: read {argument}: got {value:#x}"),
        Err(exception) => report("read", exception),
    }
}

/// Writes 32 bits.
pub fn write(tree: &Tree, argument: &str) {
    let Some(address) = outside(tree, argument) else {
        return;
    };
    match attempt::store32(address, 0x0bad_0bad) {
        Ok(()) => println!("hostile: write {argument}: done"),
        Err(exception) => report("write", exception),
    }
}

/// Reads a pair of registers, which no syndrome describes.
pub fn read_pair(tree: &Tree, argument: &str) {
    let Some(address) = outside(tree, argument) else {
        return;
    };
    match attempt::load_pair(address) {
        Ok(value) => println!("hostile: pair {argument}: got {value:#x}"),
        Err(exception) => report("pair", exception),
    }
}

/// Jumps there.
pub fn execute(tree: &Tree, argument: &str) {
    if let Some(address) = outside(tree, argument) {
        departure::execute(address)
    }
}

fn report(name: &str, Exception { esr, far }: Exception) {
    println!("hostile: {name}: exception, ESR {esr:#x}, FAR {far:#x}");
}

/// Reads an address, decimal or after `0x`, that is not in this cell's own RAM.
pub fn outside(tree: &Tree, argument: &str) -> Option<Outside> {
    let number = match argument.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => argument.parse(),
    };
    let address = number.ok().and_then(|number| Outside::new(number, tree));
    if address.is_none() {
        println!("hostile: '{argument}' is not an address outside of my own RAM");
    }
    address
}
