/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * Inside of the loader module. One rule: mechanism only. What is in a blob, who
 * owns what and what a cell may do is EL2's to decide; its answers are passed on.
 *
 * Functions that fill an answer return true when it is a refusal.
 */
#ifndef BULKHEAD_H
#define BULKHEAD_H

#include <linux/ioport.h>
#include <linux/types.h>

#include "abi.h"

#undef pr_fmt
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

struct device;

/* The range taken from Linux: the hypervisor's memory, then the cells' pool. */
struct bulkhead_memory {
	phys_addr_t base;
	u64 hv_size;
	u64 pool_size;
	bool contiguous;	/* taken at run time, else the reserved node */
	void *hv;		/* the hypervisor's part, mapped write-back;
				 * NULL when nothing is taken
				 */
};

/* Refuses with a code of hv/abi/src/code.rs, given as a positive number. */
static inline bool bulkhead_refuse(struct bulkhead_answer *answer, s64 code,
				   u64 a, u64 b)
{
	answer->code = -code;
	answer->a = a;
	answer->b = b;
	return true;
}

/* main.c: the device, for messages */
struct device *bulkhead_device(void);

/* el2.c: is there an EL2 to enter, and calls into it */
bool bulkhead_has_el2(void);
bool bulkhead_el2_refused(struct bulkhead_answer *answer);
bool bulkhead_call(struct bulkhead_answer *answer, u32 function, u64 x1, u64 x2,
		   u64 x3);
bool bulkhead_call_until_done(struct bulkhead_answer *answer, u32 function,
			      u64 x1, unsigned int timeout_ms);

/* enter.S: one call of the image on this CPU, interrupts off */
asmlinkage unsigned long bulkhead_enter(struct bulkhead_answer *answer,
					phys_addr_t entry, phys_addr_t hv_base,
					u64 size_and_command);

/* memory.c */
bool bulkhead_reserved_node(struct resource *node);
bool bulkhead_memory_take(struct bulkhead_memory *memory,
			  struct bulkhead_answer *answer, u64 hv_size,
			  u64 pool_size);
void bulkhead_memory_clean_hv(const struct bulkhead_memory *memory);
void bulkhead_memory_give_back(struct bulkhead_memory *memory);

/* pen.c: where CPUs without PSCI wait */
u64 bulkhead_pen(void);

/* switch.c: all CPUs at once; what happens when one did not leave */
enum bulkhead_left {
	BULKHEAD_LEFT,		/* EL2 is Linux's on every CPU */
	BULKHEAD_STUCK,		/* at some CPU it is not */
};

bool bulkhead_join_all(struct bulkhead_answer *answer,
		       const struct bulkhead_memory *memory, u64 entry,
		       struct resource *shared, enum bulkhead_left *left);
enum bulkhead_left bulkhead_leave_all(struct bulkhead_answer *answer);

/* system.c: all of it under main.c's lock, but for read, write and status */
int bulkhead_system_enable(struct bulkhead_enable *request);
void bulkhead_system_disable(struct bulkhead_answer *answer);
void bulkhead_system_shut_down(void);
void bulkhead_system_close(void);
void bulkhead_system_reopen(void);
bool bulkhead_system_off(struct bulkhead_answer *answer);
bool bulkhead_system_enabled(void);
bool bulkhead_system_stuck(void);
void *bulkhead_mailbox(void);
bool bulkhead_system_call_create(struct bulkhead_answer *answer, u64 blob_size);
bool bulkhead_system_call_destroy(struct bulkhead_answer *answer, u64 cell);
void bulkhead_system_status(struct bulkhead_status *status);
ssize_t bulkhead_system_read(char __user *to, size_t count, loff_t *offset);
ssize_t bulkhead_system_write(const char __user *from, size_t count,
			      loff_t *offset);

/* cells.c: under main.c's lock */
int bulkhead_cell_create(struct bulkhead_cell_create *request);
int bulkhead_cell_load(struct bulkhead_cell_load *request);
void bulkhead_cell_loaded(struct bulkhead_cell_loaded *request);
void bulkhead_cell_start(struct bulkhead_cell_command *request);
void bulkhead_cell_stop(struct bulkhead_cell_command *request);
void bulkhead_cell_destroy(struct bulkhead_cell_command *request);
void bulkhead_cell_destroy_all(void);
void bulkhead_cell_give_back_cpus(void);

/* watch.c: looks after running cells, in the background */
void bulkhead_watch_after(u64 ms);
void bulkhead_watch_stop(void);

/* cpus.c: sets of Linux's CPU numbers, one bit each */
bool bulkhead_cpus_take(struct bulkhead_answer *answer, u64 wanted, u64 *taken);
bool bulkhead_cpus_give_back(struct bulkhead_answer *answer, u64 *taken);

#endif
