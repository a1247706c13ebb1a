//! The critical section of the crate `critical-section`: interrupts masked on this CPU, the other CPUs kept out.
//!
//! Needs the caches on, as every exclusive access does.

use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{DAIF, Readable};

use crate::cpu;

struct Section;

critical_section::set_impl!(Section);

/// Who is inside: affinity + 1, or 0.
static OWNER: AtomicU64 = AtomicU64::new(0);

const WAS_INSIDE: u8 = 1;
const WERE_MASKED: u8 = 2;

// SAFETY: between `acquire` and `release` no interrupt comes in on this CPU, and `OWNER` lets only one CPU in; the order
// of its exchange and store makes what one CPU wrote visible to the next. The nested case changes nothing.
unsafe impl critical_section::Impl for Section {
    unsafe fn acquire() -> u8 {
        let masked = if DAIF.is_set(DAIF::I) { WERE_MASKED } else { 0 };
        cpu::mask_interrupts();
        let me = cpu::affinity() + 1;
        if OWNER.load(Ordering::Relaxed) == me {
            return WAS_INSIDE | masked;
        }
        while OWNER
            .compare_exchange_weak(0, me, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            cpu::relax();
        }
        masked
    }

    unsafe fn release(state: u8) {
        if state & WAS_INSIDE == 0 {
            OWNER.store(0, Ordering::Release);
        }
        if state & WERE_MASKED == 0 {
            cpu::unmask_interrupts();
        }
    }
}
