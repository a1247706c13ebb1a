//! Exceptions: saves everything, FP included, calls Rust, returns.
//!
//! One rule: an exception that nobody asked for is a panic. Asked for are interrupts ([`set_handler`]) and, within
//! [`crate::attempt`], synchronous exceptions: TPIDR_EL1 then holds the address at which to go on.

use core::arch::global_asm;
use core::mem::offset_of;
use core::sync::atomic::{AtomicPtr, Ordering};

use aarch64_cpu::registers::{ESR_EL1, FAR_EL1, Readable, TPIDR_EL1, Writeable};
use arm_gic::IntId;

use crate::gic;

/// What an interrupted program had in its registers.
#[repr(C)]
struct Frame {
    x: [u64; 19],
    fp: u64,
    lr: u64,
    elr: u64,
    spsr: u64,
    fpsr: u64,
    q: [u128; 32],
}

const _: () = assert!(offset_of!(Frame, x) == 0);
const _: () = assert!(offset_of!(Frame, fp) == 152);
const _: () = assert!(offset_of!(Frame, lr) == 160);
const _: () = assert!(offset_of!(Frame, elr) == 168);
const _: () = assert!(offset_of!(Frame, spsr) == 176);
const _: () = assert!(offset_of!(Frame, fpsr) == 184);
const _: () = assert!(offset_of!(Frame, q) == 192);
const _: () = assert!(size_of::<Frame>() == 704);

// Numbers of vectors: offset in the table / 0x80 (Arm ARM DDI 0487, exception vectors). We use SP_EL1 only.
const SYNC: u64 = 4;
const IRQ: u64 = 5;
/// PSTATE.IL: every instruction is an exception.
const ILLEGAL: u64 = 1 << 20;

// A vector makes the frame and puts its number into x0; `save` fills the frame, calls Rust with x1 = frame, undoes it.
// Rust keeps x19 to x28. It keeps only the lower halves of q8 to q15, hence all of them are saved.
global_asm!(
    ".section .text.vectors, \"ax\"",
    ".balign 2048",
    ".global exception_vectors",
    "exception_vectors:",
    ".irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15",
    ".balign 128",
    "sub sp, sp, #704",
    "stp x0, x1, [sp]",
    "mov x0, #\\number",
    "b save",
    ".endr",
    ".balign 128",
    "save:",
    "stp x2, x3, [sp, #16]",
    "stp x4, x5, [sp, #32]",
    "stp x6, x7, [sp, #48]",
    "stp x8, x9, [sp, #64]",
    "stp x10, x11, [sp, #80]",
    "stp x12, x13, [sp, #96]",
    "stp x14, x15, [sp, #112]",
    "stp x16, x17, [sp, #128]",
    "stp x18, x29, [sp, #144]",
    "mrs x1, elr_el1",
    "stp x30, x1, [sp, #160]",
    "mrs x1, spsr_el1",
    "mrs x2, fpsr",
    "stp x1, x2, [sp, #176]",
    ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30",
    "str q\\n, [sp, #192 + 16 * \\n]",
    ".endr",
    ".irp n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31",
    "str q\\n, [sp, #192 + 16 * \\n]",
    ".endr",
    "mov x1, sp",
    "bl {taken}",
    ".irp n, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30",
    "ldr q\\n, [sp, #192 + 16 * \\n]",
    ".endr",
    ".irp n, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31",
    "ldr q\\n, [sp, #192 + 16 * \\n]",
    ".endr",
    "ldp x1, x2, [sp, #176]",
    "msr spsr_el1, x1",
    "msr fpsr, x2",
    "ldp x30, x1, [sp, #160]",
    "msr elr_el1, x1",
    "ldp x18, x29, [sp, #144]",
    "ldp x16, x17, [sp, #128]",
    "ldp x14, x15, [sp, #112]",
    "ldp x12, x13, [sp, #96]",
    "ldp x10, x11, [sp, #80]",
    "ldp x8, x9, [sp, #64]",
    "ldp x6, x7, [sp, #48]",
    "ldp x4, x5, [sp, #32]",
    "ldp x2, x3, [sp, #16]",
    "ldp x0, x1, [sp]",
    "add sp, sp, #704",
    "eret",
    taken = sym taken,
);

/// The function that [`set_handler`] was given.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());

/// Names the function that is called with each interrupt that this cell takes, on any CPU, with interrupts masked.
/// The interrupt is ended when it returns, as [`gic::set_end`] says. It may let others in meanwhile, if it masks them again.
pub fn set_handler(handler: fn(IntId)) {
    HANDLER.store(handler as *mut (), Ordering::Release);
}

extern "C" fn taken(vector: u64, frame: &mut Frame) {
    match vector {
        SYNC => synchronous(frame),
        IRQ => interrupt(),
        _ => panic!(
            "exception by vector {vector}, ESR {:#x}, PC {:#x}",
            ESR_EL1.get(),
            frame.elr
        ),
    }
}

fn synchronous(frame: &mut Frame) {
    let resume = TPIDR_EL1.get();
    if resume == 0 {
        panic!(
            "exception: ESR {:#x}, FAR {:#x}, PC {:#x}",
            ESR_EL1.get(),
            FAR_EL1.get(),
            frame.elr
        );
    }
    TPIDR_EL1.set(0);
    frame.elr = resume;
    frame.spsr &= !ILLEGAL;
}

fn interrupt() {
    let Some(intid) = gic::acknowledge() else {
        return;
    };
    let handler = HANDLER.load(Ordering::Acquire);
    assert!(!handler.is_null(), "interrupt {intid:?} without a handler");
    // SAFETY: not null, so `set_handler` stored it there out of a `fn(IntId)`.
    let handler = unsafe { core::mem::transmute::<*mut (), fn(IntId)>(handler) };
    handler(intid);
    gic::end(intid);
}
