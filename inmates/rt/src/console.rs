//! The console: a PL011, sending only, by polling.

use core::fmt::{Arguments, Write};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use arm_pl011_uart::{
    DataBits, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart, UniqueMmioPointer,
};

use crate::Tree;

/// What serial consoles are set to unless someone says otherwise.
const BAUD_RATE: u32 = 115_200;

/// The UART's registers; null without a console.
static REGISTERS: AtomicPtr<PL011Registers> = AtomicPtr::new(core::ptr::null_mut());

/// Finds the console and turns it on. Where the tree does not tell its clock, the line is left as firmware set it.
pub(crate) fn open(tree: &Tree) {
    let Some(found) = tree.console() else { return };
    REGISTERS.store(found.base as *mut PL011Registers, Ordering::Release);
    let line = LineConfig {
        data_bits: DataBits::Bits8,
        parity: Parity::None,
        stop_bits: StopBits::One,
    };
    if let (Some(clock_hz), Some(mut uart)) = (found.clock_hz, uart()) {
        uart.set_interrupt_masks(Interrupts::empty());
        // It refuses clocks that cannot make the rate; then too the line stays as it was.
        let _ = uart.enable(line, BAUD_RATE, clock_hz);
    }
}

/// Returns a driver; it has no state but the registers, so that a panic in the middle of a line can make its own.
fn uart() -> Option<Uart<'static>> {
    let registers = NonNull::new(REGISTERS.load(Ordering::Acquire))?;
    // SAFETY: the tree says that a PL011 is there, mapped as device memory; callers are in a critical section, so that
    // only one driver is in use at a time.
    Some(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
}

/// Prints a line; see [`crate::println!`].
pub fn print_line(line: Arguments<'_>) {
    critical_section::with(|_| {
        if let Some(mut uart) = uart() {
            // Writing to the UART never fails.
            let _ = writeln!(uart, "{line}\r");
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
            let free = !uart.is_tx_fifo_full();
            if free {
                uart.write_word(**byte);
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
            uart.set_interrupt_masks(if enabled {
                Interrupts::TXI
            } else {
                Interrupts::empty()
            });
        }
    });
}

/// Takes that interrupt back until the UART has sent more.
pub fn clear_send_interrupt() {
    critical_section::with(|_| {
        if let Some(mut uart) = uart() {
            uart.clear_interrupts(Interrupts::TXI);
        }
    });
}
