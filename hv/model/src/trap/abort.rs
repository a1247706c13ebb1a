//! Stage-2 aborts: ISS of data and instruction aborts (Arm ARM DDI 0487, "ISS encoding for an exception from a Data
//! Abort" and "… an Instruction Abort").

/// What the memory system found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultStatus {
    /// Address size fault at this level.
    AddressSize(u8),
    /// No valid entry at this level.
    Translation(u8),
    /// Access flag clear at this level.
    AccessFlag(u8),
    /// Not permitted by the entry at this level.
    Permission(u8),
    /// Synchronous external abort or ECC error, on a table walk or not: the system answered with an error.
    External,
    /// Unaligned access.
    Alignment,
    /// The TLB held two entries.
    TlbConflict,
    /// Any other code.
    Other(u8),
}

impl FaultStatus {
    /// DFSC or IFSC, bits 5:0.
    fn decode(esr: u64) -> Self {
        let code = (esr & 0x3f) as u8;
        let level = code & 3;
        match code {
            0x00..=0x03 => Self::AddressSize(level),
            0x04..=0x07 => Self::Translation(level),
            0x08..=0x0b => Self::AccessFlag(level),
            0x0c..=0x0f => Self::Permission(level),
            0x10 | 0x14..=0x17 | 0x18 | 0x1c..=0x1f => Self::External,
            0x21 => Self::Alignment,
            0x30 => Self::TlbConflict,
            other => Self::Other(other),
        }
    }
}

/// A load or store that the syndrome describes in full.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Access {
    /// 1, 2, 4 or 8 bytes.
    pub size: u8,
    /// General register; 31 is XZR.
    pub register: u8,
    /// A load extends the sign.
    pub sign_extend: bool,
    /// A load writes all 64 bits of the register.
    pub sixty_four: bool,
    /// Store.
    pub is_write: bool,
}

impl Access {
    /// Returns what a load that read `value` leaves in its register.
    #[inline]
    #[must_use]
    pub const fn extend(self, value: u64) -> u64 {
        let unused = 64 - 8 * self.size as u32;
        let value = if self.sign_extend {
            ((value << unused).cast_signed() >> unused).cast_unsigned()
        } else {
            value << unused >> unused
        };
        if self.sixty_four {
            value
        } else {
            value & 0xffff_ffff
        }
    }

    /// Returns what a store of a register that holds `value` writes.
    #[inline]
    #[must_use]
    pub const fn truncate(self, value: u64) -> u64 {
        let unused = 64 - 8 * self.size as u32;
        value << unused >> unused
    }
}

/// A load, store or cache instruction that stage 2 stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DataAbort {
    /// The instruction, when the syndrome describes it (ISV = 1).
    pub access: Option<Access>,
    /// WnR. Cache maintenance counts as a write.
    pub is_write: bool,
    /// What was found.
    pub status: FaultStatus,
    /// S1PTW: the access was a walk of the guest's own tables.
    pub on_table_walk: bool,
    /// `FAR_EL2` is the faulting address.
    pub far_valid: bool,
    /// CM: a cache maintenance instruction.
    pub cache_maintenance: bool,
}

impl DataAbort {
    pub(super) fn decode(esr: u64) -> Self {
        let bit = |n: u32| esr >> n & 1 != 0;
        let is_write = bit(6);
        let access = if bit(24) {
            Some(Access {
                size: 1 << (esr >> 22 & 3),
                register: (esr >> 16 & 0x1f) as u8,
                sign_extend: bit(21),
                sixty_four: bit(15),
                is_write,
            })
        } else {
            None
        };
        Self {
            access,
            is_write,
            status: FaultStatus::decode(esr),
            on_table_walk: bit(7),
            far_valid: !bit(10),
            cache_maintenance: bit(8),
        }
    }

    /// Tells whether `HPFAR_EL2` is valid.
    #[must_use]
    pub const fn has_ipa(&self) -> bool {
        has_ipa(self.status, self.on_table_walk)
    }
}

/// An instruction fetch that stage 2 stopped.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct InstructionAbort {
    /// What was found.
    pub status: FaultStatus,
    /// S1PTW: the access was a walk of the guest's own tables.
    pub on_table_walk: bool,
    /// `FAR_EL2` is the faulting address.
    pub far_valid: bool,
}

impl InstructionAbort {
    pub(super) fn decode(esr: u64) -> Self {
        Self {
            status: FaultStatus::decode(esr),
            on_table_walk: esr & 1 << 7 != 0,
            far_valid: esr & 1 << 10 == 0,
        }
    }

    /// Tells whether `HPFAR_EL2` is valid.
    #[must_use]
    pub const fn has_ipa(&self) -> bool {
        has_ipa(self.status, self.on_table_walk)
    }
}

/// `HPFAR_EL2` is UNKNOWN for other faults, permission faults of the access itself among them (DDI 0487, `HPFAR_EL2`).
const fn has_ipa(status: FaultStatus, on_table_walk: bool) -> bool {
    use FaultStatus::{AccessFlag, AddressSize, Permission, Translation};
    match status {
        Translation(_) | AccessFlag(_) | AddressSize(_) => true,
        Permission(_) => on_table_walk,
        _ => false,
    }
}
