//! Our own bugs: the record that Linux can read, and the end of this CPU. Everyone else runs on.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use aarch64_cpu::registers::{ELR_EL2, ESR_EL2, FAR_EL2, Readable, TPIDR_EL2};
use bulkhead_abi::info::{PanicRecord, cpu_state};

use crate::percpu::PerCpu;
use crate::{info, sysreg};

/// Set by the first panic: whoever waits for a lock then gives up.
pub static PANICKED: AtomicBool = AtomicBool::new(false);

#[panic_handler]
fn panic(reason: &PanicInfo) -> ! {
    let (file, line) = reason
        .location()
        .map_or(("", 0), |location| (location.file(), location.line()));
    die(file, line)
}

/// An exception at EL2, from vectors.S.
#[unsafe(no_mangle)]
extern "C" fn bug_exception() -> ! {
    die("exception at EL2", 0)
}

fn die(file: &str, line: u32) -> ! {
    PANICKED.store(true, Ordering::Release);
    let cpu = TPIDR_EL2.get() as *const PerCpu;
    // SAFETY: null, or this CPU's struct (entry.S).
    let cpu = unsafe { cpu.as_ref() };
    let mut record = PanicRecord {
        count: 1,
        cpu: cpu.map_or(u32::MAX, |cpu| cpu.id.number()),
        line,
        reserved: 0,
        esr: ESR_EL2.get(),
        elr: ELR_EL2.get(),
        far: FAR_EL2.get(),
        file: [0; 48],
    };
    let shown = &file.as_bytes()[file.len().saturating_sub(record.file.len() - 1)..];
    record
        .file
        .iter_mut()
        .zip(shown)
        .for_each(|(to, from)| *to = *from);
    info::record_panic(record);
    if let Some(cpu) = cpu {
        cpu.state.store(cpu_state::DEAD, Ordering::Release);
        info::set_cpu(cpu.id, cpu.cell(), cpu_state::DEAD);
    }
    loop {
        sysreg::wfe();
    }
}
