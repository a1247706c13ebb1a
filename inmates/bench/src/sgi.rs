//! Software-generated interrupts: to oneself, and between two CPUs of the cell.
//!
//! QEMU counts time, not a CPU's own instructions, and switches CPUs when one interrupts another. So the sender sends an
//! SGI that the receiver has not enabled, and of the receiver only EL2's part is counted: what is left is the way from
//! EL2 to the vector, no instruction.

use core::cell::Cell;
use core::sync::atomic::{AtomicU32, Ordering};

use critical_section::Mutex;
use inmate_rt::gic::{Gic, Role, send_sgi};
use inmate_rt::measure::{self, Filter};
use inmate_rt::{IntId, Tree, cpu, exception, println, psci};

use crate::tally::{Tally, report, rounds, skip};
use crate::windows::{self, COUNT};

const TO_SELF: IntId = IntId::sgi(1);
const TO_OTHER: IntId = IntId::sgi(2);
const UNWANTED: IntId = IntId::sgi(3);
/// The CPU that receives.
const RECEIVER: usize = 1;

/// For the receiver.
static TREE: Mutex<Cell<Option<Tree>>> = Mutex::new(Cell::new(None));
/// Interrupts that the receiver has had, and the times that it was ready for what comes next.
static RECEIVED: AtomicU32 = AtomicU32::new(0);

/// Measures and prints them.
pub fn measure(tree: &Tree, gic: &mut Gic) {
    gic.enable(TO_SELF);
    report("sgi_self", || measure::sgi_to_vector(sgi1r(TO_SELF, 0)));
    if tree.cpu_count() < 2 {
        return ["sgi_send", "sgi_receive"]
            .iter()
            .for_each(|name| skip(name, "the cell has one CPU"));
    }
    match start_receiver(tree, receive_measuring) {
        Ok(()) => {
            report("sgi_send", || measure::send(sgi1r(UNWANTED, RECEIVER)));
            send_and_wait(rounds());
            wait_for(1 + rounds() + 1);
        }
        Err(error) => println!("bench sgi_send skipped: CPU_ON: {error:?}"),
    }
}

/// Sends SGIs from CPU 0 to CPU 1 of the cell, and nothing else.
pub fn run_window(tree: &Tree) {
    exception::set_handler(on_interrupt);
    if tree.cpu_count() < 2 {
        return skip("window sgi", "the cell has one CPU");
    }
    match start_receiver(tree, receive) {
        Ok(()) | Err(psci::Error::AlreadyOn) => windows::SGI.run(|| send_and_wait(COUNT)),
        Err(error) => println!("bench window sgi skipped: CPU_ON: {error:?}"),
    }
}

fn start_receiver(tree: &Tree, main: fn(usize) -> !) -> Result<(), psci::Error> {
    critical_section::with(|section| TREE.borrow(section).set(Some(*tree)));
    cpu::start(RECEIVER, main)?;
    wait_for(1);
    Ok(())
}

/// Sends so many, each after the one before has come.
fn send_and_wait(count: u32) {
    for _ in 0..count {
        let received = RECEIVED.load(Ordering::Acquire);
        send_sgi(TO_OTHER, RECEIVER);
        wait_for(received + 1);
    }
}

fn wait_for(received: u32) {
    while RECEIVED.load(Ordering::Acquire) < received {
        cpu::relax();
    }
}

fn note_received() {
    RECEIVED.fetch_add(1, Ordering::AcqRel);
}

/// What the receiver does: takes what comes.
fn receive(_: usize) -> ! {
    enable_in_receiver();
    note_received();
    serve()
}

/// Counts its rounds before.
fn receive_measuring(_: usize) -> ! {
    enable_in_receiver();
    measure::start(Filter::El2);
    note_received();
    let el2 = Tally::of(|| {
        let count = measure::wait_to_vector();
        note_received();
        count
    });
    println!(
        "bench sgi_receive {} {} {}",
        el2.least(),
        el2.mode(),
        el2.mode()
    );
    note_received();
    serve()
}

fn enable_in_receiver() {
    let tree =
        critical_section::with(|section| TREE.borrow(section).get()).expect("set by the sender");
    Gic::new(&tree, Role::Other).enable(TO_OTHER);
}

fn serve() -> ! {
    cpu::unmask_interrupts();
    cpu::idle()
}

fn on_interrupt(_: IntId) {
    note_received();
}

/// The value of ICC_SGI1R_EL1 for one CPU of the first cluster.
fn sgi1r(intid: IntId, cpu: usize) -> u64 {
    u64::from(intid.raw_value()) << 24 | 1 << cpu
}
