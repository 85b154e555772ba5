#!/usr/bin/env python3
"""Makes the wheel, installs it into an empty folder, and asks a small model what the program says.

  python_test.py BUILD
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(sys.argv.pop()).resolve()
PROGRAM = BUILD / "bin" / "unroll"
HISTORY = "he ate the cake with the"
TEXT = "he ate the cake with the fork .\nthe dog saw the man .\n" * 60


def unroll(*arguments, **options):
    return subprocess.run([PROGRAM, *arguments], check=True, capture_output=True, **options).stdout


class Package(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        work = Path(cls.folder.name)
        wheel = subprocess.run([sys.executable, ROOT / "scripts" / "make_wheel.py", BUILD, work],
                               check=True, capture_output=True, text=True).stdout.strip()
        cls.wheel, site = Path(wheel), work / "site"
        pip = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps",
                              "--target", site, wheel], capture_output=True, text=True)
        cls.pip = pip
        if pip.returncode != 0:  # a system without pip: a wheel is an archive
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(site)
        sys.path.insert(0, str(site))
        (work / "text").write_text(TEXT)
        cls.trained = work / "run"
        unroll("train", "--device", "cpu", "--threads", "1", "--data", work / "text", "--save", cls.trained,
               "--cache-dir", work / "cache", "--nhid", "16", "--emsize", "8", "--nlayers", "1", "--dropout", "0",
               "--batch-size", "2", "--bptt", "9", "--optimizer", "adam", "--lr", "0.03", "--epochs", "3",
               "--valid-fraction", "0.1", "--test-fraction", "0")
        import unroll as package
        cls.package = package
        cls.model = package.load(cls.trained, device="cpu", threads=1)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def test_pip_takes_the_wheel_where_there_is_pip(self):
        self.assertTrue(self.pip.returncode == 0 or "No module named pip" in self.pip.stderr, self.pip.stderr)

    def test_says_what_the_program_says(self):
        said = json.loads(unroll("predict", "--checkpoint", self.trained, "--device", "cpu", "--threads", "1",
                                 "--text", HISTORY, "--json", "--top", "5"))
        tokens = self.model.next(HISTORY).most_probable(5)
        self.assertEqual([(n["token"], n["probability"]) for n in said["next"]], tokens)
        self.assertGreater(self.model.next(HISTORY)["fork"], 0.5)

    def test_probabilities_add_up(self):
        following = self.model.next(HISTORY)
        every = following.most_probable(10_000)
        self.assertEqual(len(every), len(self.model))
        self.assertAlmostEqual(sum(p for _, p in every), 1, places=5)
        self.assertEqual(dict(every)["fork"], following["fork"])

    def test_scores_as_the_program(self):
        line = json.loads(unroll("score", "--checkpoint", self.trained, "--device", "cpu", "--threads", "1", "--json",
                                 input=(HISTORY + " fork .\n").encode()).splitlines()[0])
        log_probability, tokens = self.model.score(HISTORY + " fork .\n")
        self.assertEqual(tokens, line["tokens"])
        self.assertAlmostEqual(log_probability, line["logprob"], places=5)
        self.assertAlmostEqual(self.model.perplexity(HISTORY + " fork .\n"), line["ppl"], places=4)

    def test_draws_as_the_program(self):
        text = unroll("generate", "--checkpoint", self.trained, "--device", "cpu", "--threads", "1", "--prompt", "the",
                      "--length", "30", "--seed", "7", "--top-k", "5").decode()
        self.assertEqual(self.model.generate("the", length=30, seed=7, top_k=5).rstrip("\n"), text.rstrip("\n"))

    def test_errors_are_one_line(self):
        for call in (lambda: self.package.load("no/such/run"), lambda: self.model.generate(temperature=-1),
                     lambda: self.model.score("half \udcff"), lambda: self.model.next("a\0b"),
                     lambda: self.package.load(self.trained, device="tpu")):
            with self.assertRaises(self.package.Error) as raised:
                call()
            self.assertRegex(str(raised.exception), r"^[^\n]+$")
        with self.assertRaisesRegex(KeyError, "expected one of the"):
            self.model.next("")["unheard"]
        with self.assertRaisesRegex(TypeError, "got heat, expected one of"):
            self.model.generate(heat=2)

    def test_answers_outlive_the_model(self):
        model = self.package.load(self.trained, device="cpu")
        following = model.next(HISTORY)
        del model
        self.assertGreater(following["fork"], 0.5)

    def test_the_wheels_record_is_of_its_files(self):
        with zipfile.ZipFile(self.wheel) as archive:
            record = next(name for name in archive.namelist() if name.endswith("RECORD"))
            listed = [line.split(",")[0] for line in archive.read(record).decode().splitlines()]
            self.assertEqual(sorted(listed), sorted(archive.namelist()))


if __name__ == "__main__":
    if not (BUILD / "lib" / "libunroll_lm.so").exists():
        print("SKIPPED: no libunroll_lm.so in the build")
        sys.exit(77)
    os.environ.pop("UNROLL_LIBRARY", None)
    unittest.main()
