// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Whether Linux left an EL2 that can be asked, and the calls once Bulkhead is there.
 */
#include <linux/arm-smccc.h>
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/ktime.h>
#include <linux/of.h>
#include <linux/of_irq.h>

#include <asm/cpufeature.h>
#include <asm/sysreg.h>
#include <asm/virt.h>

#include "bulkhead.h"

/* arm,arch-timer binding: secure, non-secure, virtual, hypervisor. */
#define TIMER_NON_SECURE 1

/*
 * Tells whether Linux ticks by the EL1 physical timer. It does so only when it
 * was started at EL2 and runs at EL1 (drivers/clocksource/arm_arch_timer.c);
 * with nothing of its own at EL2 it takes the virtual one.
 */
static bool physical_timer_ticks(void)
{
	struct device_node *node;
	int irq;

	node = of_find_compatible_node(NULL, NULL, "arm,armv8-timer");
	if (!node)
		return false;
	irq = of_irq_get_byname(node, "phys");
	if (irq <= 0)
		irq = of_irq_get(node, TIMER_NON_SECURE);
	of_node_put(node);
	return irq > 0 && irq_has_action(irq);
}

/*
 * The kernel does not export how it was started, and an `hvc` where nothing
 * took EL2 is undefined. So look at what it did with the answer.
 */
bool bulkhead_has_el2(void)
{
	u64 pfr0 = read_sysreg(id_aa64pfr0_el1);

	return !is_kernel_in_hyp_mode() &&
	       !cpus_have_cap(ARM64_KVM_PROTECTED_MODE) &&
	       ((pfr0 >> ID_AA64PFR0_EL1_EL2_SHIFT) & 0xf) != 0 &&
	       physical_timer_ticks();
}

bool bulkhead_el2_refused(struct bulkhead_answer *answer)
{
	if (is_kernel_in_hyp_mode())
		return bulkhead_refuse(answer, BULKHEAD_CODE_KERNEL_AT_EL2,
				       2, 0);
	if (cpus_have_cap(ARM64_KVM_PROTECTED_MODE))
		return bulkhead_refuse(answer, BULKHEAD_CODE_PROTECTED_KVM, 0, 0);
	if (!bulkhead_has_el2())
		return bulkhead_refuse(answer, BULKHEAD_CODE_NO_EL2, 0, 0);
	return false;
}

bool bulkhead_call(struct bulkhead_answer *answer, u32 function, u64 x1, u64 x2,
		   u64 x3)
{
	struct arm_smccc_res res;

	/* Not the inline 1.1 form: LEAVE keeps no more than SMCCC 1.0 asks. */
	arm_smccc_hvc(function, x1, x2, x3, 0, 0, 0, 0, &res);
	answer->code = res.a0;
	answer->a = res.a1;
	answer->b = res.a2;
	return answer->code < 0;
}

static bool call_once(struct bulkhead_answer *answer, u32 function, u64 x1)
{
	if (function == BULKHEAD_CALL_CELL_DESTROY)
		return bulkhead_system_call_destroy(answer, x1);
	return bulkhead_call(answer, function, x1, 0, 0);
}

/*
 * Repeats a call while its work is under way. EL2 gives up on a silent CPU by
 * itself; the limit here is for an EL2 that does not.
 */
bool bulkhead_call_until_done(struct bulkhead_answer *answer, u32 function,
			      u64 x1, unsigned int timeout_ms)
{
	ktime_t deadline = ktime_add_ms(ktime_get(), timeout_ms);

	while (call_once(answer, function, x1)) {
		if (answer->code != -BULKHEAD_CODE_PENDING)
			return true;
		if (ktime_after(ktime_get(), deadline))
			return bulkhead_refuse(answer, BULKHEAD_CODE_CPU_SILENT,
					       answer->a, answer->b);
		usleep_range(100, 500);
	}
	return false;
}
