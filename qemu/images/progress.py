"""Runs a command that takes long: its output goes to a log, and every few seconds a line says how far it is.

Usage: progress.py WHAT LOG COMMAND...
"""

import os
import subprocess
import sys
import threading
import time

# A terminal's line is written over; elsewhere each is one more line of a log.
EVERY_S = 1 if sys.stderr.isatty() else 15
SHOWN = 60  # characters of what the command said last


def main(what, log_path, command):
    """Returns the command's status; tells the end of its log when it failed."""
    began = time.monotonic()
    says(f"{what}\n")
    last = [""]
    with open(log_path, "wb") as log, subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        reader = threading.Thread(target=copy, args=(process.stdout, log, last), daemon=True)
        reader.start()
        while reader.is_alive():
            reader.join(EVERY_S)
            if reader.is_alive():
                said(began, last[0])
        status = process.wait()
    took = time.monotonic() - began
    clear()
    if status != 0:
        with open(log_path, encoding="utf-8", errors="replace") as log:
            says("".join(log.readlines()[-30:]))
        says(f"image: failed with status {status}: {' '.join(command)[:200]}; all it said is in {log_path}\n")
    elif took > 2:
        says(f"  {took:.0f} s\n")
    return status


def copy(source, log, last):
    """Copies the command's output to the log, line by line, and keeps the last line."""
    for line in source:
        log.write(line)
        if text := line.decode(errors="replace").strip():
            last[0] = text


def said(began, line):
    """Shows how long it has taken, and what the command said last."""
    clear()
    end = "" if sys.stderr.isatty() else "\n"
    says(f"  {time.monotonic() - began:4.0f} s: {line[:SHOWN]}{end}")


def clear():
    """Empties a terminal's line."""
    if sys.stderr.isatty():
        says("\r\x1b[K")


def says(text):
    """Writes to people."""
    os.write(2, text.encode())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
