// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Calls firmware or the hypervisor from Linux by every service of SMCCC (Arm DEN 0028), and says what was answered: for
 * the scenario `sweep`. Left out is what would be carried out: PSCI beyond its version, and root's own hypercalls. Or
 * reads the distributor by every width, and tries to change an interrupt that is another cell's.
 */
#include <linux/arm-smccc.h>
#include <linux/io.h>
#include <linux/module.h>

static bool by_smc;
module_param(by_smc, bool, 0444);
MODULE_PARM_DESC(by_smc, "call by SMC, firmware as a rule; otherwise by HVC");

static ulong gicd;
module_param(gicd, ulong, 0444);
MODULE_PARM_DESC(gicd, "physical address of a GICv3's distributor: look at that instead");

static uint foreign;
module_param(foreign, uint, 0444);
MODULE_PARM_DESC(foreign, "INTID of another cell's SPI");

#define FAST		BIT(31)
#define SIXTY_FOUR	BIT(30)
#define SVE_HINT	BIT(16)
#define PSCI		0x84000000
#define ROOTS_FIRST	0xc6004201	/* hv/abi/src/call.rs: COMMIT .. CELL_WATCH */
#define ROOTS_LAST	0xc600420b

static struct {
	u32 calls, refused;
	u64 sum;
} seen;

static bool is_carried_out(u32 function)
{
	u32 name = function & FAST ? function & ~SVE_HINT : function;
	u32 psci = name & ~SIXTY_FOUR;

	return (psci > PSCI && psci < PSCI + 0x1f) || (name >= ROOTS_FIRST && name <= ROOTS_LAST);
}

/* Bulkhead, which answers PSCI, knows the hint of SMCCC 1.3; not all firmware does. */
static bool is_psci_with_hint(u32 function)
{
	return (function & ~(SIXTY_FOUR | 0x1f)) == (PSCI | SVE_HINT);
}

static void call(u32 function)
{
	struct arm_smccc_res res;

	if (is_carried_out(function) || (by_smc && is_psci_with_hint(function)))
		return;
	if (by_smc)
		arm_smccc_smc(function, ~0UL, 0xdead0000, 0x40000001, 0, 0, 0, 0, &res);
	else
		arm_smccc_hvc(function, ~0UL, 0xdead0000, 0x40000001, 0, 0, 0, 0, &res);
	seen.calls++;
	seen.sum = (seen.sum ^ function ^ res.a0) * 0x100000001b3ULL;	/* FNV */
	if (res.a0 == (unsigned long)SMCCC_RET_NOT_SUPPORTED)
		seen.refused++;
	else
		pr_info("sweep: %#x answers %#lx\n", function, res.a0);
}

/* Fast and yielding, of 32 and 64 bits, of all owners, with and without the bits that must be zero. */
static void call_services(void)
{
	static const u32 reserved[] = { 0, BIT(16), BIT(23), 0x7f << 17 };
	static const u32 numbers[] = {
		0, 1, 2, 0x1f, 0x20, 0x3f, 0x4200, 0x420c, 0x8000, 0xff00, 0xff01, 0xff03, 0xffff
	};
	u32 service, i, j;

	for (service = 0; service < 0x100; service++)
		for (i = 0; i < ARRAY_SIZE(reserved); i++)
			for (j = 0; j < ARRAY_SIZE(numbers); j++)
				call(service << 24 | reserved[i] | numbers[j]);
}

/* Every thirteenth number of the services that anyone has defined. */
static void call_functions(void)
{
	static const u32 owners[] = { 0, 1, 2, 3, 4, 5, 6, 0x30, 0x32, 0x3f };
	u32 number, i;

	for (i = 0; i < ARRAY_SIZE(owners); i++)
		for (number = 0; number < 0x10000; number += 13) {
			call(FAST | owners[i] << 24 | number);
			call(FAST | SIXTY_FOUR | owners[i] << 24 | number);
		}
}

static void call_at_random(void)
{
	u32 random = 0x2545f491, i;

	for (i = 0; i < 2000; i++) {
		random ^= random << 13;
		random ^= random >> 17;
		random ^= random << 5;
		call(random);
	}
}

static void read_all(void __iomem *base)
{
	u32 offset, reads = 0;

	for (offset = 0; offset < SZ_64K; offset += 8, reads += 4) {
		readq_relaxed(base + offset);
		readl_relaxed(base + offset + 4);
		readw_relaxed(base + offset + 2);
		readb_relaxed(base + offset + 7);
	}
	pr_info("sweep: %u reads of the distributor\n", reads);
}

/* Enabled, pending and active by their bits (IHI 0069, GICD_ISENABLER<n>, ISPENDR, ISACTIVER), priority by its byte. */
static void change_foreign(void __iomem *base)
{
	u32 word = foreign / 32 * 4, bit = BIT(foreign % 32), found = 0;
	static const u32 set[] = { 0x100, 0x200, 0x300 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(set); i++) {
		writel_relaxed(bit, base + set[i] + word);
		found |= readl_relaxed(base + set[i] + word) & bit;
	}
	writeb_relaxed(0x50, base + 0x400 + foreign);
	found |= readb_relaxed(base + 0x400 + foreign);
	pr_info("sweep: of interrupt %u Linux sees %#x\n", foreign, found);
}

static int try_distributor(void)
{
	void __iomem *base = ioremap(gicd, SZ_64K);

	if (!base)
		return -ENOMEM;
	read_all(base);
	if (foreign >= 32 && foreign < 1020)
		change_foreign(base);
	iounmap(base);
	return 0;
}

static int __init sweep_init(void)
{
	if (gicd)
		return try_distributor();
	call_services();
	call_functions();
	call_at_random();
	pr_info("sweep: %u calls, %u of them not supported, sum %#llx\n", seen.calls, seen.refused, seen.sum);
	return 0;
}
module_init(sweep_init);

static void __exit sweep_exit(void)
{
}
module_exit(sweep_exit);

MODULE_DESCRIPTION("SMCCC calls by every service, for a test");
MODULE_LICENSE("Dual MIT/GPL");
