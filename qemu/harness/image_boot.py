"""How QEMU boots the images of qemu/image: virt as a machine with UEFI does; for rpi4, whose firmware stage no model has, what
the firmware would have read is taken out of the card's boot partition and handed to QEMU.
"""

import os
import re
import subprocess

FIRMWARE = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
BOOT_PARTITION = "@@1M"  # where qemu/images/disk.sh puts it


def command(machine, image, folder, repo):
    """Returns QEMU's arguments for an image, without its serial lines. The image itself stays as it is."""
    disk = os.path.join(folder, "disk.qcow2")
    # An SD card has a power of two of bytes, and the root file system something to grow into.
    _tool("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", os.path.abspath(image), disk, "4G")
    arguments = ["qemu-system-aarch64", "-nodefaults", "-no-user-config", "-display", "none"]
    return arguments + {"virt": _virt, "rpi4": _rpi4}[machine](image, disk, folder, repo)


def _virt(_image, disk, folder, _repo):
    code, variables = FIRMWARE
    own = os.path.join(folder, "variables.fd")
    _tool("cp", variables, own)
    # acpi=off: so that UEFI hands on the device tree, as it does on boards.
    return ["-M", "virt,gic-version=3,virtualization=on,acpi=off", "-cpu", "cortex-a57", "-smp", "4", "-m", "1G",
            "-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive", f"if=pflash,format=raw,file={own}",
            "-drive", f"if=none,id=disk,file={disk}", "-device", "virtio-blk-pci,drive=disk",
            "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{ssh_port()}-:22", "-device", "virtio-net-pci,netdev=net,romfile="]


def ssh_port():
    """Returns the port of this machine that leads to the guest's SSH: one for each process of ours."""
    return 20000 + os.getpid() % 20000


def _rpi4(image, disk, folder, repo):
    card = image + BOOT_PARTITION
    settings = _read(card, "config.txt")
    # The firmware's rule: the last one counts; each overlay is applied, in turn.
    kernel = re.findall(r"^kernel=(\S+)", settings, re.MULTILINE)[-1]
    initrd = re.findall(r"^initramfs (\S+)", settings, re.MULTILINE)[-1]
    overlays = re.findall(r"^dtoverlay=([^\s,]+)", settings, re.MULTILINE)
    tree = _out(card, "bcm2711-rpi-4-b.dtb", folder)
    for name in overlays:
        _overlay(tree, _out(card, f"overlays/{name}.dtbo", folder))
    # Last what this machine's model lacks, which is no part of the card.
    for number, source in enumerate(_emulation(repo)):
        compiled = os.path.join(folder, f"emulation{number}.dtbo")
        _tool("dtc", "-@", "-q", "-I", "dts", "-O", "dtb", "-o", compiled, source)
        _overlay(tree, compiled)
    # One thread: the CPU that waits at its word of memory gives way there, where with a thread each it would keep a core busy.
    return ["-M", "raspi4b", "-accel", "tcg,thread=single", "-drive", f"if=sd,file={disk}", "-dtb", tree,
            "-kernel", _out(card, kernel, folder), "-initrd", _out(card, initrd, folder),
            "-append", _read(card, "cmdline.txt").strip()]


def _emulation(repo):
    folder = os.path.join(repo, "qemu/images/rpi4/emulation")
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".dtso")]


def _overlay(tree, overlay):
    _tool("fdtoverlay", "-i", tree, "-o", tree + ".new", overlay)
    os.replace(tree + ".new", tree)


def _read(card, name):
    return subprocess.run(["mtype", "-i", card, f"::{name}"], check=True, capture_output=True, text=True).stdout


def _out(card, name, folder):
    """Takes a file out of the boot partition; returns where it is."""
    path = os.path.join(folder, os.path.basename(name))
    _tool("mcopy", "-n", "-i", card, f"::{name}", path)
    return path


def _tool(*words):
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
