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
use inmate_rt::{IntId, Tree, cpu, exception, println};

use crate::tally::{ROUNDS, Tally, report, skip};
use crate::windows::{self, COUNT};

const TO_SELF: IntId = IntId::sgi(1);
const TO_OTHER: IntId = IntId::sgi(2);
const UNWANTED: IntId = IntId::sgi(3);
/// The CPU that receives.
const RECEIVER: usize = 1;

/// For the receiver.
static TREE: Mutex<Cell<Option<Tree>>> = Mutex::new(Cell::new(None));
/// Interrupts that the receiver has had, with 1 for being ready.
static RECEIVED: AtomicU32 = AtomicU32::new(0);

/// Measures and prints them.
pub fn run(tree: &Tree, gic: &mut Gic) {
    gic.enable(TO_SELF);
    report("sgi_self", || measure::sgi_to_vector(sgi1r(TO_SELF, 0)));
    if tree.cpu_count() < 2 {
        return ["sgi_send", "sgi_receive"]
            .iter()
            .for_each(|name| skip(name, "the cell has one CPU"));
    }
    critical_section::with(|section| TREE.borrow(section).set(Some(*tree)));
    exception::set_handler(on_interrupt);
    if let Err(error) = cpu::start(RECEIVER, receive) {
        return println!("bench sgi_send skipped: CPU_ON: {error:?}");
    }
    wait_for(1);
    report("sgi_send", || measure::send(sgi1r(UNWANTED, RECEIVER)));
    send_and_wait(1..=ROUNDS);
    windows::SGI.run(|| send_and_wait(ROUNDS + 1..=ROUNDS + COUNT));
}

/// Sends to the receiver until it has had so many.
fn send_and_wait(rounds: core::ops::RangeInclusive<u32>) {
    for round in rounds {
        send_sgi(TO_OTHER, RECEIVER);
        wait_for(round + 1);
    }
}

fn wait_for(received: u32) {
    while RECEIVED.load(Ordering::Acquire) < received {
        cpu::relax();
    }
}

/// What the receiver does: counts its rounds, then takes what comes.
fn receive(_: usize) -> ! {
    let tree =
        critical_section::with(|section| TREE.borrow(section).get()).expect("set by the sender");
    Gic::new(&tree, Role::Other).enable(TO_OTHER);
    measure::start(Filter::El2);
    RECEIVED.store(1, Ordering::Release);
    let el2 = Tally::of(|| {
        let count = measure::wait_to_vector();
        RECEIVED.fetch_add(1, Ordering::AcqRel);
        count
    });
    println!(
        "bench sgi_receive {} {} {}",
        el2.least(),
        el2.mode(),
        el2.mode()
    );
    cpu::unmask_interrupts();
    cpu::idle()
}

fn on_interrupt(_: IntId) {
    RECEIVED.fetch_add(1, Ordering::AcqRel);
}

/// The value of ICC_SGI1R_EL1 for one CPU of the first cluster.
fn sgi1r(intid: IntId, cpu: usize) -> u64 {
    u64::from(intid.raw_value()) << 24 | 1 << cpu
}
