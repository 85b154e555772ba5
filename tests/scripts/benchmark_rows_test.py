#!/usr/bin/env python3
"""Rows of lm_step, or of PyTorch's programs beside it, on tiny shapes: all have one form.

    benchmark_rows_test.py LM_STEP [pytorch]

PYTHON names the interpreter that may have torch. Status 77: it has not.
"""

import csv
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LM_STEP = pathlib.Path(sys.argv[1]).resolve()
PYTHON = os.environ.get("PYTHON", sys.executable)
# Custom shapes with every cell that is named, then one of the table, as --list prints them.
CHOICE = ["--shapes", "4,3,5,6,2", "7,2,3,8,1", "--cell", "lstm", "gru", "gru_before"]
LISTED = [f"{shape.replace(',', 'x')}={cell},{shape[:5]},{hidden}"
          for shape, hidden in (("4,3,5,6,2", "6/6"), ("7,2,3,8,1", "8"))
          for cell in ("lstm", "gru", "gru_before")]


def run(command, status=0, **variables):
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHON": PYTHON} | variables
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == status, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout


def read(text):
    """The header; rows as dictionaries, each with the header's columns."""
    lines = text.splitlines()
    about = [line for line in lines if line.startswith("#")]
    assert about and lines[: len(about)] == about, text
    header, *rows = csv.reader(lines[len(about):])
    assert all(len(fields) == len(header) for fields in rows), text
    return header, [dict(zip(header, fields)) for fields in rows]


def check_times(row, samples):
    """Comparisons are false for NaN."""
    median, least, most = (float(row[c]) for c in ("us_per_step", "us_min", "us_max"))
    assert 0 < least <= median <= most < 1e9, row
    assert int(row["samples"]) == samples, row
    # The FLOP of a timestep are 1e6 tflops times microseconds; 4 digits are printed.
    flop = float(row["tflops"]) * median * 1e6
    expected = flop_of(row)
    assert abs(flop - expected) <= 1e-3 * expected, (row, flop, expected)


def flop_of(row):
    gates = {"lstm": 4, "gru": 3, "gru_before": 3, "rnn_tanh": 1, "rnn_relu": 1}[row["cell"]]
    size, weights = int(row["I"]), 0
    for units in map(int, row["hidden"].split("/")):
        weights += gates * units * (size + units)
        size = units
    products = {"forward": 1, "backward": 2, "step": 3}[row["pass"]]
    if row["task"] == "lm":
        weights += size * 50  # the vocabulary size of all runs here
    return 2 * products * weights * int(row["B"])


def case(row):
    return f"{row['shape']}={row['cell']},{row['T']},{row['B']},{row['I']},{row['hidden']}"


def check_lm_step():
    command = [LM_STEP, "--threads", "1"]
    assert run([*command, "--list", *CHOICE]).split() == LISTED
    assert run([*command, "--list", "--shapes", "wlm200"]) == "wlm200=lstm,35,20,200,200/200\n"
    _, rows = read(run([*command, "--vocabulary", "50", "--samples", "2", *CHOICE]))
    assert [case(row) for row in rows] == LISTED, rows
    for row in rows:
        assert row["status"] == "ok", row
        check_times(row, samples=2)
        assert (row["task"], row["pass"], row["program"]) == ("lm", "step", "unroll"), row
        assert (row["algorithm"], row["execution"]) == ("stepwise", "calls"), row
        ratio = float(row["us_per_step"]) / float(row["floor_us"])
        assert abs(float(row["floor_ratio"]) / ratio - 1) < 1e-4, row  # from numbers with 6 digits
    run([*command, "--shapes", "4,3,5,6"], status=1)
    run([*command, "--shapes", "no_such_shape"], status=1)
    run([*command, "--rnn-algorithm", "persistent"], status=1)  # the CPU does not have it


def check_lm_step_on_an_emulated_gpu():
    """The algorithm asked for is taken, and one that breaks the device leaves a row all the same."""
    emulated = {"LD_LIBRARY_PATH": str(LM_STEP.parents[1] / "tests" / "cuda_emulation")}
    command = [LM_STEP, "--device", "cuda", "--vocabulary", "50", "--samples", "2",
               "--shapes", "3,2,8,16,1", "--rnn-algorithm"]
    for algorithm in "stepwise", "persistent":
        _, (row,) = read(run([*command, algorithm], **emulated))
        assert (row["algorithm"], row["execution"], row["status"]) == (algorithm, "graph", "ok"), row
        check_times(row, samples=2)
    broken = emulated | {"UNROLL_EMULATED_COOPERATIVE": "trap"}
    _, (row,) = read(run([*command, "persistent"], status=1, **broken))
    assert row["status"].startswith("failed: ") and not row["us_per_step"], row
    _, (row,) = read(run([*command, "stepwise"], **broken))
    assert row["status"] == "ok", row


def check_pytorch():
    header, _ = read(run([LM_STEP, *CHOICE, "--vocabulary", "50", "--samples", "1"]))
    listed = run([LM_STEP, "--list", *CHOICE]).split()
    chain = "own=rnn_relu,4,3,5,6/6/7"  # layers of two sizes
    shapes = [flag for line in [*listed, chain] for flag in ("--shape", line)]
    more = {"rnn": [], "lm": ["--vocabulary", "50", "--dropout", "0.5"]}
    for task, passes in ("rnn", ["forward", "backward"]), ("lm", ["step"]):
        program = [PYTHON, ROOT / "benchmarks" / f"pytorch_{task}.py", "--threads", "1"]
        own_header, rows = read(run([*program, *more[task], "--samples", "3", *shapes]))
        assert own_header == header, own_header
        found = [(case(row), row["pass"]) for row in rows]
        assert found == [(line, p) for line in [*listed, chain] for p in passes], found
        for row in rows:
            assert (row["task"], row["program"], row["precision"]) == (task, "pytorch", "fp32"), row
            assert (row["algorithm"], row["execution"]) == ("eager", "calls"), row
            if row["cell"] == "gru_before":
                assert (row["status"], row["us_per_step"]) == ("PyTorch has no gru_before", ""), row
            else:
                assert row["status"] == "ok", row
                check_times(row, samples=3)
        for wrong in "a=lstm,4,3,5", "a=lstm,4,3,5,0", "lstm,4,3,5,6":
            run([*program, "--shape", wrong], status=2)
    table = run([ROOT / "scripts" / "compare_pytorch.sh", "--build", LM_STEP.parents[1],
                 "--task", "lm", "--rounds", "2", "--samples", "1", "--threads", "1",
                 *CHOICE, *more["lm"]])
    assert "geometric mean of 4:" in table, table
    assert table.count("not run: PyTorch has no gru_before") == 2, table


if sys.argv[2:] == ["pytorch"]:
    if subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode:
        print(f"SKIPPED: {PYTHON} has no torch")
        sys.exit(77)
    check_pytorch()
else:
    check_lm_step()
    check_lm_step_on_an_emulated_gpu()
print("All rows have the form of host/bench/report/results.h.")
