// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Enable and disable: memory, image and all CPUs, each step undone when a later
 * one fails. The system under the module is either enabled or as it was found.
 */
#include <linux/bits.h>
#include <linux/cpu.h>
#include <linux/err.h>
#include <linux/firmware.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include <asm/virt.h>

#include "bulkhead.h"

#define IMAGE_FILE "bulkhead.bin"
#define MAX_BLOB_SIZE \
	(BULKHEAD_MAILBOX_SIZE - sizeof(struct bulkhead_enter_args))
#define DISABLE_TIMEOUT_MS 5000

static struct bulkhead_memory memory;
static bool closed;	/* before a suspend, for ever before a reboot */

/* What readers see: they do not take main.c's lock, which is held long. */
static DECLARE_RWSEM(shared_lock);
static void *shared_area;
static size_t shared_size;
/* By cell id less one; NULL: it has none. EL2 maps them while they are there. */
static void *consoles[BULKHEAD_MAX_CELLS - 1];

bool bulkhead_system_enabled(void)
{
	return shared_area;
}

/* For ever: see end(). Another enable would meet CPUs that are in this one. */
bool bulkhead_system_stuck(void)
{
	return memory.hv && !bulkhead_system_enabled();
}

bool bulkhead_system_off(struct bulkhead_answer *answer)
{
	if (bulkhead_system_enabled())
		return false;
	return bulkhead_refuse(answer, BULKHEAD_CODE_NOT_ENABLED, 0, 0);
}

void *bulkhead_mailbox(void)
{
	return memory.hv + memory.hv_size - BULKHEAD_MAILBOX_SIZE;
}

static void publish(const struct resource *shared)
{
	down_write(&shared_lock);
	shared_area = memory.hv + (shared->start - memory.base);
	shared_size = resource_size(shared);
	up_write(&shared_lock);
}

static void unpublish(void)
{
	down_write(&shared_lock);
	shared_area = NULL;
	shared_size = 0;
	up_write(&shared_lock);
}

static void set_console(u64 cell, void *console)
{
	if (cell && cell <= ARRAY_SIZE(consoles))
		consoles[cell - 1] = console;
}

/* Readers find the cell and its console at once. */
bool bulkhead_system_call_create(struct bulkhead_answer *answer, u64 blob_size)
{
	phys_addr_t console;
	bool refused;

	down_write(&shared_lock);
	refused = bulkhead_call(answer, BULKHEAD_CALL_CELL_CREATE, blob_size, 0,
				0);
	if (!refused) {
		console = answer->code & ~GENMASK_ULL(11, 0);
		answer->code &= GENMASK_ULL(11, 0);
		if (console)
			set_console(answer->code,
				    memory.hv + (console - memory.base));
	}
	up_write(&shared_lock);
	return refused;
}

/* The console goes with the cell: nobody is at it meanwhile. */
bool bulkhead_system_call_destroy(struct bulkhead_answer *answer, u64 cell)
{
	bool refused;

	down_write(&shared_lock);
	refused = bulkhead_call(answer, BULKHEAD_CALL_CELL_DESTROY, cell, 0, 0);
	if (!refused)
		set_console(cell, NULL);
	up_write(&shared_lock);
	return refused;
}

/*
 * Where in the device something is: in the read-only area, or in a console,
 * all of which are right behind it. `offset` becomes the one in that part.
 */
static void *part_at(loff_t *offset, size_t *size)
{
	size_t console;

	*size = shared_size;
	if (!shared_area || *offset < shared_size)
		return shared_area;
	*size = BULKHEAD_CONSOLE_SIZE;
	console = (*offset - shared_size) / BULKHEAD_CONSOLE_SIZE;
	*offset = (*offset - shared_size) % BULKHEAD_CONSOLE_SIZE;
	return console < ARRAY_SIZE(consoles) ? consoles[console] : NULL;
}

ssize_t bulkhead_system_read(char __user *to, size_t count, loff_t *offset)
{
	loff_t at = *offset;
	ssize_t done;
	size_t size;
	void *part;

	down_read(&shared_lock);
	part = part_at(&at, &size);
	if (part)
		done = simple_read_from_buffer(to, count, &at, part, size);
	else
		done = shared_area ? -ENXIO : -ENODEV;
	up_read(&shared_lock);
	if (done > 0)
		*offset += done;
	return done;
}

ssize_t bulkhead_system_write(const char __user *from, size_t count,
			      loff_t *offset)
{
	loff_t at = *offset;
	ssize_t done;
	size_t size;
	void *part;

	down_read(&shared_lock);
	part = part_at(&at, &size);
	if (part && part != shared_area)
		done = simple_write_to_buffer(part, size, &at, from, count);
	else if (part)
		done = -EPERM;
	else
		done = shared_area ? -ENXIO : -ENODEV;
	up_read(&shared_lock);
	if (done > 0)
		*offset += done;
	return done;
}

void bulkhead_system_status(struct bulkhead_status *status)
{
	struct resource node;

	memset(status, 0, sizeof(*status));
	status->abi_version = BULKHEAD_ABI_VERSION;
	down_read(&shared_lock);
	status->enabled = !!shared_area;
	status->shared_size = shared_size;
	up_read(&shared_lock);
	if (bulkhead_reserved_node(&node)) {
		status->reserved_base = node.start;
		status->reserved_size = resource_size(&node);
	}
	status->has_el2 = bulkhead_has_el2();
	status->current_el = is_kernel_in_hyp_mode() ? 2 : 1;
}

static bool image_refused(struct bulkhead_answer *answer,
			  const struct firmware *image, u64 hv_size)
{
	const struct bulkhead_image_header *header = (const void *)image->data;

	if (image->size < sizeof(*header))
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_IMAGE,
				       image->size, sizeof(*header));
	if (header->magic != BULKHEAD_IMAGE_MAGIC)
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_IMAGE,
				       header->magic, BULKHEAD_IMAGE_MAGIC);
	if (header->abi_version != BULKHEAD_ABI_VERSION)
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_IMAGE,
				       header->abi_version,
				       BULKHEAD_ABI_VERSION);
	if (header->file_size > image->size)
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_IMAGE,
				       image->size, header->file_size);
	if (header->memory_size < header->file_size)
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_IMAGE,
				       header->memory_size, header->file_size);
	if (header->entry >= header->file_size || header->entry % 4)
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_IMAGE,
				       header->entry, header->file_size);
	if (hv_size < BULKHEAD_MAILBOX_SIZE ||
	    hv_size - BULKHEAD_MAILBOX_SIZE < header->memory_size)
		return bulkhead_refuse(answer,
				       BULKHEAD_CODE_HV_MEMORY_TOO_SMALL,
				       hv_size, header->memory_size +
				       BULKHEAD_MAILBOX_SIZE);
	return false;
}

static bool request_refused(const struct bulkhead_enable *request,
			    struct bulkhead_answer *answer)
{
	if (closed || bulkhead_system_stuck())
		return bulkhead_refuse(answer, BULKHEAD_CODE_NOT_NOW, 0, 0);
	if (bulkhead_system_enabled())
		return bulkhead_refuse(answer, BULKHEAD_CODE_ALREADY_ENABLED,
				       0, 0);
	if (request->blob_size > MAX_BLOB_SIZE)
		return bulkhead_refuse(answer, BULKHEAD_CODE_BAD_LENGTH,
				       request->blob_size, MAX_BLOB_SIZE);
	if (!PAGE_ALIGNED(request->hv_size))
		return bulkhead_refuse(answer, BULKHEAD_CODE_UNALIGNED, 0,
				       request->hv_size);
	if (!PAGE_ALIGNED(request->pool_size))
		return bulkhead_refuse(answer, BULKHEAD_CODE_UNALIGNED, 0,
				       request->pool_size);
	return bulkhead_el2_refused(answer);
}

/* Lays image and arguments out, in memory and not only in a cache. */
static void fill(const struct bulkhead_enable *request,
		 const struct firmware *image, const void *blob)
{
	const struct bulkhead_image_header *header = (const void *)image->data;
	struct bulkhead_enter_args *args = bulkhead_mailbox();

	memset(memory.hv, 0, memory.hv_size);
	memcpy(memory.hv, header, header->file_size);
	*args = (struct bulkhead_enter_args) {
		.magic = BULKHEAD_IMAGE_MAGIC,
		.hv_base = memory.base,
		.hv_size = memory.hv_size,
		.pool_base = memory.base + memory.hv_size,
		.pool_size = memory.pool_size,
		.blob_size = request->blob_size,
		.inject = request->inject,
		.inject_mpidr = request->inject_mpidr,
		.pen = bulkhead_pen(),
	};
	memcpy(args + 1, blob, request->blob_size);
	bulkhead_memory_clean_hv(&memory);
}

/*
 * After all CPUs have left, the memory is Linux's again. When one has not, it
 * stays taken, and the module with it: that CPU still executes there.
 */
static void end(enum bulkhead_left left)
{
	if (left == BULKHEAD_LEFT) {
		bulkhead_memory_give_back(&memory);
		module_put(THIS_MODULE);
		return;
	}
	pr_err("a CPU did not leave the hypervisor: %llu KiB at %pa stay taken until the next boot\n",
	       (memory.hv_size + memory.pool_size) >> 10, &memory.base);
}

/* Takes every CPU out again. No CPU may come or go from the first step on. */
static bool leave(struct bulkhead_answer *answer, enum bulkhead_left *left)
{
	bool refused;

	bulkhead_watch_stop();
	cpu_hotplug_disable();
	refused = bulkhead_call_until_done(answer, BULKHEAD_CALL_DISABLE, 0,
					   DISABLE_TIMEOUT_MS);
	if (!refused)
		*left = bulkhead_leave_all(answer);
	cpu_hotplug_enable();
	if (refused)
		bulkhead_watch_after(1);
	return refused;
}

/* With memory and image at hand: in whole or not at all. */
static void switch_on(const struct bulkhead_enable *request,
		      struct bulkhead_answer *answer,
		      const struct firmware *image, const void *blob)
{
	const struct bulkhead_image_header *header = (const void *)image->data;
	struct resource shared = {};
	enum bulkhead_left left;

	if (bulkhead_memory_take(&memory, answer, request->hv_size,
				 request->pool_size))
		return;
	__module_get(THIS_MODULE);
	fill(request, image, blob);
	if (bulkhead_join_all(answer, &memory, header->entry, &shared, &left)) {
		end(left);
		return;
	}
	if (request->inject == BULKHEAD_INJECT_MODULE_LATE) {
		if (leave(answer, &left))
			left = BULKHEAD_STUCK;
		end(left);
		bulkhead_refuse(answer, BULKHEAD_CODE_INJECTED,
				BULKHEAD_INJECT_MODULE_LATE, 0);
		return;
	}
	publish(&shared);
	pr_info("enabled: %llu KiB for the hypervisor at %pa, %llu KiB for cells, %u CPUs\n",
		memory.hv_size >> 10, &memory.base, memory.pool_size >> 10,
		num_online_cpus());
}

/* Returns -errno when the caller's memory is wrong, else 0 and an answer. */
int bulkhead_system_enable(struct bulkhead_enable *request)
{
	struct bulkhead_answer *answer = &request->answer;
	const struct firmware *image;
	void *blob;
	int error;

	if (request_refused(request, answer))
		return 0;
	blob = memdup_user(u64_to_user_ptr(request->blob), request->blob_size);
	if (IS_ERR(blob))
		return PTR_ERR(blob);
	error = firmware_request_nowarn(&image, IMAGE_FILE, bulkhead_device());
	if (error) {
		bulkhead_refuse(answer, BULKHEAD_CODE_NO_IMAGE, -error, 0);
		goto free_blob;
	}
	if (!image_refused(answer, image, request->hv_size))
		switch_on(request, answer, image, blob);
	release_firmware(image);
free_blob:
	kfree(blob);
	return 0;
}

void bulkhead_system_disable(struct bulkhead_answer *answer)
{
	enum bulkhead_left left;

	if (bulkhead_system_off(answer) || leave(answer, &left))
		return;
	unpublish();
	end(left);
	if (left == BULKHEAD_STUCK)
		return;
	pr_info("disabled\n");
	bulkhead_cell_give_back_cpus();
}

/* Refuses to enable from now on. */
void bulkhead_system_close(void)
{
	closed = true;
}

void bulkhead_system_reopen(void)
{
	closed = false;
}

/* For reboot, power off and kexec: nobody is there to read an answer. */
void bulkhead_system_shut_down(void)
{
	struct bulkhead_answer answer;

	bulkhead_system_close();
	if (!bulkhead_system_enabled())
		return;
	bulkhead_cell_destroy_all();
	bulkhead_system_disable(&answer);
	if (answer.code)
		pr_err("cannot disable before the shut-down: code %lld, %#llx, %#llx\n",
		       answer.code, answer.a, answer.b);
}

MODULE_FIRMWARE(IMAGE_FILE);
