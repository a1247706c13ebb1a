"""Follows a guest from its start to its end: what it prints, what it asks for, how it ended."""

import os
import re
import selectors
import sys
import time

from guest import Ended

PANIC = re.compile(rb"Kernel panic - not syncing: ?([^\r\n]*)")
# What the guest's script says where it has no channel of its own: lines of the kernel's log (qemu/guest/relay), which
# nothing else on the console gets mixed into. `+`: the line goes on.
RELAYED = re.compile(rb"^(?:\[ *[0-9.]+\] )?harness-(script|control)(\+?): (.*)$")
PROMPT = b"Ctrl-A x ends QEMU"  # where there is no channel, this shows that the shell is there
PANIC_GRACE_S = 2  # for the rest of its message
WINDOW_NAME = re.compile(r"[A-Za-z0-9._-]+")

SYSRQ_S = 3  # for its answer to come

TIMED_OUT = 124
FAILED = 125


class Session:
    """One guest's life. `screen` shows its consoles, `output` takes what its script prints (bytes)."""

    def __init__(self, run, guest, screen, output):
        self._run, self._guest, self._screen, self._output = run, guest, screen, output
        self._mark = b"%s " % run.mark.encode()
        self._script_tail = b""
        self._control_line = b""
        self._console_tail = b""
        self._console_line = b""
        self._is_relayed = not run.machine["control"]
        self._deadline = time.monotonic() + run.timeout if run.timeout else None
        self._timeout_means = (TIMED_OUT, f"no end after {run.timeout:g} s" if run.timeout else "")
        self._cell_text = ""  # what the cell printed since the last match
        self._awaited = None  # (pattern, until when) of a uart1-wait
        self._ended_by = None  # the reason in QEMU's SHUTDOWN event
        self._outcome = None
        self._selector = selectors.DefaultSelector()
        readers = {"console": self._console, "uart1": self._uart1, "script": self._script,
                   "control": self._control, "qmp": None}
        for name, channel in guest.channels.items():
            self._selector.register(channel, selectors.EVENT_READ, readers[name])

    def follow(self):
        """Returns (exit status, reason or None) when the guest has ended or its script has."""
        self._screen.start(self._selector)
        while self._outcome is None:
            now = time.monotonic()
            if self._deadline is not None and now >= self._deadline:
                self._note_state()
                return self._timeout_means
            if self._awaited and now >= self._awaited[1]:
                self._answer("nothing of the kind on uart1")
            times = [self._deadline, self._awaited and self._awaited[1]]
            wait_s = min((at - now for at in times if at is not None), default=None)
            for key, _ in self._selector.select(wait_s):
                self._read(key)
        return self._outcome

    def _note_state(self):
        """Leaves in console.log what each task waits for, the timers and the CPUs' stacks, as far as Linux answers at all, and in
        cpus.log every CPU's registers: for when nothing moves."""
        try:
            for key in b"tqlw" if self._run.script else b"":
                self._guest.monitor("chardev-send-break console")  # Linux's SysRq
                self._guest.channels["console"].sendall(bytes([key]))
                self._read_for(SYSRQ_S)
            self._guest.monitor("stop")
            with open("cpus.log", "w", encoding="utf-8") as file:
                file.write(self._guest.monitor("info registers -a"))
        except (Ended, OSError):
            pass

    def _read_for(self, seconds):
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            for key, _ in self._selector.select(left):
                self._read(key)

    def _read(self, key):
        if key.data is None:
            self._events()
        elif key.data == "keyboard":
            typed = self._screen.keyboard()
            if typed is None:
                self._outcome = (0, None)
            elif typed:
                self._guest.channels["console"].sendall(typed)
        else:
            try:
                part = key.fileobj.recv(65536)
            except ConnectionResetError:
                part = b""
            if part:
                key.data(part)
            else:
                self._selector.unregister(key.fileobj)

    def _events(self):
        """Notes why the guest stops; a monitor without events has closed, and QEMU with it."""
        events = self._guest.qmp_events()
        for event in events:
            if event["event"] == "SHUTDOWN":
                self._ended_by = event["data"]["reason"]
        if not events:
            self._drain()
            self._outcome = self._outcome or self._end()

    def _drain(self):
        """Reads what QEMU left in the sockets when it ended."""
        for key in list(self._selector.get_map().values()):
            if callable(key.data):
                key.fileobj.settimeout(1)
                try:
                    while part := key.fileobj.recv(65536):
                        key.data(part)
                except OSError:
                    pass

    def _end(self):
        """Judges an end of QEMU that no script's status came before."""
        if panic := PANIC.search(self._console_tail):
            return FAILED, f"the guest panicked: {panic[1].decode(errors='replace')}"
        expected = {"poweroff": "guest-shutdown", "reboot": "guest-reset"}.get(self._run.expect)
        if self._ended_by is None:
            return FAILED, f"QEMU ended by itself, status {self._guest.process.wait()}"
        if self._ended_by == expected:
            return 0, None
        if not self._run.script and self._ended_by == "guest-shutdown":
            return 0, None
        return FAILED, f"the guest ended without a status: {self._ended_by}"

    def _console(self, part):
        self._screen.console(part)
        self._console_tail = (self._console_tail + part)[-4096:]
        if self._run.script and PANIC.search(self._console_tail):
            self._timeout_means = self._end()
            grace = time.monotonic() + PANIC_GRACE_S
            self._deadline = min(self._deadline or grace, grace)
        if self._is_relayed:
            *lines, self._console_line = (self._console_line + part).split(b"\n")
            for line in lines:
                self._relayed(line.rstrip(b"\r"))

    def _relayed(self, line):
        """Takes a line of the console that is one of the script's."""
        if found := RELAYED.match(line):
            text = found[3] if found[2] else found[3] + b"\n"
            {b"script": self._script, b"control": self._control}[found[1]](text)
        elif not self._run.script and PROMPT in line:
            self._guest.channels["console"].sendall(self._screen.ready())

    def _uart1(self, part):
        self._screen.uart1(part)
        self._cell_text += part.decode(errors="replace").replace("\r", "")
        self._match()

    def _match(self):
        """Answers a uart1-wait whose pattern is in a whole line; the next one looks behind that line."""
        if not self._awaited:
            return
        *lines, last = self._cell_text.split("\n")
        for number, line in enumerate(lines):
            if self._awaited[0].search(line):
                self._cell_text = "\n".join([*lines[number + 1:], last])
                self._answer(f"ok {line}")
                return

    def _answer(self, answer):
        self._awaited = None
        channel = self._guest.channels["console" if self._is_relayed else "control"]
        channel.sendall(answer.encode() + b"\n")

    def _script(self, part):
        """Passes on what the script prints, up to the line with its status."""
        text = self._script_tail + part
        at = text.find(self._mark)
        if at >= 0:
            status = text[at + len(self._mark):]
            if b"\n" in status:
                self._output(text[:at])
                self._outcome = self._status(int(status.split(b"\n")[0]))
                text = b""
        # The beginning of a mark may be the end of what came.
        keep = len(text) - at if at >= 0 else min(len(text), len(self._mark))
        while at < 0 and keep and not self._mark.startswith(text[-keep:]):
            keep -= 1
        self._output(text[:len(text) - keep])
        self._script_tail = text[len(text) - keep:] if keep else b""

    def _status(self, status):
        if self._run.expect != "status":
            return FAILED, f"the script ended with {status}, without the {self._run.expect} expected"
        return status, None

    def _control(self, part):
        self._control_line += part
        while b"\n" in self._control_line:
            line, self._control_line = self._control_line.split(b"\n", 1)
            words = line.decode(errors="replace").split()
            if words == ["ready"]:
                self._guest.channels["console"].sendall(self._screen.ready())
            else:
                self._request(words)

    def _request(self, words):
        """Executes a request of the guest and answers it: `ok`, or what is wrong."""
        try:
            match words:
                case ["log", "on", name]:
                    self._answer(self._log_on(name, "log int"))
                case ["log", "on", name, "instructions"]:
                    # One in each block of translated code: so each has its line.
                    self._answer(self._log_on(name, "one-insn-per-tb on", "log int,exec"))
                case ["log", "off"]:
                    self._answer(self._monitor("log none", "one-insn-per-tb off"))
                case ["uart1" | "uart1-new" as which, seconds, *pattern]:
                    if which == "uart1-new":
                        self._cell_text = ""
                    self._awaited = re.compile(" ".join(pattern)), time.monotonic() + float(seconds)
                    self._match()
                case ["uart1-type", *typed]:
                    self._guest.channels["uart1"].sendall(" ".join(typed).encode() + b"\r")
                    self._answer("ok")
                case _:
                    self._answer(f"unknown request: {' '.join(words)}")
        except (Ended, ValueError, re.error) as error:
            self._answer(str(error))

    def _log_on(self, name, *commands):
        folder = self._run.int_log
        if not folder:
            return "qemu/run was not given --int-log"
        if not WINDOW_NAME.fullmatch(name):
            return f"not a name for a log: {name}"
        path = os.path.join(folder, f"{name}.log")
        if os.path.exists(path):
            return f"a log named {name} is there already"
        return self._monitor(f"logfile {path}", *commands)

    def _monitor(self, *commands):
        """Returns `ok`, or what is wrong with these lines for QEMU's monitor."""
        return "".join(map(self._guest.monitor, commands)).strip() or "ok"


def tail(path, count=40):
    """Returns the last lines of a console's log."""
    try:
        with open(path, "rb") as file:
            lines = file.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return ""
    return "\n".join(lines[-count:])


def cpus(path):
    """Returns where each CPU is, of the registers that a run left when it timed out."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except FileNotFoundError:
        return ""
    found = re.findall(r"CPU#(\d+).*?PC=(\w+).*?PSTATE=\w+ \S+ (?:\S+ )?(EL\d)", text, re.DOTALL)
    return "".join(f"CPU {number}: {level}, PC {pc}\n" for number, pc, level in found)


def complain(text):
    """Prints a line for people."""
    print(f"qemu/run: {text}", file=sys.stderr, flush=True)
