//! The virtual timer of this CPU.

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{
    CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0, Readable, Writeable,
};

/// Ticks a second.
pub fn frequency_hz() -> u64 {
    CNTFRQ_EL0.get()
}

/// Ticks since some moment in the past.
pub fn now() -> u64 {
    barrier::isb(barrier::SY); // The counter is not read early.
    CNTVCT_EL0.get()
}

/// Sets the timer to interrupt from that tick on, at once when it has passed.
pub fn set_alarm(tick: u64) {
    CNTV_CVAL_EL0.set(tick);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    barrier::isb(barrier::SY); // The old alarm's interrupt is gone before the caller ends it.
}

/// Turns the timer off.
pub fn stop() {
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::CLEAR);
    barrier::isb(barrier::SY); // As above.
}
