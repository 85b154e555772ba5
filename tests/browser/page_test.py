#!/usr/bin/env python3
"""The page of unroll serve in Chromium, with a model whose vocabulary means harm.

Exit status 77, skipped, where there is no Chromium.

  page_test.py PROGRAM PAGE [FOLDER]    FOLDER: keep pictures of the page there
"""
import http.server
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

sys.dont_write_bytecode = True
from chromium import ALT, CONTROL, PATIENCE, Chromium, find_chromium  # noqa: E402

HOSTILE = ["<script>document.title='taken'</script>", "<img/src=x/onerror=document.title='taken'>", "&amp;",
           "\u202eevil", "antidisestablishmentarianism" * 4, "{{7*7}}", "javascript:alert(1)", '"\'>', "叉子"]
WORDS = "the cake fork he ate with a".split()
VALUE = "document.getElementById('text').value"
BARS = "[...document.querySelectorAll('#bars li')]"
STATUS = "document.getElementById('status').textContent"


def write_text(folder):
    draw = random.Random(5)
    for name, lines in (("train", 300), ("valid", 30), ("test", 30)):
        text = "\n".join(" ".join(draw.choices(WORDS + HOSTILE, k=6)) for _ in range(lines)) + "\n"
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")


class Server:
    """unroll serve, on a free port unless told which."""

    def __init__(self, program, run, *flags, port=0):
        self.process = subprocess.Popen(
            [program, "serve", "--checkpoint", str(run), "--device", "cpu", "--port", str(port), *flags],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.url = None
        said = ""
        while not self.url:
            line = self.process.stdout.readline()
            assert line, f"the server did not start: {said}"
            said += line
            found = re.search(r"http://\S+?:\d+", line)
            self.url = found and found[0] + "/"
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def ask(self, path, body=None):
        request = urllib.request.Request(self.url + path, body and json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(PATIENCE)


class Busy(http.server.BaseHTTPRequestHandler):
    """A server that is busy at first. Its model knows one word."""

    refusals, page = 2, b""

    def answer(self, status, body, **fields):
        self.send_response(status)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if self.path == "/":
            return self.answer(200, Busy.page, Content_Type="text/html; charset=utf-8")
        health = {"status": "ok", "model": "<b>m</b>", "tokenizer": "word", "tokens": 1, "active": 0, "queued": 0}
        self.answer(200, json.dumps(health).encode())

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        if Busy.refusals > 0:
            Busy.refusals -= 1
            return self.answer(503, b'{"error": "full"}', Retry_After="1")
        self.answer(200, b'{"text":"","unknown":[],"next":[{"token":"free","id":0,"probability":1}],"steps":[]}')

    def log_message(self, *_):
        pass


class Test:
    def __init__(self, program, page, folder, pictures):
        self.program, self.page, self.folder, self.pictures = program, page, folder, pictures
        write_text(folder)
        # Large enough that a text can be stopped before it is at its end.
        self.train("run", "--nhid", "512", "--nlayers", "2", "--lr", "0.002")
        self.server = Server(program, folder / "run")
        self.browser = Chromium(folder)

    def train(self, run, *flags):
        subprocess.run([self.program, "train", "--data", str(self.folder), "--save", str(self.folder / run),
                        "--cache-dir", str(self.folder / "cache"), "--device", "cpu", "--emsize", "8", "--dropout", "0",
                        "--epochs", "1", "--optimizer", "adam", *flags], check=True, capture_output=True)

    def close(self):
        self.browser.close()
        self.server.end()

    def fresh(self, width=1200, height=900, dark=False):
        self.browser.window(width, height, dark)
        self.browser.open(self.server.url)
        self.browser.until(f"{BARS}.length === 10")

    def picture(self, name):
        if self.pictures:
            time.sleep(0.2)
            self.browser.picture(self.pictures / f"{name}.png")

    def check_bars(self, text):
        """They are what the server says of a text, in its order."""
        expected = self.server.ask("v1/predict", {"text": text})["next"]
        labels = [("⏎ end of the line" if token["token"] == "<eos>" else token["token"]) for token in expected]
        self.browser.until(f"JSON.stringify({BARS}.map(bar => bar.querySelector('bdi').textContent)) === "
                           + json.dumps(json.dumps(labels, ensure_ascii=False, separators=(",", ":"))))
        shares = self.browser.evaluate(f"{BARS}.map(bar => parseFloat(bar.querySelector('.number').textContent))")
        widths = self.browser.evaluate(f"{BARS}.map(bar => bar.querySelector('.bar').getBoundingClientRect().width)")
        for token, share, width in zip(expected, shares, widths):
            assert abs(share - 100 * token["probability"]) < 0.06, (token, share)
            assert abs(width / widths[0] - token["probability"] / expected[0]["probability"]) < 0.02, (token, widths)

    # ---- what is tested

    def typing(self):
        """The bars follow the words; a click goes on with one; a word's alternatives can be taken."""
        browser = self.browser
        self.fresh()
        self.check_bars("")
        browser.click("#text")
        browser.type("he ate ")
        self.check_bars("he ate")
        browser.type("th")
        browser.until("document.getElementById('typed').textContent.includes('not in the vocabulary')")
        browser.type("e")
        browser.until("document.getElementById('typed').textContent.includes('rank')")
        self.check_bars("he ate")
        browser.type(" ")
        self.check_bars("he ate the")
        label = browser.evaluate(f"{BARS}.map(bar => bar.querySelector('bdi').textContent)"
                                 ".findIndex(label => !label.includes('⏎'))")
        token = browser.evaluate(f"{BARS}[{label}].querySelector('bdi').textContent")
        browser.click("#bars li", label)
        browser.until(f"{VALUE} === " + json.dumps(f"he ate the {token} "))
        self.check_bars(f"he ate the {token}")
        assert browser.evaluate("document.querySelectorAll('#words [role=option]').length") == 4
        steps = self.server.ask("v1/predict", {"text": f"he ate the {token}", "each": True})["steps"]
        titles = browser.evaluate("[...document.querySelectorAll('#words [role=option]')].map(word => word.title)")
        for step, title in zip(steps, titles):
            assert f"rank {step['rank']}," in title, (step, title)
        self.picture("words")
        browser.click("#words [role=option]", 1)
        browser.until("document.getElementById('place').textContent === 'In place of “ate”'")
        self.check_bars("he")
        browser.click("#words [role=option]", 0)
        self.check_bars("")
        browser.click("#bars li", label := browser.evaluate(
            f"{BARS}.findIndex(bar => !bar.querySelector('bdi').textContent.includes('⏎'))"))
        browser.until(f"{VALUE}.trim().split(' ').length === 1")
        browser.click("#undo")
        browser.until(f"{VALUE} === " + json.dumps(f"he ate the {token} "))
        browser.click("#text")
        browser.type("zyzzy ")
        browser.until("document.getElementById('typed').textContent.includes('read as <unk>: zyzzy')")

    def hostile(self):
        """Words that are markup stay words, wherever they stand."""
        browser = self.browser
        self.fresh()
        text = " ".join(HOSTILE)
        browser.evaluate(f"document.getElementById('text').value = {json.dumps(text + ' ')};"
                         "document.getElementById('text').dispatchEvent(new Event('input'))")
        browser.until(f"document.querySelectorAll('#words [role=option]').length === {len(HOSTILE)}")
        shown = browser.evaluate("[...document.querySelectorAll('#words [role=option]')].map(word => word.textContent)")
        assert shown == HOSTILE, shown
        for k in range(len(HOSTILE)):
            browser.click("#words [role=option]", k)
        assert browser.evaluate("document.querySelectorAll('#words *:not(li), #bars :not(li, span, bdi), img, iframe').length") == 0
        assert browser.evaluate("document.title") == "Unroll"
        # Only the page's own script runs, and no other server is asked.
        assert browser.evaluate("(() => { const made = document.createElement('script');"
                                " made.textContent = 'document.title = \"taken\"'; document.body.append(made);"
                                " return document.title; })()") == "Unroll"
        assert browser.evaluate("fetch('http://127.0.0.1:9/').then(() => 'asked', () => 'refused')") == "refused"
        assert any("Content Security Policy" in complaint for complaint in browser.complaints), browser.complaints
        browser.complaints = []

    def generating(self):
        """The text of the same seed, as it comes; and a text that is stopped."""
        browser = self.browser
        self.fresh()
        browser.click("#text")
        browser.type("he ate ")
        browser.click("#seed")
        browser.type("11")
        browser.evaluate("document.getElementById('length').value = 25")
        browser.evaluate("document.getElementById('temperature').value = 0.5")
        expected = self.server.ask("v1/generate", {"prompt": "he ate", "length": 25, "temperature": 0.5, "seed": 11,
                                                   "no_unk": True})
        browser.click("#run")
        browser.until(f"{STATUS}.includes('25 tokens') && {STATUS}.includes('seed 11')")
        assert browser.evaluate(VALUE) == expected["text"], (browser.evaluate(VALUE), expected["text"])
        self.check_bars(expected["text"])
        self.picture("generated")
        # The longest text that the server gives is stopped on its way.
        browser.evaluate("document.getElementById('length').max = 4096; document.getElementById('length').value = 4096")
        browser.click("#run")
        browser.until(f"/^\\d+ tokens/.test({STATUS})")
        browser.click("#stop")
        browser.until(f"{STATUS}.startsWith('Stopped after')")
        count = int(browser.evaluate(STATUS).split()[2])
        assert 0 < count < 4096, count
        end = time.monotonic() + PATIENCE
        while self.server.ask("healthz")["active"]:
            assert time.monotonic() < end, "the server still draws"
            time.sleep(0.05)
        browser.until("!document.getElementById('run').disabled && document.getElementById('stop').disabled")
        browser.click("#seed")
        browser.type("x")
        browser.click("#run")
        browser.until("document.getElementById('problem').textContent.includes('expected a whole number')")

    def tokens(self):
        """Models of characters, bytes and byte pairs: the text is coloured without a gap, and gone on with."""
        browser = self.browser
        for tokens in ("char", "byte", "bpe:300"):
            self.train(tokens.replace(":", ""), "--tokenizer", tokens, "--nhid", "16", "--nlayers", "1", "--lr", "0.02")
            server = Server(self.program, self.folder / tokens.replace(":", ""))
            try:
                browser.open(server.url)
                browser.until(f"{BARS}.length === 10")
                browser.click("#text")
                text = "the cake 叉子 he at"
                browser.type(text)
                browser.until("[...document.querySelectorAll('#words [role=option]')].map(word => word.textContent).join('')"
                              f" === {json.dumps(text)}")
                answer = server.ask("v1/predict", {"text": text, "each": True})
                # The last of byte pairs may still grow: its alternatives are shown.
                pairs = tokens.startswith("bpe")
                expected = answer["steps"][-2]["next"] if pairs else answer["next"]
                shares = browser.evaluate(f"{BARS}.map(bar => parseFloat(bar.querySelector('.number').textContent))")
                for token, share in zip(expected, shares):
                    assert abs(share - 100 * token["probability"]) < 0.06, (tokens, token, share)
                at = next(k for k, token in enumerate(expected) if "\\x" not in token["token"])
                kept = text[:len(text) - len(answer["steps"][-1]["token"])] if pairs else text
                browser.click("#bars li", at)
                browser.until(f"{VALUE} === " + json.dumps(kept + expected[at]["token"]))
                after = server.ask("v1/predict", {"text": kept + expected[at]["token"]})["next"]
                browser.until(f"Math.abs(parseFloat({BARS}[0].querySelector('.number').textContent) - "
                              f"{100 * after[0]['probability']}) < 0.06")
            finally:
                server.end()

    def keyboard(self):
        """Everything without a mouse."""
        browser = self.browser
        self.fresh()
        # A bar is taken before it is known what follows the text: nothing of that is lost.
        browser.evaluate("document.getElementById('text').value = 'he ate '; "
                         "document.getElementById('bars').firstElementChild.click()")
        assert browser.evaluate(VALUE).startswith("he ate"), browser.evaluate(VALUE)
        self.fresh()
        assert browser.evaluate("document.activeElement.id") == "text"
        browser.type("he ")
        self.check_bars("he")
        browser.key("ArrowDown", ALT)
        assert browser.evaluate("document.activeElement.id") == "bars"
        browser.key("ArrowDown")
        browser.key("ArrowDown")
        browser.key("ArrowUp")
        active = browser.evaluate("document.getElementById(document.getElementById('bars')"
                                  ".getAttribute('aria-activedescendant')).querySelector('bdi').textContent")
        assert active == browser.evaluate(f"{BARS}[1].querySelector('bdi').textContent")
        self.picture("keyboard")
        browser.key("Enter")
        word = "" if "⏎" in active else active
        browser.until(f"{VALUE}.trimEnd() === " + json.dumps(f"he {word}".strip()))
        browser.key("Escape")
        assert browser.evaluate("document.activeElement.id") == "text"
        browser.evaluate("document.getElementById('length').max = 4096; document.getElementById('length').value = 4096")
        browser.key("Enter", CONTROL)
        browser.until(f"/^\\d+ tokens/.test({STATUS})")
        browser.key("Escape")
        browser.until(f"{STATUS}.startsWith('Stopped after')")
        seen = set()
        for _ in range(40):
            browser.key("Tab")
            seen.add(browser.evaluate("document.activeElement.id || document.activeElement.tagName"))
        missing = {"theme", "text", "run", "undo", "words", "bars", "temperature", "top_k", "top_p", "min_p", "length",
                   "seed", "no_unk", "SUMMARY"} - seen
        assert not missing, f"not reached by Tab: {missing}"

    def names(self):
        """What a screen reader says: everything that can be used has a name."""
        self.fresh()
        self.browser.type("he ate the ")
        self.check_bars("he ate the")
        nodes = self.browser.call("Accessibility.getFullAXTree")["nodes"]
        used = {"button", "textbox", "slider", "checkbox", "listbox", "option", "DisclosureTriangle"}
        found = set()
        for node in nodes:
            role = node.get("role", {}).get("value")
            if role in used and not node.get("ignored"):
                found.add(role)
                assert node.get("name", {}).get("value", "").strip(), f"{role} without a name: {node}"
        assert {"button", "textbox", "slider", "checkbox", "listbox", "option"} <= found, found

    def themes(self):
        browser = self.browser
        lightness = ("(rgb => rgb.reduce((a, b) => a + b) / 765)(getComputedStyle(document.body).backgroundColor"
                     ".match(/\\d+/g).slice(0, 3).map(Number))")
        for dark in (False, True):
            self.fresh(dark=dark)
            browser.type("he ate the cake with the ")
            self.check_bars("he ate the cake with the")
            assert (browser.evaluate(lightness) < 0.5) == dark
            self.picture("dark" if dark else "light")
        browser.click("#theme")
        assert browser.evaluate(lightness) > 0.5, "the switch to light"
        self.fresh(dark=True)
        assert browser.evaluate(lightness) > 0.5, "the choice is kept"
        browser.click("#theme")
        assert browser.evaluate(lightness) < 0.5, "the switch to dark"
        browser.click("#theme")

    def phone(self):
        """360 pixels: nothing is wider, with the longest words."""
        for dark in (False, True):
            self.fresh(360, 740, dark)
            self.browser.evaluate(f"document.getElementById('text').value = {json.dumps(' '.join(HOSTILE) + ' the ')};"
                                  "document.getElementById('text').dispatchEvent(new Event('input'));"
                                  "document.querySelector('details').open = true")
            self.browser.until(f"document.querySelectorAll('#words [role=option]').length === {len(HOSTILE) + 1}")
            wide = self.browser.evaluate("document.documentElement.scrollWidth")
            outside = self.browser.evaluate(
                "[...document.querySelectorAll('body *')].filter(e => { const box = e.getBoundingClientRect();"
                " return box.width > 0 && !e.classList.contains('away') && (box.right > 360.5 || box.left < -0.5); })"
                ".map(e => e.tagName + '#' + e.id)")
            assert wide <= 360 and not outside, (wide, outside)
            self.picture("phone-dark" if dark else "phone")

    def token(self):
        """A server that asks for a token."""
        (self.folder / "secret").write_text("open-sesame\n")
        os.chmod(self.folder / "secret", 0o600)
        server = Server(self.program, self.folder / "run", "--token-file", str(self.folder / "secret"))
        try:
            browser = self.browser
            browser.open(server.url)
            browser.until("!document.getElementById('access').hidden")
            assert "asks for a token" in browser.evaluate("document.getElementById('problem').textContent")
            self.picture("token")
            browser.click("#token")
            browser.type("wrong")
            browser.key("Enter")
            browser.until("document.getElementById('problem').textContent.includes('does not accept')")
            browser.click("#token")
            browser.type("open-sesame")
            browser.key("Enter")
            browser.until(f"{BARS}.length === 10 && document.getElementById('problem').hidden")
        finally:
            server.end()
        # The browser notes every 401, and that is no fault of the page.
        browser.complaints = [complaint for complaint in browser.complaints if "401" not in complaint]

    def gone(self):
        """A server that ends, and comes back."""
        browser = self.browser
        server = Server(self.program, self.folder / "run")
        browser.open(server.url)
        browser.until(f"{BARS}.length === 10")
        server.end()
        browser.click("#text")
        browser.type("he ate ")
        browser.until("document.getElementById('problem').textContent.includes('does not answer')")
        self.picture("gone")
        again = Server(self.program, self.folder / "run", port=int(server.url.strip("/").rsplit(":", 1)[1]))
        try:
            browser.until("document.getElementById('problem').hidden")
            self.check_bars("he ate")
        finally:
            again.end()
        browser.complaints = [c for c in browser.complaints if "ERR_CONNECTION" not in c]

    def busy(self):
        """A server that refuses for a while is asked again."""
        Busy.page = pathlib.Path(self.page).read_bytes()
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Busy)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.browser.open(f"http://127.0.0.1:{server.server_port}/")
        self.browser.until("document.getElementById('problem').textContent.includes('busy')")
        self.browser.until(f"{BARS}.length === 1 && document.getElementById('problem').hidden")
        assert self.browser.evaluate("document.getElementById('model').textContent").startswith("<b>m</b>")
        server.shutdown()
        self.browser.complaints = [c for c in self.browser.complaints if "503" not in c]


def main():
    if not find_chromium():
        print("SKIPPED: chromium is missing")
        return 77
    program, page = sys.argv[1:3]
    pictures = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    names = sys.argv[4:] or ("typing", "hostile", "generating", "tokens", "keyboard", "names", "themes", "phone", "token", "gone",
                             "busy")
    with tempfile.TemporaryDirectory() as folder:
        test = Test(program, page, pathlib.Path(folder), pictures)
        try:
            for name in names:
                start = time.monotonic()
                getattr(test, name)()
                assert not test.browser.complaints, (name, test.browser.complaints)
                print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)
        finally:
            test.close()
    return 0


sys.exit(main())
