//! How a CPU of a cell is made to enter EL2, by what the interrupt controller lets non-secure software do (Arm IHI 0069,
//! "Interrupt security", and the views of `ICC_PMR_EL1` and `GICD_IPRIORITYR<n>`).

use super::MOST_URGENT;

/// `GICD_CTLR.DS`: one security state.
const GICD_CTLR_DS: u32 = 1 << 6;

/// `GICD_TYPER.SecurityExtn` of a GICv2: two security states.
const GICD_TYPER_SECURITY_EXTN: u32 = 1 << 10;

/// Fixed while enabled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kicks {
    /// Security states of the interrupt controller, 1 or 2.
    pub security_states: u8,
    /// A Group 0 SGI: an FIQ, which EL2 takes whatever the guest masks. Else the cell loses its stage 2, so that what
    /// its CPUs execute next faults into EL2, and a Group 1 SGI ends their WFI.
    pub by_group0: bool,
    /// Physical priority mask of a cell's CPU that masks all of its interrupts, and still not the kick.
    pub least_pmr: u8,
}

impl Kicks {
    /// Decides from `GICD_CTLR` as EL2 reads it, and from whether EL2 reaches Group 0 (`SCR_EL3.FIQ` = 0).
    ///
    /// With two security states Group 0 is firmware's. Priorities that non-secure software writes to the distributor then
    /// lie in the lower half, 0x80 to 0xff; so does its priority mask, but only where it does not reach Group 0.
    #[must_use]
    pub const fn new(gicd_ctlr: u32, reaches_group0: bool) -> Self {
        let has_one_state = gicd_ctlr & GICD_CTLR_DS != 0;
        let is_mask_whole = !has_one_state && reaches_group0;
        Self {
            security_states: if has_one_state { 1 } else { 2 },
            by_group0: has_one_state && reaches_group0,
            least_pmr: if is_mask_whole {
                0x80 | MOST_URGENT >> 1
            } else {
                MOST_URGENT
            },
        }
    }

    /// Decides for a GICv2, from `GICD_TYPER` (IHI 0048). Where it has two states Group 0 is firmware's, and what
    /// non-secure software sees of priorities and masks is consistent in itself. Where it has one some have groups and
    /// some have none: Group 0 is left alone.
    #[must_use]
    pub const fn of_gicv2(gicd_typer: u32) -> Self {
        Self {
            security_states: if gicd_typer & GICD_TYPER_SECURITY_EXTN == 0 {
                1
            } else {
                2
            },
            by_group0: false,
            least_pmr: MOST_URGENT,
        }
    }

    /// The physical priority mask that only lets through what is more urgent than `priority`, as the distributor has it.
    #[must_use]
    pub const fn mask(&self, priority: u8) -> u8 {
        if self.least_pmr == MOST_URGENT || priority == u8::MAX {
            priority
        } else {
            0x80 | priority >> 1
        }
    }
}
