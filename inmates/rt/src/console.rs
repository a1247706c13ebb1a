//! The console that the tree names: a UART, sending only, by polling; or a ring in memory shared with root, both ways.

use core::fmt::{self, Arguments, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::Tree;
use crate::ring::{self, Ring};
use crate::uart::{Kind, Uart};

/// The UART's registers; null without a console.
static REGISTERS: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// Its [`Kind`].
static KIND: AtomicU8 = AtomicU8::new(0);

/// Finds the console and turns it on.
pub(crate) fn open(tree: &Tree) {
    if let Some(at) = tree.ring_console() {
        ring::open(at);
    }
    let Some(found) = tree.console() else { return };
    KIND.store(found.kind as u8, Ordering::Relaxed);
    REGISTERS.store(found.base as *mut u8, Ordering::Release);
    if let Some(mut uart) = uart() {
        uart.open(found.clock_hz);
    }
}

/// Returns a driver; it has no state but the registers, so that a panic in the middle of a line can make its own.
fn uart() -> Option<Uart> {
    let registers = NonNull::new(REGISTERS.load(Ordering::Acquire))?;
    let kind = Kind::of_number(KIND.load(Ordering::Relaxed));
    // SAFETY: the tree says that such a UART is there, mapped as device memory; callers are in a critical section, so
    // that only one driver is in use at a time.
    Some(unsafe { Uart::new(kind, registers) })
}

/// Waits while the UART is full.
struct Patient(Uart);

impl Write for Patient {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while self.0.is_full() {
                core::hint::spin_loop();
            }
            self.0.put(byte);
        }
        Ok(())
    }
}

/// Prints a line; see [`crate::println!`].
pub fn print_line(line: Arguments<'_>) {
    critical_section::with(|_| {
        if let Some(uart) = uart() {
            // Writing to the UART never fails.
            let _ = writeln!(Patient(uart), "{line}\r");
        }
        if let Some(ring) = Ring::get() {
            // Nor does this.
            let _ = writeln!(RingText(ring), "{line}\r");
        }
    });
}

/// Text into the ring.
struct RingText(Ring);

impl Write for RingText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}

/// Tells whether somebody may type.
pub fn has_input() -> bool {
    Ring::get().is_some()
}

/// Takes the next byte that was typed.
pub fn receive() -> Option<u8> {
    critical_section::with(|_| Ring::get()?.take())
}

/// Says what is not so in the indices of the ring: begun, written, taken, and root's. For tests.
pub fn spoil(indices: [u64; 4]) {
    critical_section::with(|_| {
        if let Some(ring) = Ring::get() {
            ring.spoil(indices);
        }
    });
}

/// Sends as many of the bytes as the UART takes without waiting; returns how many. The ring takes all.
pub fn send(bytes: &[u8]) -> usize {
    critical_section::with(|_| {
        if let Some(ring) = Ring::get() {
            ring.put(bytes);
        }
        let Some(mut uart) = uart() else {
            return bytes.len();
        };
        let room = bytes.iter().take_while(|byte| {
            let free = !uart.is_full();
            if free {
                uart.put(**byte);
            }
            free
        });
        room.count()
    })
}

/// Lets the UART interrupt when it can take more, or not.
pub fn set_send_interrupt(enabled: bool) {
    critical_section::with(|_| {
        if let Some(mut uart) = uart() {
            uart.set_send_interrupt(enabled);
        }
    });
}

/// Takes that interrupt back until the UART has sent more.
pub fn clear_send_interrupt() {
    critical_section::with(|_| {
        if let Some(mut uart) = uart() {
            uart.clear_send_interrupt();
        }
    });
}
