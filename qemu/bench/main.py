"""ci/bench: makes the boots, one after the other, and prints the figures."""

import argparse
import json
import os
import shutil
import signal
import sys
import time

import boots
from figures import FIGURES

FOLDERS_KEPT = 3


def main(arguments, repo):
    """Returns the exit status: 0 when all figures were measured and none is beyond its limit."""
    parser = argparse.ArgumentParser(prog="ci/bench", description="Counts what Bulkhead costs, in QEMU.")
    parser.add_argument("--json", action="store_true", help='print [{"name", "value", "unit", "reference"}]')
    names = [boot.__name__ for boot in boots.ALL]
    parser.add_argument("--only", action="append", choices=names, help="only the figures of this boot; repeatable")
    parser.add_argument("--where", action="store_true", help="show where EL2 spends its instructions, and no figure")
    parser.add_argument("--machine", default="virt-v3", metavar="NAME", help="a file of qemu/machines (default: %(default)s)")
    options = parser.parse_args(arguments)

    if options.where:
        _, faults = _measure([boots.where], repo, options.machine)
        _complain(faults)
        return 1 if faults else 0
    chosen = [boot for boot in boots.ALL if not options.only or boot.__name__ in options.only]
    values, faults = _measure(chosen, repo, options.machine)
    if options.json:
        print(json.dumps([{"name": figure.name, "value": values.get(figure.name, (None,))[0], "unit": figure.unit,
                           "reference": figure.jailhouse} for figure in FIGURES], indent=1))
    else:
        _table(values)
    wrong = faults
    if not options.only:
        wrong += [f"{figure.name} could not be measured" for figure in FIGURES if figure.name not in values]
    wrong += [f"{figure.name} is {values[figure.name][0]:,}, at most {figure.limit:,} is allowed" for figure in FIGURES
              if figure.name in values and figure.limit is not None and values[figure.name][0] > figure.limit]
    _complain(wrong)
    return 1 if wrong else 0


def _complain(lines):
    for line in lines:
        print(f"bench: {line}", file=sys.stderr)


def _measure(chosen, repo, machine):
    """Returns ({name: (value, note)}, what went wrong)."""
    folder = _new_folder(repo)
    values, faults = {}, []
    for number, measure in enumerate(chosen, start=1):
        name = measure.__name__
        print(f"bench: {number} of {len(chosen)}: {name}: {measure.__doc__} ", end="", file=sys.stderr, flush=True)
        began = time.monotonic()
        boot = boots.Boot(repo, folder, name, machine)
        fault = None
        try:
            for figure, value, note in measure(boot):
                values[figure] = (value, note)
        except (boots.Failed, ValueError, OSError, KeyError) as error:
            fault = f"{type(error).__name__}: {error}"
        print(f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        faults += [f"{name}: {text}" for text in (boot.fault, fault) if text]
    return values, faults


def _table(values):
    print(f"{'':32}{'Bulkhead':>12}{'Jailhouse':>12}{'to reach':>12}")
    for figure in FIGURES:
        value, note = values.get(figure.name, (None, ""))
        verdict = ""
        if value is not None and figure.goal is not None:
            verdict = "reached" if value <= figure.goal else "not yet"
        cells = "".join(f"{_number(number):>12}" for number in (value, figure.jailhouse, figure.goal))
        print(f"{figure.name:32}{cells}  {verdict:8} {note}".rstrip())


def _number(number):
    return "-" if number is None else f"{number:,}"


def _new_folder(repo):
    """Returns a folder for this bench's logs; the oldest ones go."""
    parent = os.path.join(repo, "target/qemu")
    os.makedirs(parent, exist_ok=True)
    old = sorted(name for name in os.listdir(parent) if name.startswith("bench-"))
    for name in old[:-FOLDERS_KEPT]:
        shutil.rmtree(os.path.join(parent, name), ignore_errors=True)
    folder = os.path.join(parent, time.strftime("bench-%Y%m%d-%H%M%S-") + str(os.getpid()))
    os.makedirs(folder)
    return folder


def _stop(number, _frame):
    sys.exit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    sys.exit(main(sys.argv[1:], os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))))
