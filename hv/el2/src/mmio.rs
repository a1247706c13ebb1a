//! Device registers: each access is one load or store instruction of its width.
//!
//! Loads are Load-Acquire: a Cortex-A57 that mixes plain ones of Device memory with exclusives, as our locks do, may
//! deadlock (its erratum 832075).

use core::arch::asm;

/// Loads by an instruction of that form.
macro_rules! load {
    ($instruction:literal, $address:expr) => {{
        let value;
        // SAFETY: by the caller's word.
        unsafe { asm!(concat!("ldar", $instruction, "[{}]"), out(reg) value, in(reg) $address, options(nostack, preserves_flags)) };
        value
    }};
}

/// Loads (`write` is `None`) or stores so many bytes; returns what was loaded, or `None` when the access ended in an
/// exception: nothing answers there.
///
/// # Safety
/// EL2 maps the address as a device, aligned to its size of 1, 2, 4 or 8 bytes, and the ledger allows the effect.
#[inline(never)] // Once for all who ask.
pub unsafe fn access(address: u64, size: u8, write: Option<u64>) -> Option<u64> {
    let store = if write.is_some() { 4 } else { 0 };
    let (loaded, outcome): (u64, u64);
    // SAFETY: by the caller's word; vectors.S has it, and says what it destroys.
    unsafe {
        asm!(
            "bl device_access",
            inout("x0") address => loaded,
            in("x1") write.unwrap_or(0),
            inout("x2") u64::from(size.trailing_zeros()) | store => outcome,
            out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x30") _,
            options(nostack),
        );
    }
    (outcome != 0).then_some(loaded)
}

/// Reads 32 bits.
///
/// # Safety
/// `address` is a readable device register, mapped at EL2, aligned to 4.
pub unsafe fn read32(address: u64) -> u32 {
    load!(" {:w}, ", address)
}

/// Writes 32 bits.
///
/// # Safety
/// As [`read32`]; and the ledger allows the effect.
pub unsafe fn write32(address: u64, value: u32) {
    // SAFETY: by the caller's word.
    unsafe { (address as *mut u32).write_volatile(value) }
}

/// Reads 64 bits.
///
/// # Safety
/// As [`read32`], aligned to 8.
pub unsafe fn read64(address: u64) -> u64 {
    load!(" {}, ", address)
}

/// Writes 64 bits.
///
/// # Safety
/// As [`write32`], aligned to 8.
pub unsafe fn write64(address: u64, value: u64) {
    // SAFETY: by the caller's word.
    unsafe { (address as *mut u64).write_volatile(value) }
}

/// Reads a byte.
///
/// # Safety
/// As [`read32`].
pub unsafe fn read8(address: u64) -> u8 {
    load!("b {:w}, ", address)
}

/// Writes a byte.
///
/// # Safety
/// As [`write32`].
pub unsafe fn write8(address: u64, value: u8) {
    // SAFETY: by the caller's word.
    unsafe { (address as *mut u8).write_volatile(value) }
}
