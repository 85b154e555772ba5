#!/usr/bin/env python3
"""What `unroll train` shows on a terminal: the progress line, and samples of text.

  progress_test.py PROGRAM
"""
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios

LINE = re.compile(r"epoch (\d+)/2 +\d+ % \| run \d+:\d\d of \d+:\d\d \| (\d+\.\d{3}) nats, \d+\.\d{3} bits per character")
DRAWN = re.compile(r"\r\x1b\[K(?:\x1b\[2m)?([^\r\n\x1b]*)")


def shown(program, folder, flags, columns, environment=None):
    """All that a training run writes to a terminal."""
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    command = [program, "train", "--data", f"{folder}/text.txt", "--cache-dir", f"{folder}/cache", "--device", "cpu",
               "--threads", "1", "--nhid", "48", "--nlayers", "1", "--epochs", "2", "--batch-size", "4", "--bptt", "10",
               "--log-interval", "100000", *flags]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=terminal,
                               env={**os.environ, "TERM": "xterm", **(environment or {})})
    os.close(terminal)
    text = b""
    while True:
        try:
            piece = os.read(controller, 4096)
        except OSError:  # the program has ended
            break
        if not piece:
            break
        text += piece
    os.close(controller)
    assert process.wait() == 0, text.decode()
    return text.decode()


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/text.txt", "w", encoding="utf-8") as file:
            for line in range(3000):
                file.write(f"line {line * 7919 % 1000} of a text that has something to learn\n")

        text = shown(program, folder, ["--tokenizer", "char", "--save", f"{folder}/a"], 120)
        lines = [line for line in DRAWN.findall(text) if line.startswith("epoch ")]
        parsed = [LINE.match(line) for line in lines]
        assert lines and all(parsed), lines
        assert len({found[2] for found in parsed}) > 1, "the loss stands still"
        assert text.count("sample:\r\n  ") == 2, text
        assert "\x1b[2m" in text and "\x1b[2m" not in shown(
            program, folder, ["--tokenizer", "char", "--save", f"{folder}/b", "--no-sample"], 120, {"NO_COLOR": "1"})

        text = shown(program, folder, ["--tokenizer", "char", "--save", f"{folder}/c", "--no-sample"], 45)
        assert "sample:" not in text, text
        lines = re.findall(r"\x1b\[2m([^\x1b]*)", text)
        for line in lines:
            assert len(line) < 45 and re.fullmatch(r"\d+\.\d{3} nats, \d+\.\d{3} bits per character", line), line

        text = shown(program, folder, ["--save", f"{folder}/d"], 120)
        assert "sample:" not in text and re.search(r"loss \d+\.\d{3}, perplexity \d+\.\d\d", text), text
        text = shown(program, folder, ["--save", f"{folder}/e", "--quiet"], 120)
        assert len(text.splitlines()) == 2 and "\x1b" not in text, text
    print(f"{len(lines)} lines of progress")


main()
