"""A guest's serial line as a person uses it: waits for words, types, runs commands in a shell."""

import os
import re
import socket
import threading
import time


class Unexpected(Exception):
    """The guest did not say what it should have."""


class Terminal:
    """A serial line of QEMU, `-serial unix:PATH`, where this process listens; all that is said goes to a log, too."""

    def __init__(self, folder, name):
        self.name = name
        self.path = os.path.join(folder, f"{name}.sock")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(1)
        self._listener.settimeout(20)
        self._log_path = os.path.join(folder, f"{name}.log")
        self._connection = None
        self._text = ""
        self._changed = threading.Condition()
        self._has_ended = False
        self._count = 0

    def open(self):
        """Takes QEMU's connection and begins to read."""
        self._connection = self._listener.accept()[0]
        self._listener.close()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        with open(self._log_path, "wb") as log:
            while True:
                try:
                    part = self._connection.recv(65536)
                except OSError:
                    part = b""
                with self._changed:
                    self._text += part.decode(errors="replace").replace("\r", "")
                    self._has_ended = not part
                    self._changed.notify()
                if not part:
                    return
                log.write(part)
                log.flush()

    def wait(self, pattern, seconds):
        """Waits for what matches and returns the match; the next wait looks behind it."""
        until = time.monotonic() + seconds
        found = None
        with self._changed:
            while not (found := re.search(pattern, self._text, re.MULTILINE)):
                left = until - time.monotonic()
                if left <= 0 or self._has_ended:
                    why = "the guest ended" if self._has_ended else f"not in {seconds} s"
                    raise Unexpected(f"{self.name}: '{pattern}' did not come: {why}; the last of it:\n{self._text[-1500:]}")
                self._changed.wait(left)
            self._text = self._text[found.end():]
        return found

    def forget(self):
        """What was said so far counts no more."""
        with self._changed:
            self._text = ""

    def type(self, line):
        """Types a line."""
        self._connection.sendall(line.encode() + b"\n")

    def log_in(self, seconds):
        """Logs in as root, who has no password, when the guest is up."""
        self.wait(r"bulkhead login: ", seconds)  # not the end of what was said: the kernel may go on behind it
        self.type("root")
        self.wait(r"root@bulkhead:.*# ", seconds)
        # No escape sequences between the words, no line that the terminal folds.
        self.type("stty cols 1000; bind 'set enable-bracketed-paste off' 2> /dev/null; export TERM=dumb PAGER=cat")
        self.wait(r"root@bulkhead:.*# ", seconds)

    def run(self, command, seconds=60):
        """Runs a command and returns (status, what it printed)."""
        self._count += 1
        # In two words, so that the typed line is not taken for the answer.
        self.type(f"echo begin''{self._count}; {command}; echo end''{self._count} $?")
        self.wait(rf"^begin{self._count}$", seconds)
        found = self.wait(rf"(?s)(.*?)^end{self._count} (\d+)$", seconds)
        return int(found[2]), found[1].strip()

    def must(self, command, pattern="", seconds=60, status=0):
        """Runs a command that has to end with this status, and to say what matches."""
        is_status, said = self.run(command, seconds)
        if is_status != status or not re.search(pattern, said, re.MULTILINE):
            raise Unexpected(f"`{command}` ended with {is_status}, wanted {status} and '{pattern}'; it said:\n{said}")
        return said
