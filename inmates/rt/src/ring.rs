//! The ring console: printing into memory that the cell shares with root, and reading what root types. No exit, no wait.
//!
//! One rule: nothing that root, or an earlier run of this cell, left in the indices is believed; each is reduced before use.
//! `bulkhead_abi::console` has the layout and who writes what when.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering, fence};

use bulkhead_abi::console::{Console, INPUT_SIZE, OUTPUT_SIZE};

use crate::tree::Range;

/// The console; null without one.
static CONSOLE: AtomicPtr<Console> = AtomicPtr::new(core::ptr::null_mut());

/// The console that the tree names. Callers are in a critical section, so that only one is in use at a time.
#[derive(Clone, Copy)]
pub(crate) struct Ring(NonNull<Console>);

/// Reads or writes a word or byte of the console: root does at the same time.
macro_rules! place {
    ($ring:expr, $($field:tt)+) => {{
        // SAFETY: the tree says that there is a console, whole and aligned; no reference to it is ever made.
        unsafe { &raw mut (*$ring.0.as_ptr()) $($field)+ }
    }};
}

/// Takes the console at that address.
pub(crate) fn open(at: Range) {
    CONSOLE.store(at.base as *mut Console, Ordering::Release);
}

impl Ring {
    /// The one that was opened.
    pub(crate) fn get() -> Option<Self> {
        NonNull::new(CONSOLE.load(Ordering::Acquire)).map(Self)
    }

    /// Prints: over the oldest bytes, whether somebody has seen them or not.
    pub(crate) fn put(self, bytes: &[u8]) {
        for part in bytes.chunks(OUTPUT_SIZE / 2) {
            let written = read(place!(self, .cell.written));
            let end = written.wrapping_add(part.len() as u64);
            write(place!(self, .cell.begun), end);
            // DMB: `begun` is there before the bytes that it speaks of.
            fence(Ordering::SeqCst);
            let start = index(written, OUTPUT_SIZE);
            for (number, byte) in part.iter().enumerate() {
                let at = (start + number) % OUTPUT_SIZE;
                write(place!(self, .output[at]), *byte);
            }
            // DMB: the bytes are there before `written` says so.
            fence(Ordering::SeqCst);
            write(place!(self, .cell.written), end);
        }
    }

    /// Takes the next byte that root typed.
    pub(crate) fn take(self) -> Option<u8> {
        let taken = read(place!(self, .cell.taken));
        let written = read(place!(self, .root.written));
        let waiting = written.wrapping_sub(taken);
        if waiting > INPUT_SIZE as u64 {
            // Not an honest distance: what is there is let go.
            write(place!(self, .cell.taken), written);
            return None;
        }
        if waiting == 0 {
            return None;
        }
        // DMB: the byte is read after the index that says it is there, and before root may overwrite it.
        fence(Ordering::SeqCst);
        let at = index(taken, INPUT_SIZE);
        let byte = read(place!(self, .input[at]));
        fence(Ordering::SeqCst);
        write(place!(self, .cell.taken), taken.wrapping_add(1));
        Some(byte)
    }

    /// Says what is not so, for tests: all indices of the cell's, and root's too.
    pub(crate) fn spoil(self, indices: [u64; 4]) {
        let [begun, written, taken, roots] = indices;
        write(place!(self, .cell.begun), begun);
        write(place!(self, .cell.written), written);
        write(place!(self, .cell.taken), taken);
        write(place!(self, .root.written), roots);
    }
}

/// Reads what a pointer of [`place!`] names.
fn read<T>(from: *const T) -> T {
    // SAFETY: private: all callers pass a place in the console; any bytes are a value of the integers there.
    unsafe { from.read_volatile() }
}

/// Writes it.
fn write<T>(to: *mut T, value: T) {
    // SAFETY: as in `read`.
    unsafe { to.write_volatile(value) };
}

/// Where in its ring byte `count` is.
fn index(count: u64, size: usize) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "below `size`, which is a usize"
    )]
    {
        (count % size as u64) as usize
    }
}
