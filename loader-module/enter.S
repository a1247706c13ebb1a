/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * unsigned long bulkhead_enter(answer, entry, hv_base, size_and_command)
 *
 * Calls the image at EL2 on this CPU through the kernel's own hypervisor stub:
 * HVC_RESET_VECTORS takes EL2 back from KVM, HVC_SOFT_RESTART jumps to the
 * physical address `entry` at EL2 with the MMU off and x0 = hv_base,
 * x1 = size_and_command, x2 = where to return to. See hv/abi/src/enter.rs.
 * Returns 0 when the image filled the answer, else what answered in place of
 * the stub.
 */
#include <linux/linkage.h>
#include <asm/assembler.h>
#include <asm/virt.h>

	.text

SYM_FUNC_START(bulkhead_enter)
	/* The frame: what a function keeps, x18 (perhaps the shadow call
	 * stack), DAIF and the answer. Nothing else survives in a register
	 * but the stack pointer.
	 */
	stp	x29, x30, [sp, #-128]!
	mov	x29, sp
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
	mrs	x9, daif
	stp	x18, x9, [sp, #96]
	str	x0, [sp, #112]

	/* x19 = entry, x20 = hv_base, x21 = size_and_command: the stub and KVM keep them. */
	mov	x19, x1
	mov	x20, x2
	mov	x21, x3
	mov	x0, #HVC_RESET_VECTORS
	hvc	#0
	cbnz	x0, .Lrestore

	mov	x0, #HVC_SOFT_RESTART
	mov	x1, x19
	mov	x2, x20
	mov	x3, x21
	adr	x4, .Lreturned
	hvc	#0

	/* x0 = what answered instead of the stub; interrupts as they were. */
	b	.Lrestore

	/* x0, x1, x2 = the image's answer; interrupts are masked. */
.Lreturned:
	ldr	x3, [sp, #112]
	stp	x0, x1, [x3]
	str	x2, [x3, #16]
	mov	x0, xzr

.Lrestore:
	ldp	x18, x9, [sp, #96]
	msr	daif, x9
	ldp	x27, x28, [sp, #80]
	ldp	x25, x26, [sp, #64]
	ldp	x23, x24, [sp, #48]
	ldp	x21, x22, [sp, #32]
	ldp	x19, x20, [sp, #16]
	ldp	x29, x30, [sp], #128
	ret
SYM_FUNC_END(bulkhead_enter)
