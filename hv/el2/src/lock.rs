//! A lock that is taken in turn: first come, first served, so that no guest keeps another one waiting in EL2.

use core::cell::UnsafeCell;
use core::mem::MaybeUninit;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use bulkhead_abi::code;
use bulkhead_model::refused::Refused;

use crate::panic::PANICKED;

/// A value behind such a lock.
pub struct Turns<T> {
    next: AtomicU32,
    serving: AtomicU32,
    value: UnsafeCell<T>,
}

// SAFETY: whoever has the ticket that is being served reaches the value, and nobody else.
unsafe impl<T: Send> Sync for Turns<T> {}

/// The lock, held. (One pointer: it is returned in a register.)
pub struct Guard<'a, T>(&'a Turns<T>);

impl<T> Turns<T> {
    /// Makes one that nobody holds.
    pub const fn new(value: T) -> Self {
        Self {
            next: AtomicU32::new(0),
            serving: AtomicU32::new(0),
            value: UnsafeCell::new(value),
        }
    }

    /// Takes the lock, in turn.
    ///
    /// # Errors
    /// `PANICKED`, when the CPU that holds it may never come back.
    #[inline(always)] // The error is made where it is wanted.
    pub fn lock(&self) -> Result<Guard<'_, T>, Refused> {
        self.wait().ok_or(Refused::new(code::PANICKED, 0, 0))
    }

    #[inline(never)] // As `Guard::drop`.
    fn wait(&self) -> Option<Guard<'_, T>> {
        let ticket = self.next.fetch_add(1, Ordering::Relaxed);
        while self.serving.load(Ordering::Acquire) != ticket {
            if PANICKED.load(Ordering::Acquire) {
                return None; // with its ticket: nobody behind it is served either
            }
            core::hint::spin_loop();
        }
        Some(Guard(self))
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        // SAFETY: this ticket is being served.
        unsafe { &*self.0.value.get() }
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this ticket is being served.
        unsafe { &mut *self.0.value.get() }
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline(never)] // Wherever a lock is given up: one call.
    fn drop(&mut self) {
        let serving = &self.0.serving;
        // Nobody else changes it while the lock is held.
        let ticket = serving.load(Ordering::Relaxed);
        serving.store(ticket.wrapping_add(1), Ordering::Release);
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
