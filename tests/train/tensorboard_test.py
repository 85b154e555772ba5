#!/usr/bin/env python3
"""TensorBoard reads the event files of a run, and finds in them what metrics.jsonl has.

Exit status 77, skipped, where TensorBoard is missing and cannot be installed from PyPI.

  tensorboard_test.py PROGRAM FOLDER    FOLDER: a virtual environment for it
"""
import datetime
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from pypi import install  # noqa: E402

VERSION = "2.20.0"
READ = """
import json, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0})
events.Reload()
print(json.dumps({tag: [[e.step, e.wall_time, e.value] for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}))
"""


def as_float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def main():
    program, folder = sys.argv[1:3]
    python = f"{folder}/bin/python"
    if not install(folder, "tensorboard", VERSION):
        print("SKIPPED: TensorBoard is missing")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as scratch:
        run, text = f"{scratch}/run", f"{scratch}/text.txt"
        with open(text, "w", encoding="utf-8") as file:
            for line in range(400):
                file.write(f"w{line % 7} w{line % 11} w{line % 13}\n")
        train = [program, "train", "--save", run, "--cache-dir", f"{scratch}/cache", "--threads", "1"]
        subprocess.run([*train, "--data", text, "--nhid", "8", "--emsize", "8", "--batch-size", "4", "--bptt", "5",
                        "--epochs", "2", "--log-interval", "3", "--tensorboard"], check=True, capture_output=True)
        subprocess.run([*train, "--resume", "--epochs", "3"], check=True, capture_output=True)

        read = subprocess.run([python, "-c", READ, run], check=True, capture_output=True, text=True).stdout
        found, expected = json.loads(read), {}
        with open(f"{run}/metrics.jsonl", encoding="utf-8") as file:
            for line in map(json.loads, file):
                if line["event"] not in ("train", "valid", "test"):
                    continue
                time = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()
                for name, value in line.items():
                    if name not in ("event", "step", "epoch", "seconds", "time", "best") and value is not None:
                        expected.setdefault(f"{line['event']}/{name}", []).append(
                            [line["step"], time, as_float32(value)])
        assert {"train/loss", "train/ppl", "train/lr", "valid/loss", "test/ppl"} <= set(expected), expected.keys()
        assert found == expected, (found, expected)
        print(f"TensorBoard {VERSION} reads {sum(map(len, found.values()))} numbers of {len(found)} curves")


main()
