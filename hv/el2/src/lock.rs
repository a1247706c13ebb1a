//! A lock that is taken in turn: first come, first served, so that no guest keeps another one waiting in EL2.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

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
    #[inline(never)] // Wherever a lock is given up: one call.
    fn drop(&mut self) {
        // The next one in the queue may try now, and finds the lock free a moment later.
        self.serving.fetch_add(1, Ordering::Release);
    }
}

/// A value that `prepare` sets, once: no CPU has joined, so nobody reads it meanwhile.
pub struct Fixed<T> {
    is_set: AtomicBool,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: written only while nobody else reads it (`set`), then shared.
unsafe impl<T: Sync + Send> Sync for Fixed<T> {}

impl<T> Fixed<T> {
    /// Makes one that is not set.
    pub const fn new() -> Self {
        Self {
            is_set: AtomicBool::new(false),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Sets it.
    ///
    /// # Safety
    /// It is not set, and no other CPU runs at EL2.
    pub unsafe fn set(&self, value: T) {
        // SAFETY: by the caller's word nobody has a reference to it.
        unsafe { &mut *self.value.get() }.write(value);
        self.is_set.store(true, Ordering::Release);
    }

    /// Returns it, when it is set.
    pub fn get(&self) -> Option<&T> {
        if !self.is_set.load(Ordering::Acquire) {
            return None;
        }
        // SAFETY: nobody writes to it any more.
        let value = unsafe { &*self.value.get() };
        // SAFETY: `set` has written it before it said so.
        Some(unsafe { value.assume_init_ref() })
    }
}
