"""Makes EL2 safe on a Cortex-A53: `errata.py ELF OUTPUT`. Rust's linker knows how to avoid erratum 843419 alone.

835769: a load, a store or a prefetch, and right behind it a 64-bit multiply-accumulate: its result may be wrong. The first
of such a pair becomes a branch to a place of its own at the end of .text (image.ld, __errata_start), from where it goes
on with the second. (Arm, "Cortex-A53 MPCore Software Developers Errata Notice".)
843419: needs an ADRP; there is none, since code and data are less than 1 MiB apart.
"""

import re
import shutil
import subprocess
import sys

ACCUMULATES = re.compile(r"(madd|msub|[su]maddl|[su]msubl)\tx")  # with xzr objdump calls it mul, mneg, umull, ...
TOUCHES_MEMORY = re.compile(r"(ld|st|prfm|prfum|cas|swp)")
BRANCH = 0x14000000
INSTRUCTION = re.compile(r"\s*([0-9a-f]+):\t([0-9a-f]{8}) +\t?(.*)")


def main(elf, output):
    """Writes ELF to OUTPUT, changed; returns the exit status."""
    text, start, end = _text(elf)
    code = _disassembled(elf)
    places = iter(range(start, end, 8))
    shutil.copy(elf, output)
    with open(output, "r+b") as file:
        def put(address, word):
            file.seek(text + address)
            file.write(word.to_bytes(4, "little"))

        for (address, word, first), (behind, _, second) in zip(code, code[1:]):
            if first.startswith("adrp"):
                return _refused(address, first, "ADRP: see erratum 843419 of Cortex-A53")
            if behind != address + 4 or not (TOUCHES_MEMORY.match(first) and ACCUMULATES.match(second)):
                continue
            if word >> 27 & 0b111 == 0b011 and word >> 24 & 0b11 == 0:
                return _refused(address, first, "a load relative to the pc cannot be moved (erratum 835769 of Cortex-A53)")
            place = next(places, None)
            if place is None:
                return _refused(address, first, "no place left for erratum 835769 of Cortex-A53: give it more in image.ld")
            put(place, word)
            put(place + 4, _branch(place + 4, behind))
            put(address, _branch(address, place))
    return 0


def _branch(at, to):
    return BRANCH | (to - at) // 4 & 0x3FFFFFF


def _refused(address, instruction, reason):
    print(f"errata: {address:#x}: {instruction}: {reason}", file=sys.stderr)
    return 1


def _text(elf):
    """Returns where .text is in the file, less its address, and the addresses of its places for such pairs."""
    section = re.search(r" \.text +\S+ +(\S+) +\S+ +(\S+)", _run("objdump", "-h", "-j", ".text", elf))
    symbols = {name: int(value, 16) for value, _, name in re.findall(r"(\S+) (\S) (\S+)", _run("nm", elf))}
    return int(section[2], 16) - int(section[1], 16), symbols["__errata_start"], symbols["__text_end"]


def _disassembled(elf):
    """Returns (address, word, text) of each instruction."""
    found = map(INSTRUCTION.match, _run("objdump", "-d", "-j", ".text", elf).splitlines())
    return [(int(line[1], 16), int(line[2], 16), line[3]) for line in found if line]


def _run(tool, *arguments):
    return subprocess.run([f"aarch64-linux-gnu-{tool}", *arguments], capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
