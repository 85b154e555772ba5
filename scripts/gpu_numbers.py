#!/usr/bin/env python3
"""The numbers of gpu_validate.sh's summary, each on one line, from what its steps wrote.

    gpu_numbers.py table FILE WRONG                 rows of `unroll bench rnn`: us per timestep
    gpu_numbers.py step FILE WRONG                  a training step of ours
    gpu_numbers.py beside FILE SHAPE PRECISION      PyTorch's, as multiples of ours
    gpu_numbers.py devices GPU.json CPU.json RUN    a model's losses, and its run's perplexities

WRONG is what is to be said, too; it may be empty. FILEs are CSVs of host/bench/report/results.h, or logs
that hold such rows. Exit status 1 if there is nothing to say, or if what must agree does not.
"""

import csv
import json
import math
import sys


def rows(file, task):
    """With a time or without. Headers may come again, and other lines between them."""
    header = None
    with open(file, encoding="utf-8", errors="replace") as lines:
        for fields in csv.reader(line for line in lines if line.startswith(("task,", task + ","))):
            if fields[0] == "task":
                header = fields
            elif header and len(fields) == len(header):
                yield dict(zip(header, fields))


def time_of(row):
    return float(row["us_per_step"]) if row["us_per_step"] else math.inf


def kind(row):
    """Of its algorithms only the fastest is named."""
    if row["program"] != "unroll":
        return row["program"]
    return "persistent" if row["algorithm"] == "persistent" else "stepwise"


def pair(times):
    return "/".join(f"{time:.3g}" if time < math.inf else "-" for time in times)


def table(file, wrong):
    best, faults, about = {}, [], ""
    for row in rows(file, "rnn"):
        if row["status"].startswith(("wrong: ", "failed: ")):
            faults.append(f"{row['algorithm']} {row['shape']} {row['precision']} {row['status']}")
        case = best.setdefault((row["shape"], row["precision"]), {})
        passes = case.setdefault(kind(row), {})
        if time_of(row) < time_of(passes.get(row["pass"], {"us_per_step": ""})):
            passes[row["pass"]] = row
    parts = []
    for (shape, precision), kinds in best.items():
        both = {k: [time_of(p.get(w, {"us_per_step": ""})) for w in ("forward", "backward")]
                for k, p in kinds.items()}
        both = {k: times for k, times in both.items() if min(times) < math.inf}
        if not both:
            continue
        names = {k: "/".join(dict.fromkeys(row["algorithm"] for row in kinds[k].values()))
                 for k in both}
        text = ", ".join(f"{names[k]} {pair(times)}" for k, times in both.items())
        ours = [min(times) for times in zip(*(both[k] for k in ("persistent", "stepwise") if k in both))]
        if ours and "cudnn" in both:
            text += f" (cuDNN's time / ours {pair(c / o for c, o in zip(both['cudnn'], ours))})"
        parts.append(f"{shape} {precision}: {text}")
    with open(file, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if "exchange of states" in line and "as published" not in line:
                about = "exchange of states" + line.split("exchange of states")[1].split(",")[0].rstrip()
    said = [*faults[:1], "us forward/backward, " + "; ".join(parts) if parts else "", about, wrong]
    if len(faults) > 1:
        said[0] = f"{len(faults)} faults, the first: {said[0]}"
    print("; ".join(filter(None, said)), end="")
    return bool(parts)


def step_us(row):
    return time_of(row) * int(row["T"])


def step(file, wrong):
    said = []
    for row in rows(file, "lm"):
        if row["us_per_step"]:
            memory = f", {row['work_mib']} MiB" if row["work_mib"] else ""
            said.append(f"{step_us(row):.4g} us a step, {row['algorithm']}{memory}")
        else:
            said.append(row["status"])
    print("; ".join(filter(None, [*said, wrong])), end="")
    return bool(said)


def beside(file, shape, precision):
    ours, theirs = math.inf, {}
    for row in rows(file, "lm"):
        if (row["shape"], row["precision"]) != (shape, precision):
            continue
        if row["program"] == "unroll":
            ours = step_us(row)
        else:
            theirs[row["algorithm"]] = row
    said = []
    for algorithm, row in theirs.items():
        if not row["us_per_step"]:
            said.append(f"{algorithm}: {row['status']}")
            continue
        ratio = f", {step_us(row) / ours:.2f} times ours" if ours < math.inf else ""
        said.append(f"{algorithm} {step_us(row):.4g} us{ratio}, {row['work_mib']} MiB")
    print("; ".join(said), end="")
    return bool(said)


def devices(gpu, cpu, metrics):
    """A loss is a mean of float32 logarithms of some thousand tokens, summed in float64: roundings of
    products of some hundred terms, 2^-24 times the root of their number each, leave 1e-5 of it far
    behind."""
    losses = [json.load(open(file, encoding="utf-8"))["loss"] for file in (gpu, cpu)]
    apart = abs(losses[0] - losses[1]) / abs(losses[1])
    events = map(json.loads, open(metrics, encoding="utf-8"))
    ppl = [math.exp(event["loss"]) for event in events if event["event"] == "valid"]
    print(f"valid ppl GPU, CPU, GPU: {' '.join(f'{p:.2f}' for p in ppl)}; "
          f"losses of one model {apart:.1e} apart", end="")
    return apart < 1e-5 and len(ppl) >= 3 and ppl[0] > ppl[1] > ppl[2]


COMMANDS = {"table": table, "step": step, "beside": beside, "devices": devices}
sys.exit(not COMMANDS[sys.argv[1]](*sys.argv[2:]))
