//! A list register, of either interrupt controller.

/// SGIs have no link to a physical interrupt (IHI 0069, `ICH_LR<n>_EL2.HW`).
const FIRST_LINKED: u64 = 16;
/// pINTID; of an SGI of a GICv2 the CPU that it is from, where a GICv3 has zeros.
const LINK_SHIFT: u32 = 32;
/// CPUID in what GICC_IAR of a GICv2 gives.
pub(super) const SOURCE_SHIFT: u32 = 10;

/// A list register (IHI 0069, `ICH_LR<n>_EL2`), of a Group 1 interrupt whose virtual INTID is the physical one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Lr(u64);

impl Lr {
    /// Nothing in it.
    pub const EMPTY: Self = Self(0);
    const PENDING: u64 = 1 << 62;
    const ACTIVE: u64 = 1 << 63;
    const LINKED: u64 = 1 << 61;
    const GROUP_1: u64 = 1 << 60;
    /// Without a link: a maintenance interrupt at its end.
    const NOTICE: u64 = 1 << 41;

    /// An interrupt that has come; in bits 12:10 whom an SGI of a GICv2 is from (`GICC_IAR.CPUID`).
    #[inline]
    #[must_use]
    pub const fn pending(intid: u16, priority: u8) -> Self {
        let (number, source) = ((intid & 0x3ff) as u64, (intid >> SOURCE_SHIFT & 7) as u64);
        let link = if number < FIRST_LINKED {
            source
        } else {
            Self::LINKED >> LINK_SHIFT | number
        };
        Self(Self::PENDING | Self::GROUP_1 | (priority as u64) << 48 | link << LINK_SHIFT | number)
    }

    /// The register's value as it was read.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The value to write.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// The interrupt's number.
    #[must_use]
    pub const fn intid(self) -> u16 {
        (self.0 & 0x3ff) as u16
    }

    /// Its priority: the less, the more urgent.
    #[must_use]
    pub const fn priority(self) -> u8 {
        (self.0 >> 48 & 0xff) as u8
    }

    /// The guest shall take it.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        self.0 & Self::PENDING != 0
    }

    /// The guest has taken it and not deactivated it.
    #[must_use]
    pub const fn is_active(self) -> bool {
        self.0 & Self::ACTIVE != 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 & (Self::PENDING | Self::ACTIVE) == 0
    }

    pub(super) const fn is_linked(self) -> bool {
        self.0 & Self::LINKED != 0
    }

    /// Whom an SGI is from, as the cell numbers its CPUs.
    pub(super) const fn source(self) -> u8 {
        (self.0 >> LINK_SHIFT & 7) as u8
    }

    /// With a maintenance interrupt at its end. It is not linked.
    pub(super) const fn with_notice(self) -> Self {
        Self(self.0 | Self::NOTICE)
    }

    /// The guest has ended it, and that is why there is a maintenance interrupt.
    pub(super) const fn gives_notice(self) -> bool {
        self.is_empty() && !self.is_linked() && self.0 & Self::NOTICE != 0
    }

    /// Come again.
    pub(super) const fn made_pending(self) -> Self {
        Self(self.0 | Self::PENDING)
    }

    /// The value to write to a GICv2 (IHI 0048, `GICH_LR<n>`): HW 31, State 29:28, Priority 27:23, PhysicalID or EOI and CPUID
    /// 19:10, VirtualID. In Group 0, of which the guest's GICC_CTLR.Enable is: it has the view of software that knows no groups.
    #[inline]
    #[must_use]
    pub const fn to_v2(self) -> u32 {
        let state = self.0 >> 62 << 28 | (self.0 >> 61 & 1) << 31;
        let link = (self.0 >> LINK_SHIFT & 0x3ff) << 10;
        ((state | (self.0 >> 51 & 0x1f) << 23 | link | self.0 & 0x3ff) & 0xffff_ffff) as u32
    }

    /// Undoes [`Self::to_v2`], as far as it matters: which group it is in there.
    #[inline]
    #[must_use]
    pub const fn from_v2(bits: u32) -> Self {
        let bits = bits as u64;
        let state = (bits >> 28 & 3) << 62 | (bits >> 31) << 61;
        let link = (bits >> 10 & 0x3ff) << LINK_SHIFT;
        Self(state | (bits >> 23 & 0x1f) << 51 | link | bits & 0x3ff)
    }
}
