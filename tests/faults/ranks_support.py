"""What the tests of several ranks share: a small text, flags of a small model, and its hash."""
import hashlib
import os
import random

FLAGS = ["--threads", "1", "--emsize", "8", "--nhid", "8", "--batch-size", "10", "--bptt", "10",
         "--dropout", "0.3", "--epochs", "2", "--save-every", "4", "--eval-interval", "30",
         "--shards", "8"]
SILENCE = 10  # seconds after which a rank counts as stopped


def write_text(path, words, seed):
    pick = random.Random(seed)
    with open(path, "w", encoding="utf-8") as file:
        for _ in range(words // 20):
            file.write(" ".join(f"w{int(pick.paretovariate(1)) % 53}" for _ in range(20)) + "\n")


def write_corpus(folder, seed):
    os.mkdir(folder)
    for name, words in (("train", 5000), ("valid", 1000), ("test", 1000)):
        write_text(f"{folder}/{name}.txt", words, seed)


def model_of(run):
    with open(f"{run}/latest/model.safetensors", "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()
