// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * A page where CPUs that have no PSCI wait while Bulkhead is not enabled. They
 * execute there until the next boot, so it is never given back, and found again
 * by the next of these modules: a property of /cpus names it.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/of.h>
#include <linux/slab.h>

#include "bulkhead.h"

#define PEN_PROPERTY "bulkhead,pen"

static bool is_needed(void)
{
	struct device_node *cpu;

	for_each_of_cpu_node(cpu) {
		if (of_find_property(cpu, "cpu-release-addr", NULL)) {
			of_node_put(cpu);
			return true;
		}
	}
	return false;
}

/* Returns its physical address, or 0. The property stays, as the page does. */
static u64 make(struct device_node *cpus)
{
	struct property *property;
	__be64 *value;
	void *page;

	page = (void *)get_zeroed_page(GFP_KERNEL);
	property = kzalloc(sizeof(*property) + sizeof(PEN_PROPERTY),
			   GFP_KERNEL);
	value = kzalloc(sizeof(*value), GFP_KERNEL);
	if (!page || !property || !value)
		goto free;
	*value = cpu_to_be64(virt_to_phys(page));
	/* Not the module's own string: the module may go. */
	property->name = memcpy(property + 1, PEN_PROPERTY,
				sizeof(PEN_PROPERTY));
	property->value = value;
	property->length = sizeof(*value);
	if (!of_add_property(cpus, property))
		return virt_to_phys(page);
free:
	kfree(value);
	kfree(property);
	free_page((unsigned long)page);
	return 0;
}

/* 0 where no CPU needs one, or there is no memory for it: EL2 then refuses. */
u64 bulkhead_pen(void)
{
	struct device_node *cpus;
	u64 pen = 0;

	if (!is_needed())
		return 0;
	cpus = of_find_node_by_path("/cpus");
	if (of_property_read_u64(cpus, PEN_PROPERTY, &pen))
		pen = make(cpus);
	of_node_put(cpus);
	return pen;
}
