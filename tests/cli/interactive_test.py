#!/usr/bin/env python3
"""predict --interactive on a pseudo-terminal, and on a pipe.

What is on the screen is found by a terminal of our own (Screen), which knows the sequences that the
program may send and refuses all others.

  interactive_test.py PROGRAM
"""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unicodedata

PATIENCE = 20  # seconds for something to appear
UP, LEFT, HOME, BACKSPACE = "\x1b[A", "\x1b[D", "\x1b[H", "\x7f"
CONTROL = {key: chr(ord(key) - 64) for key in "ACDEKLRUWZ"}


def width(character):
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


class Screen:
    """A terminal without colors. A row is a list of cells; a wide character is followed by ""."""

    SEQUENCE = re.compile(r"\x1b\[(\d*)([ACKJHm])")

    def __init__(self, rows, columns):
        self.rows, self.columns = rows, columns
        self.cells = [[" "] * columns for _ in range(rows)]
        self.row = self.column = 0
        self.sequences, self.waiting, self.scrolled = set(), "", 0

    def feed(self, text):
        text = self.waiting + text
        self.waiting = ""
        while text:
            if text[0] == "\x1b":
                found = self.SEQUENCE.match(text)
                if not found:
                    assert len(text) < 6, f"a sequence that is not known: {text[:12]!r}"
                    self.waiting = text
                    return
                self.obey(found[2], int(found[1] or -1))
                text = text[found.end():]
                continue
            self.put(text[0])
            text = text[1:]

    def obey(self, what, number):
        self.sequences.add(what)
        if what == "A":
            self.row -= max(1, number)
        elif what == "C":
            self.column += max(1, number)
        elif what == "K":
            self.cells[self.row][self.column:] = [" "] * (self.columns - self.column)
        elif what == "J":
            if number == 2:
                self.cells = [[" "] * self.columns for _ in range(self.rows)]
            else:
                self.obey("K", -1)
                for row in range(self.row + 1, self.rows):
                    self.cells[row] = [" "] * self.columns
        elif what == "H":
            self.row = self.column = 0
        assert 0 <= self.row and self.column < self.columns, "the cursor left the screen"

    def put(self, character):
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self.row += 1
            if self.row == self.rows:
                self.cells = self.cells[1:] + [[" "] * self.columns]
                self.row -= 1
                self.scrolled += 1
        elif character != "\a":
            assert character >= " ", f"a control character: {character!r}"
            size = width(character)
            if self.column + size > self.columns:
                self.put("\r")
                self.put("\n")
            # Where the cursor stands after the last column, terminals differ.
            assert not self.sequences or self.column + size < self.columns, f"{self.text()}\n{character!r} at the end"
            if size == 0:
                self.cells[self.row][self.column - 1] += character
                return
            self.cells[self.row][self.column:self.column + size] = [character] + [""] * (size - 1)
            self.column += size

    def resize(self, rows, columns):
        """As a terminal that does not break rows anew."""
        cells = [(row + [" "] * columns)[:columns] for row in self.cells]
        gone = max(0, self.row + 1 - rows)
        self.cells = (cells[gone:] + [[" "] * columns for _ in range(rows)])[:rows]
        self.row -= gone
        self.column = min(self.column, columns - 2)
        self.rows, self.columns = rows, columns

    def lines(self):
        return ["".join(row).rstrip() for row in self.cells]

    def text(self):
        return "\n".join(self.lines()).rstrip()


def run_as_job(command, variables, reports):
    """What a shell does for a job: it takes the terminal back when the job stops, and SIGUSR1 continues it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    job = os.fork()
    if job == 0:
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
        os.execve(command[0], command, variables)
    os.write(reports, struct.pack("i", job))
    while True:
        _, status = os.waitpid(job, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            os._exit(os.waitstatus_to_exitcode(status) & 255)
        os.tcsetpgrp(0, os.getpid())
        os.write(reports, b"stop")
        signal.sigwait([signal.SIGUSR1])
        os.tcsetpgrp(0, job)
        os.kill(job, signal.SIGCONT)


class Typist:
    """The program on a terminal of its own, as the job of a shell."""

    def __init__(self, command, rows=30, columns=80, **environment):
        self.screen = Screen(rows, columns)
        self.raw = b""
        variables = {**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"}
        variables.pop("NO_COLOR", None)
        variables.update(environment)
        self.reports, reports = os.pipe()
        self.shell, self.terminal = pty.fork()
        if self.shell == 0:
            run_as_job(command, variables, reports)
        os.close(reports)
        self.size(rows, columns)
        (self.pid,) = struct.unpack("i", os.read(self.reports, 4))
        self.status = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            for process in (self.pid, self.shell):  # one of them may wait for the other
                os.kill(process, signal.SIGKILL)
            os.waitpid(self.shell, 0)
        os.close(self.terminal)
        os.close(self.reports)

    def size(self, rows, columns):
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def mode(self):
        return termios.tcgetattr(self.terminal)[:4]

    def type(self, text):
        os.write(self.terminal, text.encode())

    def read(self, seconds):
        ready, _, _ = select.select([self.terminal], [], [], seconds)
        if not ready:
            return False
        try:
            data = os.read(self.terminal, 1 << 16)
        except OSError:  # the program has ended
            data = b""
        self.raw += data
        self.screen.feed(data.decode("utf-8", "replace"))
        return bool(data)

    def expect(self, holds, what):
        end = time.monotonic() + PATIENCE
        while not holds():
            assert time.monotonic() < end, f"{what} did not appear on\n{self.screen.text()}"
            self.read(0.1)

    def shows(self, *parts):
        self.expect(lambda: all(part in self.screen.text() for part in parts), f"{parts}")

    def settle(self):
        while self.read(0.3):
            pass

    def end(self):
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            self.read(0.05)
            pid, status = os.waitpid(self.shell, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                while self.read(0.05):
                    pass
                return self.status
        raise AssertionError("the program does not end")


def sentences_of(count):
    for k in range(count):
        yield ("he", "she", "the man")[k % 3], ("ate", "cut")[k * k % 5 % 2], ("cake", "bread", "pear")[k // 3 % 3]


class Test:
    def __init__(self, program, scratch):
        self.program, self.scratch = os.path.abspath(program), scratch
        self.flags = ["--device", "cpu", "--threads", "1"]
        for name, sentences in (("train", 60), ("valid", 5), ("test", 5)):
            with open(f"{scratch}/{name}.txt", "w", encoding="utf-8") as file:
                file.write("".join(f"{who} {does} the {what} .\n" for who, does, what in sentences_of(sentences)))
        small = ["--data", scratch, "--batch-size", "4"]
        for tokens, data in (("word", []), ("char", small), ("bpe:300", small)):
            subprocess.run(
                [self.program, "train", "--save", self.run(tokens), "--cache-dir", f"{scratch}/cache", "--nhid", "16",
                 "--emsize", "8", "--nlayers", "1", "--dropout", "0", "--epochs", "1", "--optimizer", "adam",
                 "--lr", "0.02", "--tokenizer", tokens, *data, *self.flags],
                check=True, capture_output=True)

    def run(self, tokens):
        return f"{self.scratch}/{tokens.replace(':', '')}"

    def command(self, *more, tokens="word"):
        return [self.program, "predict", "--checkpoint", self.run(tokens), *self.flags, *more]

    def typist(self, *more, tokens="word", **options):
        return Typist(self.command("--interactive", *more, tokens=tokens), **options)

    def answer(self, text, tokens="word"):
        out = subprocess.run(self.command("--json", "--text", text, tokens=tokens), check=True, capture_output=True)
        return json.loads(out.stdout)["next"]

    def rows(self, text, tokens="word"):
        """What must stand in the rows of the bars."""
        return [(entry["token"].strip(), f"{entry['probability']:.6f}",
                 f"{entry['true_probability']:.6f}" if "true_probability" in entry else "")
                for entry in self.answer(text, tokens)]

    def check_rows(self, typist, text):
        for token, probability, truth in self.rows(text):
            row = rf"^  {re.escape(token)} +{probability}" + (f"  {truth}" if truth else "( |$)")
            typist.expect(lambda: any(re.search(row, line) for line in typist.screen.lines()), f"{token} {probability} {truth}")

    # ---- what is tested

    def words(self):
        """After each blank the answer of predict --json, with the truth; not within a word."""
        with self.typist() as typist:
            typist.shows("At the beginning of a line:")
            self.check_rows(typist, "")
            typist.type("he ate th")
            typist.shows('After "he ate":', "> he ate th", "model", "true")
            self.check_rows(typist, "he ate")
            typist.type("e ")
            typist.shows('After "he ate the":')
            self.check_rows(typist, "he ate the")
            assert "\x1b[36m" in typist.raw.decode(), "no color"
            # Back to kept states, and on.
            typist.type(BACKSPACE * 4)
            typist.shows('After "he ate":')
            self.check_rows(typist, "he ate")
            typist.type(BACKSPACE)
            typist.shows('After "he":')
            self.check_rows(typist, "he")
            typist.type(BACKSPACE * 4 + " cut the ")
            typist.shows('After "he cut the":')
            self.check_rows(typist, "he cut the")
            # Enter takes the last word as complete, leaves the answer, and begins anew.
            typist.type("cake\r")
            typist.shows("> he cut the cake\n", 'After "he cut the cake":', "At the beginning of a line:")
            self.check_rows(typist, "he cut the cake")
            typist.type(CONTROL["D"])
            assert typist.end() == 0

    def editing(self):
        with self.typist() as typist:
            typist.shows("At the beginning")
            typist.type("ate the " + HOME + "he ")
            typist.shows("> he ate the", 'After "he ate the":')
            typist.type(CONTROL["E"] + CONTROL["W"])
            typist.shows('After "he ate":')
            typist.type("zyzzy ")
            typist.shows("'zyzzy' is not in the model's vocabulary", 'After "he ate zyzzy":')
            typist.type(CONTROL["C"])
            typist.shows("At the beginning")
            typist.expect(lambda: ">" in typist.screen.lines() and "zyzzy" not in typist.screen.text(), "an empty line")
            typist.type("he read\r")
            typist.shows('After "he read":')
            typist.type(UP)
            typist.expect(lambda: typist.screen.lines().count("> he read") == 2, "the line before")
            typist.type("\r" + CONTROL["R"] + "he")
            typist.settle()
            typist.type("\x07" + CONTROL["U"])
            typist.type("a " + CONTROL["L"])
            typist.expect(lambda: typist.screen.lines()[0] == "> a", "a screen with only one line")
            typist.type(CONTROL["U"] + CONTROL["D"])
            assert typist.end() == 0

    def narrow(self):
        """40 columns, wide and combining characters, lines of several rows, few rows."""
        with self.typist(rows=16, columns=40) as typist:
            typist.shows("At the beginning")
            typist.type("he ate the cake with the 叉子 e\u0301 ")
            typist.shows("> he ate the cake with the 叉子")
            typist.type("and then he ate the cake with the ")
            typist.shows("ate the cake with the\":")
            self.check_rows(typist, "he ate the cake with the 叉子 e\u0301 and then he ate the cake with the")
            typist.type("spoon " * 60)
            typist.settle()
            assert typist.screen.lines()[0].count("spoon") >= 5, typist.screen.text()
            typist.type(CONTROL["U"])
            typist.settle()
            left = [line for line in typist.screen.lines() if line]
            assert left[0].strip() == ">" and left[1].startswith("At the") and len(left) == 13, typist.screen.text()
        with self.typist(rows=4, columns=12) as typist:
            typist.shows(">")
            typist.type("he ate the cake\r" + CONTROL["D"])
            assert typist.end() == 0

    def resize(self):
        with self.typist(rows=24, columns=100) as typist:
            typist.type("the man cut the bread with the knife because he was hungry ")
            typist.shows('because he was hungry":')
            for rows, columns in ((24, 40), (14, 60), (30, 120)):
                typist.settle()
                typist.screen.resize(rows, columns)
                typist.size(rows, columns)
                typist.settle()
                assert sum(line.startswith("> ") for line in typist.screen.lines()) == 1, typist.screen.text()
                assert sum(line.startswith("After") for line in typist.screen.lines()) == 1, typist.screen.text()

    def plain_terminals(self):
        with self.typist(NO_COLOR="1") as typist:
            typist.type("he ")
            typist.shows('After "he":', "█")
            assert "m" not in typist.screen.sequences, "colors in spite of NO_COLOR"
        with self.typist(LC_ALL="C") as typist:
            typist.type("he ")
            typist.shows('After "he":', "####")
            assert "█" not in typist.screen.text()
        with self.typist(TERM="dumb") as typist:
            typist.shows(">")
            typist.type("he ate\n")
            typist.expect(lambda: typist.screen.text().count("true") >= 10, "an answer")
            assert not typist.screen.sequences, "sequences on a dumb terminal"
            for token, probability, truth in self.rows("he ate"):
                typist.shows(f"{probability}  {token}  (true {truth})")
            typist.type("\x04")
            assert typist.end() == 0

    def signals(self):
        """The terminal is as it was, whatever ends the program."""
        for by in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            with self.typist() as typist:
                before = typist.mode()
                typist.type("he ")
                typist.shows('After "he":')
                assert typist.mode() != before
                os.kill(typist.pid, by)
                assert typist.end() == 128 + by, typist.status
                assert typist.mode() == before, f"the terminal after {by.name}"
        with self.typist() as typist:  # SIGINT only clears the line
            before = typist.mode()
            typist.type("he ")
            typist.shows('After "he":')
            os.kill(typist.pid, signal.SIGINT)
            typist.shows("At the beginning")
            # Stopped, the terminal is the shell's; continued, the line is there again.
            typist.type("she ")
            typist.shows('After "she":')
            os.kill(typist.pid, signal.SIGTSTP)
            assert os.read(typist.reports, 4) == b"stop"
            assert typist.mode() == before, "the terminal after SIGTSTP"
            os.kill(typist.shell, signal.SIGUSR1)
            typist.expect(lambda: typist.screen.text().count('After "she":') == 2, "the line again")
            assert typist.mode() != before
            typist.type("\r" + CONTROL["D"])
            assert typist.end() == 0
            assert typist.mode() == before, "the terminal in the end"

    def pasted(self):
        """Much at once, with ends of lines."""
        lines = ["he ate the cake"] * 5 + ["the man cut the bread with the knife " * 40]
        with self.typist(rows=60, columns=80) as typist:
            typist.shows("At the beginning")
            typist.type("\r".join(lines) + " ")
            typist.expect(lambda: typist.screen.text().count("knife") > 10, "the last line")
            self.check_rows(typist, lines[-1])
            typist.type(CONTROL["U"] + CONTROL["D"])
            assert typist.end() == 0

    def other_tokens(self):
        """Characters: after each. Byte pairs: after all but the last token, which may still grow."""
        with self.typist(tokens="char") as typist:
            typist.type("he at")
            typist.shows('After "he at":')
            for token, probability, _ in self.rows("he at", "char"):
                typist.shows(probability)
            typist.type("é")
            typist.shows("'é' is not in the model's vocabulary")
        with self.typist(tokens="bpe:300") as typist:
            typist.type("he ate ")
            typist.shows('After "he ate":')
            for token, probability, _ in self.rows("he ate", "bpe:300"):
                typist.shows(f"{probability}")
            typist.type("\r")
            typist.shows('After "he ate ":')

    def pipes(self):
        """No terminal: an answer for each line, as it comes, the same as of predict."""
        process = subprocess.Popen(self.command("--interactive"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for text in ("he ate the", "", "he ate"):
            process.stdin.write((text + "\n").encode())
            process.stdin.flush()
            said = b""
            while not said.endswith(b"\n\n"):
                said += process.stdout.read(1)
            once = subprocess.run(self.command("--text", text), check=True, capture_output=True).stdout
            assert said == once + b"\n", (text, said)
        process.stdin.close()
        assert process.wait() == 0 and process.stdout.read() == b""
        lines = subprocess.run(self.command("--interactive", "--json", "--top", "3"), check=True,
                               input=b"he ate the\nthe man", capture_output=True).stdout.splitlines()
        for line, text in zip(lines, ("he ate the", "the man")):
            said = json.loads(line)
            assert said["history"] == text and said["next"] == self.answer(text)[:3], said
        bad = subprocess.run(self.command("--interactive"), input=b"he\n\xff\n", capture_output=True)
        assert bad.returncode == 1 and bad.stdout.count(b"\n") == 11, bad
        assert bad.stderr.splitlines()[-1].startswith(b"unroll: stdin: line 2: "), bad.stderr
        for flags in (("--text", "he"), ("--word", "he")):
            refused = subprocess.run(self.command("--interactive", *flags), capture_output=True)
            assert refused.returncode == 2, refused


def main():
    with tempfile.TemporaryDirectory() as scratch:
        test = Test(sys.argv[1], scratch)
        chosen = sys.argv[2:] or ("words", "editing", "narrow", "resize", "plain_terminals", "signals", "pasted",
                                  "other_tokens", "pipes")
        for name in chosen:
            start = time.monotonic()
            getattr(test, name)()
            print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


main()
