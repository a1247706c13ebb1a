//! SGIs to CPUs that are not the cell's. That none came anywhere is for those CPUs to tell.

use inmate_rt::attempt::{self, Exception};

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
