//! How a CPU is kicked, on every kind of interrupt controller: the priorities are carried through as the hardware does.

use bulkhead_model::vgic::MOST_URGENT;
use bulkhead_model::vgic::kick::Kicks;

const DS: u32 = 1 << 6;
const KICK_PRIORITY: u8 = 0;

/// Every machine: (GICD_CTLR, SCR_EL3.FIQ is 0).
fn machines() -> impl Iterator<Item = (u32, bool)> {
    [0, 0x12, DS, 0x13 | DS, !DS, u32::MAX]
        .into_iter()
        .flat_map(|ctlr| [(ctlr, true), (ctlr, false)])
}

/// A priority that non-secure software wrote to the distributor, as the CPU interface compares it.
fn priority(ctlr: u32, written: u8) -> u8 {
    if ctlr & DS != 0 {
        written
    } else {
        0x80 | written >> 1
    }
}

/// The same of the priority mask.
fn mask(reaches_group0: bool, written: u8) -> u8 {
    if reaches_group0 {
        written
    } else {
        0x80 | written >> 1
    }
}

#[test]
fn group_0_is_used_only_where_it_is_ours() {
    for (ctlr, reaches_group0) in machines() {
        let kicks = Kicks::new(ctlr, reaches_group0);
        let has_one = ctlr & DS != 0;
        assert_eq!(kicks.security_states, if has_one { 1 } else { 2 });
        assert_eq!(kicks.by_group0, has_one && reaches_group0);
    }
}

#[test]
fn the_least_mask_stops_every_guests_interrupt_and_no_kick() {
    for (ctlr, reaches_group0) in machines() {
        let least = mask(reaches_group0, Kicks::new(ctlr, reaches_group0).least_pmr);
        assert!(priority(ctlr, KICK_PRIORITY) < least, "{ctlr:#x}");
        // Non-secure software has 16 levels at least: the low four bits may be missing.
        for guests in (MOST_URGENT..=u8::MAX).step_by(16) {
            let passes = priority(ctlr, guests) < least;
            // A mask that cannot reach the upper half stops none of it; that hardware has no such machine.
            let is_strange = ctlr & DS != 0 && !reaches_group0;
            assert_eq!(
                passes,
                is_strange && guests < 0x88,
                "{ctlr:#x}, {guests:#x}"
            );
        }
    }
}

#[test]
fn a_mask_lets_through_what_is_more_urgent() {
    for (ctlr, reaches_group0) in machines() {
        let is_strange = ctlr & DS != 0 && !reaches_group0;
        let kicks = Kicks::new(ctlr, reaches_group0);
        let levels = || (0..=0xf0).step_by(16);
        for (one, other) in levels().flat_map(|one| levels().map(move |other| (one, other))) {
            let mask = mask(reaches_group0, kicks.mask(other));
            let passes = priority(ctlr, one) < mask;
            assert!(
                is_strange || passes == (one < other),
                "{ctlr:#x}, {one:#x}, {other:#x}"
            );
        }
        assert_eq!(kicks.mask(u8::MAX), u8::MAX);
    }
}
