//! Ways that this program goes and does not come back: it hangs, or a fault ends it.

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use aarch64_cpu::registers::TTBR0_EL1;

use crate::attempt::{self, Exception, Outside};

/// Turns the MMU off, so that no permission of stage 1 is in the way, and jumps there. Does not come back; what is found
/// there runs with Rust's memory at its mercy, but Rust has ended.
pub fn execute(at: Outside) -> ! {
    // SAFETY: nothing of this program runs after it. The code is fetched by the identity map before as after.
    unsafe {
        asm!(
            "msr daifset, #15",
            "mrs x1, sctlr_el1",
            "bic x1, x1, #1",
            "msr sctlr_el1, x1",
            "isb", // The branch is fetched with the MMU off.
            "br x0",
            in("x0") at.address(),
            options(noreturn),
        )
    }
}

/// A level 1 table.
#[repr(C, align(4096))]
struct Table([AtomicU64; 512]);

static TABLE: Table = Table([const { AtomicU64::new(0) }; 512]);

/// Translates by a table that is a copy of the present one but for its last gigabyte, whose table is there; goes to that.
///
/// # Errors
/// The exception that it raised.
pub fn walk_on_at(at: Outside) -> Result<(), Exception> {
    const IS_TABLE: u64 = 3;
    let present = TTBR0_EL1.get_baddr() as *const u64;
    for (index, entry) in TABLE.0.iter().enumerate() {
        // SAFETY: the table of start-up, which has as many entries.
        let old = unsafe { present.wrapping_add(index).read_volatile() };
        let is_last = index == TABLE.0.len() - 1;
        entry.store(
            if is_last {
                at.address() | IS_TABLE
            } else {
                old
            },
            Relaxed,
        );
    }
    let table = TABLE.0.as_ptr() as u64;
    // SAFETY: all that this program uses is translated as before.
    unsafe {
        asm!("dsb ishst", "msr ttbr0_el1, {}", "isb", "tlbi vmalle1", "dsb nsh", "isb", in(reg) table, options(nostack))
    };
    attempt::load64(at.in_last_gigabyte()).map(drop)
}

macro_rules! departures {
    ($($(#[$doc:meta])* $name:ident = $($instruction:literal),+;)*) => {$(
        $(#[$doc])*
        pub fn $name(at: Outside) -> ! {
            // SAFETY: everything is masked and nothing of this program runs after it, but for its vectors, which may raise
            // further exceptions until EL2 steps in.
            unsafe { asm!("msr daifset, #15", $($instruction),+, in("x0") at.address(), options(noreturn)) }
        }
    )*};
}

departures! {
    /// Makes it the table of all translations.
    walk_from = "msr ttbr0_el1, x0", "isb", "tlbi vmalle1", "dsb nsh", "isb", "1: b 1b";
    /// Has the hardware mark entries of a table there as used (FEAT_HAFDBS).
    mark_tables = "mrs x1, tcr_el1", "orr x1, x1, #3 << 39", "msr tcr_el1, x1", "msr ttbr0_el1, x0", "isb",
        "tlbi vmalle1", "dsb nsh", "isb", "1: b 1b";
    /// Puts the exception vectors there, and takes an exception.
    vectors_at = "msr vbar_el1, x0", "isb", "udf #0";
    /// Puts the stack there, and takes an exception, which writes to it.
    stack_at = "mov sp, x0", "udf #0";
    /// Sleeps with all SGIs active, so that none can come again; `at` is GICR_ISACTIVER0.
    sleep_with_active_sgis = "mov w1, #0xffff", "str w1, [x0]", "dsb sy", "1: wfi", "b 1b";
    /// Sleeps with all SGIs off; `at` is GICR_ICENABLER0.
    sleep_without_sgis = "mov w1, #0xffffffff", "str w1, [x0]", "dsb sy", "1: wfi", "b 1b";
}

/// Masks everything and spins.
pub fn spin() -> ! {
    // SAFETY: does nothing, for ever.
    unsafe { asm!("msr daifset, #15", "1: b 1b", options(noreturn)) }
}

/// Masks everything and sleeps; what wakes it is left pending.
pub fn sleep() -> ! {
    // SAFETY: does nothing, for ever.
    unsafe { asm!("msr daifset, #15", "1: wfi", "b 1b", options(noreturn)) }
}

/// Takes an exception whose vector takes an exception, and so on.
pub fn loop_in_vector() -> ! {
    // SAFETY: the vectors point at unmapped addresses beyond the 39 bits of the map: nothing of this program runs again.
    unsafe {
        asm!(
            "mov x0, #1 << 40",
            "msr vbar_el1, x0",
            "isb",
            "udf #0",
            options(noreturn)
        )
    }
}
