// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Memory for the hypervisor and the cells: a reserved no-map node when the
 * board has one, else a contiguous range taken from the running kernel.
 */
#include <linux/gfp.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/nodemask.h>
#include <linux/of.h>
#include <linux/of_reserved_mem.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>

#include <asm/cpufeature.h>
#include <asm/sysreg.h>

#include "bulkhead.h"

/* One entry of a stage-2 table, and what alloc_contig_range() isolates. */
#define CONTIGUOUS_ALIGN SZ_2M
/* CTR_EL0.DminLine: log2 of the words in the smallest data cache line. */
#define CTR_DMINLINE_SHIFT 16
/* Mapped at a time while cleaning: bounds the page tables that it costs. */
#define CLEAN_CHUNK SZ_64M

bool bulkhead_reserved_node(struct resource *node)
{
	struct reserved_mem *reserved = NULL;
	struct device_node *np;

	np = of_find_compatible_node(NULL, NULL, "bulkhead,memory");
	if (np)
		reserved = of_reserved_mem_lookup(np);
	of_node_put(np);
	if (!reserved || !reserved->size)
		return false;
	node->start = reserved->base;
	node->end = reserved->base + reserved->size - 1;
	return true;
}

/*
 * Cleans and invalidates by virtual address to the point of coherency: EL2
 * enters with the MMU off, a cell may run so, and no dirty line of the last
 * owner may be written back over the next one's data.
 * (Arm ARM DDI 0487, DC CIVAC; the kernel exports nothing that does it.)
 */
static void clean_mapped(const void *start, size_t size)
{
	u64 ctr = read_sanitised_ftr_reg(SYS_CTR_EL0);
	size_t line = 4UL << ((ctr >> CTR_DMINLINE_SHIFT) & 0xf);
	const void *end = start + size;

	for (start = PTR_ALIGN_DOWN(start, line); start < end; start += line)
		asm volatile("dc civac, %0" : : "r" (start) : "memory");
	/* dsb sy: the lines are in memory before any observer's next access. */
	dsb(sy);
}

/* Returns whether all of it is clean. Memory of Linux always can be mapped. */
static bool clean_chunks(phys_addr_t base, u64 size)
{
	while (size) {
		size_t part = min_t(u64, size, CLEAN_CHUNK);
		void *mapped = memremap(base, part, MEMREMAP_WB);

		if (!mapped) {
			pr_err("cannot map %zu bytes at %pa to clean the caches\n",
			       part, &base);
			return false;
		}
		clean_mapped(mapped, part);
		memunmap(mapped);
		base += part;
		size -= part;
		cond_resched();
	}
	return true;
}

void bulkhead_memory_clean_hv(const struct bulkhead_memory *memory)
{
	clean_mapped(memory->hv, memory->hv_size);
	/* The image is new code: what was fetched from there before is stale. */
	asm volatile("ic ialluis" : : : "memory");
	/* dsb ish: no CPU fetches a stale line after this. */
	dsb(ish);
	isb();
}

static bool all_pages_may_move(unsigned long pfn, unsigned long count)
{
	struct zone *zone = NULL;

	for (; count; pfn++, count--) {
		struct page *page = pfn_to_online_page(pfn);

		if (!page || PageReserved(page))
			return false;
		if (zone && page_zone(page) != zone)
			return false;
		zone = page_zone(page);
	}
	return true;
}

static int take_pages(unsigned long pfn, unsigned long count)
{
	if (!all_pages_may_move(pfn, count))
		return -EBUSY;
#ifndef ACR_FLAGS_NONE	/* before 6.17 */
	return alloc_contig_range(pfn, pfn + count, MIGRATE_MOVABLE,
				  GFP_KERNEL | __GFP_NOWARN);
#else
	return alloc_contig_range(pfn, pfn + count, ACR_FLAGS_NONE,
				  GFP_KERNEL | __GFP_NOWARN);
#endif
}

/* From the top down: low memory is what devices with short addresses need. */
static int take_from_node(const pg_data_t *node, unsigned long count,
			  unsigned long *pfn)
{
	unsigned long align = CONTIGUOUS_ALIGN >> PAGE_SHIFT;
	/* Attempts cost migrations: a large range is not tried at every step. */
	unsigned long stride = max(align, ALIGN(count / 8, align));
	unsigned long first = ALIGN(node->node_start_pfn, align);
	unsigned long end = node->node_start_pfn + node->node_spanned_pages;
	int error = -ENOMEM;

	if (end < count || end - count < first)
		return error;
	for (*pfn = ALIGN_DOWN(end - count, align); *pfn >= first;
	     *pfn -= stride) {
		error = take_pages(*pfn, count);
		if (!error || fatal_signal_pending(current))
			return error;
		if (*pfn < stride)
			break;
		cond_resched();
	}
	return error;
}

/*
 * Marks the pages as what root must not touch, so that /proc/kcore and a crash
 * dump leave them out, and takes them out of MemTotal, as a balloon does.
 */
static void mark_taken(unsigned long pfn, unsigned long count)
{
	unsigned long n;

	page_offline_begin();
	for (n = 0; n < count; n++)
		__SetPageOffline(pfn_to_page(pfn + n));
	page_offline_end();
	adjust_managed_page_count(pfn_to_page(pfn), -(long)count);
}

static void unmark_taken(unsigned long pfn, unsigned long count)
{
	unsigned long n;

	adjust_managed_page_count(pfn_to_page(pfn), count);
	page_offline_begin();
	for (n = 0; n < count; n++)
		__ClearPageOffline(pfn_to_page(pfn + n));
	page_offline_end();
}

static bool take_contiguous(struct bulkhead_memory *memory,
			    struct bulkhead_answer *answer)
{
	u64 size = memory->hv_size + memory->pool_size;
	unsigned long count = size >> PAGE_SHIFT;
	int error = -ENOMEM;
	unsigned long pfn;
	int nid;

	for_each_online_node(nid) {
		error = take_from_node(NODE_DATA(nid), count, &pfn);
		if (!error)
			break;
		if (fatal_signal_pending(current))
			return bulkhead_refuse(answer,
					       BULKHEAD_CODE_INTERRUPTED, 0, 0);
	}
	if (error)
		return bulkhead_refuse(answer, BULKHEAD_CODE_NO_MEMORY, size,
				       -error);
	mark_taken(pfn, count);
	memory->base = PFN_PHYS(pfn);
	memory->contiguous = true;
	return false;
}

/* True without `no-map`, with `reusable`, or when Linux used it before. */
static bool is_linux_ram(const struct resource *node)
{
	return region_intersects(node->start, resource_size(node),
				 IORESOURCE_SYSTEM_RAM, IORES_DESC_NONE) !=
	       REGION_DISJOINT;
}

static bool take_reserved(struct bulkhead_memory *memory,
			  struct bulkhead_answer *answer,
			  const struct resource *node)
{
	u64 wanted = memory->hv_size + memory->pool_size;
	u64 size = ALIGN_DOWN(resource_size(node), PAGE_SIZE);

	if (!IS_ALIGNED(node->start, BULKHEAD_HV_ALIGN))
		return bulkhead_refuse(answer, BULKHEAD_CODE_UNALIGNED,
				       node->start, resource_size(node));
	if (is_linux_ram(node))
		return bulkhead_refuse(answer, BULKHEAD_CODE_RESERVED_IS_RAM,
				       node->start, 0);
	if (wanted > size)
		return bulkhead_refuse(answer, BULKHEAD_CODE_NO_MEMORY, wanted,
				       ENOSPC);
	memory->base = node->start;
	memory->pool_size = size - memory->hv_size;
	memory->contiguous = false;
	return false;
}

static void release(const struct bulkhead_memory *memory)
{
	u64 size = memory->hv_size + memory->pool_size;

	if (!memory->contiguous)
		return;
	unmark_taken(PHYS_PFN(memory->base), size >> PAGE_SHIFT);
	free_contig_range(PHYS_PFN(memory->base), size >> PAGE_SHIFT);
}

bool bulkhead_memory_take(struct bulkhead_memory *memory,
			  struct bulkhead_answer *answer, u64 hv_size,
			  u64 pool_size)
{
	struct resource node;
	bool refused;
	u64 size;

	if (check_add_overflow(hv_size, pool_size, &size) || size > S64_MAX)
		return bulkhead_refuse(answer, BULKHEAD_CODE_NO_MEMORY,
				       U64_MAX, EOVERFLOW);
	memory->hv_size = hv_size;
	memory->pool_size = pool_size;
	if (bulkhead_reserved_node(&node))
		refused = take_reserved(memory, answer, &node);
	else
		refused = take_contiguous(memory, answer);
	if (refused)
		return true;

	memory->hv = memremap(memory->base, hv_size, MEMREMAP_WB);
	if (!memory->hv)
		goto release_range;
	if (!clean_chunks(memory->base + hv_size, memory->pool_size))
		goto unmap_hv;
	return false;

unmap_hv:
	memunmap(memory->hv);
	memory->hv = NULL;
release_range:
	release(memory);
	return bulkhead_refuse(answer, BULKHEAD_CODE_NO_MEMORY, size, ENOMEM);
}

/*
 * EL2 and the cells wrote with their own attributes: made coherent again. What
 * cannot be is not Linux's again.
 */
void bulkhead_memory_give_back(struct bulkhead_memory *memory)
{
	memunmap(memory->hv);
	memory->hv = NULL;
	if (clean_chunks(memory->base, memory->hv_size + memory->pool_size))
		release(memory);
}
