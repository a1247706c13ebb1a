"""Boots an image of qemu/image to its shell, as its user would, and tries what is promised of it. Usage: image_test.py MACHINE IMAGE

The console is driven as a person would; every line of it and of the cell's UART stays in target/images/test-MACHINE.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time

import image_boot
from terminal import Terminal, Unexpected

CELL_RUNS = r"^rtos: 3 s: .* right"
BOOT_S = 900  # an emulated boot on a machine that is busy with others
MACHINES = {
    # The order of the serial lines is QEMU's; how many CPUs Linux has with and without the cell.
    "virt": {"serials": ("console", "cell"), "all": "0-3", "left": "0-2"},
    "rpi4": {"serials": ("cell", "console"), "all": "0-2", "left": "0-2"},
}


class Machine:
    """A guest with its console and the cell's UART."""

    def __init__(self, name, image, folder, repo):
        self.facts = MACHINES[name]
        self.lines = {line: Terminal(folder, line) for line in self.facts["serials"]}
        arguments = image_boot.command(name, image, folder, repo)
        for line in self.facts["serials"]:
            arguments += ["-serial", f"unix:{self.lines[line].path}"]
        libc = ctypes.CDLL(None)
        with open(os.path.join(folder, "qemu.log"), "wb") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=lambda: libc.prctl(1, signal.SIGKILL))  # PR_SET_PDEATHSIG
        for line in self.lines.values():
            line.open()
        self.shell, self.cell = self.lines["console"], self.lines["cell"]

    def end(self):
        """Ends QEMU."""
        self.process.kill()
        self.process.wait()


def starts(machine):
    """The image boots to a log-in; all its services are well; Bulkhead's unit is off."""
    machine.shell.log_in(BOOT_S)
    said = machine.shell.run("systemctl is-system-running --wait; systemctl --failed --no-legend", BOOT_S)[1]
    if not said.startswith("running"):
        raise Unexpected(f"services have failed: {said}")
    machine.shell.must("systemctl is-enabled bulkhead@rtos", "^disabled$", status=1)
    machine.shell.must("cat /sys/devices/system/cpu/online", f"^{machine.facts['all']}$")
    machine.shell.must("modprobe bulkhead && bulkhead doctor && modprobe -r bulkhead")


def runs(machine):
    """`bulkhead run` starts the RTOS cell; its UART shows it; afterwards all is as before."""
    machine.shell.must("bulkhead run /etc/bulkhead/rtos.dts /etc/bulkhead/rtos.image", "cell 'rtos' is running")
    machine.cell.wait(CELL_RUNS, 60)
    machine.shell.must("cat /sys/devices/system/cpu/online", f"^{machine.facts['left']}$")
    machine.shell.must("bulkhead cell destroy rtos && bulkhead disable")
    machine.shell.must("cat /sys/devices/system/cpu/online", f"^{machine.facts['all']}$")
    machine.cell.forget()


def unit(machine):
    """The unit starts the cell, now and at each boot, and stopping it gives everything back."""
    machine.shell.must("systemctl enable --now bulkhead@rtos")
    machine.cell.wait(CELL_RUNS, 60)
    machine.shell.must("systemctl is-active bulkhead@rtos", "^active$")
    machine.shell.must("systemctl stop bulkhead@rtos", seconds=90)
    machine.shell.must("cat /sys/devices/system/cpu/online", f"^{machine.facts['all']}$")
    machine.shell.must("systemctl show -p Result bulkhead@rtos", "^Result=success$")
    machine.cell.forget()
    machine.shell.type("reboot")
    machine.cell.wait(CELL_RUNS, BOOT_S)
    machine.shell.log_in(BOOT_S)
    machine.shell.must("bulkhead cell list", "rtos.*running")


def ssh(machine):
    """The key that the image was made with logs in, and a key is what it takes."""
    del machine
    to = ["ssh", "-F", "none", "-p", str(image_boot.ssh_port()), "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
          "-o", "StrictHostKeyChecking=no", "-o", "LogLevel=ERROR", "root@127.0.0.1", "bulkhead", "status"]
    key = os.path.join(os.path.dirname(os.path.abspath(sys.argv[2])), "test-key")
    with_key = subprocess.run(to[:1] + ["-i", key] + to[1:], capture_output=True, text=True, timeout=120)
    if "enabled" not in with_key.stdout:
        raise Unexpected(f"ssh with the key: {with_key}")
    without = subprocess.run(to, capture_output=True, text=True, timeout=120, env={"HOME": "/nonexistent"})
    if "Permission denied" not in without.stderr:
        raise Unexpected(f"ssh without the key: {without}")


def purge(machine):
    """The packages refuse to go while a cell that was started by hand runs, then go and leave nothing."""
    shell = machine.shell
    shell.must("systemctl stop bulkhead@rtos; bulkhead run /etc/bulkhead/rtos.dts /etc/bulkhead/rtos.image", "is running", 90)
    shell.must("dpkg -P bulkhead", "stays installed while cells need it", status=1)
    shell.must("bulkhead cell destroy rtos")
    files = shell.must("dpkg -L bulkhead 'bulkhead-modules-*' | sort > /run/files; grep -c bulkhead /run/files", r"^\d\d+$")
    shell.must("apt-get purge -y bulkhead 'bulkhead-modules-*'", seconds=600)
    shell.must("while read -r f; do [ -d $f ] || [ ! -e $f ] || echo left: $f; done < /run/files | grep . ", status=1)
    # What is not the packages': apt's and dpkg's own memory, the card's boot partition, files in root's home, the image's own setting.
    shell.must("find / -xdev -iname '*bulkhead*' ! -path '/root/*' ! -path '/boot/*' ! -path '/var/lib/apt/*' "
               "! -path '/var/lib/systemd/deb-systemd-helper*' ! -path /etc/initramfs-tools/conf.d/bulkhead | grep .", status=1)
    shell.must("grep bulkhead /proc/modules /lib/modules/*/modules.dep; ls /dev/bulkhead; systemctl --failed --no-legend",
               "No such file", seconds=30)
    return files


TESTS = {"virt": (starts, runs, unit, ssh, purge), "rpi4": (starts, runs)}


def main(name, image):
    """Runs the tests of one image in turn; returns the exit status."""
    repo = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    folder = os.path.join(repo, "target/images", f"test-{name}")
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    machine = Machine(name, image, folder, repo)
    try:
        for test in TESTS[name]:
            began = time.monotonic()
            try:
                test(machine)
            except (Unexpected, subprocess.SubprocessError) as error:
                print(f"FAILED image {name}: {test.__doc__}\n{error}\nAll that was said is in {folder}", flush=True)
                return 1
            print(f"ok     image {name}: {test.__doc__} ({time.monotonic() - began:.0f} s)", flush=True)
        return 0
    finally:
        machine.end()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
