#!/usr/bin/env python3
"""Draws the pictures of README.md from real output: a terminal, and the curves of a report.

    scripts/make_pictures.py --program build/bin/unroll --grammar RUN --plays RUN

RUN are runs on the built-in grammar and on tinyshakespeare. Writes docs/pictures/*.svg, which need
neither scripts nor fonts of their own.
"""
import argparse
import html
import re
import subprocess
import tempfile
from pathlib import Path

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
CHARACTER, LINE, MARGIN = 8.4, 19, 18  # pixels
PROMPT = "he ate the cake with the"
# Dark in either scheme, as most terminals are.
BACK, TEXT, BRIGHT, SOFT = "#1b1f24", "#c9d1d9", "#ffffff", "#7ee787"


def output_of(program, *words):
    return subprocess.run([program, *words], capture_output=True, text=True, check=True).stdout


def terminal(lines):
    """Lines of text as a terminal shows them; those with `$ ` are commands."""
    width = 2 * MARGIN + CHARACTER * max(map(len, lines))
    height = 2 * MARGIN + LINE * len(lines)
    rows = []
    for k, line in enumerate(lines):
        color = BRIGHT if line.startswith("$ ") else SOFT if "█" in line else TEXT
        rows.append(f'<text x="{MARGIN}" y="{MARGIN + LINE * (k + 0.75):.1f}" fill="{color}" '
                    f'textLength="{CHARACTER * len(line):.1f}" xml:space="preserve">{html.escape(line)}</text>')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" '
            f'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14">\n'
            f'<rect width="100%" height="100%" rx="8" fill="{BACK}"/>\n' + "\n".join(rows) + "\n</svg>\n")


def bars(program, run):
    """What `predict` says, with a bar for each probability."""
    command = ["predict", "--checkpoint", run, "--text", PROMPT, "--top", "8"]
    shown = [f'$ unroll predict --checkpoint runs/grammar-1 --text "{PROMPT}" --top 8']
    for line in output_of(program, *command).splitlines():
        probability = float(line.split()[0])
        shown.append(f"{line:<36}{'█' * max(1, round(40 * probability))}")
    return shown


def curves(program, run):
    """The first chart of a report, with the page's colours for light and dark."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        output_of(program, "report", run, "--output", str(page))
        text = page.read_text(encoding="utf-8")
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    chart = re.search(r"<svg.*?</svg>", text, re.S)[0]
    chart = chart.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)
    back = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return chart.replace(">", f"><style>{style}</style>{back}", 1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--grammar", required=True, help="a run on the built-in grammar")
    parser.add_argument("--plays", required=True, help="a run on tinyshakespeare")
    arguments = parser.parse_args()
    PICTURES.mkdir(exist_ok=True)
    (PICTURES / "terminal.svg").write_text(terminal(bars(arguments.program, arguments.grammar)), encoding="utf-8")
    (PICTURES / "report.svg").write_text(curves(arguments.program, arguments.plays), encoding="utf-8")


if __name__ == "__main__":
    main()
