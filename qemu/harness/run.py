"""qemu/run: builds what is needed, boots the guest, and ends as its script or its person does."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time

import command
import initramfs
import options
import session
from guest import Ended, Guest
from screen import Quiet, Screen

RUNS_KEPT = 30


def main(arguments, repo):
    """Returns the exit status."""
    try:
        run = options.parse(arguments, repo)
        _build(run, repo)
        run.run_dir = run.run_dir or _new_folder(repo)
        os.makedirs(run.run_dir, exist_ok=True)
        if run.int_log:
            os.makedirs(run.int_log, exist_ok=True)
        initramfs.build(os.path.join(run.run_dir, "initrd"), repo, run)
        if run.print_command:
            print(shlex.join(command.by_hand(run, repo)))
            return 0
    except (options.Usage, initramfs.Missing) as error:
        session.complain(error)
        return 2
    except subprocess.CalledProcessError as error:
        session.complain(f"failed: {shlex.join(error.cmd)}")
        return session.FAILED
    return _boot(run, repo)


def _boot(run, repo):
    screen = Quiet(run.verbose) if run.script else Screen()
    guest = None
    status, reason = session.FAILED, None
    try:
        guest = Guest(run, repo)
        # The guest has read its initramfs by the time it answers; the logs stay.
        status, reason = session.Session(run, guest, screen, _print).follow()
    except Ended as error:
        reason = str(error)
    except Stopped as stopped:
        status = 128 + stopped.args[0]
    finally:
        screen.stop()
        if guest:
            guest.end()
        _remove(os.path.join(run.run_dir, "initrd"))
        _remove(os.path.join(run.run_dir, command.OWN_MONITOR))
    if reason:
        for log in ("qemu.log", "console.log"):
            text = session.tail(os.path.join(run.run_dir, log))
            if text and (run.script or log == "qemu.log"):
                print(f"--- the end of {log}\n{text}\n---", file=sys.stderr)
        print(session.cpus(os.path.join(run.run_dir, "cpus.log")), end="", file=sys.stderr)
        session.complain(f"{reason} ({run.run_dir})")
    return status


class Stopped(Exception):
    """A signal asks this process to end."""


def _stop(number, _frame):
    raise Stopped(number)


def _build(run, repo):
    if os.environ.get("BULKHEAD_NO_BUILD"):
        return
    build = [os.path.join(repo, "ci/build"), "--kernel", run.kernel]
    subprocess.run(build, check=True, stdout=sys.stderr)


def _new_folder(repo):
    """Returns a folder of this run's own; the oldest ones go."""
    runs = os.path.join(repo, "target/qemu")
    os.makedirs(runs, exist_ok=True)
    old = sorted(name for name in os.listdir(runs) if name.startswith("run-"))
    for name in old[:-RUNS_KEPT]:
        shutil.rmtree(os.path.join(runs, name), ignore_errors=True)
    return os.path.join(runs, time.strftime("run-%Y%m%d-%H%M%S-") + str(os.getpid()))


def _print(part):
    sys.stdout.buffer.write(part)
    sys.stdout.buffer.flush()


def _remove(path):
    if os.path.exists(path):
        os.unlink(path)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        sys.exit(main(sys.argv[1:], repository))
    except Stopped as stopped:
        sys.exit(128 + stopped.args[0])
    except BrokenPipeError:
        os._exit(session.FAILED)
