"""The boots that the figures come from. Each is a generator: it yields (name, value, note), as far as it gets."""

import collections
import os
import re
import statistics
import subprocess

import qemu_log
import spent

# SVC marks of inmates/bench (inmates/bench/src/windows.rs): window n is between 0xb000 + n and 0xe000 + n.
WINDOWS = {"timer_irq": 1, "device_irq": 2, "sgi": 3}
ENOUGH_S = 1200


class Failed(Exception):
    """A boot did not go through, or what it printed is not what was expected."""


class Boot:
    """One guest: a script of qemu/bench/guest, a folder for its logs."""

    def __init__(self, repo, folder, name, machine):
        self.repo, self._name, self._machine = repo, name, machine
        self._folder = os.path.join(folder, name)
        self._int_log = os.path.join(self._folder, "int")
        self.uart1 = os.path.join(self._folder, "uart1.log")
        self.fault = None  # why it did not go through

    def run(self, *options):
        """Runs the script; returns what it printed. What happened until it failed may still be of use."""
        guest = os.path.join(self.repo, "qemu/bench/guest")
        command = [os.path.join(self.repo, "qemu/run"), "--machine", self._machine,
                   "--run-dir", self._folder, "--int-log", self._int_log,
                   "--script", os.path.join(guest, f"{self._name}.sh"), "--timeout", str(ENOUGH_S),
                   "--put", os.path.join(guest, "fork500.sh") + ":/root/fork500.sh", *options]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   text=True, errors="replace", env=os.environ | {"BULKHEAD_NO_BUILD": "1"})
        try:
            output, errors = process.communicate()
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode:
            said = (output + errors).strip().splitlines()
            self.fault = f"exit status {process.returncode}; {self._folder}\n" + "\n".join(said[-25:])
        return output

    def log(self, name):
        """Path of a window's log."""
        return os.path.join(self._int_log, f"{name}.log")


def exits(boot):
    """Exits to EL2, of root and of a cell, by QEMU's log."""
    output = boot.run()
    for name in re.findall(r"^window (\S+)$", output, re.MULTILINE):
        if name == "interrupts":
            yield from _of_interrupts(boot, output)
            continue
        causes = qemu_log.exits(boot.log(name))
        note = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
        yield f"exits.{name}", causes.total(), note
        yield f"exits.{name}_not_sgi", causes.total() - causes[qemu_log.SGI], ""
        os.unlink(boot.log(name))  # some are large


def _of_interrupts(boot, output):
    counts = dict(re.findall(r"^bench window (\S+) begin (\d+)", _text(boot.uart1), re.MULTILINE))
    cpus = _cpus(_only(r"^cell's CPUs: (\S+)$", output))
    for name, number in WINDOWS.items():
        exits, sender = qemu_log.exits_between(boot.log("interrupts"), 0xb000 + number, 0xe000 + number)
        each = {cpu: _plain(exits[cpu] / int(counts[name])) for cpu in cpus}
        if name == "sgi":
            yield "exits.sgi_send", each.pop(sender), ""
            yield "exits.sgi_receive", sum(each.values()), ""
        else:
            yield f"exits.{name}", sum(each.values()), ""


def instructions(boot):
    """Instructions of operations, by the cell's own PMU, and of root's work, in QEMU's deterministic time."""
    output = boot.run("--no-enable", "--icount")
    times = collections.defaultdict(list)
    for mode, nanoseconds in re.findall(r"^fork500 (\S+) (\d+)$", output, re.MULTILINE):
        times[mode].append(int(nanoseconds))
    if len(times["with"]) > 1:
        mean = {mode: statistics.mean(values) for mode, values in times.items()}
        error = sum(statistics.stdev(values) / mean[mode] / len(values) ** 0.5 for mode, values in times.items()) / 2 ** 0.5
        yield "ratio.root_fork500", round(mean["with"] / mean["without"], 4), f"standard error {error:.4f}"
    figures = re.findall(r"^bench (\w+) (\d+) (\d+) (\d+)$", _text(boot.uart1), re.MULTILINE)
    for name, least, mode, el2 in figures:
        yield f"insn.{name}", int(least), "" if least == mode else f"most often {int(mode):,}"
        yield f"insn.{name}_el2", int(el2), ""


def enable(boot):
    """Instructions at EL2 of enable and disable on one CPU, by QEMU's log of them."""
    boot.run("--no-enable", "--cpus", "1", *_logging(boot)[0])
    for name in ("enable", "disable"):
        if os.path.exists(boot.log(name)):
            visits = qemu_log.visits(boot.log(name))
            yield f"insn.{name}_1cpu", sum(len(addresses) for taken, addresses in visits if taken.cause() == "HVC"), ""
            os.unlink(boot.log(name))


def where(boot):
    """Where EL2 spends its instructions, by QEMU's log of them."""
    options, base = _logging(boot)
    # One thread: so no CPU's lines fall between another's.
    boot.run("--no-enable", "--cpus", "4", "--qemu-arg=-accel", "--qemu-arg=tcg,thread=single", *options)
    elf = os.path.join(boot.repo, "target/dist/bulkhead.elf")
    for name in ("enable", "create", "figures", "destroy", "disable"):
        if os.path.exists(boot.log(name)):
            spent.show(name, boot.log(name), spent.Symbols(elf, base))
            os.unlink(boot.log(name))
    return []


def _logging(boot, overlay=None, without=()):
    """Returns options for a log of EL2's instructions, but for those of some functions, and the image's address."""
    overlay = overlay or os.path.join(boot.repo, "board-configs/qemu-virt/reserved-memory.dtso")
    # The hypervisor's memory is at the start of what is reserved, and nobody else executes there.
    base = int(_only(r"bulkhead@([0-9a-f]+)", _text(overlay)), 16)
    symbols = spent.Symbols(os.path.join(boot.repo, "target/dist/bulkhead.elf"), base)
    begin, ranges = base, []
    for left_out in sorted((symbols.range(name) for name in without), key=lambda addresses: addresses.start):
        ranges.append(f"{begin:#x}+{left_out.start - begin:#x}")
        begin = left_out.stop
    ranges.append(f"{begin:#x}+{base + 0x80000 - begin:#x}")
    # QEMU's option syntax: a comma is one of the value.
    return ["--overlay", overlay, "--qemu-arg=-dfilter", "--qemu-arg=" + ",".join(ranges)], base


# What a cell's life consists of, each from one CPU of root.
OPERATIONS = ("create", "load", "start", "stop", "destroy")
# Where the CPUs of a cell zero its memory: a line each for millions of instructions that no other CPU executes.
ZEROING = ("memset", "bulkhead_el2::sysreg::clean_to_poc")


def bystanders(boot):
    """What Linux's other CPUs pay while cells come and go, by QEMU's log of EL2's instructions."""
    overlay = os.path.join(boot.repo, "qemu/tests/overlays/reserve-320m.dtso")
    options, _ = _logging(boot, overlay, ZEROING)
    output = boot.run("--no-enable", "--cpus", "4", "--qemu-arg=-accel", "--qemu-arg=tcg,thread=single", *options)
    if "bystanders: done" not in output:
        return
    for size in ("64k", "256m"):
        stays = [(operation, taken.cause(), len(addresses)) for operation in OPERATIONS
                 for taken, addresses in qemu_log.visits(boot.log(f"{operation}_{size}")) if taken.cpu in (1, 2)]
        others = collections.Counter(f"{cause} at {operation}" for operation, cause, _ in stays if cause != qemu_log.SGI)
        note = ", ".join(f"{count} {cause}" for cause, count in others.most_common())
        yield f"bystanders.exits_{size}", others.total(), note or f"and {len(stays)} to send SGIs"
        longest = max(stays, key=lambda stay: stay[2], default=("none", "none", 0))
        yield f"bystanders.longest_{size}", longest[2], f"{longest[1]} at {longest[0]}"
    for size in ("64k", "256m"):
        for operation in OPERATIONS:
            os.unlink(boot.log(f"{operation}_{size}"))


def memory(boot):
    """The least memory, by trying."""
    output = boot.run("--no-enable")
    for pages in re.findall(r"^least (\d+)$", output, re.MULTILINE):
        yield "bytes.least_memory_1cell", int(pages) * 4096, "a page less is refused by name"


def image(boot):
    """The image's file."""
    yield "bytes.image", os.path.getsize(os.path.join(boot.repo, "target/dist/bulkhead.bin")), ""


ALL = [image, enable, exits, bystanders, instructions, memory]


def _plain(number):
    return int(number) if number == int(number) else round(number, 3)


def _only(regex, text):
    found = re.search(regex, text, re.MULTILINE)
    if not found:
        raise Failed(f"nothing like {regex} in what was printed")
    return found[1]


def _cpus(text):
    """Reads Linux's lists of CPUs: `2-3`, `1,3`."""
    cpus = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        cpus += range(int(first), int(last or first) + 1)
    return cpus


def _text(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().replace("\r", "")
    except FileNotFoundError:
        return ""
