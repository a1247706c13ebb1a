// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * The watch over the cells' hearts: EL2 has no timer of its own that would not
 * cost a cell an exit, so it is called from here, as often as it asks for.
 *
 * It takes no lock of ours: EL2 has its own, and the call needs no mailbox. So
 * whoever holds main.c's lock may wait for its end.
 */
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "bulkhead.h"

static void look(struct work_struct *work);
static DECLARE_DELAYED_WORK(watch, look);

static void look(struct work_struct *work)
{
	struct bulkhead_answer answer;

	if (bulkhead_call(&answer, BULKHEAD_CALL_CELL_WATCH, 0, 0, 0)) {
		pr_err("no watch over the cells any more: code %lld\n",
		       answer.code);
		return;
	}
	bulkhead_watch_after(answer.code);
}

/* Looks after so many milliseconds, then as EL2 wants; 0: not at all. */
void bulkhead_watch_after(u64 ms)
{
	if (ms)
		mod_delayed_work(system_long_wq, &watch, msecs_to_jiffies(ms));
}

/* Before the CPUs leave, from when on the call would be nobody's. */
void bulkhead_watch_stop(void)
{
	cancel_delayed_work_sync(&watch);
}
