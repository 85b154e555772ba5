#!/usr/bin/env python3
"""Kills training runs at random moments, resumes them, and compares what they end with.

Every run is killed (SIGKILL) again and again, until it gets to its end. It must then hold what the
same run holds that was not killed: the same weights, state, progress and log lines, bit by bit, and
nothing that a kill left behind. After each kill the run folder is a model, or has none yet and
says so. Now and then the newest checkpoint is damaged, too: the run goes on from the one before.

  kill_test.py PROGRAM [KILLS [FOLDER]]    FOLDER: where the runs are made, for one file system
                                           after another; /dev/shm, which is fast, if it is there.
"""
import collections
import glob
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

SEED = 1
DAMAGED = 0.15   # the share of kills after which the newest checkpoint is damaged
TURNED_BACK = 0.3
BARE = 0.4       # the share of resumptions that repeat no flags
NOT_COMPARED = ("seconds", "time", "tokens_per_second", "metrics_bytes")

COMMON = ["--threads", "1", "--emsize", "8", "--nhid", "8", "--batch-size", "4", "--bptt", "7",
          "--dropout", "0.3", "--lr-schedule", "plateau", "--epochs", "3"]
CASES = [flags.split() for flags in (
    "--model lstm --optimizer sgd --save-every 3 --eval-interval 7 --log-interval 1",
    "--model gru --optimizer adam --save-every 5 --eval-interval 7 --log-interval 5",
    "--model rnn_tanh --optimizer adam --save-every 1 --log-interval 4 --keep 1",
    "--model rnn_tanh --optimizer sgd --save-every 4 --eval-interval 2 --log-interval 1 --lr 5",
    "--model lstm --optimizer adam --save-every 2 --eval-interval 5 --log-interval 3 --tied"
    " --tokenizer char",
    "--model gru --optimizer sgd --save-every 2 --log-interval 1 --patience 1 --lr 28",
)]


def write_texts(folder):
    draw = random.Random(SEED)
    os.makedirs(folder)
    for name, lines in (("train", 250), ("valid", 60), ("test", 60)):
        with open(f"{folder}/{name}.txt", "w", encoding="utf-8") as file:
            for _ in range(lines):
                file.write(" ".join(f"w{int(40 * draw.random() ** 2)}" for _ in range(6)) + "\n")


def read(path, mode="rb"):
    with open(path, mode) as file:
        return file.read()


def without_times(line):
    return {name: value for name, value in json.loads(line).items() if name not in NOT_COMPARED}


def result_of(run, output):
    """What two equal runs have in common. `output`: what the run printed last."""
    found = {"printed": {name: value for name, value in json.loads(output).items()
                         if name not in ("seconds", "checkpoint")},
             "metrics.jsonl": [without_times(line) for line in
                               read(f"{run}/metrics.jsonl", "r").splitlines()]}
    for link in ("latest", "best"):
        found[link] = os.readlink(f"{run}/{link}")
        for name in ("model.safetensors", "state.safetensors"):
            found[f"{link}/{name}"] = read(f"{run}/{link}/{name}")
        found[f"{link}/progress.json"] = without_times(read(f"{run}/{link}/progress.json"))
    return found


def hidden(folder):
    return [name for name in os.listdir(folder) if name.startswith((".tmp-", ".old-"))]


class Runs:
    """The runs of one case, each killed until it ends."""

    def __init__(self, program, scratch, flags, draw):
        self.program, self.scratch, self.draw = program, scratch, draw
        self.text = os.path.join(scratch, "text")
        self.flags = ["--data", self.text, *COMMON, *flags]
        self.number, self.phases, self.notes = 0, collections.Counter(), collections.Counter()
        self.damage = None  # the damaged checkpoint, until a run has reported it
        self.run, self.cache = f"{scratch}/run", f"{scratch}/cache"
        self.problems = []
        self.fresh()
        start = time.monotonic()
        done = subprocess.run(self.command(["--resume", "auto"]), env=self.environment(),
                              capture_output=True, text=True, timeout=60)
        self.duration = time.monotonic() - start
        done.check_returncode()
        self.expected = result_of(self.run, done.stdout)
        self.caches = sorted(os.listdir(f"{self.cache}/unroll"))

    def fresh(self):
        self.number += 1
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.rmtree(self.cache, ignore_errors=True)

    def environment(self):
        return {**os.environ, "XDG_CACHE_HOME": self.cache}

    def command(self, resume):
        flags = self.flags if resume[-1] == "auto" else []
        return [self.program, "train", *flags, "--save", self.run, "--json", *resume]

    def problem(self, text):
        self.problems.append(f"{' '.join(self.flags[len(COMMON) + 2:])}: run {self.number}: {text}")

    def start(self):
        """A part of the run, killed or to its end: its output if it got there, else None."""
        started = bool(glob.glob(f"{self.run}/step-*"))
        bare = started and self.draw.random() < BARE
        log, out = f"{self.scratch}/log", f"{self.scratch}/out"
        with open(log, "wb") as errors, open(out, "wb") as output:
            process = subprocess.Popen(self.command(["--resume"] + ([] if bare else ["auto"])),
                                       env=self.environment(), stdout=output, stderr=errors)
            try:
                process.wait(self.draw.uniform(0, 1.05 * self.duration))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        lines = read(log, "r").splitlines()
        if process.returncode == 0:
            if self.damage and not any("using step-" in line for line in lines):
                self.problem(f"no word about the damaged checkpoint: {lines[:3]}")
            self.damage = None
            return read(out, "r")
        if process.returncode != -9:
            self.problem(f"exit {process.returncode}: {lines[-1:]}")
            return read(out, "r") or "{}"
        if any("using step-" in line for line in lines):
            self.damage = None
        self.phases[self.phase(lines, read(out))] += 1
        return None

    def phase(self, lines, output):
        """What the process was at, as far as it shows."""
        text = "\n".join(lines)
        if output:
            return "after the result"
        if any(name.startswith(".tmp-step") for name in hidden(self.run_folder())):
            return "writing or deleting a checkpoint"
        if hidden(self.run_folder()):
            return "replacing a link"
        if "corpus:" not in text:
            return "start-up" if not glob.glob(f"{self.cache}/unroll/*") else "reading the text"
        batches = re.findall(r"epoch +\d+ \| +(\d+)/ *(\d+) batches", text)
        if "end of epoch   3" in text or ("resuming" in text and "| " not in text and
                                          self.at_end()):
            return "testing"
        if not batches:
            return "before the first log line"
        if batches[-1][0] == batches[-1][1] and "batches" in lines[-1]:
            return "validating at an epoch's end"
        return "training or validating"

    def run_folder(self):
        return self.run if os.path.isdir(self.run) else self.scratch

    def at_end(self):
        return os.path.exists(f"{self.run}/{self.expected['latest']}")

    def look(self):
        """A reader finds a whole model, or is told that there is none."""
        command = [self.program, "eval", "--checkpoint", self.run, "--data",
                   f"{self.text}/test.txt", "--threads", "1"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        lines = done.stderr.splitlines()
        none = len(lines) == 2 and lines[0].startswith("device: ") and (
            "holds no checkpoint" in lines[1] or "no such folder" in lines[1])
        saved = bool(glob.glob(f"{self.run}/step-*"))
        if done.returncode != 0 and (saved or not none):
            self.problem(f"eval after a kill: exit {done.returncode}: {done.stderr.strip()}")
        self.notes["models" if done.returncode == 0 else "no model yet"] += 1

    def damage_newest(self):
        """Spoils `latest` where the run can go on from before it, and so make it again."""
        link = f"{self.run}/latest"
        names = sorted(os.path.basename(name) for name in glob.glob(f"{self.run}/step-*"))
        if self.damage or len(names) < 2 or not os.path.exists(link) or (
                names[-1] != os.readlink(link)):
            return
        if self.draw.random() < 0.5:
            os.remove(f"{link}/manifest.json")
        else:
            with open(f"{link}/model.safetensors", "r+b") as file:
                file.seek(self.draw.randrange(os.path.getsize(file.name)))
                byte = file.read(1)[0]
                file.seek(-1, os.SEEK_CUR)
                file.write(bytes([byte ^ (1 << self.draw.randrange(8))]))
        self.damage = os.readlink(link)
        self.notes["damaged"] += 1

    def turn_best_back(self):
        """Makes what a kill between the two links leaves, which is rare."""
        names = sorted(os.path.basename(name) for name in glob.glob(f"{self.run}/step-*"))
        if self.damage or len(names) < 2 or not os.path.exists(f"{self.run}/best"):
            return
        best = json.loads(read(f"{self.run}/latest/progress.json"))["best_step"]
        if os.readlink(f"{self.run}/latest") != f"step-{best:08}":
            return
        os.remove(f"{self.run}/best")
        os.symlink([name for name in names if name != f"step-{best:08}"][-1], f"{self.run}/best")
        self.notes["best turned back"] += 1

    def until_done(self):
        """One run; returns how many kills it took."""
        self.fresh()
        self.damage, kills = None, 0
        while (output := self.start()) is None:
            kills += 1
            self.look()
            if self.draw.random() < DAMAGED:
                self.damage_newest()
            if self.draw.random() < TURNED_BACK:
                self.turn_best_back()
        self.compare(output)
        return kills

    def compare(self, output):
        try:
            found = result_of(self.run, output)
        except (OSError, ValueError, KeyError) as error:
            return self.problem(f"the end: {error!r}")
        for name, value in self.expected.items():
            if found[name] == value:
                continue
            if isinstance(value, bytes):
                bits = sum((a ^ b).bit_count() for a, b in zip(value, found[name]))
                self.notes["differing bits"] += bits
                self.problem(f"{name}: {bits} bits differ, {len(found[name])} bytes of "
                             f"{len(value)}")
            else:
                self.problem(f"{name}: got {str(found[name])[:300]}, expected {str(value)[:300]}")
        if hidden(self.run):
            self.problem(f"left behind: {hidden(self.run)}")
        if (caches := sorted(os.listdir(f"{self.cache}/unroll"))) != self.caches:
            self.problem(f"the cache folder holds {caches}, expected {self.caches}")


def main():
    program, kills = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 30
    fast = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    place = sys.argv[3] if len(sys.argv) > 3 else fast
    draw = random.Random(SEED)
    with tempfile.TemporaryDirectory(prefix="unroll-kills-", dir=place) as scratch:
        cases = []
        for number, flags in enumerate(CASES):
            folder = f"{scratch}/{number}"
            write_texts(f"{folder}/text")
            cases.append(Runs(program, folder, flags, draw))
        done = runs = 0
        while done < kills:
            done += cases[runs % len(cases)].until_done()
            runs += 1
    phases, notes = collections.Counter(), collections.Counter()
    for case in cases:
        phases += case.phases
        notes += case.notes
        for problem in case.problems:
            print(problem)
    problems = sum(len(case.problems) for case in cases)
    for phase, count in phases.most_common():
        print(f"  {count:5d} kills in: {phase}")
    print(f"{done} kills, {runs} runs, {notes['models']} models and {notes['no model yet']} times "
          f"none yet, {notes['damaged']} damaged, "
          f"best turned back {notes['best turned back']} times, "
          f"{notes['differing bits']} differing bits, {problems} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
