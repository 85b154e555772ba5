#!/usr/bin/env python3
"""Whole training steps of language models on the CPU, beside PyTorch, as a table.

Both programs take turns, --rounds times, so that a processor that slows down slows both. A column
`share` says which part of the best large float32 product the step reaches, products only counted;
that product is timed by lm_step just before its step, with the same number of threads.

    benchmarks/cpu_steps.py --program build/bin/lm_step [--pytorch PYTHON] [--threads 1 2]
"""
import argparse
import csv
import os
import re
import statistics
import subprocess
from pathlib import Path

SHAPES = {  # vocabulary, then T, B, I, H of two layers
    "a": (65, 50, 50, 128, 128),
    "b": (65, 50, 64, 512, 512),
    "c": (10000, 35, 20, 200, 200),
    "d": (10000, 35, 20, 650, 650),
    "e": (33278, 35, 20, 200, 200),
}
PEER = Path(__file__).parent / "pytorch_lm.py"


def last_row(command, environment=None):
    """What a program prints: the rate of the large product, if any, and its last row."""
    lines = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout.splitlines()
    product = next((float(m[1]) for line in lines if (m := re.search(r"large product ([\d.]+)", line))), 0)
    rows = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    return product, rows[-1]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", required=True, help="lm_step")
    parser.add_argument("--pytorch", help="a Python that has PyTorch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--cells", nargs="+", default=["lstm", "gru", "rnn_tanh"])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES))
    parser.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=7)
    arguments = parser.parse_args()
    print(f"# load {os.getloadavg()[0]:.1f} at the start")
    print("| threads | cell | shape | precision | ours, ms | share | PyTorch, ms | ours is faster by |")
    print("|---|---|---|---|---|---|---|---|")
    for threads in arguments.threads:
        for cell in arguments.cells:
            for name in arguments.shapes:
                for precision in arguments.precisions:
                    print_row(arguments, threads, cell, name, precision)
    print(f"# load {os.getloadavg()[0]:.1f} at the end")


def print_row(arguments, threads, cell, name, precision):
    vocabulary, steps, batch, width, units = SHAPES[name]
    common = ["--device", "cpu", "--threads", str(threads), "--precision", precision, "--samples",
              str(arguments.samples), "--vocabulary", str(vocabulary), "--dropout", "0"]
    ours, shares, theirs = [], [], []
    for _ in range(arguments.rounds):
        product, row = last_row([arguments.program, *common, "--cell", cell, "--shapes",
                                 f"{steps},{batch},{width},{units},2"])
        ours.append(float(row["us_per_step"]) * steps / 1e3)
        shares.append(float(row["tflops"]) * 1e3 / product if product else 0)
        if arguments.pytorch and precision == "fp32":  # that program has bf16 on a GPU only
            _, row = last_row([arguments.pytorch, str(PEER), *common, "--shape",
                               f"{name}={cell},{steps},{batch},{width},{units}/{units}"])
            if row["us_per_step"]:
                theirs.append(float(row["us_per_step"]) * steps / 1e3)
    mine, share = statistics.median(ours), statistics.median(shares)
    peer = f"{statistics.median(theirs):.1f} | {statistics.median(theirs) / mine:.2f}" if theirs else "- | -"
    print(f"| {threads} | {cell} | {name} | {precision} | {mine:.1f} ({min(ours):.1f} to {max(ours):.1f}) | {share:.2f} | {peer} |", flush=True)


if __name__ == "__main__":
    main()
