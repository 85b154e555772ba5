#!/usr/bin/env python3
"""Sets Unroll's times beside PyTorch's: a table of CSVs in the form of host/bench/report/results.h.

    scripts/ratio_table.py FILE...

Rows that agree in all but times are rounds of one measurement, whose median counts. Of several
algorithms of a program the fastest counts, and is named. Exit status 1 if nothing can be compared.
"""

import csv
import math
import statistics
import sys

CASE = ("task", "shape", "cell", "T", "B", "I", "hidden", "precision", "pass")
PROGRAMS = ("unroll", "pytorch")


def is_time(text):
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False


def read(file):
    """Rows as dictionaries. # lines and headers may come again anywhere."""
    header = None
    for number, fields in enumerate(csv.reader(file), 1):
        if not fields or fields[0].startswith("#"):
            continue
        if "us_per_step" in fields:
            header = fields
            continue
        if header is None or len(fields) != len(header):
            expected = "a header" if header is None else f"{len(header)} fields"
            raise ValueError(f"{file.name}:{number}: got {len(fields)} fields, expected {expected}")
        row = dict(zip(header, fields))
        if row["status"] == "ok" and not is_time(row["us_per_step"]):
            raise ValueError(
                f"{file.name}:{number}: us_per_step: got '{row['us_per_step']}', expected a time"
            )
        yield row


def memory(row):
    known = [float(row[c]) for c in ("reserve_mib", "work_mib") if row.get(c)]
    return sum(known) if known else None


def merge(rows):
    """{case: {program: rounds of its fastest algorithm, or a reason why there are none}}."""
    cases = {}
    for row in rows:
        if row["program"] not in PROGRAMS:
            continue
        programs = cases.setdefault(tuple(row[c] for c in CASE), {})
        algorithms = programs.setdefault(row["program"], {})
        algorithms.setdefault((row["algorithm"], row["execution"]), []).append(row)
    return {case: {p: fastest(a) for p, a in programs.items()} for case, programs in cases.items()}


def fastest(algorithms):
    timed, why = [], ""
    for (name, _), rows in algorithms.items():
        us = [float(r["us_per_step"]) for r in rows if r["status"] == "ok"]
        if us:
            mib = max((m for m in map(memory, rows) if m is not None), default=None)
            timed.append({"median": statistics.median(us), "rounds": us, "algorithm": name, "mib": mib})
        why = next((r["status"] for r in rows if r["status"] != "ok"), why)
    return min(timed, key=lambda t: t["median"]) if timed else why


def digits(number, count=4):
    return f"{number:.{max(0, count - 1 - math.floor(math.log10(number)))}f}"


def cell_of(found):
    if not isinstance(found, dict):
        return f"not run: {found}" if found else "not run"
    low, high = digits(min(found["rounds"])), digits(max(found["rounds"]))
    return f"{digits(found['median'])} [{low}, {high}] {found['algorithm']}"


def table(rows):
    """Lines of Markdown; the ratios."""
    lines = ["| task | shape | cell | precision | pass | Unroll, us per timestep | PyTorch "
             "| times as fast | MiB, Unroll and PyTorch |", "|" + "---|" * 9]
    ratios = []
    for case, programs in merge(rows).items():
        unroll, pytorch = (programs.get(program) for program in PROGRAMS)
        ratio = mib = ""
        if isinstance(unroll, dict) and isinstance(pytorch, dict):
            ratios.append(pytorch["median"] / unroll["median"])
            ratio = digits(ratios[-1], 3)
            if None not in (unroll["mib"], pytorch["mib"]):
                mib = f"{unroll['mib']:.0f}, {pytorch['mib']:.0f}"
        named = dict(zip(CASE, case))
        cells = [named[c] for c in ("task", "shape", "cell", "precision", "pass")]
        cells += [cell_of(unroll), cell_of(pytorch), ratio, mib]
        lines.append("| " + " | ".join(cells) + " |")
    return lines, ratios


def main():
    rows = []
    try:
        for name in sys.argv[1:]:
            with open(name, encoding="utf-8", newline="") as file:
                rows.extend(read(file))
    except ValueError as error:
        sys.exit(str(error))
    lines, ratios = table(rows)
    print("\n".join(lines))
    if not ratios:
        sys.exit("nothing to compare: no case has times of both")
    mean = digits(statistics.geometric_mean(ratios), 3)
    print(f"\ngeometric mean of {len(ratios)}: {mean} times as fast")


main()
