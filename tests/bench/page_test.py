"""The page of a benchmark as others see it.

    page_test.py parsed PROBE      well-formed for an XML and for an HTML parser
    page_test.py rendered PROBE    drawn by Chromium: not blank, nothing wider than the window or the
                                   paper; exit status 77, skipped, where there is no Chromium

PROBE makes the page of a CSV. The CSVs are of all sizes that a user may have, with names that are
long or hostile, and with numbers missing.
"""

import csv
import html.parser
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
import zlib

PASSES = ("forward", "backward")
COLUMNS = (
    "task shape cell T B I hidden precision pass program algorithm execution status us_per_step us_min "
    "us_max samples noise floor_us tflops peak_share prepare_us reserve_mib work_mib"
).split()


def rows_of_device(shapes=40):
    """40 shapes, 3 precisions, 2 passes, 6 algorithms; times differ by 3 orders of magnitude."""
    algorithms = [
        ("unroll", "stepwise", "graph", 1.9),
        ("unroll", "stepwise:8", "graph", 1.5),
        ("cudnn", "cudnn:standard", "graph", 2.0),
        ("cudnn", "cudnn:persist_static", "graph", 1.4),
        ("cudnn", "cudnn:standard", "stream", 3.1),
        ("pytorch", "eager", "stream", 9.7),
    ]
    for k in range(shapes):
        name = f"a-shape-with-a-name-that-somebody-has-made-far-too-long-{k}" if k % 9 == 4 else f"s{k}"
        hidden = "/".join([str(64 * (k + 1))] * (1 + k % 7))
        cell = ("lstm", "gru_before", "rnn_tanh")[k % 3]
        for precision in ("fp32", "tf32", "bf16"):
            for pass_ in PASSES:
                floor = 3 * 1.2**k
                case = ["rnn", name, cell, 1024, 128, 4096, hidden, precision, pass_]
                for at, (program, algorithm, execution, factor) in enumerate(algorithms):
                    if (k + at) % 11 == 3:
                        why = "CUDNN_STATUS_NOT_SUPPORTED: " + "a_reason_without_a_space" * 12
                        yield case + [program, algorithm, execution, why]
                        continue
                    us = floor * factor * (1 + (k * 7 + at * 3) % 5 / 7)
                    yield case + [program, algorithm, execution, "ok", us, us * 0.98, us * 1.3, 20] + [
                        0.01, floor, 31.25, 0.4, "", 123.4, 56.7]


def rows_of_cpu():
    for k in range(4):
        case = ["rnn", f"wlm{k}", "lstm", 35, 20, 200, "200/200", "fp32"]
        for pass_ in PASSES:
            for program, us in (("unroll", 100), ("onednn", 150), ("pytorch", 80 + 40 * k)):
                yield case + [pass_, program, program, "calls", "ok", us, us, us, 20, 0.02, 70]


def rows_hostile():
    evil = "<b>\"'&]]>--><script>x</script>\x01\u202e" + "W" * 200
    case = ["rnn", evil, evil, 1, 1, 1, evil, evil, evil]
    yield case + ["unroll", evil, evil, "ok", 1e-3]
    yield case + [evil, evil, evil, "ok", 1e9]
    yield case + ["cudnn", evil, evil, evil]
    yield ["lm", "no floor", "gru", 1, 1, 1, 1, "fp32", "step", "unroll", "", "", "ok", 5]
    yield ["lm", "nothing", "gru", 1, 1, 1, 1, "fp32", "step", "unroll", "", "", "refused"]


PAGES = {"device": rows_of_device, "cpu": rows_of_cpu, "hostile": rows_hostile, "empty": lambda: []}


# A browser takes seconds for each.
RENDERED = {"device": lambda: rows_of_device(14), "hostile": rows_hostile}


def make_pages(probe, folder, pages):
    for name, rows in pages.items():
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as file:
            file.write(f"# {name}, <a device> & its driver\n")
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            for row in rows():
                writer.writerow(row + [""] * (len(COLUMNS) - len(row)))
        page = subprocess.run([probe, folder / f"{name}.csv"], check=True, capture_output=True).stdout
        (folder / f"{name}.html").write_bytes(page)
        yield name, folder / f"{name}.html"


class Tags(html.parser.HTMLParser):
    """Counts tags, and whether they are closed in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.wrong = [], {}, []

    def handle_starttag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen[tag] = self.seen.get(tag, 0) + 1

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


def check_parsed(name, path):
    text = path.read_text(encoding="utf-8")
    root = xml.etree.ElementTree.fromstring(text.removeprefix("<!DOCTYPE html>\n"))
    tags = Tags()
    tags.feed(text)
    assert not tags.wrong and not tags.open, (name, tags.wrong, tags.open)
    assert "script" not in tags.seen, f"{name}: a script"
    assert len(list(root.iter())) == sum(tags.seen.values()), f"{name}: the parsers disagree"
    rows = len(list(PAGES[name]()))
    in_table = [row for row in root.find(".//details").iter("tr") if row.get("class") != "case"]
    assert len(in_table) == rows + 1, f"{name}: {len(in_table)} rows with the head, of {rows}"
    bars = [bar for bar in root.iter("g") if (bar.get("class") or "").startswith("bar ")]
    for bar in bars:
        assert bar.find("title").text and bar.find("rect") is not None, f"{name}: a bar without title"
    for svg in root.iter("svg"):
        check_labels(name, svg)
    print(f"{name}: {len(text)} bytes, {rows} rows, {len(bars)} bars")
    return len(bars)


def check_labels(name, svg):
    """Nothing is outside of its drawing, and no line of text lies on another."""
    width, height = map(float, svg.get("viewBox").split()[2:])
    for rect in svg.iter("rect"):
        x, y, w, h = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width and 0 <= y <= y + h <= height, f"{name}: a bar outside"
    lines = sorted({float(t.get("y")) for t in svg.iter("text") if t.get("class") != "tick"})
    for above, below in zip(lines, lines[1:]):
        assert below - above >= 11, f"{name}: lines of 11 px at {above} and {below}"


def pixels(path):
    """Rows of bytes of an 8-bit PNG that is not interlaced."""
    data = path.read_bytes()
    width, height, depth, color, _, _, interlaced = struct.unpack(">IIBBBBB", data[16:29])
    assert depth == 8 and interlaced == 0
    size = {2: 3, 6: 4}[color]
    at, packed = 8, b""
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += length + 12
    raw, stride = zlib.decompress(packed), width * size
    previous, rows = bytearray(stride), []
    for k in range(height):
        kind = raw[k * (stride + 1)]
        row = bytearray(raw[k * (stride + 1) + 1 : (k + 1) * (stride + 1)])
        for i in range(stride if kind else 0):
            left = row[i - size] if i >= size else 0
            up = previous[i]
            corner = previous[i - size] if i >= size else 0
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = up
            elif kind == 3:
                guess = (left + up) // 2
            else:
                p = left + up - corner
                guess = min((left, up, corner), key=lambda v: (abs(p - v)))
            row[i] = (row[i] + guess) & 255
        rows.append(bytes(row))
        previous = row
    return width, size, rows


# Appended to the page: reports the elements that make a user scroll sideways.
MEASURE = """<script>
const found = [];
const width = document.documentElement.clientWidth;
for (const details of document.querySelectorAll("details")) details.open = true;
for (const element of document.querySelectorAll("body *")) {
  if (element.closest(".scroll") && !element.matches(".scroll")) continue;
  const box = element.getBoundingClientRect();
  if (box.width > 0 && (box.right > width + 1 || box.left < -1))
    found.push(element.tagName + "." + (element.className.baseVal ?? element.className));
}
document.title = "sideways " + document.documentElement.scrollWidth + " of " + width + ": " +
  found.slice(0, 5).join(" ");
</script>"""


def chromium(browser, folder, *arguments):
    # With its own home folder: a test must not touch the user's profile.
    environment = dict(os.environ, HOME=str(folder), XDG_CONFIG_HOME=str(folder))
    return subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", *arguments],
        env=environment, check=True, capture_output=True, timeout=120).stdout.decode()


def check_widths(browser, folder, name, path):
    measured = folder / f"{name}-measured.html"
    page = path.read_text(encoding="utf-8").replace("</body>", MEASURE + "</body>")
    measured.write_text(page, encoding="utf-8")
    # Headless Chromium has no window narrower than 500.
    for width in (500, 1200):
        dom = chromium(browser, folder, f"--window-size={width},900", "--dump-dom", f"file://{measured}")
        title = re.search(r"<title>(sideways (\d+) of (\d+): ?(.*?))</title>", dom)
        assert title, f"{name} at {width}: the script did not run"
        wide, window, elements = int(title[2]), int(title[3]), title[4]
        assert window == width and wide <= window and not elements, f"{name} at {width}: {title[1]}"


def check_picture(browser, folder, path):
    picture = folder / "page.png"
    chromium(browser, folder, "--window-size=600,500", f"--screenshot={picture}", f"file://{path}")
    _, size, rows = pixels(picture)
    inked = sum(1 for row in rows for k in range(0, len(row), size) if row[k] < 128)
    share = inked / (len(rows) * len(rows[0]) / size)
    # Text covers a few hundredths; a blank page has nothing, a black one is all ink.
    assert 0.002 < share < 0.5, f"{share:.4f} of the picture is dark"


def check_paper(browser, folder, name, path):
    paper = folder / f"{name}.pdf"
    chromium(browser, folder, "--no-pdf-header-footer", f"--print-to-pdf={paper}", f"file://{path}")
    boxes = set(re.findall(rb"/MediaBox \[([^\]]*)\]", paper.read_bytes()))
    sizes = {tuple(round(float(v)) for v in box.split()) for box in boxes}
    assert sizes and all(size in ((0, 0, 595, 842), (0, 0, 596, 842)) for size in sizes), sizes
    pages = len(re.findall(rb"/Type /Page\b", paper.read_bytes()))
    rows = len(list(RENDERED[name]()))
    # The whole table is printed, though it is folded on a screen: a sheet holds less than 70 lines.
    assert pages >= max(1, rows / 70), f"{name}: {pages} pages for {rows} rows"
    print(f"{name}: {pages} pages of A4")


def main():
    part, probe = sys.argv[1:]
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if part == "rendered" and not browser:
        print("SKIPPED: chromium is missing")
        return 77
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        bars = {}
        for name, path in make_pages(probe, folder, PAGES if part == "parsed" else RENDERED):
            if part == "parsed":
                bars[name] = check_parsed(name, path)
                continue
            check_widths(browser, folder, name, path)
            check_paper(browser, folder, name, path)
            if name == "device":
                check_picture(browser, folder, path)
        if part == "parsed":
            assert bars["cpu"] == 24 and bars["empty"] == 0 and bars["device"] > 600, bars
    return 0


sys.exit(main())
