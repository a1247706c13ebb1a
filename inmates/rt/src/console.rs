//! The console: a UART, sending only, by polling.

use core::fmt::{self, Arguments, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use crate::Tree;
use crate::uart::{Kind, Uart};

/// The UART's registers; null without a console.
static REGISTERS: AtomicPtr<u8> = AtomicPtr::new(core::ptr::null_mut());
/// Its [`Kind`].
static KIND: AtomicU8 = AtomicU8::new(0);

/// Finds the console and turns it on.
pub(crate) fn open(tree: &Tree) {
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
    });
}

/// Sends as many of the bytes as the UART takes without waiting; returns how many.
pub fn send(bytes: &[u8]) -> usize {
    critical_section::with(|_| {
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
