#!/usr/bin/env python3
"""Trains models of several kinds for a thousand updates each, on 1, 2, 4 and 8 ranks: all ends with one
hash of model.safetensors. Prints the hashes.

  ranks_hashes_test.py PROGRAM [UPDATES]
"""
import hashlib
import os
import random
import subprocess
import sys
import tempfile

RANKS = (1, 2, 4, 8)
BATCH, BPTT = 9, 5  # shards of one and of two streams
MODELS = {
    "LSTM, SGD": ["--model", "lstm", "--optimizer", "sgd"],
    "LSTM, Adam, tied, dropout": ["--model", "lstm", "--optimizer", "adam", "--tied", "--dropout", "0.3"],
    "GRU, Adam": ["--model", "gru", "--optimizer", "adam"],
    "GRU, SGD, tied, dropout": ["--model", "gru", "--optimizer", "sgd", "--tied", "--dropout", "0.3"],
}
LEARNING_RATES = {"sgd": "5", "adam": "0.003"}


def write_text(folder, updates):
    pick = random.Random(1)
    for name, words in (("train", BATCH * (BPTT * updates + 1)), ("valid", 900), ("test", 900)):
        with open(f"{folder}/{name}.txt", "w", encoding="utf-8") as file:
            for _ in range(words // 20 + 1):
                file.write(" ".join(f"w{int(pick.paretovariate(1)) % 97}" for _ in range(19)) + "\n")


def train(program, folder, run, ranks, flags):
    done = subprocess.run(
        [program, "train", "--data", folder, "--save", run, "--device", "cpu", "--threads", "1",
         "--emsize", "24", "--nhid", "24", "--nlayers", "2", "--batch-size", str(BATCH), "--bptt",
         str(BPTT), "--epochs", "1", "--shards", "8", "--ranks", str(ranks), *flags],
        capture_output=True, text=True, timeout=600,
        env={**os.environ, "XDG_CACHE_HOME": f"{folder}/cache"})
    if done.returncode != 0:
        return f"status {done.returncode}: {done.stderr[-300:]}"
    with open(f"{run}/latest/model.safetensors", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def main():
    program, updates = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        write_text(folder, updates)
        for precision in ("fp32", "bf16"):
            for name, flags in MODELS.items():
                rate = LEARNING_RATES[flags[flags.index("--optimizer") + 1]]
                hashes = [train(program, folder, f"{folder}/{precision}{name[:4]}{len(flags)}{ranks}", ranks,
                                [*flags, "--lr", rate, "--precision", precision])
                          for ranks in RANKS]
                same = len(set(hashes)) == 1 and len(hashes[0]) == 64
                failed = failed or not same
                print(f"{precision} {name}: {hashes[0] if same else hashes}", flush=True)
    sys.exit(1 if failed else 0)


main()
