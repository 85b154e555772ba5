#!/usr/bin/env python3
"""A training step on the CPU among others: beside busy processes, and with numbers of threads that do
not fit the processors. Takes turns, round after round, and prints medians and the ratio to the
undisturbed step.

    benchmarks/neighbours.py --program build/bin/lm_step
"""
import argparse
import os
import statistics
import subprocess
import sys
from types import MappingProxyType

from cpu_steps import last_row

BUSY = [sys.executable, "-c", "while True: pass"]


def step(program, arguments, threads, before=(), environment=MappingProxyType({})):
    """Milliseconds of a step: the median of its samples."""
    shape = arguments.shape.split(",")
    command = [*before, program, "--device", "cpu", "--threads", str(threads), "--shapes", arguments.shape,
               "--vocabulary", str(arguments.vocabulary), "--dropout", "0", "--samples", str(arguments.samples)]
    _, row = last_row(command, {**os.environ, **environment})
    return float(row["us_per_step"]) * int(shape[0]) / 1e3


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", required=True, help="lm_step")
    parser.add_argument("--shape", default="35,20,200,200,2", help="T,B,I,H,L")
    parser.add_argument("--vocabulary", type=int, default=10000)
    parser.add_argument("--samples", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    processors = os.cpu_count()

    def beside_busy():
        others = [subprocess.Popen(BUSY) for _ in range(processors)]
        try:
            return step(arguments.program, arguments, processors)
        finally:
            for other in others:
                other.kill()
                other.wait()

    cases = {
        "alone, a thread for each processor": lambda: step(arguments.program, arguments, processors),
        "beside a busy process for each processor": beside_busy,
        "one thread": lambda: step(arguments.program, arguments, 1),
        "twice as many threads as processors": lambda: step(arguments.program, arguments, 2 * processors),
        "all threads on one processor (taskset)": lambda: step(arguments.program, arguments, processors,
                                                               before=("taskset", "-c", "0")),
        "one thread on one processor (taskset)": lambda: step(arguments.program, arguments, 1,
                                                              before=("taskset", "-c", "0")),
        "OPENBLAS_CORETYPE=Prescott": lambda: step(arguments.program, arguments, processors,
                                                   environment={"OPENBLAS_CORETYPE": "Prescott"}),
    }
    times = {name: [] for name in cases}
    for _ in range(arguments.rounds):
        for name, run in cases.items():
            times[name].append(run())
    print(f"# {processors} processors, load {os.getloadavg()[0]:.1f} at the end; T,B,I,H,L {arguments.shape}, "
          f"V {arguments.vocabulary}")
    print("| case | ms, median (lowest to highest) | ratio |")
    print("|---|---|---|")
    undisturbed = statistics.median(next(iter(times.values())))
    for name, own in times.items():
        median = statistics.median(own)
        print(f"| {name} | {median:.1f} ({min(own):.1f} to {max(own):.1f}) | {median / undisturbed:.2f} |")


if __name__ == "__main__":
    main()
