//! A lock that is taken in turn: first come, first served, so that no guest keeps another one waiting in EL2.

use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicU32, Ordering};

use bulkhead_abi::code;
use bulkhead_model::refused::Refused;
use spin::mutex::{SpinMutex, SpinMutexGuard};

use crate::panic::PANICKED;

/// A value behind such a lock.
pub struct Turns<T> {
    next: AtomicU32,
    serving: AtomicU32,
    value: SpinMutex<T>,
}

/// The lock, held.
pub struct Guard<'a, T> {
    value: SpinMutexGuard<'a, T>,
    serving: &'a AtomicU32,
}

impl<T> Turns<T> {
    /// Makes one that nobody holds.
    pub const fn new(value: T) -> Self {
        Self {
            next: AtomicU32::new(0),
            serving: AtomicU32::new(0),
            value: SpinMutex::new(value),
        }
    }

    /// Takes the lock, in turn.
    ///
    /// # Errors
    /// `PANICKED`, when the CPU that holds it may never come back.
    pub fn lock(&self) -> Result<Guard<'_, T>, Refused> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        loop {
            if self.serving.load(Ordering::Acquire) == ticket
                && let Some(value) = self.value.try_lock()
            {
                let serving = &self.serving;
                return Ok(Guard { value, serving });
            }
            if PANICKED.load(Ordering::Acquire) {
                return Err(Refused::new(code::PANICKED, 0, 0));
            }
            core::hint::spin_loop();
        }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        // The next one in the queue may try now, and finds the lock free a moment later.
        self.serving.fetch_add(1, Ordering::Release);
    }
}
