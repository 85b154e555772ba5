#!/usr/bin/env python3
"""Trains one model on several ranks, as torchrun would start them and with --ranks, and disturbs
them: kills one, stops one, sends SIGTERM, lets files not grow, gives one other flags, another text
or another program, and starts a second run on the folder.

Any number of ranks ends with the same model.safetensors. However a run ends, no rank is left after
it, one rank says why on one line, and gone on with on another number of ranks it ends with the bits
of a run that was not disturbed.

  ranks_test.py PROGRAM [KILLS]    KILLS: ranks that are killed at random times.
"""
import os
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ranks_support import FLAGS, SILENCE, model_of, write_corpus  # noqa: E402

def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Ranks:
    """Processes as a launcher starts them."""

    def __init__(self, test, count, run, resume=False, flags=(), own=None, programs=None,
                 before=None):
        port = free_port()
        self.processes = []
        for rank in range(count):
            environment = {**os.environ, "XDG_CACHE_HOME": test.cache, "RANK": str(rank),
                           "WORLD_SIZE": str(count), "LOCAL_RANK": str(rank),
                           "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            begin = ["--resume"] if resume else ["--data", test.text, *FLAGS]
            command = [(programs or {}).get(rank, test.program), "train", *begin, "--save", run,
                       *flags, *(own or {}).get(rank, [])]
            self.processes.append(subprocess.Popen(
                command, env=environment, text=True, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, preexec_fn=before if rank == 0 else None))

    def signal(self, rank, number):
        self.processes[rank].send_signal(number)

    def wait(self, seconds, but=()):
        """Statuses and last lines on stderr by rank; a rank that does not end is killed."""
        deadline, results = time.monotonic() + seconds, []
        for rank, process in enumerate(self.processes):
            if rank in but:
                results.append((None, []))
                continue
            try:
                _, err = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
                results.append((process.returncode, [line for line in err.splitlines()
                                                     if line.startswith("unroll: ")]))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                results.append(("still there", []))
        for rank in but:
            self.processes[rank].kill()
            self.processes[rank].communicate()
        return results


class Test:
    def __init__(self, program, scratch):
        self.program, self.scratch = program, scratch
        self.text, self.other = f"{scratch}/text", f"{scratch}/other"
        self.cache, self.problems, self.runs = f"{scratch}/cache", [], 0
        for folder, seed in ((self.text, 1), (self.other, 2)):
            write_corpus(folder, seed)
        run = self.fresh()
        self.expect(Ranks(self, 1, run).wait(120), [(0, [])], "one rank")
        self.model = model_of(run)

    def fresh(self):
        self.runs += 1
        return f"{self.scratch}/run{self.runs}"

    def check(self, holds, what):
        if not holds:
            self.problems.append(what)
            print("FAILED:", what, flush=True)

    def expect(self, got, expected, what):
        self.check(got == expected, f"{what}: got {got}, expected {expected}")

    def one_line(self, results, part, what):
        lines = [line for _, lines in results for line in lines]
        self.check(len(lines) == 1 and part in lines[0],
                   f"{what}: got {lines}, expected one line with '{part}'")
        self.check(all(status not in (0, "still there") for status, _ in results),
                   f"{what}: got statuses {[status for status, _ in results]}")

    def goes_on(self, run, count, what):
        results = Ranks(self, count, run, resume=True).wait(120)
        self.expect([status for status, _ in results], [0] * count, f"{what}, resumed")
        self.expect(model_of(run), self.model, f"{what}, model of {count} ranks")

    def started(self, run):
        deadline = time.monotonic() + 60
        while not os.path.exists(f"{run}/latest") and time.monotonic() < deadline:
            time.sleep(0.01)

    def same_bits(self):
        for count in (2, 4, 8):
            run = self.fresh()
            results = Ranks(self, count, run).wait(120)
            self.expect(results, [(0, [])] * count, f"{count} ranks")
            self.expect(model_of(run), self.model, f"model of {count} ranks")
        run = self.fresh()
        done = subprocess.run([self.program, "train", "--data", self.text, *FLAGS, "--save", run,
                               "--ranks", "3"], timeout=120, capture_output=True, text=True)
        self.expect(done.returncode, 0, "--ranks 3: " + done.stderr[-300:])
        self.expect(model_of(run), self.model, "model of --ranks 3")

    def killed(self, count, victim, resumed):
        run = self.fresh()
        ranks = Ranks(self, count, run)
        self.started(run)
        time.sleep(random.uniform(0, 0.6))
        ranks.signal(victim, signal.SIGKILL)
        start = time.monotonic()
        results = ranks.wait(30)
        if 0 in (results[victim][0], results[(victim + 1) % count][0]):
            return  # it was over
        results[victim] = (-9, [])
        self.one_line(results, f"rank {victim} has gone", f"rank {victim} of {count} killed")
        self.check(time.monotonic() - start < 8, "ranks end within seconds")
        self.goes_on(run, resumed, f"rank {victim} of {count} killed")

    def parent_killed(self):
        """Ranks that --ranks has started end with the one that started them."""
        run = self.fresh()
        parent = subprocess.Popen([self.program, "train", "--data", self.text, *FLAGS, "--save",
                                   run, "--ranks", "3", "--epochs", "500"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.started(run)
        path = f"/proc/{parent.pid}/task/{parent.pid}/children"
        with open(path, encoding="ascii") as file:
            children = file.read().split()
        self.expect(len(children), 2, "started ranks")
        parent.kill()
        parent.wait()
        time.sleep(1)
        left = [child for child in children if os.path.exists(f"/proc/{child}/exe")
                and open(f"/proc/{child}/stat", encoding="ascii").read().split()[2] != "Z"]
        self.expect(left, [], "ranks left after the one that started them was killed")

    def stopped(self):
        run = self.fresh()
        ranks = Ranks(self, 3, run, flags=["--epochs", "500"])
        self.started(run)
        ranks.signal(1, signal.SIGSTOP)
        start = time.monotonic()
        results = ranks.wait(40, but=[1])
        seconds = time.monotonic() - start
        results[1] = (-9, [])
        self.one_line(results, "rank 1 gave no sign of life for 10 seconds", "rank 1 stopped")
        self.check(SILENCE - 1 < seconds < SILENCE + 5, f"a stopped rank: {seconds:.1f} s")
        print(f"a stopped rank ended the run after {seconds:.1f} s")

    def terminated(self, whom):
        run = self.fresh()
        ranks = Ranks(self, 3, run)
        self.started(run)
        for rank in whom:
            ranks.signal(rank, signal.SIGTERM)
        results = ranks.wait(30)
        self.expect([status for status, _ in results], [143] * 3, f"SIGTERM to {whom}")
        last = [lines[-1:] for _, lines in results]
        self.check("is saved" in str(last[0]) and not results[1][1] and not results[2][1],
                   f"SIGTERM to {whom}: got {results}")
        self.goes_on(run, 2, f"SIGTERM to {whom}")

    def refused(self):
        copy = f"{self.scratch}/unroll"
        shutil.copy(self.program, copy)
        with open(copy, "ab") as file:
            file.write(b"another build")
        library = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(self.program))), "lib")
        os.symlink(library, f"{self.scratch}/lib", target_is_directory=True)
        for what, part, options in (
                ("flags", "rank 2: --nhid: got [9,9], expected [8] as on rank 0",
                 {"own": {2: ["--nhid", "9,9"]}}),
                ("texts", "rank 1: text: got", {"own": {1: ["--data", self.other]}}),
                ("programs", "rank 2: --program: got", {"programs": {2: copy}}),
                ("wrong flags", "rank 1: --emsize: got -1", {"own": {1: ["--emsize", "-1"]}})):
            run = self.fresh()
            self.one_line(Ranks(self, 3, run, **options).wait(30), part, f"other {what}")
            self.check(not os.path.exists(f"{run}/latest"), f"other {what}: no checkpoint")

    def second_run(self):
        run = self.fresh()
        first = Ranks(self, 2, run)
        self.started(run)
        self.one_line(Ranks(self, 2, run, resume=True).wait(30), "another run is writing to it",
                      "a second run")
        self.expect([status for status, _ in first.wait(120)], [0, 0], "the first run")
        self.expect(model_of(run), self.model, "model of the first run")

    def full_disk(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))
        run = self.fresh()
        self.one_line(Ranks(self, 3, run, before=limit).wait(60), "File too large",
                      "files that may not grow")


def main():
    program, kills = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    random.seed(3)
    with tempfile.TemporaryDirectory() as scratch:
        test = Test(program, scratch)
        test.same_bits()
        test.killed(4, 2, 1)
        test.killed(3, 0, 4)
        test.parent_killed()
        test.stopped()
        test.terminated([2])
        test.terminated([0, 1, 2])
        test.refused()
        test.second_run()
        test.full_disk()
        for _ in range(kills):
            count = random.choice((2, 4, 8))
            test.killed(count, random.randrange(count), random.choice((1, 2, 4, 8)))
        print(f"{test.runs} runs, {len(test.problems)} problems")
        sys.exit(1 if test.problems else 0)


main()
