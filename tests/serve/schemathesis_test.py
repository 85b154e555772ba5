#!/usr/bin/env python3
"""The server is what its description says: schemathesis makes requests of host/serve/openapi.json,
good ones and bad ones, and compares the answers.

Exit status 77, skipped, where schemathesis is missing and cannot be installed from PyPI.

  schemathesis_test.py PROGRAM FOLDER [EXAMPLES]    FOLDER: where it is installed, unless it is in PATH
"""
import os
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../support"))
from pypi import install  # noqa: E402
from serving import Server, train, write_text  # noqa: E402

VERSION = "4.32.5"
# What a schema cannot say: words of a vocabulary, texts of one line, the tokens of all texts together.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "413", "422"]
"""


def find(folder):
    """The program, or None."""
    found = shutil.which("schemathesis")
    if found:
        return found
    return f"{folder}/bin/schemathesis" if install(folder, "schemathesis", VERSION) else None


def main():
    program, folder = sys.argv[1:3]
    examples = sys.argv[3] if len(sys.argv) > 3 else "100"
    schemathesis = find(folder)
    if not schemathesis:
        print("SKIPPED: schemathesis is missing")
        return 77
    with tempfile.TemporaryDirectory() as scratch:
        write_text(f"{scratch}/text")
        with open(f"{scratch}/schemathesis.toml", "w", encoding="ascii") as file:
            file.write(CONFIG)
        with Server(program, train(program, scratch, "word")) as server:
            done = subprocess.run(
                [schemathesis, "--config-file", f"{scratch}/schemathesis.toml", "run",
                 f"http://{server.host}:{server.port}/openapi.json", "--checks", "all", "--phases",
                 "examples,coverage,fuzzing", "--max-examples", examples, "--seed", "1", "--generation-database", "none",
                 "--request-timeout", "30", "--no-color", "--continue-on-failure"],
                cwd=scratch, check=False)
            assert server.get("/healthz")[0] == 200, "the server after all requests"
            assert server.idle(), "the server still reads"
            assert server.stop() == 0, "the server's end"
        return done.returncode


sys.exit(main())
