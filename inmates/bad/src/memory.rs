//! Touching what is not the cell's.

use inmate_rt::attempt::{self, Exception, Outside};
use inmate_rt::{Tree, println};

/// Reads 32 bits.
pub fn read(tree: &Tree, argument: &str) {
    let Some(address) = outside(tree, argument) else {
        return;
    };
    match attempt::load32(address) {
        Ok(value) => println!("bad: read {argument}: got {value:#x}"),
        Err(exception) => report("read", exception),
    }
}

/// Writes 32 bits.
pub fn write(tree: &Tree, argument: &str) {
    let Some(address) = outside(tree, argument) else {
        return;
    };
    match attempt::store32(address, 0x0bad_0bad) {
        Ok(()) => println!("bad: write {argument}: done"),
        Err(exception) => report("write", exception),
    }
}

/// Jumps there.
pub fn execute(tree: &Tree, argument: &str) {
    if let Some(address) = outside(tree, argument) {
        attempt::execute(address)
    }
}

/// Accesses to the interrupt controller in forms whose syndrome does not tell register and size, and in sizes that it
/// does not have.
pub fn undecodable(tree: &Tree) {
    let Some((distributor, redistributors)) = tree.gic() else {
        return println!("bad: no interrupt controller in the tree");
    };
    for base in [distributor.base, redistributors.base] {
        let at = |offset: u64| Outside::new(base + offset, tree);
        let (Some(start), Some(odd), Some(enable)) = (at(0), at(0x102), at(0x100)) else {
            return println!("bad: the interrupt controller is in RAM");
        };
        load("load with write-back", attempt::load_writeback(start));
        load("pair of loads", attempt::load_pair(start));
        load("SIMD load", attempt::load_simd(start));
        load("exclusive load", attempt::load_exclusive(start));
        load("byte of CTLR", attempt::load8(start));
        load("half of CTLR", attempt::load16(start));
        load("64 bits of CTLR", attempt::load64(start));
        load("misaligned word", attempt::load32(odd));
        store("store with write-back", attempt::store_writeback(enable, 0));
        store("pair of stores", attempt::store_pair(enable, 0));
        store("64 bits to ISENABLER", attempt::store64(enable, 0));
        store("zeroing of a block", attempt::zero_block(enable, 0));
    }
}

fn load(name: &str, result: Result<u64, Exception>) {
    match result {
        Ok(value) => println!("bad: {name}: got {value:#x}"),
        Err(exception) => report(name, exception),
    }
}

fn store(name: &str, result: Result<(), Exception>) {
    match result {
        Ok(()) => println!("bad: {name}: done"),
        Err(exception) => report(name, exception),
    }
}

fn report(name: &str, Exception { esr, far }: Exception) {
    println!("bad: {name}: exception, ESR {esr:#x}, FAR {far:#x}");
}

/// Reads an address, decimal or after `0x`, that is not in this cell's own RAM.
fn outside(tree: &Tree, argument: &str) -> Option<Outside> {
    let number = match argument.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => argument.parse(),
    };
    let address = number.ok().and_then(|number| Outside::new(number, tree));
    if address.is_none() {
        println!("bad: '{argument}' is not an address outside of my own RAM");
    }
    address
}
