"""The options of qemu/run, and the machines they choose from (qemu/machines/*.json)."""

import argparse
import json
import os
import secrets

EXAMPLES = """examples:
  qemu/run                                     Linux with an RTOS cell beside it, and a root shell
  qemu/run --script check.sh                   run check.sh as root in the guest, exit with its status
  qemu/run --kernel 6.1 --cpus 8 --kvm         an older kernel, eight CPUs, KVM live beside us
  qemu/run --put hello.elf:/root/hello.elf     with a file of yours in the guest
  qemu/run --no-enable --append 'nr_cpus=2'    plain Linux

In the shell, Ctrl-A x ends QEMU, Ctrl-A Ctrl-A sends Ctrl-A; everything else, Ctrl-C too, goes to the guest.
Exit status of a script run: the script's own; 124 after a timeout; 125 when the guest panicked, ended without a
status or did not start, with the reason and the end of its console on standard error."""

SCRIPT_TIMEOUT_S = 120


class Usage(Exception):
    """The options ask for something that is not there."""


def parse(arguments, repo):
    """Returns the run that the command line asks for, with its machine's defaults filled in."""
    parser = argparse.ArgumentParser(
        prog="qemu/run", epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Boots Linux with Bulkhead and an RTOS cell in QEMU.")
    option = parser.add_argument
    option("--machine", default="virt-v3", metavar="NAME", help="a file of qemu/machines (default: %(default)s)")
    option("--kernel", metavar="6.1|6.12|SUITE", help="Debian's kernel (default: the machine's)")
    option("--cpus", type=int, metavar="N", help="number of CPUs")
    option("--memory", metavar="SIZE", help="memory, as QEMU's -m takes it")
    option("--cpu", metavar="MODEL", help="QEMU's CPU model")
    option("--append", default="", metavar="ARGS", help="more kernel arguments")
    option("--kvm", action="store_true", help="leave Linux's KVM on (kvm-arm.mode=none is left out)")
    option("--no-enable", dest="enable", action="store_false", help="do not load the module, do not enable Bulkhead")
    option("--put", action="append", default=[], metavar="HOST:GUEST", help="a file or folder for the guest; repeatable")
    option("--module", action="append", default=[], metavar="NAME", help="a kernel module for the guest; repeatable")
    option("--script", metavar="FILE", help="run FILE as root in the guest and exit with its status")
    option("--timeout", type=float, metavar="S",
           help=f"seconds until QEMU is ended (default: {SCRIPT_TIMEOUT_S} for a script, none for a shell)")
    option("--expect", choices=["status", "poweroff", "reboot"], default="status",
           help="how the script ends: with a status, or by the guest's own power-off or reboot (then 0)")
    option("--uart1", metavar="FILE", help="write the cell's UART to FILE")
    option("--icount", action="store_true", help="one instruction a virtual nanosecond: deterministic, for counting")
    option("--int-log", metavar="DIR", help="let the guest log exceptions to DIR/NAME.log: qemu-log on NAME, qemu-log off")
    option("--overlay", action="append", default=[], metavar="DTS", help="a device-tree overlay for the board's own tree")
    option("--qemu-arg", action="append", default=[], metavar="ARG", help="one more argument for QEMU; repeatable")
    option("--run-dir", metavar="DIR", help="where logs and sockets go (default: a new folder in target/qemu)")
    option("--print-command", action="store_true", help="print a QEMU command line of this guest, and stop")
    option("--verbose", action="store_true", help="show the consoles of a script run on standard error")
    run = parser.parse_args(arguments)

    run.machine = _machine(repo, run.machine)
    for name in ("kernel", "cpus", "memory", "cpu"):
        if getattr(run, name) is None:
            setattr(run, name, run.machine[name])
    run.kernel = str(run.kernel)
    run.put = [_put(pair) for pair in run.put]
    run.overlay = [_existing(path) for path in run.overlay]
    for name in ("uart1", "int_log", "run_dir"):
        if getattr(run, name):
            setattr(run, name, os.path.abspath(getattr(run, name)))
    if run.script:
        run.script = _existing(run.script)
        run.timeout = run.timeout or SCRIPT_TIMEOUT_S
    run.mark = f"@status-{secrets.token_hex(8)}"
    return run


def _machine(repo, name):
    folder = os.path.join(repo, "qemu/machines")
    known = sorted(file.removesuffix(".json") for file in os.listdir(folder))
    if name not in known:
        raise Usage(f"--machine {name}: there are {', '.join(known)}")
    with open(os.path.join(folder, f"{name}.json"), encoding="utf-8") as file:
        return json.load(file)


def _put(pair):
    host, separator, guest = pair.partition(":")
    if not separator or not guest.startswith("/"):
        raise Usage(f"--put {pair}: give HOST_FILE:/GUEST/PATH")
    return _existing(host), guest


def _existing(path):
    if not os.path.exists(path):
        raise Usage(f"{path}: no such file")
    return os.path.abspath(path)
