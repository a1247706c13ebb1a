//! The CPU interface of a GICv2 (Arm IHI 0048), which is the cell's without a filter, and what lies beside it. That nobody else
//! takes harm is for the others to tell.

use inmate_rt::attempt::{self, Outside};
use inmate_rt::comm;

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Answered, Fatal, Harmless};

pub const ATTEMPTS: &[Attempt] = &[
    (
        "every register of its CPU interface read",
        Answered(|world| each_register(world, |at| attempt::load32(at).map(drop))),
    ),
    (
        "every register of its CPU interface set",
        Answered(|world| each_register(world, |at| attempt::store32(at, ALL))),
    ),
    (
        "every register of its CPU interface zeroed",
        Answered(|world| each_register(world, |at| attempt::store32(at, 0))),
    ),
    (
        "64 bits of its CPU interface",
        Harmless(|world| attempt::load64(world.interface(0x8)).map(drop)),
    ),
    (
        "a byte of its CPU interface",
        Harmless(|world| attempt::store8(world.interface(0x11), 1)),
    ),
    (
        "what is behind its CPU interface",
        Fatal(|world| attempt::load32(world.interface(PAGES)).map(drop)),
    ),
    (
        "the control of virtual interfaces read",
        Fatal(|world| attempt::load32(world.gich).map(drop)),
    ),
    (
        "the control of virtual interfaces written",
        Fatal(|world| attempt::store32(world.gich, ALL)),
    ),
    (
        "the virtual CPU interface read",
        Fatal(|world| attempt::load32(world.gicv).map(drop)),
    ),
    (
        "the virtual CPU interface written",
        Fatal(|world| attempt::store32(world.gicv, ALL)),
    ),
];

/// Every bit of a register.
const ALL: u64 = 0xffff_ffff;
/// A cell's interface is two pages.
const PAGES: u64 = 0x2000;
const CTLR: u64 = 0x0;
const PMR: u64 = 0x4;
const EOIR: u64 = 0x10;
/// Active priorities, of either group.
const APRS: [u64; 8] = [0xd0, 0xd4, 0xd8, 0xdc, 0xe0, 0xe4, 0xe8, 0xec];

impl World {
    /// A register of it; without one foreign memory.
    fn interface(&self, offset: u64) -> Outside {
        self.interface
            .map_or(self.foreign, |range| self.at(range.base + offset))
    }

    /// It is as it was at the start, but that it lets everything through: nothing active.
    pub fn tidy_interface(&self) {
        if self.interface.is_none() {
            return;
        }
        for register in APRS {
            let _ = attempt::store32(self.interface(register), 0);
        }
        for (register, value) in [(EOIR, 0), (PMR, 0xff), (CTLR, 1)] {
            let _ = attempt::store32(self.interface(register), value);
        }
    }
}

fn each_register(
    world: &World,
    access: fn(Outside) -> Result<(), attempt::Exception>,
) -> Result<(), &'static str> {
    if world.interface.is_none() {
        return Ok(()); // a GICv3 has it in system registers
    }
    for offset in (0..PAGES).step_by(4) {
        comm::beat();
        access(world.interface(offset)).map_err(|_| "an exception")?;
    }
    world.tidy_interface();
    Ok(())
}
