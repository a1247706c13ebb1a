"""The QEMU command line of a run: the machine's arguments, and where its consoles and channels lead."""

import glob
import os
import shutil
import subprocess

from initramfs import Missing

# Sockets and logs are named relative to the run's folder, QEMU's working folder: a socket's path has 108 bytes at most.
VIRTIO_PORTS = ("script", "control")
OWN_MONITOR = "monitor.sock"


def channels(run):
    """Returns the names of what leads to the guest. Without virtio, what its script says comes over the console."""
    return ("console", "uart1", "qmp") + (VIRTIO_PORTS if run.machine["control"] else ())


def harness(run, repo):
    """Returns the command whose consoles and channels are sockets that the harness listens on."""
    logs = {"console": "console.log", "uart1": run.uart1 or "uart1.log"}
    chardevs = []
    for name in channels(run):
        log = f",logfile={_escaped(logs[name])}" if name in logs else ""
        chardevs += ["-chardev", f"socket,id={name},path={name}.sock{log}"]
    # One more monitor, for people and benches.
    chardevs += ["-chardev", f"socket,id=monitor,path={OWN_MONITOR},server=on,wait=off",
                 "-mon", "chardev=qmp,mode=control", "-mon", "chardev=monitor,mode=control"]
    return _machine(run, repo) + chardevs


def by_hand(run, repo):
    """Returns a command of the same guest for a terminal: its console there, the other channels in files."""
    files = []
    for name in channels(run):
        if name in ("console", "qmp"):
            continue
        files += ["-chardev", f"file,id={name},path={_escaped(os.path.join(run.run_dir, name + '.log'))}"]
    return _machine(run, repo) + ["-chardev", "stdio,id=console,mux=on,signal=off", "-mon", "console"] + files


def _machine(run, repo):
    kernel = os.path.join(repo, "target/kernels", run.kernel, "Image")
    board = run.machine["qemu"] + ["-cpu", run.cpu, "-smp", str(run.cpus), "-m", run.memory]
    command = ["qemu-system-aarch64", *board, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
               *_started(run, repo, kernel), "-initrd", os.path.join(run.run_dir, "initrd"), "-append", _append(run)]
    if tree := _tree(run, repo, board):
        command += ["-dtb", tree]
    for serial in run.machine["serials"]:
        command += ["-serial", f"chardev:{serial}"]
    if run.machine["control"]:
        command += ["-device", run.machine["control"]]
        for number, name in enumerate(VIRTIO_PORTS, start=1):
            command += ["-device", f"virtserialport,chardev={name},nr={number},name={name}"]
    if run.icount:
        command += ["-icount", "shift=0,sleep=off"]
    return command + run.qemu_arg


def _started(run, repo, kernel):
    """QEMU starts Linux, or a machine's firmware that does."""
    if "firmware" not in run.machine:
        return ["-kernel", kernel]
    source = os.path.join(repo, "qemu/machines", run.machine["firmware"])
    firmware = os.path.join(run.run_dir, "firmware")
    _tool("aarch64-linux-gnu-gcc", "-nostdlib", "-static", "-no-pie", "-Wl,-Ttext=0", "-o", firmware + ".elf", source)
    _tool("aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", firmware + ".elf", firmware)
    linux = f"loader,file={_escaped(kernel)},addr={run.machine['kernel_address']},force-raw=on"
    return ["-kernel", firmware, "-device", linux]


def _append(run):
    """The kernel's arguments: a script's console is complete and any oops ends it, a person's is quiet."""
    words = [run.machine["append"], "panic=-1"]
    words += [run.machine["earlycon"], "oops=panic", "sysrq_always_enabled"] if run.script else ["quiet"]
    if not run.machine["control"]:
        words.append("printk.devkmsg=on")  # each line of the script's comes through
    if not run.kvm:
        words.append("kvm-arm.mode=none")
    return " ".join(words + [run.append]).strip()


def _tree(run, repo, board):
    """Returns the path of the board's tree with the machine's and the run's overlays; None: QEMU makes its own."""
    machine = os.path.join(repo, "qemu/machines")
    overlays = [os.path.join(machine, name) for name in run.machine.get("overlays", [])] + run.overlay
    tree = os.path.join(run.run_dir, "board.dtb")
    if "tree" in run.machine:
        shutil.copy(_debians(run, repo), tree)
    elif overlays:
        _dump(run, board, tree)
    else:
        return None
    # An overlay cannot take a property away.
    for node, properties in run.machine.get("without", {}).items():
        there = subprocess.run(["fdtget", "-p", tree, node], check=True, capture_output=True, text=True).stdout.split()
        for each in properties:
            if each in there:  # Debian's kernels have different trees
                _tool("fdtput", "-d", tree, node, each)
    for number, source in enumerate(overlays):
        overlay = os.path.join(run.run_dir, f"overlay{number}.dtbo")
        _tool("dtc", "-@", "-q", "-I", "dts", "-O", "dtb", "-o", overlay, source)
        _tool("fdtoverlay", "-i", tree, "-o", tree + ".new", overlay)
        os.replace(tree + ".new", tree)
    return tree


def _debians(run, repo):
    """Returns the path of the tree that Debian's kernel package has for the machine."""
    pattern = os.path.join(repo, "target/kernels", run.kernel, "root/usr/lib/linux-image-*", run.machine["tree"])
    found = glob.glob(pattern)
    if not found:
        raise Missing(f"there is no {pattern}: qemu/kernel {run.kernel}")
    return found[0]


def _dump(run, board, tree):
    """Writes the tree that QEMU makes for the machine."""
    dump = [*board, "-nodefaults", "-display", "none"]
    dump[1] += f",dumpdtb={_escaped(tree)}"
    # The number of serial lines changes the tree.
    for _ in run.machine["serials"]:
        dump += ["-serial", "null"]
    _tool("qemu-system-aarch64", *dump)


def _tool(*command):
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _escaped(path):
    """QEMU's option syntax: a comma in a value is written twice."""
    return path.replace(",", ",,")
