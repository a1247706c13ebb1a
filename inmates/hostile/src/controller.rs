//! Other cells' interrupts, by the distributor's registers and the redistributors'.

use inmate_rt::attempt::{self, Outside};
use inmate_rt::comm;

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::{Answered, Fatal, Harmless};

mod undecodable;

pub use undecodable::{LOADS, STORES};

pub const ATTEMPTS: &[Attempt] = &[
    (
        "every SPI disabled",
        Answered(|world| write_words(world, 0x180, ALL)),
    ),
    (
        "every SPI enabled",
        Answered(|world| write_words(world, 0x100, ALL)),
    ),
    (
        "every SPI made pending",
        Answered(|world| write_words(world, 0x200, ALL)),
    ),
    (
        "every SPI no longer pending",
        Answered(|world| write_words(world, 0x280, ALL)),
    ),
    (
        "every SPI made active",
        Answered(|world| write_words(world, 0x300, ALL)),
    ),
    (
        "every SPI no longer active",
        Answered(|world| write_words(world, 0x380, ALL)),
    ),
    (
        "every SPI in Group 0",
        Answered(|world| write_words(world, 0x080, 0)),
    ),
    (
        "every SPI secure",
        Answered(|world| write_words(world, 0xd00, ALL)),
    ),
    ("every SPI most urgent", Answered(prioritise)),
    (
        "every SPI edge-triggered",
        Answered(|world| write_fields(world, 0xc00, 2, 0xaaaa_aaaa)),
    ),
    (
        "every SPI to all CPUs",
        Answered(|world| write_fields(world, 0x800, 8, ALL)),
    ),
    ("every SPI routed elsewhere", Answered(route)),
    ("the distributor turned off", Answered(turn_off)),
    ("message-based SPIs of others", Answered(messages)),
    ("SGIs by the distributor", Answered(sgis)),
    ("every register of the distributor read", Answered(read_all)),
    (
        "every register of the distributor written",
        Answered(write_all),
    ),
    (
        "a misaligned word of the distributor",
        Harmless(|world| attempt::load32(world.distributor(0x102)).map(drop)),
    ),
    (
        "what is behind the distributor",
        Fatal(|world| attempt::load32(behind(world)).map(drop)),
    ),
    ("its redistributor's LPIs", Answered(lpis)),
    (
        "every register of its redistributor written",
        Answered(write_redistributor),
    ),
    ("its SGIs above all others", Answered(urgent_sgis)),
    (
        "the next redistributor read",
        Fatal(|world| next_redistributor(world, |at| attempt::load32(at).map(drop))),
    ),
    (
        "the next redistributor written",
        Fatal(|world| next_redistributor(world, |at| attempt::store32(at, ALL))),
    ),
];

/// Every bit of a register.
const ALL: u64 = 0xffff_ffff;
/// INTIDs from here on are no SPIs (GIC IHI 0069, INTIDs).
const INTIDS: u64 = 1020;
const ICENABLER: u64 = 0x180;
const ICPENDR: u64 = 0x280;
const ICACTIVER: u64 = 0x380;
const SGI_BASE: u64 = 0x1_0000;
/// Two frames.
const REDISTRIBUTOR: u64 = 0x2_0000;

impl World {
    /// The bits of the cell's own SPI in a register of so many bits for each.
    fn own_bits(&self, first_intid: u64, width: u64) -> u64 {
        let Some(own) = self.own_spi else { return 0 };
        let place = u64::from(own.raw_value()).wrapping_sub(first_intid);
        if place < 32 / width {
            ((1 << width) - 1) << (place * width)
        } else {
            0
        }
    }

    fn redistributor(&self, offset: u64) -> Option<Outside> {
        Some(self.at(self.redistributors?.base + offset))
    }

    /// Disables what this left enabled.
    pub fn tidy(&self) {
        for register in [ICENABLER, ICPENDR, ICACTIVER] {
            for word in 0..INTIDS.div_ceil(32) {
                let _ = attempt::store32(self.distributor(register + 4 * word), ALL);
            }
            if let Some(place) = self.redistributor(SGI_BASE + register) {
                let _ = attempt::store32(place, ALL);
            }
        }
    }
}

/// Writes registers of so many bits for each SPI; whatever is read back is of the cell's own.
fn write_fields(world: &World, register: u64, width: u64, value: u64) -> Result<(), &'static str> {
    let each = 32 / width;
    for place in 32 / each..INTIDS.div_ceil(each) {
        comm::beat();
        let word = world.distributor(register + 4 * place);
        attempt::store32(word, value).map_err(|_| "an exception")?;
        let found = attempt::load32(word).map_err(|_| "an exception")?;
        if found & !world.own_bits(place * each, width) != 0 {
            return Err("bits of others");
        }
    }
    Ok(())
}

fn write_words(world: &World, register: u64, value: u64) -> Result<(), &'static str> {
    let result = write_fields(world, register, 1, value);
    // What is enabled, pending or active now is the cell's own.
    let others = (1..INTIDS.div_ceil(32)).any(|word| {
        [0x100, 0x200, 0x300].into_iter().any(|register| {
            let found = attempt::load32(world.distributor(register + 4 * word));
            found.is_ok_and(|bits| bits & !world.own_bits(32 * word, 1) != 0)
        })
    });
    world.tidy();
    if others {
        Err("interrupts of others")
    } else {
        result
    }
}

/// The cell's own one becomes no more urgent than a kick lets it.
fn prioritise(world: &World) -> Result<(), &'static str> {
    write_fields(world, 0x400, 8, 0)?;
    let Some(own) = world.own_spi else {
        return Ok(());
    };
    let byte = world.distributor(0x400 + u64::from(own.raw_value()));
    let _ = attempt::store8(byte, 0);
    match attempt::load8(byte) {
        Ok(0x10..) => Ok(()),
        _ => Err("more urgent than a kick"),
    }
}

/// To other CPUs, in both of the halves and as a whole, and to any.
fn route(world: &World) -> Result<(), &'static str> {
    const ANY: u64 = 1 << 31;
    if world.redistributors.is_none() {
        return Ok(()); // a GICv2 has no routes
    }
    for spi in 32..INTIDS {
        comm::beat();
        let place = world.distributor(0x6000 + 8 * spi);
        for target in [1, 2, 3, 0x100, 0x1_0000, 1 << 32, ANY] {
            attempt::store64(place, target).map_err(|_| "an exception")?;
            if attempt::load64(place) != Ok(0) {
                return Err("not at the cell's own CPU");
            }
        }
        attempt::store32(place, 1).map_err(|_| "an exception")?;
        if attempt::load64(place) != Ok(0) {
            return Err("not at the cell's own CPU");
        }
    }
    Ok(())
}

fn turn_off(world: &World) -> Result<(), &'static str> {
    let control = world.distributor(0);
    let before = attempt::load32(control);
    for value in [0, ALL, 1 << 6, 0] {
        attempt::store32(control, value).map_err(|_| "an exception")?;
    }
    if attempt::load32(control) == before {
        Ok(())
    } else {
        Err("another GICD_CTLR")
    }
}

fn messages(world: &World) -> Result<(), &'static str> {
    for spi in 32..INTIDS {
        comm::beat();
        for register in [0x40, 0x48, 0x50, 0x58] {
            attempt::store32(world.distributor(register), spi).map_err(|_| "an exception")?;
        }
    }
    Ok(())
}

/// GICD_SGIR to all, all but itself and itself; pending SGIs of others.
fn sgis(world: &World) -> Result<(), &'static str> {
    for sgi in 0..16 {
        for filter in [0x00ff_0000, 1 << 24, 2 << 24] {
            attempt::store32(world.distributor(0xf00), filter | sgi).map_err(|_| "an exception")?;
        }
    }
    for place in (0xf10..0xf30).step_by(4) {
        attempt::store32(world.distributor(place), ALL).map_err(|_| "an exception")?;
    }
    world.tidy();
    Ok(())
}

/// Where the distributor ends, in 4 KiB or 64 KiB.
fn end(world: &World) -> u64 {
    world.distributor.size.min(0x1_0000)
}

/// Of a GICv2's, which boards may show again and again up to its CPU interface, filtered as it is: foreign memory.
fn behind(world: &World) -> Outside {
    if world.interface.is_some() {
        return world.foreign;
    }
    world.at(world.distributor.base + world.distributor.size)
}

fn read_all(world: &World) -> Result<(), &'static str> {
    for offset in (0..end(world)).step_by(8) {
        comm::beat();
        let at = |more| world.distributor(offset + more);
        let reads = [
            attempt::load64(at(0)),
            attempt::load32(at(0)),
            attempt::load32(at(4)),
            attempt::load16(at(2)),
            attempt::load8(at(7)),
            attempt::load_signed(at(1)),
        ];
        if reads.iter().any(Result::is_err) {
            return Err("an exception");
        }
    }
    Ok(())
}

fn write_all(world: &World) -> Result<(), &'static str> {
    for offset in (0..end(world)).step_by(8) {
        comm::beat();
        for value in [u64::MAX, 0] {
            let at = |more| world.distributor(offset + more);
            let writes = [
                attempt::store64(at(0), value),
                attempt::store32(at(4), value),
                attempt::store16(at(2), value),
                attempt::store8(at(1), value),
            ];
            if writes.iter().any(Result::is_err) {
                return Err("an exception");
            }
        }
    }
    world.tidy();
    Ok(())
}

/// EnableLPIs, where they would be configured, and where they would be pending: memory that hardware writes.
fn lpis(world: &World) -> Result<(), &'static str> {
    for register in [0x40, 0x48, 0x70, 0x78, 0xa0, 0xb0, 0x00] {
        let Some(place) = world.redistributor(register) else {
            return Ok(());
        };
        let before = attempt::load64(place);
        let value = if register == 0 { 1 } else { u64::MAX };
        attempt::store64(place, value).map_err(|_| "an exception")?;
        attempt::store32(place, value).map_err(|_| "an exception")?;
        if attempt::load64(place) != before {
            return Err("another value");
        }
    }
    Ok(())
}

fn write_redistributor(world: &World) -> Result<(), &'static str> {
    for offset in (0..REDISTRIBUTOR).step_by(4) {
        comm::beat();
        let Some(place) = world.redistributor(offset) else {
            return Ok(());
        };
        for value in [ALL, 0] {
            attempt::store32(place, value).map_err(|_| "an exception")?;
        }
    }
    world.tidy();
    Ok(())
}

fn urgent_sgis(world: &World) -> Result<(), &'static str> {
    for intid in 0..32 {
        let byte = world
            .redistributor(SGI_BASE + 0x400 + intid)
            .unwrap_or(world.distributor(0x400 + intid));
        attempt::store8(byte, 0).map_err(|_| "an exception")?;
        if !matches!(attempt::load8(byte), Ok(0x10..)) {
            return Err("more urgent than a kick");
        }
    }
    Ok(())
}

/// The cell has one CPU, and so one redistributor.
fn next_redistributor(
    world: &World,
    access: fn(Outside) -> Result<(), attempt::Exception>,
) -> Result<(), attempt::Exception> {
    let place = world.redistributor(REDISTRIBUTOR);
    access(place.unwrap_or(world.foreign))
}
