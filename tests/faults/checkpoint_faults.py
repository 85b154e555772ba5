#!/usr/bin/env python3
"""Stops a save of a checkpoint at every system call, in seven states of the run folder.

At each call the process is killed, or the call fails with EIO or ENOSPC (strace injects both), and
files end after every so many bytes (RLIMIT_FSIZE: a short write, then EFBIG). After each fault:
  - `latest` and `best` are wholly what they were, or wholly what an undisturbed save makes them;
  - a save that says it is done has done all of it; one that fails says so on one line;
  - the next save succeeds, and leaves nothing of the failed one behind.

  checkpoint_faults.py PROBE [EVERY]    EVERY = k: only each k-th fault. Exit status 77: skipped.
"""
import collections
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile

NEVER_FAILS = ("brk",)  # the kernel returns no error, and the C library checks for none
NEXT_SAVE = ("900", "9", "1", "2")  # step, tag, best, keep

State = collections.namedtuple("State", "name before change save inject")


def moved_aside(run):
    """What a save killed between two renames, and another killed while writing, leave."""
    os.rename(f"{run}/step-00000100", f"{run}/.old-step-00000100")
    os.mkdir(f"{run}/.tmp-step-00000200")
    with open(f"{run}/.tmp-step-00000200/config.json", "w", encoding="utf-8") as file:
        file.write("{")
    os.symlink("step-00000200", f"{run}/.tmp-latest")


def nothing(_):
    pass


FIRST = ("100", "1", "1", "0")
STATES = [
    State("first", [], nothing, FIRST, []),
    State("next", [FIRST], nothing, ("200", "2", "1", "2"), []),
    State("delete", [FIRST] + [(f"{k}00", f"{k}", "0", "0") for k in (2, 3, 4)], nothing,
          ("500", "5", "0", "2"), []),
    State("replace", [FIRST, ("200", "2", "0", "0")], nothing, ("200", "3", "1", "2"), []),
    State("replace by two renames", [FIRST, ("200", "2", "0", "0")], nothing,
          ("200", "3", "1", "2"), ["--inject=renameat2:error=EINVAL"]),
    State("beside larger steps", [("800", "8", "1", "0"), FIRST], nothing, ("200", "2", "1", "2"),
          []),
    State("after kills", [FIRST], moved_aside, ("200", "2", "1", "2"), []),
]


def skip(reason):
    print(f"SKIPPED: {reason}")
    sys.exit(77)


def require_strace():
    if not shutil.which("strace"):
        skip("strace is missing")
    trial = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True)
    if trial.returncode != 0:
        skip(f"strace cannot trace here: {trial.stderr.strip().splitlines()[-1]}")


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def is_harmless(call, before, folder):
    """May a save succeed although this call failed? `before`: the traced lines until then."""
    closed = re.search(r" close\((\d+)\)", call)
    if closed:  # files only read: some systems report a failed write on closing
        opening = rf" open\w*\(.* = {closed.group(1)}$"
        opened = [line for line in before if re.search(opening, line)]
        return bool(opened) and "O_RDONLY" in opened[-1]
    # Whether the run folder, or its parent, exists: trying to make it then shows it.
    places = f"({re.escape(folder)}|{re.escape(os.path.dirname(folder))})"
    return bool(re.search(rf" \w*stat\w*\(.*\"{places}\",", call))


class Faults:
    """The faults of one state: makes the folder, injects, and looks at what is left."""

    def __init__(self, probe, state, scratch):
        self.probe, self.state, self.scratch = probe, state, scratch
        self.template = os.path.join(scratch, "template")
        for arguments in state.before:
            run([probe, "save", self.template, *arguments]).check_returncode()
        state.change(self.template)
        self.old = self.check(self.template)
        self.calls = self.trace()

    def check(self, folder):
        lines = run([self.probe, "check", folder]).stdout.splitlines()
        return dict(line.split(": ", 1) for line in lines)

    def fresh(self, name):
        folder = os.path.join(self.scratch, name)
        if os.path.isdir(self.template):
            shutil.copytree(self.template, folder, symlinks=True)
        return folder

    def save(self, folder, tracing, **options):
        return run([*tracing, self.probe, "save", folder, *self.state.save], **options)

    def trace(self):
        """The save's calls, each with its number among those of its name since the start."""
        folder, log = self.fresh("clean"), os.path.join(self.scratch, "trace")
        tracing = ["strace", "-f", "-o", log, *self.state.inject]
        self.save(folder, tracing).check_returncode()
        self.new, self.names = self.check(folder), sorted(os.listdir(folder))
        counts, calls, marks = collections.Counter(), [], 0
        with open(log, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                call = re.match(r"\d+ +(\w+)\(", line)
                if not call:
                    continue
                name = call.group(1)
                counts[name] += 1
                marks += name == "getppid"
                if marks == 1 and name != "getppid" and "INJECTED" not in line:
                    calls.append((name, counts[name]))
        if marks != 2 or not calls:
            raise RuntimeError(f"{self.state.name}: got {marks} marks and {len(calls)} calls")
        return calls

    def faults(self):
        for name, k in self.calls:
            yield (name, k, "signal=SIGKILL")
            if name not in NEVER_FAILS:
                yield (name, k, "error=EIO")
                yield (name, k, "error=ENOSPC")
        for limit in [*range(0, 1000, 37), *range(1000, 9000, 211)]:
            yield ("write", limit, "limit")

    def inject(self, fault, folder):
        """The saver's result, and the trace up to the call that the fault struck, if it did."""
        name, k, what = fault
        log = folder + ".trace"
        tracing = ["strace", "-f", "-o", log, *self.state.inject]
        if what == "limit":
            tracing[3] = "/dev/null"  # the limit also applies to strace
            limited = ["prlimit", f"--fsize={k}:{k}", *tracing]
            # Python ignores SIGXFSZ, and a program that it starts does, too: the call fails
            # instead.
            return self.save(folder, limited, restore_signals=False), ["limit"]
        result = self.save(folder, [*tracing, f"--inject={name}:{what}:when={k}"])
        with open(log, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
        os.remove(log)
        # Killed on entry: the call has no result and was not executed.
        mark = r".*(= \?|<unfinished \.\.\.>)$" if what == "signal=SIGKILL" else ".*INJECTED"
        struck = [at for at, line in enumerate(lines) if re.match(rf"\d+ +{name}\({mark}", line)]
        return result, lines[:struck[0] + 1] if struck else []

    def problems(self, number, fault):
        """What is wrong after the fault, as a list of lines; empty if nothing is."""
        folder = self.fresh(str(number))
        result, trace = self.inject(fault, folder)
        found, errors = self.check(folder), []
        after = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        if not trace:
            errors.append("the fault did not strike")
        for name in ("latest", "best"):
            if found[name] not in (self.old[name], self.new[name]):
                errors.append(f"{name} is '{found[name]}', expected '{self.old[name]}' or "
                              f"'{self.new[name]}'")
        for name in found:
            if name.startswith("step-") and found[name] not in (self.old.get(name),
                                                                self.new.get(name)):
                errors.append(f"{name} is '{found[name]}'")
        errors += self.status_problems(folder, fault, result, trace, found, after)
        again = run([self.probe, "save", folder, *NEXT_SAVE])
        left = [name for name in os.listdir(folder) if name.startswith(".")]
        if again.returncode != 0 or self.check(folder)["latest"] != "step 900 tag 9" or left:
            errors.append(f"the next save: exit {again.returncode} {again.stderr.strip()} {left}")
        shutil.rmtree(folder)
        return [f"{self.state.name}: {fault}: {error}" for error in errors]

    def status_problems(self, folder, fault, result, trace, found, after):
        if fault[2] == "signal=SIGKILL":
            killed = result.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
            return [] if killed else [f"exit {result.returncode}, expected a killed process"]
        if result.returncode == 0:
            if found != self.new or after != self.names:
                return [f"exit 0, but there is {after}, {found}"]
            # A limit that no file reaches has no effect.
            enough = fault[2] == "limit" or not trace or is_harmless(trace[-1], trace[:-1], folder)
            return [] if enough else [f"exit 0 although {trace[-1]}"]
        lines = result.stderr.splitlines()
        if result.returncode != 1 or len(lines) != 1:
            return [f"exit {result.returncode} with {lines}, expected 1 and one line"]
        return []


def main():
    probe, every = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1
    require_strace()
    problems, total = [], 0
    with tempfile.TemporaryDirectory(prefix="unroll-faults-") as scratch, \
            concurrent.futures.ThreadPoolExecutor(2) as pool:
        for number, state in enumerate(STATES):
            place = os.path.join(scratch, str(number))
            os.mkdir(place)
            faults = Faults(probe, state, place)
            chosen = list(faults.faults())[number % every::every]
            for found in pool.map(faults.problems, range(len(chosen)), chosen):
                problems += found
            total += len(chosen)
            print(f"{state.name}: {len(faults.calls)} calls, {len(chosen)} faults", flush=True)
    for problem in problems:
        print(problem)
    print(f"{total} faults, {len(problems)} problems")
    return 1 if problems or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
