#!/usr/bin/env python3
"""Stops training runs by SIGTERM and SIGINT in every phase, by other signals in the middle, and by
a limit on the size of files, and goes on with them.

A stopped run ends with 128 + the signal within five seconds, says on its last line how to go on,
prints nothing on stdout and leaves nothing temporary. Gone on with, it ends with the bits of a run
that was not stopped. A second SIGTERM or SIGINT ends it at once, but one that follows a scheduler's
warnings does not. A second run on its folder does not disturb it. Where a file may not grow any
more, the run ends with a line and status 1, and goes on later.

  signal_test.py PROGRAM [MB]    MB: the size of the text whose reading is stopped.
"""
import collections
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from kill_test import hidden, read, result_of  # noqa: E402

LONGEST = 5     # seconds from a signal to the end
ATTEMPTS = 4    # to hit a phase: it may be over when the signal arrives
EPOCHS, EVERY = 2, 30  # steps between validations within an epoch
FLAGS = ["--threads", "1", "--emsize", "8", "--nhid", "8", "--batch-size", "4", "--bptt", "10",
         "--model", "gru", "--dropout", "0.3", "--epochs", str(EPOCHS), "--save-every", "1",
         "--eval-interval", str(EVERY), "--log-interval", "1"]
SIGNALS = (signal.SIGTERM, signal.SIGINT)
WARNINGS = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
OF_SCHEDULERS = (signal.SIGHUP, *WARNINGS)
MIXED = ((signal.SIGUSR2, signal.SIGINT), (signal.SIGXCPU, signal.SIGTERM),
         (signal.SIGUSR1, signal.SIGHUP), WARNINGS, (*WARNINGS, signal.SIGTERM))


def write_text(path, words):
    line = " ".join(f"w{k * k * k % 53}" for k in range(40)) + "\n"
    with open(path, "w", encoding="utf-8") as file:
        for start in range(0, words, 40):
            file.write(line[start % 7 * 3:] if start % 200 else "w1 w2\n")


def events(run):
    return [(event["event"], event["step"]) for event in
            map(json.loads, read(f"{run}/metrics.jsonl", "r").splitlines())]


class Signals:
    def __init__(self, program, scratch, megabytes):
        self.program, self.scratch = program, scratch
        self.text, self.large = f"{scratch}/text", f"{scratch}/large"
        self.run, self.cache = f"{scratch}/run", f"{scratch}/cache"
        self.problems, self.longest, self.hits = [], 0.0, collections.Counter()
        for folder, words in ((self.text, 3000), (self.large, megabytes * 250_000)):
            os.mkdir(folder)
            write_text(f"{folder}/train.txt", words)
            for name in ("valid", "test"):
                write_text(f"{folder}/{name}.txt", 60_000)
        self.fresh()
        self.expected = result_of(self.run, self.finish("--resume", "auto"))
        self.steps = self.expected["printed"]["steps"]
        self.batches = self.steps // EPOCHS

    def fresh(self):
        shutil.rmtree(self.run, ignore_errors=True)

    def command(self, *resume, text=None):
        begin = [] if resume == ("--resume",) else ["--data", text or self.text, *FLAGS]
        return [self.program, "train", *begin, "--save", self.run, "--json", *resume]

    def environment(self):
        return {**os.environ, "XDG_CACHE_HOME": self.cache}

    def finish(self, *resume):
        done = subprocess.run(self.command(*resume), env=self.environment(), text=True,
                              capture_output=True, timeout=60)
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.splitlines()[-1:]}")
        return done.stdout

    def start(self, *resume, text=None):
        with open(f"{self.scratch}/out", "wb") as output:
            return subprocess.Popen(self.command(*resume, text=text), env=self.environment(),
                                    stdout=output, stderr=subprocess.PIPE, text=True)

    def stop(self, process, number, ready):
        """Sends the signal once `ready` says so of a line; returns the lines after that."""
        if not any(ready(line) for line in process.stderr):
            return []
        start = time.monotonic()
        process.send_signal(number)
        lines = process.stderr.read().splitlines()
        process.wait()
        self.longest = max(self.longest, time.monotonic() - start)
        return lines

    def check_stopped(self, name, process, number, lines, says):
        """Of a run that was hit."""
        problems = []
        if process.returncode != 128 + number:
            problems.append(f"exit {process.returncode}, expected {128 + number}")
        if not lines or says not in lines[-1]:
            problems.append(f"last line {lines[-1:]}, expected '{says}'")
        if sum(line.startswith("unroll: stop") for line in lines) != 2:
            problems.append(f"got {lines}, expected a word on the signal and one on the end")
        if read(f"{self.scratch}/out"):
            problems.append("something on stdout")
        left = hidden(self.run) if os.path.isdir(self.run) else []
        left += [file for file in os.listdir(f"{self.cache}/unroll")
                 if not file.endswith(".tokens")]
        if left:
            problems.append(f"left behind: {left}")
        self.problems += [f"{name}, {number.name}: {problem}" for problem in problems]

    def compare(self, name, output):
        found = result_of(self.run, output)
        for what, value in self.expected.items():
            if found[what] != value:
                self.problems.append(f"{name}: {what} differs after going on")
        if hidden(self.run):
            self.problems.append(f"{name}: left behind at the end: {hidden(self.run)}")

    # ---- phases of training

    def phase(self, name, number, ready, hit):
        """`hit` says afterwards whether the signal arrived in time."""
        for _ in range(ATTEMPTS):
            self.fresh()
            process = self.start()
            lines = self.stop(process, number, ready)
            process.wait()
            if process.returncode != 0 and hit():
                break
        else:
            self.problems.append(f"{name}, {number.name}: was over {ATTEMPTS} times")
            return
        self.hits[name] += 1
        self.check_stopped(name, process, number, lines, f"unroll train --save {self.run} --resume")
        self.compare(f"{name}, {number.name}", self.finish("--resume"))

    def batch(self, epoch, number):
        mark = f"| epoch {epoch:3d} | {number:5d}/{self.batches:5d} batches"
        return lambda line: line.startswith(mark)

    def saving(self, line):
        if not self.batch(1, 5)(line):
            return False
        end = time.monotonic() + 1
        while not hidden(self.run) and time.monotonic() < end:
            pass
        return True

    def testing(self, line):
        if f"end of epoch {EPOCHS:3d}" not in line:
            return False
        while os.readlink(f"{self.run}/latest") != self.expected["latest"]:
            pass
        return True

    def last_event(self, *expected):
        return lambda: events(self.run)[-1:] == [expected]

    def phases(self):
        step = (self.batches // EVERY + 1) * EVERY  # the first validation in the second epoch

        def always():
            return True

        for number in SIGNALS:
            self.phase("before the first step", number, lambda line: "memory of a step:" in line, always)
            self.phase("training", number, self.batch(1, EVERY // 2), always)
            self.phase("saving", number, self.saving, always)
            self.phase("validating within an epoch", number, self.batch(2, step - self.batches),
                       self.last_event("train", step))
            self.phase("validating at an epoch's end", number, self.batch(1, self.batches),
                       self.last_event("train", self.batches))
            self.phase("testing", number, self.testing, self.last_event("valid", self.steps))

    # ---- the others

    def schedulers(self):
        for number in OF_SCHEDULERS:
            self.phase(f"training, by {number.name}", number, self.batch(1, EVERY // 2),
                       lambda: True)

    def repeated_limit_of_time(self):
        """The system sends SIGXCPU every second from the limit on; one is enough, and two no more.
        The status is that of the first signal."""
        self.fresh()
        process = self.start()
        for line in process.stderr:
            if self.batch(1, 5)(line):
                break
        process.send_signal(signal.SIGXCPU)
        if not any("unroll: stopping" in line for line in process.stderr):
            self.problems.append("limit of time: no word on the signal")
        for _ in range(20):
            process.send_signal(signal.SIGXCPU)
        process.send_signal(signal.SIGTERM)
        lines = process.stderr.read().splitlines()
        if process.wait() != 128 + signal.SIGXCPU:
            self.problems.append(f"limit of time: exit {process.returncode}")
        if not any(f"unroll train --save {self.run} --resume" in line for line in lines):
            self.problems.append(f"limit of time: not saved: {lines}")
        self.hits["repeated limit of time"] += 1
        self.compare("limit of time", self.finish("--resume"))

    def file_size(self):
        """metrics.jsonl reaches the limit, when checkpoints have been made."""
        limit = os.path.getsize(f"{self.run}/metrics.jsonl") * 4 // 5
        latest = f"{self.run}/latest"
        if any(os.path.getsize(f"{latest}/{name}") > limit for name in os.listdir(latest)):
            self.problems.append("limit of size: a checkpoint's files are longer than the metrics")
        self.fresh()
        done = subprocess.run(
            self.command(), env=self.environment(), text=True, capture_output=True, timeout=60,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)))
        says = "metrics.jsonl: cannot be written: File too large"
        if done.returncode != 1 or not done.stderr.splitlines()[-1].endswith(says):
            self.problems.append(f"limit of size: exit {done.returncode}, {done.stderr[-300:]}")
        self.hits["limit of size"] += 1
        self.compare("limit of size", self.finish("--resume"))

    def reading(self):
        """Nothing is there yet, or the run is as it was."""
        self.fresh()
        start = time.monotonic()
        process = self.start(text=self.large)
        self.stop(process, signal.SIGTERM, lambda line: "batches" in line)
        duration = time.monotonic() - start
        kept = f"{self.scratch}/kept"
        os.rename(self.run, kept)
        for number in SIGNALS:
            for part in (0, 0.2, 0.4, 0.6):
                self.read_part("reading", number, part * duration, kept, False)
            self.read_part("reading again", number, 0.3 * duration, kept, True)

    def read_part(self, name, number, delay, kept, again):
        def ready(line):
            if line.startswith("device:"):
                time.sleep(delay)
                return True
            return False

        for _ in range(ATTEMPTS):
            self.fresh()
            shutil.rmtree(self.cache)
            if again:
                shutil.copytree(kept, self.run, symlinks=True)
            process = self.start(*["--resume"] * again, text=self.large)
            lines = self.stop(process, number, ready)
            if any("while reading the data" in line for line in lines):
                break
            delay *= 0.6  # the machine was slower during the timing of the whole
        else:
            self.problems.append(f"{name}, {number.name}: was over {ATTEMPTS} times: {lines[-1:]}")
            return
        self.hits[name] += 1
        os.makedirs(f"{self.cache}/unroll", exist_ok=True)
        self.check_stopped(name, process, number, lines, f"unroll train --save {self.run} --resume"
                           if again else "nothing has been trained yet")
        if not again and os.path.exists(self.run):
            self.problems.append(f"{name}, {number.name}: the run folder is there")
        if again and subprocess.run(["diff", "-r", kept, self.run], check=False).returncode != 0:
            self.problems.append(f"{name}, {number.name}: the run has changed")

    def send_together(self, numbers):
        """Returns the process, which has ended, and its lines after the signals."""
        self.fresh()
        process = self.start()
        for line in process.stderr:
            if self.batch(1, 5)(line):
                break
        process.send_signal(signal.SIGSTOP)  # so that all have arrived when it continues
        for number in numbers:
            process.send_signal(number)
        process.send_signal(signal.SIGCONT)
        lines = process.stderr.read().splitlines()
        process.wait()
        return process, lines

    def second_signal(self):
        for numbers in (SIGNALS, (*WARNINGS, *SIGNALS)):
            process, lines = self.send_together(numbers)
            if process.returncode not in (130, 143) or any("saved" in line for line in lines):
                self.problems.append(f"{numbers}: exit {process.returncode}, {lines}")
            self.hits["second signal"] += 1
            self.compare("second signal", self.finish("--resume"))

    def mixed_signals(self):
        """The system chooses which of those that wait comes first."""
        for numbers in MIXED:
            process, lines = self.send_together(numbers)
            if process.returncode not in [128 + number for number in numbers]:
                self.problems.append(f"{numbers}: exit {process.returncode}")
            if not lines or f"unroll train --save {self.run} --resume" not in lines[-1]:
                self.problems.append(f"{numbers}: not saved: {lines}")
            self.hits["warnings, then a signal"] += 1
            self.compare(f"{numbers}", self.finish("--resume"))

    def two_runs(self):
        self.fresh()
        process = self.start()
        for line in process.stderr:
            if self.batch(1, 5)(line):
                break
        process.send_signal(signal.SIGSTOP)  # it must not end before the others have tried
        says = "another run is writing to it"
        for resume in ((), ("--resume",), ("--resume", "auto")):
            other = subprocess.run(self.command(*resume), env=self.environment(), text=True,
                                   capture_output=True, timeout=60)
            lines = other.stderr.splitlines()
            if other.returncode != 1 or len(lines) != 1 or says not in lines[0] or other.stdout:
                self.problems.append(f"two runs: exit {other.returncode}, {lines}")
            self.hits["second run on the folder"] += 1
        process.send_signal(signal.SIGCONT)
        process.stderr.read()
        if process.wait() != 0:
            self.problems.append(f"two runs: the first ended with {process.returncode}")
        else:
            self.compare("two runs", read(f"{self.scratch}/out", "r"))


def main():
    program = os.path.abspath(sys.argv[1])
    megabytes = int(sys.argv[2]) if len(sys.argv) > 2 else 60
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="unroll-signals-", dir=place) as scratch:
        test = Signals(program, scratch, megabytes)
        for part in (test.phases, test.schedulers, test.second_signal, test.mixed_signals,
                     test.repeated_limit_of_time, test.file_size, test.two_runs, test.reading):
            start = time.monotonic()
            part()
            print(f"{part.__name__}: {time.monotonic() - start:.1f} s", flush=True)
        for name, hits in test.hits.items():
            print(f"  {hits:3d} in: {name}")
    if test.longest > LONGEST:
        test.problems.append(f"{test.longest:.1f} s from a signal to the end")
    for problem in test.problems:
        print(problem)
    print(f"{sum(test.hits.values())} signals, the longest took {test.longest:.3f} s, "
          f"{len(test.problems)} problems")
    return 1 if test.problems else 0


if __name__ == "__main__":
    sys.exit(main())
