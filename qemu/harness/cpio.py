"""Writes initramfs archives: cpio in the "newc" format, concatenated at will, made without root rights.

Linux: Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import os
import stat


class Archive:
    """One cpio archive in memory; parents of every entry are made as needed."""

    def __init__(self):
        self._parts = []
        self._folders = set()
        self._inode = 0

    def file(self, path, content, mode=0o644):
        """Adds a file of `content` (bytes) at the guest's `path`."""
        self._parents(path)
        self._entry(path, stat.S_IFREG | mode, content)

    def link(self, path, target):
        """Adds a symbolic link to `target`."""
        self._parents(path)
        self._entry(path, stat.S_IFLNK | 0o777, target.encode())

    def folder(self, path):
        """Adds a folder, once."""
        path = path.strip("/")
        if path and path not in self._folders:
            self._parents(path)
            self._folders.add(path)
            self._entry(path, stat.S_IFDIR | 0o755, b"")

    def character_device(self, path, major, minor):
        """Adds a character device."""
        self._parents(path)
        self._entry(path, stat.S_IFCHR | 0o600, b"", major, minor)

    def copy(self, host, path):
        """Adds the host's file, link or whole folder `host` as the guest's `path`, with its modes."""
        if os.path.isdir(host):
            self.folder(path)
            for name in sorted(os.listdir(host)):
                self.copy(os.path.join(host, name), f"{path}/{name}")
        else:
            with open(host, "rb") as source:
                self.file(path, source.read(), stat.S_IMODE(os.stat(host).st_mode))

    def bytes(self):
        """Returns the finished archive, padded so that another may follow it."""
        self._entry("TRAILER!!!", 0, b"")
        joined = b"".join(self._parts)
        return joined + b"\0" * (-len(joined) % 512)

    def _parents(self, path):
        parent = os.path.dirname(path.strip("/"))
        if parent:
            self.folder(parent)

    def _entry(self, path, mode, content, major=0, minor=0):
        self._inode += 1
        name = path.strip("/").encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device (2), special device (2), length of the name, checksum
        fields = (self._inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name), 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name
        self._parts += [header, b"\0" * (-len(header) % 4), content, b"\0" * (-len(content) % 4)]
