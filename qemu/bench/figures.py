"""The figures: their names and units, what Jailhouse has on the same machine, and what Bulkhead is to reach."""

import dataclasses

KIB = 1024


@dataclasses.dataclass(frozen=True)
class Figure:
    """A figure to be measured; less is better in all of them."""

    name: str
    unit: str
    jailhouse: float | None = None  # `None`: nobody measured it
    goal: float | None = None       # at most
    limit: float | None = None      # at most, or the bench fails


def _exits(name, jailhouse=None, goal=None):
    return Figure(f"exits.{name}", "exits", jailhouse, goal)


def _each(name, jailhouse, goal):
    return Figure(f"exits.{name}", "exits per interrupt", jailhouse, goal)


def _instructions(name, jailhouse=None, goal=None):
    return Figure(f"insn.{name}", "instructions", jailhouse, goal)


# `_el2` is the part of an operation that EL2 executes.
FIGURES = [
    _each("timer_irq", 1, 0),
    _each("device_irq", 1, 0),
    _each("sgi_send", 1, 1),
    _each("sgi_receive", 1, 0),
    _exits("root_idle_10s", 112),
    _exits("root_idle_10s_not_sgi", goal=0),
    _exits("root_dd", 221),
    _exits("root_dd_not_sgi", goal=0),
    _exits("root_fork500", 2513),
    _exits("root_fork500_not_sgi", 1044, goal=0),
    _exits("root_unplug_plug", 145),
    _exits("cell_create", 97),
    _exits("cell_load", 14),
    _exits("cell_start", 31),
    _exits("cell_destroy", 85),
    # Of Linux's CPUs but the one that calls, over a cell's life: exits other than to send SGIs; the longest stay at EL2.
    Figure("bystanders.exits_64k", "exits", goal=0, limit=8),
    Figure("bystanders.exits_256m", "exits", goal=0, limit=8),
    Figure("bystanders.longest_64k", "instructions", limit=1000),
    Figure("bystanders.longest_256m", "instructions", limit=1000),
    _instructions("hypercall", 123, 80),
    _instructions("hypercall_el2", 120),
    _instructions("psci_version", 144, 100),
    _instructions("psci_version_el2", 136),
    _instructions("gicd_typer_read", 287, 150),
    _instructions("gicd_isenabler_read", 923),
    _instructions("gicd_isenabler_write", 920, 200),
    _instructions("gicd_ipriorityr_read", 385),
    _instructions("gicd_ipriorityr_write", 416),
    _instructions("gicr_typer_read", 282),
    _instructions("gicr_isenabler0_read", 311, 200),
    _instructions("timer_latency", 208, 15),
    _instructions("timer_latency_el2", 206, 0),
    _instructions("sgi_self", 1404),
    _instructions("sgi_self_el2", 1399),
    _instructions("sgi_send", 1240),
    _instructions("sgi_send_el2", goal=200),
    _instructions("sgi_receive", 210, 0),
    _instructions("enable_1cpu", 928_000, 150_000),
    _instructions("disable_1cpu", 5520, 3000),
    Figure("bytes.image", "bytes", 100_360, 48 * KIB, 64 * KIB),
    Figure("bytes.least_memory_1cell", "bytes", 640 * KIB, 256 * KIB, 512 * KIB),
    Figure("ratio.root_fork500", "with Bulkhead / without", goal=1.002),
]
