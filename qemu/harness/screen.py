"""What a person sees of a guest's consoles, and what they type."""

import os
import sys
import termios
import tty

PREFIX = b"\x1b[36m[uart1]\x1b[0m "
ESCAPE = 1  # Ctrl-A
END_KEY = ord("x")
# A full-screen program takes the terminal, and gives it back (xterm's alternate screen).
TAKEN, GIVEN_BACK = b"\x1b[?1049h", b"\x1b[?1049l"
HELD_MOST = 1000  # lines of the cell, the newest, while a program has the terminal


class Screen:
    """Linux's console and the keyboard, with the cell's lines set apart between them."""

    def __init__(self):
        self._line = b""    # of Linux's console, so far
        self._cell_line = b""
        self._is_taken = False  # by a full-screen program, whose picture a line in between would spoil
        self._console_tail = b""
        self._held = []
        self._typed_early = b""
        self._is_ready = False
        self._after_escape = False
        self._selector = None
        self._settings = termios.tcgetattr(0) if os.isatty(0) else None

    def start(self, selector):
        """Takes the keyboard. What is typed early waits for the shell."""
        self._selector = selector
        if self._settings:
            tty.setraw(0)
        try:
            selector.register(0, 1, "keyboard")  # 1: EVENT_READ
        except PermissionError:  # a plain file or /dev/null: nobody types
            pass

    def stop(self):
        """Gives the terminal back."""
        if self._settings:
            termios.tcsetattr(0, termios.TCSADRAIN, self._settings)

    def console(self, part):
        """Shows what Linux printed."""
        self._line = (self._line + part).rpartition(b"\n")[2]
        self._show(part)
        text = self._console_tail + part
        self._console_tail = text[1 - len(TAKEN):]
        taken, given_back = text.rfind(TAKEN), text.rfind(GIVEN_BACK)
        if taken != given_back:  # neither is there: -1
            self._is_taken = taken > given_back
            if not self._is_taken:
                self._line = self._line.rpartition(GIVEN_BACK)[2]
                self._show_cell(self._held)
                self._held = []

    def uart1(self, part):
        """Shows the whole lines that the cell printed, above the line that Linux or the person is in, as soon as there is room."""
        *lines, self._cell_line = (self._cell_line + part).split(b"\n")
        if self._is_taken:
            self._held = (self._held + lines)[-HELD_MOST:]
        else:
            self._show_cell(lines)

    def _show_cell(self, lines):
        if lines:
            shown = b"".join(PREFIX + line.rstrip(b"\r") + b"\r\n" for line in lines)
            self._show(b"\r\x1b[K" + shown + self._line if self._line else shown)

    def ready(self):
        """The shell is there: returns what was typed before."""
        self._is_ready = True
        early, self._typed_early = self._typed_early, b""
        return early

    def keyboard(self):
        """Returns the bytes for the guest, or None when the person ends QEMU."""
        typed = os.read(0, 1024)
        if not typed:
            self._selector.unregister(0)
        if self._settings:
            typed = self._without_escapes(typed)
        if typed is not None and not self._is_ready:
            self._typed_early += typed
            return b""
        return typed

    def _without_escapes(self, typed):
        out = bytearray()
        for byte in typed:
            if self._after_escape:
                self._after_escape = False
                if byte == END_KEY:
                    return None
                out.append(byte)
            elif byte == ESCAPE:
                self._after_escape = True
            else:
                out.append(byte)
        return bytes(out)

    @staticmethod
    def _show(part):
        sys.stdout.buffer.write(part)
        sys.stdout.buffer.flush()


class Quiet:
    """Shows nothing of the consoles, or with `is_verbose` all of it on standard error; no keyboard."""

    def __init__(self, is_verbose):
        self._is_verbose = is_verbose
        self._cell_line = b""

    def start(self, selector):
        """Has no keyboard to take."""

    def stop(self):
        """Has no terminal to give back."""

    def ready(self):
        """Has nothing waiting."""
        return b""

    def console(self, part):
        """Shows what Linux printed."""
        if self._is_verbose:
            sys.stderr.buffer.write(part.replace(b"\r\n", b"\n"))
            sys.stderr.buffer.flush()

    def uart1(self, part):
        """Shows the whole lines that the cell printed."""
        *lines, self._cell_line = (self._cell_line + part).split(b"\n")
        if self._is_verbose:
            sys.stderr.buffer.write(b"".join(b"[uart1] " + line.rstrip(b"\r") + b"\n" for line in lines))
            sys.stderr.buffer.flush()
