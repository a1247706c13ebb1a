//! Run-time of the inmates: what a program needs to run alone in a cell.
//!
//! One rule: all `unsafe` of the inmates is here, behind functions that are safe to call. An inmate names its main
//! function by [`entry!`]; that function is called with MMU, caches and FP on, interrupts masked, and gets the [`Tree`].
#![no_std]

pub mod attempt;
pub mod comm;
pub mod console;
pub mod cpu;
mod critical;
pub mod departure;
pub mod encoding;
pub mod exception;
pub mod executor;
pub mod gic;
mod gicv2;
pub mod hypercall;
pub mod icc;
pub mod lines;
pub mod measure;
mod ring;
pub mod spare;
mod start;
pub mod state;
pub mod timer;
pub mod tree;
pub mod uart;

pub use arm_gic::IntId;
pub use smccc::psci;
pub use tree::Tree;

/// The ways to firmware and to Bulkhead.
pub use smccc::{Call, Hvc, Smc};

/// Names the inmate's main function: `fn(Tree) -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(export_name = "inmate_main")]
        fn inmate_main(tree: $crate::Tree) -> ! {
            $main(tree)
        }
    };
}

/// Prints a line on the cell's console. Waits while the UART is busy.
#[macro_export]
macro_rules! println {
    ($($arg:tt)*) => { $crate::console::print_line(format_args!($($arg)*)) };
}

/// Says why on the console and turns the cell off: it must not look as if it ran.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    cpu::mask_interrupts();
    println!("{info}");
    cpu::turn_cell_off()
}
