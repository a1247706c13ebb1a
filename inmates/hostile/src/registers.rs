//! Every system register that there can be, by its encoding.

use inmate_rt::comm;
use inmate_rt::encoding::Encoding;

use crate::World;
use crate::lives::Attempt;
use crate::lives::Deed::Answered;

pub const ATTEMPTS: &[Attempt] = &[
    ("every system register read", Answered(|_| read_all(3))),
    (
        "every debug and trace register read",
        Answered(|_| read_all(2)),
    ),
    (
        "EL2's and EL3's registers read",
        Answered(|_| none_of_higher_levels(Encoding::is_readable)),
    ),
    (
        "EL2's and EL3's registers written",
        Answered(|_| none_of_higher_levels(Encoding::is_writable)),
    ),
    ("registers that no cell has", Answered(not_for_cells)),
    (
        "implementation-defined registers read",
        Answered(implementation_defined),
    ),
    (
        "implementation-defined registers written",
        Answered(|_| write_all(3)),
    ),
    (
        "every debug and trace register written",
        Answered(|_| write_all(2)),
    ),
];

/// Of SVE, SME, MTE, software contexts, error records, limited ordering regions, statistical profiling and trace.
const NOT_FOR_CELLS: [Encoding; 18] = [
    Encoding::new(3, 0, 1, 2, 0),  // ZCR_EL1
    Encoding::new(3, 0, 1, 2, 4),  // SMPRI_EL1
    Encoding::new(3, 0, 1, 2, 6),  // SMCR_EL1
    Encoding::new(3, 3, 4, 2, 2),  // SVCR
    Encoding::new(3, 0, 1, 0, 5),  // RGSR_EL1
    Encoding::new(3, 0, 1, 0, 6),  // GCR_EL1
    Encoding::new(3, 0, 5, 6, 0),  // TFSR_EL1
    Encoding::new(3, 0, 5, 6, 1),  // TFSRE0_EL1
    Encoding::new(3, 0, 13, 0, 7), // SCXTNUM_EL1
    Encoding::new(3, 3, 13, 0, 7), // SCXTNUM_EL0
    Encoding::new(3, 0, 5, 3, 0),  // ERRIDR_EL1
    Encoding::new(3, 0, 5, 3, 1),  // ERRSELR_EL1
    Encoding::new(3, 0, 10, 4, 0), // LORSA_EL1
    Encoding::new(3, 0, 10, 4, 3), // LORC_EL1
    Encoding::new(3, 0, 9, 9, 0),  // PMSCR_EL1
    Encoding::new(3, 0, 9, 10, 0), // PMBLIMITR_EL1
    Encoding::new(3, 0, 9, 11, 0), // TRBLIMITR_EL1
    Encoding::new(2, 1, 0, 1, 0),  // TRCPRGCTLR
];

/// Whether the CPU has them or not.
fn not_for_cells(_: &World) -> Result<(), &'static str> {
    let is_there = |register: &Encoding| register.is_readable();
    if NOT_FOR_CELLS.iter().any(is_there) {
        Err("one is there")
    } else {
        Ok(())
    }
}

/// Whatever each read gives, the cell goes on.
fn read_all(op0: u32) -> Result<(), &'static str> {
    let known = Encoding::all(op0)
        .filter(beaten)
        .filter(|register| register.is_readable())
        .count();
    // The ID registers alone are more; none of debug would be odd as well.
    if known > 8 {
        Ok(())
    } else {
        Err("next to none is there")
    }
}

fn none_of_higher_levels(can: fn(&Encoding) -> bool) -> Result<(), &'static str> {
    // Their implementation-defined ones trap like all of those.
    let of_others = |register: &Encoding| {
        register.is_of_higher_levels() && !register.is_implementation_defined()
    };
    let accepted = Encoding::all(3)
        .filter(of_others)
        .filter(beaten)
        .filter(can)
        .count();
    if accepted == 0 {
        Ok(())
    } else {
        Err("one is there")
    }
}

fn implementation_defined(_: &World) -> Result<(), &'static str> {
    let mut own = Encoding::all(3).filter(|register| register.is_implementation_defined());
    let is_zero = |register: Encoding| register.read().unwrap_or(0) == 0;
    if own.by_ref().filter(beaten).all(is_zero) {
        Ok(())
    } else {
        Err("one is not 0")
    }
}

fn write_all(op0: u32) -> Result<(), &'static str> {
    let written = Encoding::all(op0)
        .filter(beaten)
        .filter_map(Encoding::write_zero)
        .count();
    if written > 0 {
        Ok(())
    } else {
        Err("none was written")
    }
}

/// There are many: the heart beats meanwhile.
fn beaten(_: &Encoding) -> bool {
    comm::beat();
    true
}
