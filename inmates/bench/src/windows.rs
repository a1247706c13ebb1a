//! Windows of a known number of interrupts and nothing else, to count exits from outside.
//!
//! In QEMU's log of exceptions a window is between SVC 0xb000 + n and SVC 0xe000 + n on the cell's first CPU: timer_irq
//! is window 1, device_irq 2, sgi 3 (from the cell's CPU 0 to its CPU 1).

use core::sync::atomic::{AtomicU32, Ordering};

use inmate_rt::gic::Gic;
use inmate_rt::measure::mark;
use inmate_rt::{IntId, Tree, console, cpu, exception, println, timer};

use crate::tally::skip;

/// Interrupts in each window.
pub const COUNT: u32 = 1000;
/// Ticks from one timer interrupt to the next.
const PERIOD: u64 = 2000;

/// A window and its marks.
pub struct Window {
    name: &'static str,
    begin: fn(),
    end: fn(),
}

const TIMER_IRQ: Window = Window {
    name: "timer_irq",
    begin: mark::<0xb001>,
    end: mark::<0xe001>,
};
const DEVICE_IRQ: Window = Window {
    name: "device_irq",
    begin: mark::<0xb002>,
    end: mark::<0xe002>,
};
/// SGIs from CPU 0 to CPU 1 of the cell.
pub const SGI: Window = Window {
    name: "sgi",
    begin: mark::<0xb003>,
    end: mark::<0xe003>,
};

/// Interrupts in this window.
static TAKEN: AtomicU32 = AtomicU32::new(0);
/// The timer's INTID; others are the console's.
static TIMER: AtomicU32 = AtomicU32::new(0);

/// Runs those that need one CPU.
pub fn run(tree: &Tree, gic: &mut Gic) {
    exception::set_handler(on_interrupt);
    match tree.timer_interrupt() {
        Some(interrupt) => {
            gic.enable(interrupt);
            TIMER.store(interrupt.raw_value(), Ordering::Relaxed);
            TIMER_IRQ.run(take_timer_interrupts);
        }
        None => skip("timer_irq", "no timer"),
    }
    match tree.console().and_then(|uart| uart.interrupt) {
        Some(interrupt) => {
            gic.enable(interrupt);
            DEVICE_IRQ.run(take_device_interrupts);
        }
        None => skip("device_irq", "no console"),
    }
}

impl Window {
    /// Announces it, runs it, says that it is over.
    pub fn run(&self, body: impl FnOnce()) {
        println!("bench window {} begin {COUNT}", self.name);
        TAKEN.store(0, Ordering::Relaxed);
        (self.begin)();
        body();
        (self.end)();
        println!("bench window {} end", self.name);
    }
}

fn take_timer_interrupts() {
    timer::set_alarm(timer::now() + PERIOD);
    cpu::wait_until(|| TAKEN.load(Ordering::Relaxed) == COUNT);
    cpu::mask_interrupts();
}

fn take_device_interrupts() {
    console::clear_send_interrupt();
    console::set_send_interrupt(true);
    for round in 1..=COUNT {
        while console::send(b".") == 0 {
            cpu::relax();
        }
        cpu::wait_until(|| TAKEN.load(Ordering::Relaxed) >= round);
    }
    cpu::mask_interrupts();
    console::set_send_interrupt(false);
    println!("");
}

fn on_interrupt(intid: IntId) {
    let taken = TAKEN.fetch_add(1, Ordering::Relaxed) + 1;
    if intid.raw_value() != TIMER.load(Ordering::Relaxed) {
        console::clear_send_interrupt();
    } else if taken < COUNT {
        timer::set_alarm(timer::now() + PERIOD);
    } else {
        timer::stop();
    }
}
