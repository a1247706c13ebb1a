// Firmware of the machine virt-spin: has CPU 3 wait for an address in a word of memory, as firmware without PSCI does, then starts
// Linux. QEMU jumps here at EL2, x0 = the device tree. Words and pen are reserved by virt-spin.dtso.

    .equ    CPU_ON, 0xc4000003      // PSCI (DEN 0022)
    .equ    LINUX, 0x60000000       // virt-spin.json

    .global _start
_start:
    mov     x19, x0
    ldr     x0, =CPU_ON
    mov     x1, #3
    adr     x2, pen
    adr     x3, word
    smc     #0
    cbnz    x0, .                   // does not start: nothing to test
    mov     x0, x19
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    ldr     x4, =LINUX
    br      x4

// x0 = the word.
pen:
    wfe
    ldr     x4, [x0]
    cbz     x4, pen
    mov     x0, xzr
    mov     x1, xzr
    mov     x2, xzr
    mov     x3, xzr
    br      x4
    .ltorg

    .org    0x100
word:
    .quad   0
