"""ci/boot: runs scenarios, qemu/tests/NAME.sh, two (or BULKHEAD_AT_ONCE) at a time, and judges them.

A scenario is a script for the guest (qemu/guest/scenario.sh has words for it); comments at its head say how to run it,
in the repository's folder, and what else must hold:
    # run: OPTIONS         options of qemu/run; one run for each such line, one without options if there is none
    # uart1: REGEX         a line of the cell's UART must match
    # uart1-not: REGEX     no line of it may match
    # console: REGEX       a line of the kernel's console must match
    # console-not: REGEX   no line of the kernel's console may match, besides those of COMPLAINTS
    # console-ok: REGEX    lines of the console that are expected, whatever they look like
A run that fails is made once more when all others are through, alone. One that then passes is UNSTEADY: its first output stays
printed, and more than UNSTEADY_AT_MOST of them fail the whole.
"""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time

AT_ONCE = int(os.environ.get("BULKHEAD_AT_ONCE", "2"))
UNSTEADY_AT_MOST = 2
FOLDERS_KEPT = 6
COMPLAINTS = r"WARNING:|BUG:|Oops|[Cc]all [Tt]race|rcu:.*stall|soft lockup|hard LOCKUP|Internal error"
# Linux 6.12's own, on a CPU that goes off: it counts one more task than it then names ("enqueued tasks (2 total)", and one):
# its deadline server, it seems (kernel commit 52d15521eb75 mended one such count). A few times in some thousand, on a busy machine.
LINUXS_OWN = re.compile(r"WARNING: .* sched_cpu_dying")
HEADER = re.compile(r"# (run|uart1|uart1-not|console|console-not|console-ok):(.*)")


class Run:
    """One run of one scenario."""

    def __init__(self, repo, folder, path, options, header):
        self.title = _title(path, options)
        self._header = header
        self._folder = folder
        os.makedirs(folder)
        self._began = time.monotonic()
        self.seconds = 0.0
        self._output = os.path.join(folder, "output.log")
        command = [os.path.join(repo, "qemu/run"), "--run-dir", folder, "--script", path, *shlex.split(options)]
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                                            cwd=repo, env=os.environ | {"BULKHEAD_NO_BUILD": "1"})

    def has_ended(self):
        """Whether it has, noting when."""
        self.seconds = time.monotonic() - self._began
        return self.process.poll() is not None

    def failures(self):
        """Returns what is wrong with the run, line by line."""
        wrong = []
        if self.process.returncode:
            wrong.append(f"exit status {self.process.returncode}")
        uart1 = _text(self._folder, "uart1.log")
        console = _text(self._folder, "console.log")
        for name, text in (("uart1", uart1), ("console", console)):
            wrong += [f"{name} has no line like: {pattern}" for pattern in self._header[name]
                      if not re.search(pattern, text, re.MULTILINE)]
        wrong += [f"uart1: {line}" for pattern in self._header["uart1-not"]
                  for line in uart1.splitlines() if re.search(pattern, line)]
        forbidden = re.compile("|".join([COMPLAINTS, *self._header["console-not"]]))
        expected = self._header["console-ok"]
        traces = 0
        for line in console.splitlines():
            if "harness-script" in line:  # the scenario's own
                continue
            if LINUXS_OWN.search(line):
                print(f"note     Linux's own, in {self.title}: {line}", flush=True)
                traces += 1
                continue
            if traces and "Call trace:" in line:
                traces -= 1
                continue
            if forbidden.search(line) and not any(re.search(pattern, line) for pattern in expected):
                wrong.append(f"console: {line}")
        return wrong

    def report(self):
        """Prints the result; returns whether it passed."""
        wrong = self.failures()
        print(f"{'FAILED' if wrong else 'ok    '} {self.seconds:6.1f} s  {self.title}", flush=True)
        if wrong:
            print(f"    output ({self._folder}):")
            lines = _text(self._folder, "output.log").splitlines()[-60:]
            print("".join(f"    | {line}\n" for line in lines) + "".join(f"    ! {line}\n" for line in wrong), flush=True)
        return not wrong


def header(path):
    """Returns the header's values by their keys, each a list."""
    values = {key: [] for key in ("run", "uart1", "uart1-not", "console", "console-not", "console-ok")}
    with open(path, encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                break
            if match := HEADER.match(line):
                values[match[1]].append(match[2].strip())
    values["run"] = values["run"] or [""]
    return values


def main(names, repo):
    """Runs the scenarios of these names, or all; returns the exit status."""
    tests = os.path.join(repo, "qemu/tests")
    known = sorted(name.removesuffix(".sh") for name in os.listdir(tests) if name.endswith(".sh"))
    for name in names:
        if name not in known:
            print(f"ci/boot: no scenario {name}: there are {', '.join(known)}", file=sys.stderr)
            return 2
    paths = [os.path.join(tests, f"{name}.sh") for name in names or known]
    waiting = [(path, options, head) for path in paths for head in [header(path)] for options in head["run"]]
    _build(repo, [options for _, options, _ in waiting])

    folder = _new_folder(repo)
    failed = _run_all(waiting, AT_ONCE, repo, folder)
    still = failed
    if 0 < len(failed) <= UNSTEADY_AT_MOST:
        print("Once more, alone, what failed:", flush=True)
        still = _run_all(failed, 1, repo, f"{folder}-again")
    for path, options, _ in failed:
        how = "FAILED" if any((path, options) == each[:2] for each in still) else "UNSTEADY"
        print(f"{how}: {_title(path, options)}")
    print(f"scenarios: {len(waiting) - len(failed)} passed, {len(failed) - len(still)} unsteady, {len(still)} failed")
    return 0 if waiting and not still else 1


def _run_all(waiting, at_once, repo, folder):
    """Runs (path, options, header) each, some at a time; returns those that failed."""
    waiting, running, failed, number = list(waiting), {}, [], 0
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                path, options, head = each = waiting.pop(0)
                name = f"{number:02}-{os.path.basename(path).removesuffix('.sh')}"
                running[Run(repo, os.path.join(folder, name), path, options, head)] = each
                number += 1
            time.sleep(0.05)
            for run in [run for run in running if run.has_ended()]:
                each = running.pop(run)
                if not run.report():
                    failed.append(each)
    finally:
        for run in running:
            run.process.terminate()
            run.process.wait()
    return failed


def _title(path, options):
    return f"{os.path.basename(path).removesuffix('.sh')} {options}".strip()


def _build(repo, all_options):
    """Builds once for all runs, with the kernels that they name."""
    if os.environ.get("BULKHEAD_NO_BUILD"):
        return
    kernels = {"6.12"}
    for options in all_options:
        kernels.update(re.findall(r"--kernel[ =](\S+)", options))
    arguments = [argument for kernel in sorted(kernels) for argument in ("--kernel", kernel)]
    subprocess.run([os.path.join(repo, "ci/build"), *arguments], check=True)


def _new_folder(repo):
    """Returns a folder for this batch's logs; the oldest batches go."""
    batches = os.path.join(repo, "target/qemu")
    os.makedirs(batches, exist_ok=True)
    old = sorted(name for name in os.listdir(batches) if name.startswith("boot-"))
    for name in old[:-FOLDERS_KEPT]:
        shutil.rmtree(os.path.join(batches, name), ignore_errors=True)
    return os.path.join(batches, time.strftime("boot-%Y%m%d-%H%M%S-") + str(os.getpid()))


def _text(folder, name):
    try:
        with open(os.path.join(folder, name), "rb") as file:
            return file.read().decode(errors="replace").replace("\r", "")
    except FileNotFoundError:
        return ""


def _stop(number, _frame):
    sys.exit(128 + number)


if __name__ == "__main__":
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _stop)
    repository = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        sys.exit(main(sys.argv[1:], repository))
    except subprocess.CalledProcessError as error:
        sys.exit(f"ci/boot: failed: {shlex.join(error.cmd)}")
