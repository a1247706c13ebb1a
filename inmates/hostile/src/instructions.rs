//! Instructions that are not the cell's, and too many of those that are.

use inmate_rt::attempt;

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Answered, Exception, Harmless};

pub const ATTEMPTS: &[Attempt] = &[
    (
        "ERET to EL2",
        Exception(|_| attempt::return_to_el2([0; 4]).map(drop)),
    ),
    (
        "AT S12E1R",
        Exception(|world| attempt::translate_both(world.foreign).map(drop)),
    ),
    (
        "TLBI ALLE1IS",
        Exception(|_| attempt::forget_all_translations([0; 4]).map(drop)),
    ),
    (
        "TLBI VMALLS12E1IS",
        Exception(|_| attempt::forget_both_translations([0; 4]).map(drop)),
    ),
    (
        "TLBI ALLE2",
        Exception(|_| attempt::forget_el2s_translations([0; 4]).map(drop)),
    ),
    ("HLT", Exception(|_| attempt::halt([0; 4]).map(drop))),
    (
        "SVE",
        Exception(|_| attempt::vector_length([0; 4]).map(drop)),
    ),
    ("SME", Exception(|_| attempt::streaming([0; 4]).map(drop))),
    (
        "SMC with an immediate",
        Answered(|_| not_supported(attempt::smc_strange)),
    ),
    (
        "HVC with an immediate",
        Answered(|_| not_supported(attempt::hvc_strange)),
    ),
    ("1000 exceptions", Answered(exceptions)),
    (
        "1000 TLBs emptied",
        Answered(|_| often(attempt::forget_translations)),
    ),
    ("1000 hints", Answered(|_| often(attempt::hints))),
    (
        "set/way cache operations",
        Answered(|_| often(attempt::set_way)),
    ),
    ("AT S1E1R of foreign memory", Answered(translate)),
    (
        "foreign memory prefetched",
        Harmless(|world| attempt::prefetch(world.foreign).map(drop)),
    ),
];

type Instruction = fn([u64; 4]) -> Result<[u64; 4], attempt::Exception>;

fn not_supported(call: Instruction) -> Result<(), &'static str> {
    // PSCI_VERSION, had it another immediate.
    match call([0x8400_0000, 0, 0, 0]) {
        Ok([u64::MAX, ..]) => Ok(()),
        Ok(_) => Err("an answer"),
        Err(_) => Err("an exception"),
    }
}

fn often(instruction: Instruction) -> Result<(), &'static str> {
    let failures = (0..1000).filter(|_| instruction([0; 4]).is_err()).count();
    if failures == 0 {
        Ok(())
    } else {
        Err("an exception")
    }
}

fn exceptions(_: &World) -> Result<(), &'static str> {
    let is_taken =
        |_: &u32| attempt::undefined([0; 4]).is_err() && attempt::breakpoint([0; 4]).is_err();
    if (0..1000).filter(is_taken).count() == 1000 {
        Ok(())
    } else {
        Err("no exception")
    }
}

/// Stage 1 alone answers, the identity map.
fn translate(world: &World) -> Result<(), &'static str> {
    const ADDRESS: u64 = 0xf_ffff_ffff_f000;
    let foreign = world.foreign;
    match attempt::translate(foreign) {
        Ok(par) if par & 1 == 0 && foreign.is_in_page(par & ADDRESS) => Ok(()),
        Ok(_) => Err("another address"),
        Err(_) => Err("an exception"),
    }
}
