// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * CPUs move between Linux and the cells by Linux's own CPU hotplug.
 */
#include <linux/bits.h>
#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/errno.h>

#include <asm/cputype.h>

#include "bulkhead.h"

#define MAX_LINUX_CPUS (BITS_PER_BYTE * sizeof(u64))

static bool takes_all(u64 wanted)
{
	unsigned int cpu;

	for_each_online_cpu(cpu)
		if (cpu >= MAX_LINUX_CPUS || !(wanted & BIT_ULL(cpu)))
			return false;
	return true;
}

/*
 * Takes those of the wanted CPUs that are online. In `taken` are the ones to
 * give back, after a refusal too.
 */
bool bulkhead_cpus_take(struct bulkhead_answer *answer, u64 wanted, u64 *taken)
{
	unsigned int cpu;
	int error;

	*taken = 0;
	/* Any of them is the last one: the one that this runs on is named. */
	if (takes_all(wanted))
		return bulkhead_refuse(answer, BULKHEAD_CODE_LAST_CPU,
				       read_cpuid_mpidr() & MPIDR_HWID_BITMASK,
				       0);
	for (cpu = 0; cpu < MAX_LINUX_CPUS; cpu++) {
		if (!(wanted & BIT_ULL(cpu)))
			continue;
		if (cpu < nr_cpu_ids && cpu_online(cpu))
			error = remove_cpu(cpu);
		else if (cpu < nr_cpu_ids && cpu_present(cpu))
			continue;
		else
			error = -ENODEV;
		if (error < 0)
			return bulkhead_refuse(answer,
					       BULKHEAD_CODE_CPU_OFFLINE_FAILED,
					       cpu, -error);
		*taken |= BIT_ULL(cpu);
	}
	return false;
}

/* Gives back all that Linux accepts; the others stay in `taken`. */
bool bulkhead_cpus_give_back(struct bulkhead_answer *answer, u64 *taken)
{
	bool refused = false;
	unsigned int cpu;
	int error;

	for (cpu = 0; cpu < MAX_LINUX_CPUS; cpu++) {
		if (!(*taken & BIT_ULL(cpu)))
			continue;
		error = add_cpu(cpu);
		if (error >= 0)
			*taken &= ~BIT_ULL(cpu);
		else if (!refused)
			refused = bulkhead_refuse(answer,
						  BULKHEAD_CODE_CPU_ONLINE_FAILED,
						  cpu, -error);
	}
	return refused;
}
