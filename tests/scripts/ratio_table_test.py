#!/usr/bin/env python3
"""scripts/ratio_table.py on times whose ratios are known, and on files that it must refuse."""

import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "ratio_table.py"
HEADER = (
    "task,shape,cell,T,B,I,hidden,precision,pass,program,algorithm,execution,status,us_per_step,"
    "reserve_mib,work_mib"
)


def row(program, us, algorithm="eager", shape="a", status="ok", memory=","):
    case = f"rnn,{shape},lstm,7,2,3,4/4,fp32,forward"
    return f"{case},{program},{algorithm},calls,{status},{us},{memory}"


def run(*files):
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for k, lines in enumerate(files):
            names.append(f"{folder}/{k}.csv")
            pathlib.Path(names[-1]).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return subprocess.run(
            [sys.executable, SCRIPT, *names], capture_output=True, text=True, check=False
        )


failures = 0


def expect(is_so, what, result):
    global failures
    if not is_so:
        failures += 1
        print(f"FAILED: {what}\nstatus {result.returncode}\n{result.stdout}{result.stderr}")


def cells(result, shape):
    """Of a shape's line: Unroll, PyTorch, ratio, memory."""
    for line in result.stdout.splitlines():
        fields = [field.strip() for field in line.split("|")]
        if len(fields) > 2 and fields[2] == shape:
            return fields[6:10]
    return None


# Three rounds, a header and a comment before each. Medians 2 (not the mean, 4) and 6: 3 times as
# fast. PyTorch's second algorithm is faster in one round, but not in the median.
rounds = [
    ["# machine", HEADER, row("unroll", us, "stepwise", memory="1.5,2"), HEADER,
     row("pytorch", 6, memory=",9.6"), row("pytorch", other, "graph"), row("cudnn", 0.1)]
    for us, other in ((9, 1), (1, 8), (2, 8))
]
# A second shape is 12 times as fast: sqrt(3 x 12) = 6. A third has no time of PyTorch.
rounds[2] += [
    row("unroll", 1, "stepwise", "b"), row("pytorch", 12, shape="b"),
    row("unroll", 1, "stepwise", "c"), row("pytorch", "", shape="c", status='"no, none"'),
]
result = run(*rounds)
expect(result.returncode == 0, "status 0", result)
expect(cells(result, "a") == ["2.000 [1.000, 9.000] stepwise", "6.000 [6.000, 6.000] eager", "3.00",
                              "4, 10"], "medians of rounds", result)
expect((cells(result, "b") or [""] * 4)[2] == "12.0", "a second shape", result)
expect((cells(result, "c") or [""] * 4)[1:3] == ["not run: no, none", ""], "a reason", result)
expect("geometric mean of 2: 6.00 times as fast" in result.stdout, "geometric mean", result)

# Columns may come in another order.
turned = [",".join(line.split(",")[::-1]) for line in (row("unroll", 5), row("pytorch", 10))]
header = ",".join(HEADER.split(",")[::-1])
expect("2.00 times as fast" in run([header, *turned]).stdout, "columns turned round",
       run([header, *turned]))

for us in ("nan", "inf", "0", "-1", "", "fast"):
    result = run([HEADER, row("unroll", us), row("pytorch", 1)])
    expect(result.returncode == 1 and f"0.csv:2: us_per_step: got '{us}'" in result.stderr,
           f"us_per_step '{us}' is refused", result)
for lines in ([HEADER, row("unroll", 1)[:-1]], [row("unroll", 1)]):
    result = run(lines)
    expect(result.returncode == 1 and ".csv:" in result.stderr, "a wrong line is named", result)
for lines in ([], [HEADER], [HEADER, row("unroll", 1)]):
    result = run(lines)
    expect(result.returncode == 1 and "nothing to compare" in result.stderr, "nothing", result)

if failures:
    sys.exit(1)
print("Ratios are as computed by hand, and what is no time is refused.")
