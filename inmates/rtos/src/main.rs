//! An RTOS in a cell: three periodic tasks on embassy's executor, woken by the virtual timer, asleep in between.
//!
//! Once a second it reports, on its own console, how often each task ran and how late it was; a console that can be typed on
//! has each line repeated.
#![no_std]
#![no_main]

mod control;
mod line;
mod period;

use core::cell::Cell;
use core::fmt::Write;

use critical_section::Mutex;
use embassy_executor::Spawner;
use embassy_time::{Duration, Timer};
use inmate_rt::gic::{Gic, Role};
use inmate_rt::{IntId, Tree, comm, console, entry, exception, executor, println, timer};

use control::Loop;
use line::Line;
use period::{Periodic, Record};

static CONTROL: Record = Record::new("control", Duration::from_millis(10));
static SENSOR: Record = Record::new("sensor", Duration::from_millis(100));
static REPORT: Record = Record::new("report", Duration::from_secs(1));

/// The control loop as it is now.
static LOOP: Mutex<Cell<Loop>> = Mutex::new(Cell::new(Loop::AT_REST));
/// The plant's value as the sensor sees it, smoothed.
static LEVEL: Mutex<Cell<f64>> = Mutex::new(Cell::new(0.0));

entry!(main);

fn main(tree: Tree) -> ! {
    let interrupt = tree.timer_interrupt().expect("no timer in the tree");
    println!(
        "rtos: 3 tasks on {} CPU, timer {} Hz, tree at {:#x}",
        tree.cpu_count(),
        timer::frequency_hz(),
        tree.address()
    );
    exception::set_handler(on_interrupt);
    Gic::new(&tree, Role::First).enable(interrupt);
    executor::run(spawn)
}

/// Only the timer's interrupt is enabled.
fn on_interrupt(_: IntId) {
    executor::on_timer_interrupt();
}

fn spawn(spawner: Spawner) {
    let tokens = (control(), sensor(), report());
    spawner.spawn(tokens.0.expect("control is spawned once"));
    spawner.spawn(tokens.1.expect("sensor is spawned once"));
    spawner.spawn(tokens.2.expect("report is spawned once"));
    if console::has_input() {
        spawner.spawn(listen().expect("listen is spawned once"));
    }
}

/// Repeats each line that is typed, where the console has a way in.
#[embassy_executor::task]
async fn listen() {
    let (mut typed, mut count) = ([0; 80], 0);
    loop {
        match console::receive() {
            None => Timer::after_millis(50).await,
            Some(b'\r' | b'\n') => {
                let mut line = Line::new();
                // A line that is too long is cut.
                let _ = write!(line, "rtos: told '{}'", typed[..count].escape_ascii());
                line.send().await;
                count = 0;
            }
            Some(byte) if count < typed.len() => {
                typed[count] = byte;
                count += 1;
            }
            Some(_) => {}
        }
    }
}

/// Makes a plant follow a set-point.
#[embassy_executor::task]
async fn control() {
    let mut activations = Periodic::new(&CONTROL);
    loop {
        activations.next().await;
        let before = read(&LOOP);
        write(&LOOP, before.step());
    }
}

/// Looks at the plant, and tells the hypervisor that the tasks run.
#[embassy_executor::task]
async fn sensor() {
    let mut activations = Periodic::new(&SENSOR);
    loop {
        activations.next().await;
        let (level, plant) = (read(&LEVEL), read(&LOOP).plant());
        write(&LEVEL, level + (plant - level) / 4.0);
        comm::beat();
    }
}

/// Says how it goes. Repeats the control loop's steps since the last report: a single wrong bit in a floating-point
/// register, left by whoever ran in between, would show.
#[embassy_executor::task]
async fn report() {
    // Between two activations of the others, so that all their runs of a second are counted.
    Timer::after_millis(5).await;
    let mut activations = Periodic::new(&REPORT);
    let mut last = Loop::AT_REST;
    for seconds in 1_u64.. {
        activations.next().await;
        let now = read(&LOOP);
        let verdict = if last.repeat_until(&now) {
            "right"
        } else {
            "WRONG"
        };
        last = now;
        let mut line = Line::new();
        // A line that is too long is cut.
        let _ = write!(
            line,
            "rtos: {seconds} s: {CONTROL}; {SENSOR}; level {:.3}, fp sum {:.3} {verdict}",
            read(&LEVEL),
            now.sum()
        );
        line.send().await;
    }
}

fn read<T: Copy>(place: &Mutex<Cell<T>>) -> T {
    critical_section::with(|section| place.borrow(section).get())
}

fn write<T>(place: &Mutex<Cell<T>>, value: T) {
    critical_section::with(|section| place.borrow(section).set(value));
}
