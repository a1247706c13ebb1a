// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * All online CPUs go under Bulkhead, or none; all leave it together.
 *
 * Runs in stop_machine(): every CPU is there with interrupts off, so a wait for
 * the others ends. Not from an IPI: its interrupt would still be active and be
 * ended under the new rules.
 */
#include <linux/atomic.h>
#include <linux/cpumask.h>
#include <linux/smp.h>
#include <linux/stop_machine.h>

#include "bulkhead.h"

struct transition {
	const struct bulkhead_memory *memory;
	u64 entry;			/* offset in the image */
	struct resource *shared;
	struct bulkhead_answer answer;	/* of the first CPU that was refused */
	atomic_t refusals;
	atomic_t stuck;
	atomic_t prepared, joined, committed;
	bool is_prepared;	/* not `refusals`: a quick CPU may have added its own */
};

/* Waits until all online CPUs have come here; orders what was before. */
static void rendezvous(atomic_t *arrived)
{
	atomic_inc_return(arrived);
	atomic_cond_read_acquire(arrived, VAL == num_online_cpus());
}

/*
 * Keeps the first refusal. Returns whether this was one; something positive is
 * too, as only the stub answers so, in Bulkhead's place.
 */
static bool note(struct transition *transition, struct bulkhead_answer *answer)
{
	if (!answer->code)
		return false;
	if (answer->code > 0)
		bulkhead_refuse(answer, BULKHEAD_CODE_NO_EL2, answer->code, 0);
	if (atomic_inc_return(&transition->refusals) == 1)
		transition->answer = *answer;
	return true;
}

static bool enter(struct transition *transition, u64 command,
		  struct bulkhead_answer *answer)
{
	const struct bulkhead_memory *memory = transition->memory;
	unsigned long stranger;

	stranger = bulkhead_enter(answer, memory->base + transition->entry,
				  memory->base, memory->hv_size | command);
	if (stranger)
		bulkhead_refuse(answer, BULKHEAD_CODE_NO_EL2, stranger, 0);
	return note(transition, answer);
}

static void prepare(struct transition *transition)
{
	struct bulkhead_answer answer;

	if (enter(transition, BULKHEAD_ENTER_PREPARE, &answer))
		return;
	transition->is_prepared = true;
	transition->shared->start = answer.a;
	transition->shared->end = answer.a + answer.b - 1;
}

static void commit(struct transition *transition)
{
	struct bulkhead_answer answer;

	bulkhead_call(&answer, BULKHEAD_CALL_COMMIT, 0, 0, 0);
	note(transition, &answer);
}

static void leave(struct transition *transition)
{
	struct bulkhead_answer answer;

	bulkhead_call(&answer, BULKHEAD_CALL_LEAVE, 0, 0, 0);
	if (note(transition, &answer))
		atomic_inc(&transition->stuck);
}

static int join_this_cpu(void *data)
{
	bool is_first = smp_processor_id() == cpumask_first(cpu_online_mask);
	struct transition *transition = data;
	struct bulkhead_answer answer;
	bool has_joined;

	if (is_first)
		prepare(transition);
	rendezvous(&transition->prepared);
	if (!transition->is_prepared)
		return 0;

	has_joined = !enter(transition, BULKHEAD_ENTER_JOIN, &answer);
	rendezvous(&transition->joined);
	if (is_first && !atomic_read(&transition->refusals))
		commit(transition);
	rendezvous(&transition->committed);
	if (has_joined && atomic_read(&transition->refusals))
		leave(transition);
	return 0;
}

bool bulkhead_join_all(struct bulkhead_answer *answer,
		       const struct bulkhead_memory *memory, u64 entry,
		       struct resource *shared, enum bulkhead_left *left)
{
	struct transition transition = {
		.memory = memory,
		.entry = entry,
		.shared = shared,
	};

	stop_machine(join_this_cpu, &transition, cpu_online_mask);
	*left = atomic_read(&transition.stuck) ? BULKHEAD_STUCK : BULKHEAD_LEFT;
	*answer = transition.answer;
	return answer->code != 0;
}

static int leave_this_cpu(void *data)
{
	leave(data);
	return 0;
}

enum bulkhead_left bulkhead_leave_all(struct bulkhead_answer *answer)
{
	struct transition transition = {};

	stop_machine(leave_this_cpu, &transition, cpu_online_mask);
	*answer = transition.answer;
	return atomic_read(&transition.stuck) ? BULKHEAD_STUCK : BULKHEAD_LEFT;
}
