//! Calls to firmware and hypervisor that are not the cell's to make.

use bulkhead_abi::call;
use inmate_rt::{attempt, comm};

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::Answered;

/// NOT_SUPPORTED of SMCCC.
const NOT_SUPPORTED: u64 = u64::MAX;
/// PSCI and the Arm architecture service answer some of theirs: numbers 0 to 0x1f of owner 4, two of owner 0.
const PSCI: u32 = 0x8400_0000;
const SIXTY_FOUR: u32 = 1 << 30;
const SVE_HINT: u32 = 1 << 16;

macro_rules! roots {
    ($($name:literal = $function:ident,)*) => {
        [$(($name, Answered(|world| roots_call(world, call::$function))),)*]
    };
}

pub const ATTEMPTS: &[Attempt] = &{
    let [a, b, c, d, e, f, g, h, i, j, k] = roots![
        "COMMIT" = COMMIT,
        "DISABLE" = DISABLE,
        "LEAVE" = LEAVE,
        "CELL_CREATE" = CELL_CREATE,
        "CELL_LOAD" = CELL_LOAD,
        "CELL_LOADED" = CELL_LOADED,
        "CELL_START" = CELL_START,
        "CELL_STOP" = CELL_STOP,
        "CELL_DESTROY" = CELL_DESTROY,
        "CELL_WAIT" = CELL_WAIT,
        "CELL_WATCH" = CELL_WATCH,
    ];
    [
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        i,
        j,
        k,
        ("the kernel's hypervisor stub", Answered(stub)),
        (
            "every service by HVC",
            Answered(|_| every_service(attempt::hvc)),
        ),
        (
            "every service by SMC",
            Answered(|_| every_service(attempt::smc)),
        ),
        (
            "every function of each service by HVC",
            Answered(|_| every_function(attempt::hvc)),
        ),
        (
            "every function of each service by SMC",
            Answered(|_| every_function(attempt::smc)),
        ),
        ("2000 random calls", Answered(random)),
        ("SDEI", Answered(sdei)),
    ]
};

type Conduit = fn([u64; 4]) -> Result<[u64; 4], attempt::Exception>;

/// Makes a call that must not be served, and says what it got instead.
fn refused(conduit: Conduit, x: [u64; 4]) -> Result<(), &'static str> {
    comm::beat();
    match conduit(x) {
        Ok([NOT_SUPPORTED, ..]) => Ok(()),
        Ok(_) => Err("an answer"),
        Err(_) => Err("an exception"),
    }
}

/// A hypercall of root's, with every kind of wrong cell, pointer and count, and right ones.
fn roots_call(_: &World, function: u32) -> Result<(), &'static str> {
    const VALUES: [u64; 7] = [0, 1, 2, 0x1000, 0x4000_0000, 1 << 63, u64::MAX];
    for cell in VALUES {
        for pointer in VALUES {
            for count in VALUES {
                let x = [u64::from(function), cell, pointer, count];
                refused(attempt::hvc, x)?;
            }
        }
    }
    refused(attempt::smc, [u64::from(function), 1, 0, 0])
}

/// Numbers below those of SMCCC.
fn stub(_: &World) -> Result<(), &'static str> {
    (0..8).try_for_each(|function| refused(attempt::hvc, [function, 0x4000_0000, 0, 0]))
}

/// Tells whether a cell is answered: PSCI (a cell's own power), what SMCCC says of itself, what any guest may ask us.
fn is_served(function: u32) -> bool {
    let name = if function >> 31 == 1 {
        function & !SVE_HINT
    } else {
        function
    };
    let of_psci = name & !(SIXTY_FOUR | 0x1f) == PSCI;
    // SMCCC_VERSION, SMCCC_ARCH_FEATURES, and the workarounds for branch predictors.
    let of_arm = matches!(name, 0x8000_0000 | 0x8000_0001 | 0x8000_8000 | 0x8000_3fff);
    let ours = matches!(
        name,
        call::VERSION | call::COMM_ADDRESS | call::UID_QUERY | call::REVISION_QUERY
    );
    of_psci || of_arm || ours
}

fn call_unserved(conduit: Conduit, function: u32) -> Result<(), &'static str> {
    if is_served(function) {
        return Ok(());
    }
    refused(
        conduit,
        [u64::from(function), u64::MAX, 0xdead_0000, 0x4000_0001],
    )
}

/// Fast and yielding, of 32 and 64 bits, of all 64 owners, with and without the bits that must be zero: some numbers of each.
fn every_service(conduit: Conduit) -> Result<(), &'static str> {
    for service in 0..0x100_u32 {
        for reserved in [0, 1 << 16, 1 << 23, 0x7f << 17] {
            for number in [
                0, 1, 2, 0x1f, 0x20, 0x3f, 0x4200, 0x8000, 0xff00, 0xff01, 0xff03, 0xffff,
            ] {
                call_unserved(conduit, service << 24 | reserved | number)?;
            }
        }
    }
    Ok(())
}

/// Every thirteenth number of the services that anyone has defined, by both widths.
fn every_function(conduit: Conduit) -> Result<(), &'static str> {
    for service in (0..7).chain([0x30, 0x32, 0x3f]) {
        for width in [0, SIXTY_FOUR] {
            for number in (0..0x1_0000_u32).step_by(13) {
                call_unserved(conduit, 1 << 31 | width | service << 24 | number)?;
            }
        }
    }
    Ok(())
}

fn random(_: &World) -> Result<(), &'static str> {
    let mut random = 0x2545_f491_u32;
    for _ in 0..2000 {
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        call_unserved(attempt::smc, random)?;
        call_unserved(attempt::hvc, random)?;
    }
    Ok(())
}

/// Software delegated exceptions: firmware would enter EL2 at an address of the cell's.
fn sdei(_: &World) -> Result<(), &'static str> {
    (0x20..0x40).try_for_each(|number| {
        let x = [u64::from(PSCI | SIXTY_FOUR | number), 0, 0x4000_0000, 0];
        refused(attempt::smc, x)?;
        refused(attempt::hvc, x)
    })
}
