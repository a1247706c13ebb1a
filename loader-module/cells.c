// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Calls about cells, with the CPUs that go and come back with them.
 */
#include <linux/delay.h>
#include <linux/jiffies.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "bulkhead.h"

#define STOP_TIMEOUT_MS 5000
#define OFF_TIMEOUT_MS 1000
/* Gigabytes are being zeroed. */
#define ZERO_TIMEOUT_MS 60000

/* Linux's CPUs to bring back when the cell goes, by its id; of no cell, by 0. */
static u64 taken_cpus[BULKHEAD_MAX_CELLS];

static void destroy(struct bulkhead_answer *answer, u64 cell)
{
	struct bulkhead_answer cpus;

	if (bulkhead_call_until_done(answer, BULKHEAD_CALL_CELL_DESTROY, cell,
				     ZERO_TIMEOUT_MS))
		return;
	if (cell && cell < BULKHEAD_MAX_CELLS) {
		taken_cpus[0] |= taken_cpus[cell];
		taken_cpus[cell] = 0;
	}
	if (bulkhead_cpus_give_back(&cpus, &taken_cpus[0]))
		*answer = cpus;
}

/*
 * Tries again with what no cell has and Linux refused. The caller's own answer
 * is about something else that was done.
 */
void bulkhead_cell_give_back_cpus(void)
{
	struct bulkhead_answer cpus;

	if (bulkhead_cpus_give_back(&cpus, &taken_cpus[0]))
		pr_err("CPU %llu does not come back: error %llu\n", cpus.a,
		       cpus.b);
}

/*
 * Linux waits 100 ms for a CPU to be off and then takes it for dead, although
 * one that its host holds up may need longer.
 */
static bool create_when_off(struct bulkhead_answer *answer, u64 blob_size)
{
	unsigned long end = jiffies + msecs_to_jiffies(OFF_TIMEOUT_MS);

	while (bulkhead_system_call_create(answer, blob_size)) {
		if (answer->code != -BULKHEAD_CODE_CPU_OF_LINUX ||
		    time_after(jiffies, end))
			return true;
		msleep(20);
	}
	return false;
}

/* The blob is in the mailbox and the CPUs are off, or about to be. */
static void create(struct bulkhead_answer *answer, u64 blob_size, u64 *taken)
{
	struct bulkhead_answer done;
	u64 cell;

	if (create_when_off(answer, blob_size))
		return;
	cell = answer->code;
	if (cell < BULKHEAD_MAX_CELLS) {
		taken_cpus[cell] = *taken;
		*taken = 0;
	}
	if (bulkhead_call_until_done(&done, BULKHEAD_CALL_CELL_WAIT, cell,
				     ZERO_TIMEOUT_MS)) {
		*answer = done;
		destroy(&done, cell);
	}
}

/* Returns -errno when the caller's memory is wrong, else 0 and an answer. */
int bulkhead_cell_create(struct bulkhead_cell_create *request)
{
	struct bulkhead_answer *answer = &request->answer;
	u64 taken;

	if (bulkhead_system_off(answer))
		return 0;
	if (request->blob_size > BULKHEAD_MAILBOX_SIZE) {
		bulkhead_refuse(answer, BULKHEAD_CODE_BAD_LENGTH,
				request->blob_size, BULKHEAD_MAILBOX_SIZE);
		return 0;
	}
	if (copy_from_user(bulkhead_mailbox(), u64_to_user_ptr(request->blob),
			   request->blob_size))
		return -EFAULT;
	if (!bulkhead_cpus_take(answer, request->linux_cpus, &taken))
		create(answer, request->blob_size, &taken);
	/* What is still here is no cell's. */
	taken_cpus[0] |= taken;
	bulkhead_cell_give_back_cpus();
	return 0;
}

/* Returns -errno when the caller's memory is wrong, else 0 and an answer. */
int bulkhead_cell_load(struct bulkhead_cell_load *request)
{
	struct bulkhead_answer *answer = &request->answer;
	u64 done = 0;

	if (bulkhead_system_off(answer))
		return 0;
	do {
		u64 part = min_t(u64, request->size - done,
				 BULKHEAD_MAILBOX_SIZE);

		if (fatal_signal_pending(current)) {
			bulkhead_refuse(answer, BULKHEAD_CODE_INTERRUPTED, 0, 0);
			return 0;
		}
		if (copy_from_user(bulkhead_mailbox(),
				   u64_to_user_ptr(request->bytes + done), part))
			return -EFAULT;
		if (bulkhead_call(answer, BULKHEAD_CALL_CELL_LOAD,
				  request->cell, request->gpa + done, part))
			return 0;
		done += part;
		cond_resched();
	} while (done < request->size);
	return 0;
}

void bulkhead_cell_loaded(struct bulkhead_cell_loaded *request)
{
	if (!bulkhead_system_off(&request->answer))
		bulkhead_call(&request->answer, BULKHEAD_CALL_CELL_LOADED,
			      request->cell, request->entry, request->argument);
}

void bulkhead_cell_start(struct bulkhead_cell_command *request)
{
	if (bulkhead_system_off(&request->answer))
		return;
	if (!bulkhead_call(&request->answer, BULKHEAD_CALL_CELL_START,
			   request->cell, 0, 0))
		bulkhead_watch_after(request->answer.code);
}

void bulkhead_cell_stop(struct bulkhead_cell_command *request)
{
	if (!bulkhead_system_off(&request->answer))
		bulkhead_call_until_done(&request->answer,
					 BULKHEAD_CALL_CELL_STOP, request->cell,
					 STOP_TIMEOUT_MS);
}

void bulkhead_cell_destroy(struct bulkhead_cell_command *request)
{
	if (!bulkhead_system_off(&request->answer))
		destroy(&request->answer, request->cell);
}

void bulkhead_cell_destroy_all(void)
{
	struct bulkhead_answer answer;
	u64 cell;

	for (cell = 1; cell < BULKHEAD_MAX_CELLS; cell++) {
		destroy(&answer, cell);
		if (answer.code && answer.code != -BULKHEAD_CODE_NO_SUCH_CELL)
			pr_err("cannot destroy cell %llu: code %lld, %#llx, %#llx\n",
			       cell, answer.code, answer.a, answer.b);
	}
}
