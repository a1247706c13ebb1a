"""Shows which functions of EL2 the instructions of a log belong to."""

import bisect
import collections
import subprocess

import qemu_log

GROUPS_SHOWN = 12
FUNCTIONS_SHOWN = 8


class Symbols:
    """The functions of an image that runs at `base`."""

    def __init__(self, elf, base):
        lines = subprocess.run(["aarch64-linux-gnu-nm", "-n", "-C", elf], capture_output=True, text=True, check=True)
        symbols = [line.split(None, 2) for line in lines.stdout.splitlines()]
        code = [(int(symbol[0], 16) + base, symbol[2]) for symbol in symbols if len(symbol) == 3 and symbol[1] in "tTwW"]
        self._addresses = [address for address, _ in code]
        self._names = [name for _, name in code]

    def range(self, name):
        """Returns the addresses of a function."""
        at = self._names.index(name)
        return range(self._addresses[at], self._addresses[at + 1])

    def of(self, address):
        """Returns the name of the function that an address is in."""
        at = bisect.bisect_right(self._addresses, address) - 1
        return self._names[at].replace("bulkhead_", "") if at >= 0 else "?"


def show(window, log, symbols):
    """Prints the stays at EL2 in a window's log: alike ones together, those that cost most first."""
    alike = collections.defaultdict(list)
    for taken, addresses in qemu_log.visits(log):
        if addresses:  # else it was the kernel's stub that was called
            alike[taken.cause(), len(addresses)].append(addresses)
    ranked = sorted(alike.items(), key=lambda item: -item[0][1] * len(item[1]))
    print(f"{window}: {sum(map(len, alike.values()))} exits, "
          f"{sum(count * len(stays) for (_, count), stays in ranked):,} instructions")
    for (cause, count), stays in ranked[:GROUPS_SHOWN]:
        functions = collections.Counter(map(symbols.of, stays[0])).most_common(FUNCTIONS_SHOWN)
        print(f"  {len(stays)} x {cause}, {count:,} instructions: " +
              ", ".join(f"{number} {name}" for name, number in functions))
