//! Device registers: each access is one load or store instruction of its width.

/// Reads 32 bits.
///
/// # Safety
/// `address` is a readable device register, mapped at EL2, aligned to 4.
pub unsafe fn read32(address: u64) -> u32 {
    // SAFETY: by the caller's word.
    unsafe { (address as *const u32).read_volatile() }
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
    // SAFETY: by the caller's word.
    unsafe { (address as *const u64).read_volatile() }
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
    // SAFETY: by the caller's word.
    unsafe { (address as *const u8).read_volatile() }
}

/// Writes a byte.
///
/// # Safety
/// As [`write32`].
pub unsafe fn write8(address: u64, value: u8) {
    // SAFETY: by the caller's word.
    unsafe { (address as *mut u8).write_volatile(value) }
}
