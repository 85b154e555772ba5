"""Trains by the program's defaults, or other settings, and prints what the validation and the test text say.

For each number of epochs and each seed, one training on one thread of the CPU. A row has the mean over the
seeds and, in brackets, the lowest and highest: validation and test perplexity (for characters the
losses in nats), and CPU seconds of the whole run, which neighbours on the machine disturb less than wall time.
All that follows -- goes to `unroll train`:

    benchmarks/defaults.py --unroll build/bin/unroll --epochs 1 3 6 12 --seeds 1 2 3 -- --data ../shared/data/ptb
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile


def train(unroll, flags):
    """The object that `unroll train --json` prints, with its CPU seconds."""
    before = os.times()
    with tempfile.TemporaryDirectory() as folder:
        command = [unroll, "train", "--device", "cpu", "--threads", "1", "--json", "--save", f"{folder}/run"]
        done = subprocess.run(command + flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command + flags)}: {done.stderr.strip().splitlines()[-1]}")
    after = os.times()
    result = json.loads(done.stdout)
    result["cpu"] = after.children_user + after.children_system - before.children_user - before.children_system
    return result


def spread(values, digits):
    low, mean, high = min(values), sum(values) / len(values), max(values)
    text = f"{mean:.{digits}f}"
    return text if len(values) == 1 else f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--unroll", default="build/bin/unroll")
    parser.add_argument("--epochs", type=int, nargs="+", default=[6])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--nats", action="store_true", help="losses in place of perplexities")
    parser.add_argument("flags", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    flags = [flag for flag in arguments.flags if flag != "--"]
    kind, digits = ("loss", 4) if arguments.nats else ("ppl", 2)
    print(f"| epochs | valid {kind} | test {kind} | CPU seconds |\n|---|---|---|---|")
    for epochs in arguments.epochs:
        runs = [
            train(arguments.unroll, flags + ["--epochs", str(epochs), "--seed", str(seed)])
            for seed in arguments.seeds
        ]
        columns = [
            spread([run[f"{split}_{kind}"] for run in runs], digits) if f"{split}_{kind}" in runs[0] else "-"
            for split in ("valid", "test")
        ]
        cpu = spread([run["cpu"] for run in runs], 0)
        print(f"| {epochs} | {' | '.join(columns)} | {cpu} |", flush=True)


if __name__ == "__main__":
    main()
