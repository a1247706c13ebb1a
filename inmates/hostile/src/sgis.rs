//! SGIs to CPUs that are not the cell's. That none came anywhere is for those CPUs to tell.

use inmate_rt::attempt::{self, Exception};
use inmate_rt::comm;

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::Answered;

pub const ATTEMPTS: &[Attempt] = &[
    (
        "SGIs to all but itself",
        Answered(|world| send(world, attempt::sgi1, &[1 << 40])),
    ),
    (
        "SGIs to a list",
        Answered(|world| send(world, attempt::sgi1, &[0xfffe])),
    ),
    (
        "SGIs to other clusters",
        Answered(|world| send(world, attempt::sgi1, &CLUSTERS)),
    ),
    (
        "SGIs of Group 0",
        Answered(|world| send(world, attempt::sgi0, &[1 << 40, 0xfffe])),
    ),
    (
        "SGIs of the other security state",
        Answered(|world| send(world, attempt::sgi1_other, &[1 << 40, 0xfffe])),
    ),
    ("1000 SGIs to all", Answered(storm)),
    ("SGIs by a GICv2's distributor", Answered(by_distributor)),
];

/// By Aff1, Aff2, Aff3 and the range selector.
const CLUSTERS: [u64; 4] = [
    1 << 16 | 0xffff,
    1 << 32 | 0xffff,
    1 << 48 | 0xffff,
    1 << 44 | 0xffff,
];

fn send(
    world: &World,
    send: fn(u64) -> Result<(), Exception>,
    targets: &[u64],
) -> Result<(), &'static str> {
    if world.redistributors.is_none() {
        return Ok(()); // no registers for it
    }
    for sgi in 0..16 {
        for target in targets {
            send(sgi << 24 | target).map_err(|_| "an exception")?;
        }
    }
    Ok(())
}

fn storm(world: &World) -> Result<(), &'static str> {
    (0..63).try_for_each(|_| send(world, attempt::sgi1, &[1 << 40]))
}

/// `GICD_SGIR`: to each filter, the reserved one too, with the bits that only the secure side has; to lists of every CPU that
/// there can be.
fn by_distributor(world: &World) -> Result<(), &'static str> {
    const SGIR: u64 = 0xf00;
    if world.interface.is_none() {
        return Ok(()); // a GICv3 has none
    }
    for round in 0..1000 {
        comm::beat();
        for filter in 0..4 {
            let value = filter << 24 | 0xfe_0000 | (round & 1) << 15 | round & 0xf;
            attempt::store32(world.distributor(SGIR), value).map_err(|_| "an exception")?;
        }
    }
    world.tidy();
    Ok(())
}
