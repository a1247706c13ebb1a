//! What a cell asks the hypervisor for: hypercalls and the interrupt controller's registers.

use bulkhead_abi::call;
use inmate_rt::measure::{self, GicRegister};
use inmate_rt::{IntId, Tree, hypercall, psci};

use crate::tally::{report, skip};

/// Offsets in the distributor (GIC IHI 0069, distributor register map).
const GICD_TYPER: u64 = 0x004;
const GICD_ISENABLER1: u64 = 0x104;
const GICD_IPRIORITYR: u64 = 0x400;
/// Offsets in a redistributor.
const GICR_TYPER: u64 = 0x008;
const GICR_ISENABLER0: u64 = 0x1_0100;

/// Measures them all.
pub fn run(tree: &Tree) {
    if hypercall::is_bulkhead() {
        report("hypercall", || measure::call(call::VERSION));
    } else {
        skip("hypercall", "this is not Bulkhead");
    }
    report("psci_version", || measure::call(psci::PSCI_VERSION));
    // A whole register of priorities, those of the console's interrupt among them: the cell has one of the four.
    let spi = tree
        .console()
        .and_then(|uart| uart.interrupt)
        .unwrap_or(IntId::spi(0));
    let priorities = GICD_IPRIORITYR + u64::from(spi.raw_value() & !3);
    let distributor = |offset| GicRegister::of_distributor(tree, offset).expect("GICD in the tree");
    let redistributor =
        |offset| GicRegister::of_redistributor(tree, offset).expect("GICR in the tree");
    let register = distributor(GICD_TYPER);
    report("gicd_typer_read", || measure::load32(register));
    let register = distributor(GICD_ISENABLER1);
    report("gicd_isenabler_read", || measure::load32(register));
    report("gicd_isenabler_write", || measure::store32(register, 0));
    let register = distributor(priorities);
    report("gicd_ipriorityr_read", || measure::load32(register));
    report("gicd_ipriorityr_write", || {
        measure::store32(register, 0x8080_8080)
    });
    let register = redistributor(GICR_TYPER);
    report("gicr_typer_read", || measure::load64(register));
    let register = redistributor(GICR_ISENABLER0);
    report("gicr_isenabler0_read", || measure::load32(register));
}
