"""A QEMU process and the sockets that lead to it. It ends with this process, whatever ends this process."""

import ctypes
import json
import os
import signal
import socket
import subprocess

import command

CONNECT_TIMEOUT_S = 120  # a busy machine takes long to load QEMU
PR_SET_PDEATHSIG = 1


class Guest:
    """A running guest. The working folder of this process is the run's folder from here on."""

    def __init__(self, run, repo):
        os.chdir(run.run_dir)
        arguments = command.harness(run, repo)
        listeners = {name: _listener(f"{name}.sock") for name in command.channels(run)}
        libc = ctypes.CDLL(None)

        def die_with_parent():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setpgid(0, 0)  # Ctrl-C in a terminal is ours to handle

        with open("qemu.log", "wb") as log:
            self.process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=die_with_parent)
        self.channels = {}
        try:
            for name, listener in listeners.items():
                self.channels[name] = self._accepted(listener)
                listener.close()
                os.unlink(f"{name}.sock")
            self._qmp = Qmp(self.channels["qmp"])
        except BaseException:
            self.end()
            raise

    def _accepted(self, listener):
        listener.settimeout(0.1)
        for _ in range(CONNECT_TIMEOUT_S * 10):
            try:
                return listener.accept()[0]
            except TimeoutError:
                if self.process.poll() is not None:
                    break
        raise Ended("QEMU did not start")

    def monitor(self, line):
        """Executes a line of QEMU's human monitor; returns what it prints, which is nothing when all went well."""
        return self._qmp.execute("human-monitor-command", **{"command-line": line})

    def qmp_events(self):
        """Returns the events that came in; a closed monitor has none."""
        return self._qmp.events()

    def end(self):
        """Ends QEMU, if it has not ended, and returns when it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


class Ended(Exception):
    """QEMU is not there to talk to."""


class Qmp:
    """QEMU's machine protocol: a JSON object a line, events between the answers."""

    def __init__(self, connection):
        connection.settimeout(CONNECT_TIMEOUT_S)
        self._connection = connection
        self._pending = b""
        self._events = []
        self._line()  # the greeting
        self.execute("qmp_capabilities")

    def execute(self, name, **arguments):
        """Executes a command and returns its result."""
        request = {"execute": name, "arguments": arguments}
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
            while True:
                answer = self._line()
                if "event" in answer:
                    self._events.append(answer)
                elif "error" in answer:
                    return answer["error"]["desc"]
                else:
                    return answer["return"]
        except OSError as error:
            raise Ended(str(error)) from error

    def events(self):
        """Reads what is there without waiting, and returns the events that have come."""
        try:
            part = self._connection.recv(65536, socket.MSG_DONTWAIT)
            self._pending += part
        except OSError:
            part = None
        while b"\n" in self._pending:
            self._events.append(self._line())
        events, self._events = self._events, []
        return events

    def _line(self):
        while b"\n" not in self._pending:
            try:
                part = self._connection.recv(65536)
            except TimeoutError as error:
                raise Ended(f"QEMU's monitor says nothing for {CONNECT_TIMEOUT_S} s") from error
            if not part:
                raise Ended("QEMU closed its monitor")
            self._pending += part
        line, self._pending = self._pending.split(b"\n", 1)
        return json.loads(line)


def _listener(path):
    if os.path.exists(path):  # left by a run that was killed; the folder is this run's alone
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    return listener
