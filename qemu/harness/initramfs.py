"""What is in the guest: Debian's busybox and dtc, the control channel's modules, and everything that was built."""

import lzma
import os
import subprocess

import cpio

PROGRAM = 0o755


class Missing(Exception):
    """Something that the run needs has not been built or fetched."""


def build(path, repo, run):
    """Writes the initramfs of `run` to `path`."""
    kernel = os.path.join(repo, "target/kernels", run.kernel)
    if not os.path.exists(os.path.join(kernel, "complete")):
        raise Missing(f"kernel {run.kernel} has not been fetched: qemu/kernel {run.kernel}")
    archive = cpio.Archive()
    _userland(archive, repo)
    with open(os.path.join(kernel, "release"), encoding="ascii") as file:
        modules = "/lib/modules/" + file.read().strip()
    dependencies = _modules(archive, kernel, modules, run.machine["modules"] + run.module)
    dependencies += _products(archive, os.path.join(repo, "target/dist"), modules, run)
    archive.file(f"{modules}/modules.dep", dependencies.encode())
    _orders(archive, repo, run)
    for host, guest in run.put:
        archive.copy(host, guest)
    with open(path, "wb") as file:
        file.write(archive.bytes())


def _userland(archive, repo):
    root = os.path.join(repo, "target/userland/root")
    if not os.path.isdir(root):
        raise Missing("the guest's programs have not been fetched: qemu/userland")
    libraries = "lib/aarch64-linux-gnu"
    for folder in ("/proc", "/sys", "/tmp", "/run", "/root", "/sbin", "/usr/sbin"):
        archive.folder(folder)
    archive.character_device("/dev/console", 5, 1)
    archive.copy(f"{root}/bin/busybox", "/bin/busybox")
    archive.link("/bin/sh", "busybox")
    archive.copy(f"{root}/usr/bin/dtc", "/usr/bin/dtc")
    archive.copy(f"{root}/{libraries}/ld-linux-aarch64.so.1", "/lib/ld-linux-aarch64.so.1")
    archive.copy(f"{root}/{libraries}/libc.so.6", f"/{libraries}/libc.so.6")
    for library in ("libfdt.so.1", "libyaml-0.so.2"):
        archive.copy(f"{root}/usr/{libraries}/{library}", f"/{libraries}/{library}")


def _modules(archive, kernel, folder, names):
    """Adds Debian's modules `names` with all that they need; returns their lines of modules.dep."""
    needs = {}
    with open(os.path.join(kernel, "modules/modules.dep"), encoding="ascii") as file:
        for line in file:
            module, _, rest = line.partition(":")
            needs[_module_name(module)] = (module, rest.split())
    lines = ""
    added = set()
    queue = [name for name in names if name in needs]  # the others are built in
    while queue:
        module, rest = needs[queue.pop()]
        if module in added:
            continue
        added.add(module)
        # Uncompressed in the guest: busybox need not know every format.
        archive.file(f"{folder}/{_plain(module)}", _decompressed(os.path.join(kernel, "modules", module)))
        lines += f"{_plain(module)}: {' '.join(map(_plain, rest))}\n"
        queue += map(_module_name, rest)
    return lines


def _module_name(path):
    return os.path.basename(_plain(path)).removesuffix(".ko").replace("-", "_")


def _plain(path):
    return path.removesuffix(".xz").removesuffix(".zst")


def _decompressed(path):
    with open(path, "rb") as file:
        content = file.read()
    if path.endswith(".xz"):
        return lzma.decompress(content)
    if path.endswith(".zst"):
        return subprocess.run(["zstd", "-dc"], input=content, capture_output=True, check=True).stdout
    return content


def _products(archive, dist, modules, run):
    """Adds what `ci/build` made; returns the module's line of modules.dep."""
    share = "/usr/share/bulkhead"
    products = {
        "bulkhead": "/usr/bin/bulkhead",
        "bulkhead.bin": "/lib/firmware/bulkhead.bin",
        "bulkhead.elf": "/usr/lib/bulkhead/bulkhead.elf",
        f"{run.kernel}/bulkhead.ko": f"{modules}/extra/bulkhead.ko",
        f"cells/{run.machine['board']}": f"{share}/cells",
        "inmates": f"{share}/inmates",
    }
    for product, guest in products.items():
        host = os.path.join(dist, product)
        if os.path.exists(host):
            archive.copy(host, guest)
        elif run.enable:
            raise Missing(f"{host} has not been built: ci/build, or run with --no-enable")
    archive.link("/lib/bulkhead.ko", f"{modules}/extra/bulkhead.ko")
    return "extra/bulkhead.ko:\n"


def _orders(archive, repo, run):
    """Adds the first program and what it is to do."""
    archive.copy(f"{repo}/qemu/guest/init", "/init")
    for command in ("ask-harness", "qemu-log", "relay", "uart1-type", "uart1-wait"):
        archive.copy(f"{repo}/qemu/guest/{command}", f"/usr/bin/{command}")
    archive.copy(f"{repo}/qemu/guest/scenario.sh", "/usr/lib/scenario.sh")
    size = os.get_terminal_size() if os.isatty(1) else os.terminal_size((80, 24))
    orders = {
        "mode": "script" if run.script else "shell",
        "enable": "yes" if run.enable else "no",
        "channel": "virtio" if run.machine["control"] else "console",
        "modules": " ".join(run.machine["modules"]),
        "mark": run.mark,
        "rows": size.lines,
        "columns": size.columns,
    }
    text = "".join(f"{name}='{value}'\n" for name, value in orders.items())
    archive.file("/etc/harness", text.encode())
    archive.file("/etc/passwd", b"root::0:0:root:/root:/bin/sh\n")
    archive.file("/etc/group", b"root:x:0:\n")
    if run.script:
        with open(run.script, "rb") as file:
            archive.file("/etc/script", file.read(), PROGRAM)
