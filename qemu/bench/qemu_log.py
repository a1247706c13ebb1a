"""Reads QEMU's log of exceptions (`-d int`), and of executed instructions (`-d exec`, one a block).

QEMU writes an exception's lines together, other CPUs' returns from theirs at most between them.
"""

import collections
import dataclasses
import re

_RETURNS = rb"(?:Exception return[^\n]*\n)*"
_EXCEPTION = re.compile(
    rb"Taking exception \d+ \[([^]\n]*)\] on CPU (\d+)\n" + _RETURNS +
    rb"\.\.\.from EL(\d) to EL(\d)\n" + _RETURNS +
    rb"\.\.\.with ESR 0x[0-9a-f]+/0x([0-9a-f]+)\n")

_SVC, _SYSREG = 0x15, 0x18
_CALLS = {0x16: "HVC", 0x17: "SMC"}
# Exception classes (Arm ARM DDI 0487, ESR_EL2).
_CLASSES = {0x01: "WFx", **_CALLS, _SYSREG: "system register", 0x20: "fetch", 0x24: "load or store"}
# ISS of a write to ICC_SGI1R_EL1, ICC_ASGI1R_EL1 or ICC_SGI0R_EL1 (S3_0_C12_C11_5 to _7), any register.
_SGI_MASK = 0b11 << 20 | 0b111 << 14 | 0b1111 << 10 | 0b1111 << 1 | 1
_SGI = 0b11 << 20 | 12 << 10 | 11 << 1
_SGI_OP2 = (5, 6, 7)
SGI = "SGI"


@dataclasses.dataclass(frozen=True)
class Taken:
    """An exception that was taken."""

    name: str
    cpu: int
    source: int  # exception levels
    target: int
    esr: int     # stale for interrupts

    def is_exit(self):
        """Whether a guest left for EL2."""
        return self.source < 2 and self.target == 2

    def cause(self):
        """Why, in a word or two."""
        if self.name in ("IRQ", "FIQ"):
            return self.name
        iss = self.esr & 0x1ff_ffff
        if self.esr >> 26 == _SYSREG and iss & _SGI_MASK == _SGI and iss >> 17 & 7 in _SGI_OP2:
            return SGI
        return _CLASSES.get(self.esr >> 26, f"class {self.esr >> 26:#x}")

    def mark(self):
        """The number of an SVC that EL1 took itself: a mark of inmates/bench; `None` for all else."""
        if self.source == 1 and self.target == 1 and self.esr >> 26 == _SVC and self.name == "SVC":
            return self.esr & 0xffff
        return None


def exceptions(path):
    """Returns all exceptions of a log, in order."""
    with open(path, "rb") as file:
        content = file.read()
    taken = [Taken(found[1].decode(), int(found[2]), int(found[3]), int(found[4]), int(found[5], 16))
             for found in _EXCEPTION.finditer(content)]
    if len(taken) != content.count(b"Taking exception"):
        raise ValueError(f"{path}: not all exceptions can be read")
    return taken


def exits(path):
    """Counts the exits of a log by their cause."""
    return collections.Counter(taken.cause() for taken in exceptions(path) if taken.is_exit())


def exits_between(path, begin, end):
    """Counts the exits by CPU between two marks, and returns them with the CPU that set the marks."""
    counts, marker = collections.Counter(), None
    for taken in exceptions(path):
        if taken.mark() == begin:
            marker = taken.cpu
        elif taken.mark() == end and marker is not None:
            return counts, marker
        elif taken.is_exit() and marker is not None:
            counts[taken.cpu] += 1
    raise ValueError(f"{path} has no window from SVC {begin:#x} to {end:#x}")


def visits(path):
    """Yields each stay at EL2: the exception that led there, and the addresses of its instructions that were logged."""
    stays, last = {}, []
    name, cpu, levels = "", "", ()
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("Trace "):
                runner = int(line[6:line.index(":")])
                if runner in stays:
                    last = stays[runner][1]
                    last.append(int(line.split("/", 2)[1], 16))
            elif found := re.match(r"Stopped execution of TB chain before \w+ \[(\w+)\]", line):
                if last and last[-1] == int(found[1], 16):
                    last.pop()  # it was not executed after all
            elif found := re.match(r"Taking exception \d+ \[(.*)\] on CPU (\d+)", line):
                name, cpu = found[1], int(found[2])
            elif found := re.match(r"\.\.\.from EL(\d) to EL(\d)", line):
                levels = int(found[1]), int(found[2])
            elif found := re.match(r"\.\.\.with ESR \w+/0x(\w+)", line):
                taken = Taken(name, cpu, *levels, int(found[1], 16))
                if taken.is_exit():
                    if cpu in stays:
                        yield stays[cpu]
                    stays[cpu] = (taken, [])
    yield from stays.values()
