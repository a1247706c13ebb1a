//! embassy's raw executor and its clock, on the virtual timer: tasks run in thread mode, the CPU sleeps in between.
//!
//! One executor and one timer queue, on CPU 0.

use core::cell::RefCell;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::Waker;

use critical_section::Mutex;
use embassy_executor::{Spawner, raw};
use embassy_time_driver::{Driver, TICK_HZ};
use embassy_time_queue_utils::Queue;

use crate::{cpu, timer};

struct Clock(Mutex<RefCell<Queue>>);

embassy_time_driver::time_driver_impl!(static CLOCK: Clock = Clock(Mutex::new(RefCell::new(Queue::new()))));

/// Set by embassy when a task is ready.
static READY: AtomicBool = AtomicBool::new(false);

impl Driver for Clock {
    fn now(&self) -> u64 {
        convert(timer::now(), timer::frequency_hz(), TICK_HZ, Rounding::Down)
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        critical_section::with(|section| {
            let mut queue = self.0.borrow_ref_mut(section);
            if queue.schedule_wake(at, waker) {
                self.serve(&mut queue);
            }
        });
    }
}

impl Clock {
    /// Wakes what is due and sets the timer for what comes next.
    fn serve(&self, queue: &mut Queue) {
        match queue.next_expiration(self.now()) {
            u64::MAX => timer::stop(),
            next => timer::set_alarm(convert(next, TICK_HZ, timer::frequency_hz(), Rounding::Up)),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rounding {
    Down,
    Up,
}

/// Converts ticks of one frequency into another's. Exact over 2^64 ticks: whole seconds and the rest are converted apart.
fn convert(ticks: u64, from_hz: u64, to_hz: u64, rounding: Rounding) -> u64 {
    let rest = ticks % from_hz * to_hz;
    let rest = match rounding {
        Rounding::Down => rest / from_hz,
        Rounding::Up => rest.div_ceil(from_hz),
    };
    (ticks / from_hz).saturating_mul(to_hz).saturating_add(rest)
}

/// Serves the timer's interrupt: to be called by the handler of [`crate::exception::set_handler`].
pub fn on_timer_interrupt() {
    critical_section::with(|section| CLOCK.serve(&mut CLOCK.0.borrow_ref_mut(section)));
}

#[unsafe(export_name = "__pender")]
fn pender(_context: *mut ()) {
    READY.store(true, Ordering::Release);
}

/// Runs the tasks that `spawn` starts, for ever.
pub fn run(spawn: impl FnOnce(Spawner)) -> ! {
    let executor = raw::Executor::new(core::ptr::null_mut());
    let place = &raw const executor;
    // SAFETY: this function does not return and does not move it: it lives for ever.
    let executor: &'static raw::Executor = unsafe { &*place };
    spawn(executor.spawner());
    cpu::unmask_interrupts();
    loop {
        // SAFETY: only here, and `pender` does not call it: never within itself.
        unsafe { executor.poll() };
        // Masked, an interrupt between the question and the WFI still ends the WFI.
        cpu::mask_interrupts();
        if !READY.swap(false, Ordering::AcqRel) {
            cpu::wait_for_interrupt();
        }
        cpu::unmask_interrupts();
    }
}
