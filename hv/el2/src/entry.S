// Entry with the MMU off, turning it on, and leaving EL2 again. See hv/abi/src/enter.rs for the contract.
//
// While the MMU is off data accesses are Device-nGnRnE: no exclusives, no unaligned access, and nothing in a cache
// is seen. Whatever is read here (BOOT) was cleaned to the point of coherency by the CPU that wrote it.

    .equ    BOOT_TTBR0, 0
    .equ    BOOT_TCR, 8
    .equ    BOOT_MAIR, 16
    .equ    BOOT_SCTLR, 24
    .equ    BOOT_CLEAN_END, 32
    .equ    BOOT_CPU_COUNT, 40
    .equ    BOOT_CPU_AREAS, 48
    .equ    BOOT_CODE, 56
    .equ    BOOT_A, 64
    .equ    BOOT_B, 72
    .equ    BOOT_MPIDRS, 80
    .equ    BOOT_FOUND, 336

    .equ    CPU_AREA_SIZE, 0x3000
    .equ    CPU_STRUCT, 0x2a00
    .equ    MAILBOX_SIZE, 0x4000
    .equ    PAGE_SIZE, 0x1000
    .equ    CPU_FOUND, 272

// The code lies in the slots of vectors.S, in front of which the image's header is.

    slot    0
    .global entry
// x0 = hv_base, x1 = hv_size | command, x2 = where to return to
entry:
    mrs     x21, sctlr_el2          // x21..x26: EL2 as found
    mrs     x22, tcr_el2
    mrs     x23, mair_el2
    mrs     x24, ttbr0_el2
    mrs     x25, vbar_el2
    mrs     x26, tpidr_el2
    mov     x20, x2                 // x20: return address
    mrs     x27, spsr_el2           // x27: SPSR to return with; the stub's own when it shows EL1h
    and     x3, x27, #0xf
    mov     x4, #0x3c5
    cmp     x3, #5
    csel    x27, x27, x4, eq
    orr     x27, x27, #0x3c0        // DAIF masked
    tst     x1, #0xfff
    b.ne    join

// ENTER_PREPARE. x0 = hv_base = address of header.
    mov     x19, x0
    mov     x29, x1                 // hv_size
// The image, a table, one CPU's area and the mailbox fit in, or nothing of it is touched.
    adr     x2, __image_end + PAGE_SIZE + CPU_AREA_SIZE + MAILBOX_SIZE
    sub     x2, x2, x19
    cmp     x1, x2
    b.lo    too_small
    bl      unfold
    adr     x3, __bss_start
    adr     x4, __bss_end
3:  cmp     x3, x4                  // whole pages (image.ld)
    b.hs    4f
    stp     xzr, xzr, [x3, #16]
    stp     xzr, xzr, [x3, #32]
    stp     xzr, xzr, [x3, #48]
    stp     xzr, xzr, [x3], #64
    b       3b
4:  msr     tpidr_el2, xzr          // no struct yet
    add     x3, x19, x29            // the stack of the last CPU's area; no CPU has joined
    mov     x4, #(MAILBOX_SIZE + CPU_AREA_SIZE - CPU_STRUCT)
    sub     x3, x3, x4
    mov     sp, x3
    bl      early                   // x0, x1 as they were; fills BOOT: tables, registers, or a code
    adr     x28, BOOT
    ldr     x0, [x28, #BOOT_CODE]
    cbnz    x0, 6f
// What was written with the MMU off must not be hidden by older lines that a speculative read of Linux's cacheable
// alias brought in (Arm ARM, "Mismatched memory attributes"): clean and invalidate from the header to CLEAN_END.
    ldr     x3, [x28, #BOOT_CLEAN_END]
    mov     x0, x19
    bl      clean_to_poc
    bl      mmu_on
    adr     x0, vectors
    msr     vbar_el2, x0            // return_as_found puts the stub's back
    add     x0, x28, #BOOT_FOUND    // for prepare_exception
    stp     x20, x21, [x0]
    stp     x22, x23, [x0, #16]
    stp     x24, x25, [x0, #32]
    stp     x26, x27, [x0, #48]
    mov     x0, x19
    mov     x1, x29
    bl      prepare                 // with the MMU on; leaves its answer in BOOT
// Joining CPUs read BOOT with the MMU off.
    adr     x0, BOOT
    add     x3, x0, #1024
    bl      clean_to_poc
    ldr     x0, [x28, #BOOT_CODE]
6:  ldp     x1, x2, [x28, #BOOT_A]
    b       return_as_found

    slot    12
// An exception while `prepare` runs, from vectors.S: what the blob names does not answer. Linux is told.
    .global prepare_exception
prepare_exception:
    adr     x3, BOOT + BOOT_FOUND
    ldp     x20, x21, [x3]
    ldp     x22, x23, [x3, #16]
    ldp     x24, x25, [x3, #32]
    ldp     x26, x27, [x3, #48]
    mov     x0, #-59                // PREPARE_EXCEPTION
    mrs     x1, esr_el2
    mrs     x2, far_el2
    b       return_as_found
too_small:                          // x1 = what there is, x2 = the least
    mov     x0, #-50                // HV_MEMORY_TOO_SMALL
    b       return_as_found

    slot    13
// Makes the image of the file one that can run: x19 = its base. Destroys x3 to x8.
// The constants follow the code in the file: up to their page, the last one first, as the two may overlap.
unfold:
    adr     x3, __file_end
    adr     x4, __rodata_start
    adr     x5, __rodata_end
1:  ldp     x6, x7, [x3, #-16]!
    stp     x6, x7, [x5, #-16]!
    cmp     x5, x4
    b.hi    1b
// Relocations (RELR): an even word is the offset of a word to relocate; an odd one has a bit for each of the 63 behind it.
    adr     x3, __relr_start
    adr     x4, __relr_end
1:  cmp     x3, x4
    b.hs    2f
    ldr     x5, [x3], #8
    tbz     w5, #0, 3f
    sub     x8, x7, #8
    add     x7, x7, #(63 * 8)       // for a next one
4:  lsr     x5, x5, #1
    add     x8, x8, #8
    cbz     x5, 1b
    tbz     w5, #0, 4b
    ldr     x6, [x8]
    add     x6, x6, x19
    str     x6, [x8]
    b       4b
3:  add     x7, x5, x19
    ldr     x6, [x7]
    add     x6, x6, x19
    str     x6, [x7], #8
    b       1b
2:  ret

    slot    4
// Cleans and invalidates x0 .. x3 to the point of coherency. Destroys x4, x5.
clean_to_poc:
    mrs     x4, ctr_el0
    ubfx    x4, x4, #16, #4         // DminLine: log2 of words
    mov     x5, #4
    lsl     x4, x5, x4
    sub     x5, x4, #1
    bic     x0, x0, x5
1:  dc      civac, x0
    add     x0, x0, x4
    cmp     x0, x3
    b.lo    1b
    dsb     sy                      // maintenance complete before any later access
    ret

// Turns translation on with the registers of BOOT. Destroys x8 to x11.
mmu_on:
    adr     x8, BOOT
    ldp     x9, x10, [x8, #BOOT_TTBR0]
    msr     ttbr0_el2, x9
    msr     tcr_el2, x10
    ldp     x9, x10, [x8, #BOOT_MAIR]
    msr     mair_el2, x9
    isb                             // the new regime is seen by the invalidation and by SCTLR's change
    tlbi    alle2
    dsb     nsh                     // nothing of the old regime is left in this CPU's TLB
    ic      iallu
    dsb     nsh
    isb
    msr     sctlr_el2, x10
    isb                             // fetches from here on are translated
    ret

    slot    0
// ENTER_JOIN.
join:
    bl      mmu_on
    bl      find_cpu                // x8 = this CPU's struct or 0, x9 = its MPIDR
    cbz     x8, 1f
    mov     sp, x8
    msr     tpidr_el2, x8
    add     x3, x8, #CPU_FOUND      // struct Found
    stp     x21, x22, [x3]
    stp     x23, x24, [x3, #16]
    stp     x25, x26, [x3, #32]
    mov     x0, x8
    mov     x1, x20
    mov     x2, x27
    bl      join_cpu                // does not return
    brk     #1
1:  mov     x0, #-31                // NO_SUCH_CPU
    mov     x1, x9
    mov     x2, xzr
    b       return_as_found

    slot    5
// Returns in x8 the struct of this CPU, or 0; x9 = MPIDR affinity. Destroys x10 to x13.
find_cpu:
    mrs     x9, mpidr_el1
    mov     x10, #0xffff
    movk    x10, #0x00ff, lsl #16
    movk    x10, #0x00ff, lsl #32   // Aff3, Aff2, Aff1, Aff0
    and     x9, x9, x10
    adr     x8, BOOT
    ldp     x10, x11, [x8, #BOOT_CPU_COUNT]
    add     x12, x8, #BOOT_MPIDRS
    mov     x8, xzr
1:  cbz     x10, 2f
    ldr     x13, [x12], #8
    cmp     x13, x9
    b.eq    3f
    add     x11, x11, #CPU_AREA_SIZE
    sub     x10, x10, #1
    b       1b
3:  mov     x12, #CPU_STRUCT
    add     x8, x11, x12
2:  ret

    slot    12
// Entry of a CPU that firmware starts for us (PSCI CPU_ON), MMU off, nothing found that is worth keeping.
    .global entry_from_firmware
entry_from_firmware:
    msr     daifset, #0xf
    mov     x0, #(1 << 31)          // HCR_EL2.RW alone: its reset value is UNKNOWN, E2H decides what TCR_EL2 means
    msr     hcr_el2, x0
    isb
    bl      mmu_on
    bl      find_cpu
    cbz     x8, 1f
    mov     sp, x8
    msr     tpidr_el2, x8
    mov     x0, x8
    bl      arrive_cpu              // does not return
1:  wfe                             // firmware started a CPU that nobody asked for
    b       1b

    slot    6
// x0, x1, x2 = answer; x20, x27 = where to and with what SPSR; x21..x26 = EL2 as found.
return_as_found:
    dsb     sy                      // all that EL2 wrote is complete before its mapping goes
    msr     sctlr_el2, x21
    isb                             // MMU as found (off)
    msr     tcr_el2, x22
    msr     mair_el2, x23
    msr     ttbr0_el2, x24
    msr     vbar_el2, x25
    msr     tpidr_el2, x26
    isb
    tlbi    alle2
    dsb     nsh
    isb
    msr     elr_el2, x20
    msr     spsr_el2, x27
    eret
    dsb     nsh
    isb

    slot    0
// leave_el2(found: x0, frame: x1) -> !
// To the frame's pc with its x0..x2 and x18..x30 (a hypercall's caller keeps those, SMCCC), EL2 as found.
    .global leave_el2
leave_el2:
    ldp     x4, x5, [x0]
    ldp     x6, x7, [x0, #16]
    ldp     x8, x9, [x0, #32]
    ldp     x10, x11, [x1, #248]
    msr     elr_el2, x10
    msr     spsr_el2, x11
    ldp     x18, x19, [x1, #144]
    ldp     x20, x21, [x1, #160]
    ldp     x22, x23, [x1, #176]
    ldp     x24, x25, [x1, #192]
    ldp     x26, x27, [x1, #208]
    ldp     x28, x29, [x1, #224]
    ldr     x30, [x1, #240]
    ldr     x2, [x1, #16]
    ldp     x0, x1, [x1]
    dsb     sy                      // all that EL2 wrote is complete before its mapping goes
    msr     sctlr_el2, x4
    isb                             // MMU as found (off); no memory is touched from here on
    msr     tcr_el2, x5
    msr     mair_el2, x6
    msr     ttbr0_el2, x7
    msr     vbar_el2, x8
    msr     tpidr_el2, x9
    isb
    tlbi    alle2
    dsb     nsh
    isb
    eret
    dsb     nsh
    isb

// What the compiler calls, in place of larger ones of the run-time library. Words where both addresses are aligned: while the
// MMU is off memory is Device, which takes nothing else.
    slot    14
// memcpy(to: x0, from: x1, count: x2) -> x0
    .global memcpy
    .type   memcpy, %function
memcpy:
    mov     x3, x0
    orr     x4, x0, x1
    tst     x4, #7
    b.ne    3f
1:  subs    x2, x2, #16
    b.lo    2f
    ldp     x4, x5, [x1], #16
    stp     x4, x5, [x3], #16
    b       1b
2:  and     x2, x2, #15             // what is left
    tbz     x2, #3, 3f
    ldr     x4, [x1], #8
    str     x4, [x3], #8
    sub     x2, x2, #8
3:  cbz     x2, 4f
    ldrb    w4, [x1], #1
    strb    w4, [x3], #1
    sub     x2, x2, #1
    b       3b
4:  ret

    slot    15
// memset(to: x0, byte: w1, count: x2) -> x0
    .global memset
    .type   memset, %function
memset:
    mov     x3, x0
    and     x1, x1, #0xff
    mov     x4, #0x0101010101010101
    mul     x1, x1, x4
1:  tst     x3, #7
    b.eq    2f
    cbz     x2, 4f
    strb    w1, [x3], #1
    sub     x2, x2, #1
    b       1b
2:  subs    x2, x2, #16
    b.lo    3f
    stp     x1, x1, [x3], #16
    b       2b
3:  ands    x2, x2, #15
    b.eq    4f
    strb    w1, [x3], #1
    sub     x2, x2, #1
    b       3b
4:  ret

    .section .text.pen, "ax"
// to_pen(pen: x0, release: x1, arrived: x2) -> !
    .global to_pen, pen_start, pen_end
to_pen:
    ldr     x3, =0x30c50830         // SCTLR_EL2: RES1 alone, MMU and caches off
    dsb     sy                      // all that this CPU wrote is complete before its mapping goes
    msr     sctlr_el2, x3
    isb
    tlbi    alle2
    dsb     nsh
    ic      iallu                   // the pen was written as data
    dsb     nsh
    isb
    br      x0
    .ltorg

// The pen, in the page that it was copied to. x1 = the word to watch, x2 = the word that says that this CPU is here.
    .balign 8
pen_start:
    mov     x3, #1
    str     x3, [x2]
    dsb     sy                      // this CPU touches nothing of the hypervisor's from here on
1:  ldr     x3, [x1]
    cbnz    x3, 2f
    wfe                             // whoever writes the word sends an event
    b       1b
2:  ic      iallu                   // what lies at the address now is new
    dsb     nsh
    isb
    mov     x0, xzr                 // as firmware's pen: x0 to x3 are zero (Linux, "Booting AArch64 Linux")
    mov     x1, xzr
    mov     x2, xzr
    mov     x4, x3
    mov     x3, xzr
    br      x4
pen_end:
