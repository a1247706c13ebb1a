// The start of the image: its header, the exception vectors of EL2, and the switch to and from the guest.
//
// TPIDR_EL2 points at this CPU's struct; its first 264 bytes are the guest's frame: x0..x30, pc, spsr.
// EL2 runs with all exceptions masked, so what arrives from EL2 itself is a bug of ours. It runs on SP_EL2: the four slots of
// SP_EL0 are never taken, and hold the header and code.
//
// The code lies in the table's slots, which are 128 bytes each: `slot n` goes on with slot n, here and in entry.S. What is too
// long for its slot does not assemble.

    .equ    FRAME_PC, 248

    .macro  slot n
    .section .text.vectors, "ax"
    .subsection \n
    .endm

    .macro  vector n
    slot    \n
    .org    vectors + 0x80 * \n
    .endm

    .macro  bug n
    vector  \n
    b       exception_at_el2
    .endm

    .macro  exit n, kind
    vector  \n
    stp     x0, x1, [sp, #-16]!
    mov     x1, #\kind
    b       guest_exit
    .endm

// x2 to x17 to or from the frame at x0.
    .macro  scratch op
    \op     x2, x3, [x0, #16]
    \op     x4, x5, [x0, #32]
    \op     x6, x7, [x0, #48]
    \op     x8, x9, [x0, #64]
    \op     x10, x11, [x0, #80]
    \op     x12, x13, [x0, #96]
    \op     x14, x15, [x0, #112]
    \op     x16, x17, [x0, #128]
    .endm

// x20 to x29 to or from the frame at x0.
    .macro  kept op
    \op     x20, x21, [x0, #160]
    \op     x22, x23, [x0, #176]
    \op     x24, x25, [x0, #192]
    \op     x26, x27, [x0, #208]
    \op     x28, x29, [x0, #224]
    .endm

// EL2's own x19 to x28, to or from its stack, above x29 and x30.
    .macro  own op
    \op     x19, x20, [sp, #16]
    \op     x21, x22, [sp, #32]
    \op     x23, x24, [sp, #48]
    \op     x25, x26, [sp, #64]
    \op     x27, x28, [sp, #80]
    .endm

    slot    0
    .global vectors, header
    .balign 0x800
vectors:
header:
    .ascii  "BULKHEAD"
    .quad   1                       // ABI_VERSION, asserted in main.rs
    .quad   entry - header
    .quad   __file_end - header
    .quad   __image_end - header

    vector  4                       // current EL, SP_EL2: a device that did not answer `device_access`, or a bug
    b       access_failed
    bug     5
    bug     6
    bug     7

    vector  8                       // lower EL, AArch64: synchronous
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
// Stores what a Rust function may destroy, and asks fast.rs.
    scratch stp
    ldp     x2, x3, [sp], #16
    str     x18, [x0, #144]
    str     x30, [x0, #240]
    stp     x2, x3, [x0]
    mrs     x1, esr_el2
    mov     x2, x0
    bl      fast_trap
    mov     x1, x0
    mrs     x0, tpidr_el2
    tbnz    w1, #0, served          // a bool
    mov     x1, #0                  // kind: synchronous
long_way:
    str     x19, [x0, #152]         // the others too
    kept    stp
    b       back_to_caller

    vector  9                       // IRQ: the same with another function
    stp     x0, x1, [sp, #-16]!
    mrs     x0, tpidr_el2
    scratch stp
    ldp     x2, x3, [sp], #16
    str     x18, [x0, #144]
    str     x30, [x0, #240]
    stp     x2, x3, [x0]
    bl      fast_irq
    mov     x1, x0
    mrs     x0, tpidr_el2
    tbnz    w1, #0, served
    mov     x1, #1                  // kind: IRQ
    b       long_way

    exit    10, 2                   // FIQ
// [sp] = the guest's x0, x1; x1 = kind
guest_exit:
    mrs     x0, tpidr_el2
    scratch stp
    stp     x18, x19, [x0, #144]
    kept    stp
    ldp     x2, x3, [sp], #16
    str     x30, [x0, #240]
    stp     x2, x3, [x0]
back_to_caller:
    mrs     x2, elr_el2
    mrs     x3, spsr_el2
    stp     x2, x3, [x0, #FRAME_PC]
    own     ldp
    ldp     x29, x30, [sp], #96
    mov     x0, x1
    ret

    exit    11, 3                   // SError
served:                             // x0 = this CPU's struct
    scratch ldp
    ldr     x18, [x0, #144]
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret
    dsb     nsh                     // no speculation past the exception return
    isb

    exit    12, 0                   // lower EL, AArch32
    exit    13, 1
    exit    14, 2
    exit    15, 3
    vector  16                      // the end

    slot    7
// enter_guest(cpu: x0) -> kind of exit
    .global enter_guest
enter_guest:
    stp     x29, x30, [sp, #-96]!
    own     stp
    ldp     x2, x3, [x0, #FRAME_PC]
    msr     elr_el2, x2
    msr     spsr_el2, x3
    scratch ldp
    ldp     x18, x19, [x0, #144]
    kept    ldp
    ldr     x30, [x0, #240]
    ldp     x0, x1, [x0]
    eret
    dsb     nsh                     // no speculation past the exception return
    isb

    .section .text.device_access, "ax"
// device_access(address: x0, value: x1, operation: x2) -> value loaded in x0, 0 in x2 when it ended in an exception. The operation
// is log2 of the bytes, and 4 for a store. Destroys x3 to x6.
    .global device_access
device_access:
    mrs     x5, elr_el2             // on the short way they are still the guest's
    mrs     x6, spsr_el2
    adr     x3, accesses
    add     x3, x3, x2, lsl #3
    mov     x2, #1
    br      x3
accesses:
    ldarb   w0, [x0]
    ret
    ldarh   w0, [x0]
    ret
    ldar    w0, [x0]
    ret
    ldar    x0, [x0]
    ret
    stlrb   w1, [x0]                // the guest's store may have been a release
    ret
    stlrh   w1, [x0]
    ret
    stlr    w1, [x0]
    ret
    stlr    x1, [x0]
    ret
access_failed:
    mrs     x3, elr_el2
    adr     x4, accesses
    sub     x3, x3, x4
    cmp     x3, #(access_failed - accesses)
    b.hs    exception_at_el2
    mrs     x3, esr_el2
    lsr     x4, x3, #26             // EC: a data abort of EL2's own
    cmp     x4, #0x25
    b.ne    exception_at_el2
    and     x3, x3, #0x3f           // DFSC: an external abort, not of a table walk
    cmp     x3, #0x10
    b.ne    exception_at_el2
    msr     elr_el2, x5
    msr     spsr_el2, x6
    mov     x2, #0
    ret                             // from `device_access`: same level, same stack, same masks

    slot    5
// A bug of ours: forget the stack we came on, keep the evidence, never come back.
exception_at_el2:
    mrs     x0, tpidr_el2
    cbz     x0, prepare_exception
    mov     sp, x0
    b       bug_exception
