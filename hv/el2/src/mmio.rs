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
