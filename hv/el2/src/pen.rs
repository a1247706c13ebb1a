//! CPUs without PSCI. Each waits until an address appears in its word of a spin table (Linux, "Booting AArch64 Linux";
//! Devicetree Specification, `cpu-release-addr`): first where firmware has it wait, later in the pen, a page of Linux's that
//! stays what it is until the next boot.
//!
//! One rule: none of them waits there while Bulkhead is enabled, as whoever writes the word starts code at EL2.

use bulkhead_abi::info::cpu_state;
use bulkhead_abi::{MAX_CPUS, PAGE_SIZE, code};
use bulkhead_model::addr::{Hpa, Region};
use bulkhead_model::blob::SystemConfig;
use bulkhead_model::paging::{Tables, stage1_el2};
use bulkhead_model::refused::Refused;
use core::sync::atomic::Ordering;

use crate::board::board;
use crate::pages::Pages;
use crate::percpu::PerCpu;
use crate::{firmware, sysreg};

/// Offset in the pen of a word each CPU, which says that it is there; the code is before them.
const ARRIVED: u64 = 0x400;

const _: () = assert!(ARRIVED + 8 * MAX_CPUS as u64 <= PAGE_SIZE);

unsafe extern "C" {
    static pen_start: u8;
    static pen_end: u8;
    /// In entry.S: MMU off, and to the pen.
    fn to_pen(pen: u64, release: u64, arrived: u64) -> !;
}

/// Maps the words and the pen, and looks whether the CPUs are there.
///
/// # Errors
/// `BAD_ARGUMENT`: no pen. `CPU_OF_LINUX`: somebody has started such a CPU already. And those of mapping.
pub fn map(config: &SystemConfig, pen: u64, tables: &Tables) -> Result<(), Refused> {
    let mut mapped = [0; MAX_CPUS];
    let words = config
        .cpus
        .iter()
        .filter_map(|cpu| Some((cpu.mpidr, cpu.release?.get())));
    for ((mpidr, word), slot) in words.clone().zip(0..) {
        let page = word & !(PAGE_SIZE - 1);
        if !mapped[..slot].contains(&page) {
            map_page(tables, page)?;
        }
        mapped[slot] = page;
        if read(word) != 0 {
            return Err(Refused::new(code::CPU_OF_LINUX, mpidr.get(), 0));
        }
    }
    match (words.count(), pen) {
        (0, _) => Ok(()),
        (_, 0) => Err(Refused::new(code::BAD_ARGUMENT, 0, pen)),
        _ => map_page(tables, pen),
    }
}

fn map_page(tables: &Tables, page: u64) -> Result<(), Refused> {
    let page = Region::pages(Hpa(page), PAGE_SIZE)?;
    let base = page.base();
    tables.map(&mut Pages::El2, base.0, base, PAGE_SIZE, stage1_el2::DATA)
}

/// Takes all of them under us.
pub fn empty() {
    // All are expected before the first is told: several may watch one word. One that does not come keeps us from going.
    for cpu in waiting() {
        cpu.set_state(cpu_state::WAKING);
    }
    for cpu in waiting() {
        let _ = firmware::cpu_on(cpu); // by a store, which does not fail
    }
}

fn waiting() -> impl Iterator<Item = &'static PerCpu> {
    board().cpus().filter(|cpu| cpu.release != 0)
}

/// Has a CPU that waits go on at `entry`.
pub fn release(cpu: &PerCpu, entry: u64) {
    write(cpu.release, entry);
    sysreg::sev();
}

/// Makes the pen ready before the first CPU goes there; returns whether CPUs may go: none is still on its way here.
pub fn prepare() -> bool {
    let is = |state| move |cpu: &PerCpu| cpu.state.load(Ordering::Acquire) == state;
    if waiting().any(is(cpu_state::WAKING)) {
        return false;
    }
    if waiting().next().is_some() && waiting().all(is(cpu_state::PARKED)) {
        build();
    }
    true
}

fn build() {
    let (start, end) = (&raw const pen_start, &raw const pen_end);
    let size = end.addr() - start.addr();
    let pen = board().pen;
    // SAFETY: the pen is mapped, nobody executes there, and the code is shorter than what is before the words.
    unsafe { core::ptr::copy_nonoverlapping(start, pen as *mut u8, size) };
    sysreg::clean_to_poc(pen, size as u64);
}

/// Forgets that this CPU was released, and that it was in the pen: before it says that it goes there, as both are looked at then.
pub fn before(cpu: &PerCpu) {
    if cpu.release != 0 {
        write(cpu.release, 0);
        write(arrived(cpu), 0);
    }
}

/// Leaves this CPU in the pen.
pub fn enter(cpu: &PerCpu) -> ! {
    // SAFETY: nothing of this CPU's is needed here any more; the pen was made ready before it was sent there.
    unsafe { to_pen(board().pen, cpu.release, arrived(cpu)) }
}

/// Whether a CPU is in the pen, and needs nothing of ours any more.
pub fn has(cpu: &PerCpu) -> bool {
    read(arrived(cpu)) != 0
}

fn arrived(cpu: &PerCpu) -> u64 {
    board().pen + ARRIVED + 8 * cpu.id.index() as u64
}

/// Reads a word that CPUs with their MMU off may have written.
fn read(word: u64) -> u64 {
    // Our line, which is clean, goes first (DDI 0487, "Mismatched memory attributes").
    sysreg::clean_to_poc(word, 8);
    // SAFETY: a word of the spin table or of the pen, mapped by `map`; any value does.
    unsafe { (word as *const u64).read_volatile() }
}

/// Writes a word that CPUs with their MMU off read: to the point of coherency, before anything that follows.
fn write(word: u64, value: u64) {
    // SAFETY: the same; the ledger says that it is RAM, and neither ours nor a cell's.
    unsafe { (word as *mut u64).write_volatile(value) };
    sysreg::clean_to_poc(word, 8);
}
