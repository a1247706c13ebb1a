//! Meddling with other cells' interrupts.

use inmate_rt::attempt::{self, Exception, Outside};
use inmate_rt::{Tree, println};

/// INTIDs that a distributor may have, and where their registers end (GIC IHI 0069, distributor register map).
const INTIDS: u64 = 1020;
/// Every bit of a register.
const ALL: u64 = 0xffff_ffff;

/// Sends all sixteen SGIs to everyone by every way there is: all but self, and every list of the first clusters.
pub fn send_to_all() {
    const ALL_BUT_SELF: u64 = 1 << 40;
    let mut failed = 0;
    for sgi in 0..16_u64 {
        for value in [
            ALL_BUT_SELF,
            0xffff,
            1 << 16 | 0xffff,
            1 << 32 | 0xffff,
            1 << 48 | 0xffff,
            1 << 44 | 0xffff,
        ] {
            for send in [attempt::sgi1, attempt::sgi0, attempt::sgi1_other] {
                failed += u32::from(send(value | sgi << 24).is_err());
            }
        }
    }
    println!("bad: sgi-all: sent, {failed} exceptions");
}

/// Writes every register of every SPI, then says what reads back as enabled.
pub fn take_all(tree: &Tree) {
    let Some((distributor, _)) = tree.gic() else {
        return println!("bad: no interrupt controller in the tree");
    };
    let mut failed = 0;
    let mut store = |offset: u64, value: u64| {
        if let Some(register) = Outside::new(distributor.base + offset, tree) {
            failed += u32::from(attempt::store32(register, value).is_err());
        }
    };
    for word in 0..INTIDS.div_ceil(32) {
        for (register, value) in [
            (0x080, 0),   // IGROUPR: group 0
            (0x200, ALL), // ISPENDR
            (0x280, ALL), // ICPENDR
            (0x300, ALL), // ISACTIVER
            (0x380, ALL), // ICACTIVER
            (0x180, ALL), // ICENABLER
            (0x100, ALL), // ISENABLER
            (0xd00, ALL), // IGRPMODR
        ] {
            store(register + 4 * word, value);
        }
        for part in 0..8 {
            store(0x400 + 32 * word + 4 * part, 0); // IPRIORITYR: the highest
            store(0x800 + 32 * word + 4 * part, ALL); // ITARGETSR
        }
        for part in 0..2 {
            store(0xc00 + 8 * word + 4 * part, 0xaaaa_aaaa); // ICFGR: edge
        }
    }
    for spi in 32..INTIDS {
        store(0x6000 + 8 * spi, 0); // IROUTER: to CPU 0
    }
    store(0xf00, 0x00ff_0001); // SGIR
    store(0x040, 40); // SETSPI_NSR
    store(0x000, 0); // CTLR: off
    println!("bad: gic: written, {failed} exceptions");
    for word in 1..INTIDS.div_ceil(32) {
        let Some(register) = Outside::new(distributor.base + 0x100 + 4 * word, tree) else {
            return;
        };
        match attempt::load32(register) {
            Ok(0) => {}
            Ok(enabled) => println!("bad: gic: ISENABLER{word} reads {enabled:#x}"),
            Err(Exception { esr, .. }) => {
                println!("bad: gic: ISENABLER{word}: exception, ESR {esr:#x}")
            }
        }
    }
}
