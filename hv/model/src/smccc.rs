//! Calls by HVC and SMC: who answers them (SMC Calling Convention, Arm DEN 0028).
//!
//! One rule: root's SMCs reach firmware as if we were not there, but for PSCI; of a cell's only those that flush branch
//! predictors do; what nobody serves answers `NOT_SUPPORTED`.

use crate::id::CellId;

/// Answer to what is not served.
pub const NOT_SUPPORTED: i64 = -1;
/// `SMCCC_VERSION`.
pub const VERSION: u32 = 0x8000_0000;
/// `SMCCC_ARCH_FEATURES`; argument: a function.
pub const ARCH_FEATURES: u32 = 0x8000_0001;
/// `SMCCC_ARCH_WORKAROUND_1` (DEN 0028): flushes branch predictors (Spectre variant 2).
pub const WORKAROUND_1: u32 = 0x8000_8000;
/// `SMCCC_ARCH_WORKAROUND_2`: turns this CPU's mitigation of Spectre variant 4 on or off. It would outlive a cell.
pub const WORKAROUND_2: u32 = 0x8000_7fff;
/// `SMCCC_ARCH_WORKAROUND_3`: flushes branch history (Spectre-BHB).
pub const WORKAROUND_3: u32 = 0x8000_3fff;
/// Version that a cell sees: 1.1.
const VERSION_1_1: i64 = 0x1_0001;

/// The instruction of a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Conduit {
    /// To the hypervisor.
    Hvc,
    /// To firmware.
    Smc,
}

/// Function identifier, from w0.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Function(u32);

/// Owner of a function, bits 29:24 of a fast call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service {
    /// 0: Arm architecture.
    Architecture,
    /// 1: of the CPU's maker.
    Cpu,
    /// 2: of the chip's maker.
    Sip,
    /// 3: of the board's maker.
    Oem,
    /// 4: standard secure, PSCI among it.
    StandardSecure,
    /// 5: standard hypervisor.
    StandardHypervisor,
    /// 6: of the hypervisor's maker: us.
    VendorHypervisor,
    /// 7 to 47.
    Reserved,
    /// 48 and 49.
    TrustedApplication,
    /// 50 to 63, and yielding calls.
    TrustedOs,
}

impl Function {
    /// Bit 31: fast, not yielding.
    const FAST: u32 = 1 << 31;
    /// Bit 30: 64-bit arguments.
    const SIXTY_FOUR: u32 = 1 << 30;
    /// Bit 16 of a fast call since version 1.3: a hint that SVE state need not live. Not part of the name.
    const SVE_HINT: u32 = 1 << 16;

    /// Takes it from x0.
    #[must_use]
    pub const fn new(x0: u64) -> Self {
        let id = (x0 & 0xffff_ffff) as u32;
        if id & Self::FAST == 0 {
            Self(id)
        } else {
            Self(id & !Self::SVE_HINT)
        }
    }

    /// The identifier, without hints.
    #[must_use]
    pub const fn id(self) -> u32 {
        self.0
    }

    /// Arguments and results are 64 bits wide.
    #[must_use]
    pub const fn is_64_bit(self) -> bool {
        self.0 & Self::SIXTY_FOUR != 0
    }

    /// Who defines it.
    #[must_use]
    pub const fn service(self) -> Service {
        if self.0 & Self::FAST == 0 {
            return Service::TrustedOs;
        }
        match self.0 >> 24 & 0x3f {
            0 => Service::Architecture,
            1 => Service::Cpu,
            2 => Service::Sip,
            3 => Service::Oem,
            4 => Service::StandardSecure,
            5 => Service::StandardHypervisor,
            6 => Service::VendorHypervisor,
            48 | 49 => Service::TrustedApplication,
            50..=63 => Service::TrustedOs,
            _ => Service::Reserved,
        }
    }

    /// Tells whether PSCI defines it: numbers 0 to 0x1f of the standard secure service (DEN 0022).
    #[must_use]
    pub const fn is_psci(self) -> bool {
        self.0 & !(Self::SIXTY_FOUR | 0x1f) == 0x8400_0000
    }

    /// Software delegated exceptions (DEN 0054): firmware would enter EL2, ours, at an address of root's.
    #[must_use]
    pub const fn is_sdei(self) -> bool {
        self.0 & !(Self::SIXTY_FOUR | 0x1f) == 0x8400_0020
    }
}

/// Who answers a call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Route {
    /// [`crate::psci`].
    Psci,
    /// We: a function of `abi::call`, or another of the vendor hypervisor service.
    Hypercall(u32),
    /// Firmware, with all registers as they are.
    Firmware,
    /// This value in x0.
    Return(i64),
}

/// Decides who answers the call `x0`, with its first argument, by an instruction with this immediate.
#[must_use]
pub const fn route(caller: CellId, conduit: Conduit, imm: u16, x0: u64, argument: u64) -> Route {
    let function = Function::new(x0);
    let is_root = caller.index() == CellId::ROOT.index();
    match (conduit, function.service()) {
        (Conduit::Smc, _) if is_root && function.is_sdei() => Route::Return(NOT_SUPPORTED),
        (Conduit::Smc, _) if is_root && !function.is_psci() => Route::Firmware,
        _ if imm != 0 => Route::Return(NOT_SUPPORTED),
        _ if function.is_psci() => Route::Psci,
        (Conduit::Hvc, Service::VendorHypervisor) => Route::Hypercall(function.id()),
        _ if is_workaround(caller, x0) => Route::Firmware,
        // Whether there is one.
        _ if function.id() == ARCH_FEATURES && is_workaround(caller, argument) => Route::Firmware,
        (_, Service::Architecture) => Route::Return(architecture(function.id(), argument)),
        _ => Route::Return(NOT_SUPPORTED),
    }
}

/// Tells whether firmware carries out this call for the caller, at once: guests make it as often as they enter their kernel.
#[inline]
#[must_use]
pub const fn is_workaround(caller: CellId, x0: u64) -> bool {
    match Function::new(x0).id() {
        WORKAROUND_1 | WORKAROUND_3 => true,
        WORKAROUND_2 => caller.index() == CellId::ROOT.index(),
        _ => false,
    }
}

/// Answers of the Arm architecture service, but for workarounds.
const fn architecture(function: u32, argument: u64) -> i64 {
    match function {
        VERSION => VERSION_1_1,
        ARCH_FEATURES => match Function::new(argument).id() {
            VERSION | ARCH_FEATURES => 0,
            _ => NOT_SUPPORTED,
        },
        _ => NOT_SUPPORTED,
    }
}
