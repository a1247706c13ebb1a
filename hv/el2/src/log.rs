//! The log: defmt records in this CPU's ring, which root may read. Overwritten when full; never waits.

use core::sync::atomic::{Ordering, fence};

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable, TPIDR_EL2};
use bulkhead_abi::info::{LOG_RING_SIZE, LogRing};

use crate::info;
use crate::percpu::PerCpu;

const DATA_SIZE: u64 = LOG_RING_SIZE - size_of::<LogRing>() as u64;

#[defmt::global_logger]
struct Rings;

/// The encoder of the record that is being written. A CPU writes one at a time: EL2 takes no exceptions of its own.
struct Encoders(core::cell::UnsafeCell<[defmt::Encoder; bulkhead_abi::MAX_CPUS]>);

// SAFETY: each CPU uses its own element.
unsafe impl Sync for Encoders {}

static ENCODERS: Encoders = Encoders(core::cell::UnsafeCell::new(
    [const { defmt::Encoder::new() }; bulkhead_abi::MAX_CPUS],
));

/// Index of this CPU; 0 for the preparing one, which has no struct yet.
fn this_cpu() -> usize {
    let cpu = TPIDR_EL2.get() as *const PerCpu;
    // SAFETY: entry.S put null or this CPU's struct there before any Rust code.
    unsafe { cpu.as_ref() }.map_or(0, |cpu| cpu.id.index())
}

/// This CPU's encoder.
///
/// # Safety
/// The caller is done with it when it asks for it again.
#[inline(never)] // Three use it.
unsafe fn encoder() -> &'static mut defmt::Encoder {
    // SAFETY: inside the array.
    let encoder = unsafe { ENCODERS.0.get().cast::<defmt::Encoder>().add(this_cpu()) };
    // SAFETY: only this CPU uses it, and not while it is in use: by the caller's word, and no exception interrupts EL2.
    unsafe { &mut *encoder }
}

/// Appends to this CPU's ring.
#[inline(never)] // The encoder calls it from many places.
fn append(bytes: &[u8]) {
    let Some(base) = info::log_ring(this_cpu()) else {
        return;
    };
    const _: () = assert!(core::mem::offset_of!(LogRing, written) == 0);
    let head = base as *mut u64;
    // SAFETY: the ring is mapped; this CPU is its only writer.
    let written = unsafe { head.read_volatile() };
    for (position, byte) in (written..).zip(bytes) {
        let slot = (base + size_of::<LogRing>() as u64 + position % DATA_SIZE) as *mut u8;
        // SAFETY: inside the ring.
        unsafe { slot.write_volatile(*byte) };
    }
    fence(Ordering::Release); // the bytes are visible before the count that speaks of them
    // SAFETY: as for reading.
    unsafe { head.write_volatile(written + bytes.len() as u64) };
}

// SAFETY: a CPU cannot interrupt itself between `acquire` and `release`, and every CPU has its own encoder and ring.
unsafe impl defmt::Logger for Rings {
    fn acquire() {
        // SAFETY: for this one call.
        unsafe { encoder() }.start_frame(append);
    }

    // SAFETY: called between `acquire` and `release` by defmt.
    unsafe fn flush() {}

    // SAFETY: as `flush`.
    unsafe fn release() {
        // SAFETY: for this one call.
        unsafe { encoder() }.end_frame(append);
    }

    // SAFETY: as `flush`.
    unsafe fn write(bytes: &[u8]) {
        // SAFETY: for this one call.
        unsafe { encoder() }.write(bytes, append);
    }
}

defmt::timestamp!("{=u64:us}", microseconds());

/// Time since power-on, µs.
fn microseconds() -> u64 {
    let frequency = CNTFRQ_EL0.get().max(1);
    let count = CNTPCT_EL0.get();
    count / frequency * 1_000_000 + count % frequency * 1_000_000 / frequency
}
