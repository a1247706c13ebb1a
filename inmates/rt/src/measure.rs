//! Counting cycles, which are instructions in QEMU's `-icount shift=0`, from inside a cell.
//!
//! One rule: the measured instruction stands alone between two reads of PMCCNTR_EL0, and what the same code costs
//! without it ([`empty`]) is subtracted by the caller. Interrupts are measured up to the first instruction of a vector of
//! our own, which does nothing else; they are masked outside of the measuring block.

use core::arch::{asm, global_asm};

/// Where cycles are counted (Arm ARM DDI 0487, `PMCCFILTR_EL0`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filter {
    /// At EL1 and EL2.
    All,
    /// At EL2 only: what the hypervisor spends.
    El2,
}

/// Starts counting on this CPU.
pub fn start(filter: Filter) {
    const P_U: u64 = 3 << 30; // Not at EL1, not at EL0.
    const NSH: u64 = 1 << 27; // At EL2.
    let filter = match filter {
        Filter::All => NSH,
        Filter::El2 => P_U | NSH,
    };
    // SAFETY: the performance monitors are the cell's own and count nothing else. PMCR: E, LC (64 bits), C (from 0).
    unsafe {
        asm!(
            "msr pmcntenset_el0, {cycles}",
            "msr pmccfiltr_el0, {filter}",
            "msr pmcr_el0, {control}",
            "isb",
            cycles = in(reg) 1_u64 << 31,
            filter = in(reg) filter,
            control = in(reg) 1_u64 | 1 << 6 | 1 << 2,
            options(nostack),
        );
    }
}

/// Counts the cycles of one instruction with x0 to x3 given. It may change x0 to x17.
macro_rules! count {
    ($instruction:literal, $x0:expr, $x1:expr) => {{
        let begin: u64;
        let end: u64;
        // SAFETY: the callers' instructions touch no memory of ours, and SMCCC calls keep all but these registers.
        unsafe {
            asm!(
                "isb",
                "mrs {begin}, pmccntr_el0",
                $instruction,
                "isb",
                "mrs {end}, pmccntr_el0",
                begin = out(reg) begin,
                end = lateout(reg) end,
                inout("x0") $x0 => _, inout("x1") $x1 => _, inout("x2") 0_u64 => _, inout("x3") 0_u64 => _,
                out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
                options(nostack),
            );
        }
        end.wrapping_sub(begin)
    }};
}

/// Counts nothing: the cost of counting.
pub fn empty() -> u64 {
    count!("", 0_u64, 0_u64)
}

/// Counts a call by HVC.
pub fn call(function: u32) -> u64 {
    count!("hvc #0", u64::from(function), 0_u64)
}

/// A register of the interrupt controller, found by the caller in the tree.
#[derive(Clone, Copy, Debug)]
pub struct GicRegister(u64);

impl GicRegister {
    /// Names a register of the distributor of this cell; `None` beyond its first 64 KiB.
    pub fn of_distributor(tree: &crate::Tree, offset: u64) -> Option<Self> {
        let (distributor, _) = tree.gic()?;
        (offset < distributor.size.min(0x1_0000)).then_some(Self(distributor.base + offset))
    }

    /// Names a register of the first redistributor: that of the CPU 0.
    pub fn of_redistributor(tree: &crate::Tree, offset: u64) -> Option<Self> {
        let (_, redistributor) = tree.gic()?;
        (offset < redistributor.size.min(0x2_0000)).then_some(Self(redistributor.base + offset))
    }
}

/// Counts a load of 32 bits.
pub fn load32(from: GicRegister) -> u64 {
    count!("ldr w0, [x1]", 0_u64, from.0)
}

/// Counts a load of 64 bits.
pub fn load64(from: GicRegister) -> u64 {
    count!("ldr x0, [x1]", 0_u64, from.0)
}

/// Counts a store of 32 bits.
pub fn store32(to: GicRegister, value: u32) -> u64 {
    count!("str w0, [x1]", u64::from(value), to.0)
}

/// Counts the sending of an SGI.
pub fn send(sgi1r: u64) -> u64 {
    count!("msr icc_sgi1r_el1, x0", sgi1r, 0_u64)
}

// The measuring vectors. Only IRQs come, and only while one of the blocks below spins on x11. The vector reads the
// counter into x9 at once, ends the interrupt, turns the timer off, sets x11 and returns with interrupts masked.
global_asm!(
    ".section .text.vectors, \"ax\"",
    ".balign 2048",
    ".global measuring_vectors",
    "measuring_vectors:",
    ".rept 5",
    "b .", // An exception that cannot come.
    ".balign 128",
    ".endr",
    "mrs x9, pmccntr_el0",
    "mrs x10, icc_iar1_el1",
    "msr cntv_ctl_el0, xzr",
    "isb", // The timer's interrupt is gone before it is ended.
    "msr icc_eoir1_el1, x10",
    "mov x11, #1",
    "mrs x12, spsr_el1",
    "orr x12, x12, #1 << 7",
    "msr spsr_el1, x12",
    "eret",
    ".balign 2048",
);

/// Runs a block that waits, until x11 is set, for an interrupt on the measuring vectors. x8 is the count before, x9 that
/// at the vector.
macro_rules! count_to_vector {
    ($x0:expr, $($line:literal),*) => {{
        let begin: u64;
        let end: u64;
        // SAFETY: the vectors are exchanged with interrupts masked and put back so; ours changes x8 to x12 only.
        unsafe {
            asm!(
                "mrs x13, vbar_el1",
                "adrp x14, measuring_vectors",
                "add x14, x14, :lo12:measuring_vectors",
                "msr vbar_el1, x14",
                "mov x11, #0",
                "isb",
                $($line,)*
                "msr vbar_el1, x13",
                "isb",
                in("x0") $x0,
                out("x8") begin, out("x9") end, out("x10") _, out("x11") _, out("x12") _, out("x13") _, out("x14") _,
                options(nostack),
            );
        }
        (begin, end)
    }};
}

/// Counts from the sending of an SGI to this CPU to the first instruction of the vector.
pub fn sgi_to_vector(sgi1r: u64) -> u64 {
    let (begin, end) = count_to_vector!(
        sgi1r,
        "msr daifclr, #2",
        "isb",
        "mrs x8, pmccntr_el0",
        "isb", // As in `empty`.
        "msr icc_sgi1r_el1, x0",
        "2: cbz x11, 2b"
    );
    end.wrapping_sub(begin)
}

/// Waits, asleep, for an interrupt and counts from here to the first instruction of the vector.
pub fn wait_to_vector() -> u64 {
    let (begin, end) = count_to_vector!(
        0_u64,
        "mrs x8, pmccntr_el0",
        "2: wfi", // Masked: an interrupt that comes before it ends it, too.
        "msr daifclr, #2",
        "isb",
        "msr daifset, #2",
        "cbz x11, 2b"
    );
    end.wrapping_sub(begin)
}

/// Sets the timer to that tick, spins, and returns the counter at the first instruction of the vector.
pub fn timer_to_vector(tick: u64) -> u64 {
    let (_, end) = count_to_vector!(
        tick,
        "msr cntv_cval_el0, x0",
        "mov x8, #1",
        "msr cntv_ctl_el0, x8",
        "isb",
        "msr daifclr, #2",
        "2: cbz x11, 2b"
    );
    end
}

/// Spends `3 * delay + 1` instructions, then reads the virtual counter and, in the next instruction, the cycle counter.
pub fn clocks(delay: u32) -> (u64, u64) {
    let tick: u64;
    let cycles: u64;
    // SAFETY: reads of two counters.
    unsafe {
        asm!(
            "1: nop",
            "subs {delay:w}, {delay:w}, #1",
            "b.hi 1b",
            "isb",
            "mrs {tick}, cntvct_el0",
            "mrs {cycles}, pmccntr_el0",
            delay = inout(reg) delay => _,
            tick = out(reg) tick,
            cycles = out(reg) cycles,
            options(nostack),
        );
    }
    (tick, cycles)
}

/// Marks a place in QEMU's log of exceptions (`-d int`): an SVC with that immediate, which only this CPU's EL1 sees.
pub fn mark<const IMMEDIATE: u16>() {
    crate::attempt::supervisor_call::<IMMEDIATE>();
}
