"""Tells how much stack EL2 can need at most: `stack.py ELF [LIMIT]`; status 1 when that is more than LIMIT bytes.

Follows every call of the image from every function that nobody calls, adding up what each takes from the stack. What cannot be
followed is refused: a recursion that has no known depth, a change of the stack pointer by a register, a call by a register but the
one of code that takes none (sysreg.rs, `id_registers`). A jump to another function counts as a call, which is too much, never too little.
"""

import bisect
import collections
import re
import subprocess
import sys

FUNCTION = re.compile(r"([0-9a-f]+) <(.+)>:$")
INSTRUCTION = re.compile(r"\s*[0-9a-f]+:\t(\S+)\s*(.*)")
TAKES = re.compile(r"sp, sp, #(0x[0-9a-f]+)(, lsl #12)?$")
PUSHES = re.compile(r"\[sp, #-(\d+)\]!")
TARGET = re.compile(r"\b([0-9a-f]+) <")
BRANCHES = re.compile(r"(b|bl|b\..+|cbn?z|tbn?z)$")
# Behind anything else (`bl`: a panic) the end of a function goes on as the next one.
ENDS = ("b", "bl", "br", "ret", "eret", "brk", "udf", "isb", ".word", "nop")
# Single instructions that were moved here, and the way back (ci/errata.py).
DETOURS = "__errata_start"
# They call themselves for the next level of the tables, of which there are four.
LEVELS = 4
BY_LEVEL = re.compile(r"paging.+(count|apply|free_tree)")


class Stack:
    """The frames and calls of an image."""

    def __init__(self, elf):
        self.frames, self.calls = collections.Counter(), {}
        self._by_register = 0
        text = subprocess.run(["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", elf],
                              capture_output=True, text=True, check=True).stdout
        found = [FUNCTION.match(line) for line in text.splitlines()]
        self._starts = [(int(line[1], 16), line[2]) for line in found if line]
        function = operation = None
        for line in text.splitlines():
            if found := FUNCTION.match(line):
                if function and operation not in ENDS:
                    self.calls[function].add(found[2])
                function = found[2]
                self.calls[function] = set()
            elif found := INSTRUCTION.match(line):
                operation = found[1]
                self._take(function, operation, found[2])
        self._known = {}

    def _take(self, function, operation, operands):
        self._by_register += operation == "blr"
        if self._by_register > 1:
            raise ValueError(f"{function}: calls by a register; one is known, and takes no stack")
        if operation == "sub" and operands.startswith("sp,"):
            found = TAKES.match(operands)
            if not found:
                raise ValueError(f"{function}: {operation} {operands}: how much is that?")
            self.frames[function] += int(found[1], 16) << (12 if found[2] else 0)
        elif found := PUSHES.search(operands):
            self.frames[function] += int(found[1])
        if BRANCHES.match(operation):
            address = int(TARGET.search(operands)[1], 16)
            other = self._starts[bisect.bisect(self._starts, (address, "\x7f")) - 1][1]
            if DETOURS not in (function, other) and (operation == "bl" or other != function):
                self.calls[function].add(other)

    def deepest(self, function, callers=()):
        """Returns (bytes, functions) of the deepest way down from a function."""
        if function not in self._known:
            frame = self.frames[function]
            if function in self.calls[function]:
                if not BY_LEVEL.search(function):
                    raise ValueError(f"{function} calls itself")
                frame *= LEVELS
            ways = [(0, ())]
            for other in self.calls[function] - {function}:
                if other not in callers:
                    ways.append(self.deepest(other, (*callers, function)))
                elif any(self.frames[each] for each in callers[callers.index(other):]):
                    raise ValueError(f"{other} and {function} call each other")
            size, way = max(ways)
            self._known[function] = size + frame, (f"{function} {frame}", *way)
        return self._known[function]

    def all(self):
        """Returns the deepest way of all."""
        called = set().union(*self.calls.values())
        return max(self.deepest(function) for function in self.calls if function not in called)


def main(elf, limit=None):
    """Prints the deepest way; returns the exit status."""
    size, way = Stack(elf).all()
    if limit is None or size > int(limit):
        names = subprocess.run(["c++filt", "-s", "rust"], input="\n".join(way), capture_output=True, text=True, check=False)
        print(names.stdout or "\n".join(way))
    print(f"stack: EL2 needs {size} bytes at most")
    return int(limit is not None and size > int(limit))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
