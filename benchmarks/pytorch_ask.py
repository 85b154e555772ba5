#!/usr/bin/env python3
"""Asks PyTorch what `unroll score` and `unroll generate` are asked, of the same checkpoint.

    pytorch_ask.py score --checkpoint RUN/best --text FILE
        ln P of every line, its end included, beside `unroll score --json`: the sums, and the largest
        difference of a line.
    pytorch_ask.py generate --checkpoint RUN/best --n 256 --length 200
        tokens a second of both, drawn without a prompt, in turn: medians of --rounds. Reading the
        model is part of neither: of Unroll it is the difference of two lengths.

PyTorch reads `model.safetensors` as it is. Byte pairs are encoded by the package `tokenizers`. The
peer is what a user of PyTorch writes: nn.LSTM on padded lines, and one step at a time with
torch.multinomial. Exit status 1: sums differ by more than rounding; 3: not run, with the reason.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

try:
    import torch
    from safetensors.torch import load_file
except ImportError as missing:
    print(f"not run: {missing}", file=sys.stderr)
    sys.exit(3)

LINES = 256  # of a batch
# A line's ln P is a sum of T float32 terms that two programs round otherwise: some 1e-7 of it.
RELATIVE = 2e-6


class Tokens:
    """What the checkpoint's tokenizer makes of a line with its end."""

    def __init__(self, folder, kind):
        self.kind = kind
        if kind == "bpe":
            from tokenizers import Tokenizer

            self.pairs = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self.start = self.encode("")[-1]
            return
        names = (folder / "vocab.txt").read_text(encoding="utf-8").split("\n")[:-1]
        if kind == "char":
            escapes = {"\\n": "\n", "\\r": "\r", "\\t": "\t", "\\\\": "\\"}
            names = [escapes.get(name, name) for name in names]
        self.ids = {name: k for k, name in enumerate(names)}
        self.start = self.ids["<eos>" if kind == "word" else "\n"]

    def encode(self, line):
        if self.kind == "bpe":
            return self.pairs.encode(line + "\n", add_special_tokens=False).ids
        pieces = [*line.split(), "<eos>"] if self.kind == "word" else line + "\n"
        return [self.ids.get(piece, self.ids["<unk>"]) for piece in pieces]


class Model(torch.nn.Module):
    """word_language_model's modules, of the checkpoint's sizes."""

    def __init__(self, folder):
        super().__init__()
        config = json.loads((folder / "config.json").read_text())
        model = config["model"]
        self.kind = config["tokenizer"]["type"]
        layers = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
        if model["cell"] not in layers or len(set(model["hidden"])) != 1:
            print("not run: expected an LSTM or a GRU whose layers are of one size", file=sys.stderr)
            sys.exit(3)
        hidden = model["hidden"]
        self.encoder = torch.nn.Embedding(model["vocabulary"], model["embedding"])
        self.rnn = layers[model["cell"]](model["embedding"], hidden[0], len(hidden))
        self.decoder = torch.nn.Linear(hidden[0], model["vocabulary"])
        weights = load_file(folder / "model.safetensors")
        weights.setdefault("decoder.weight", weights["encoder.weight"])
        self.load_state_dict(weights)

    def step(self, tokens, state):
        """Of tokens [T, N]: ln P of every next one [T, N, V], and the state after the last."""
        y, state = self.rnn(self.encoder(tokens), state)
        return torch.log_softmax(self.decoder(y), dim=-1), state


def score(model, tokens, lines):
    """ln P of each line. Lines of similar lengths share a batch."""
    ids = [tokens.encode(line) for line in lines]
    order = sorted(range(len(ids)), key=lambda k: len(ids[k]))
    log_prob = [0.0] * len(ids)
    for begin in range(0, len(order), LINES):
        rows = order[begin : begin + LINES]
        targets = torch.nn.utils.rnn.pad_sequence([torch.tensor(ids[k]) for k in rows], padding_value=-1)
        start = torch.full((1, len(rows)), tokens.start)
        inputs = torch.cat([start, targets[:-1].clamp(min=0)])
        each = model.step(inputs, None)[0].gather(2, targets.clamp(min=0).unsqueeze(2)).squeeze(2)
        sums = torch.where(targets >= 0, each, 0).double().sum(0)
        for k, value in zip(rows, sums.tolist()):
            log_prob[k] = value
    return log_prob


def compare_scores(args, model, tokens):
    text = args.text.read_text(encoding="utf-8")
    lines = text.split("\n")[: -1 if text.endswith("\n") else None]
    began = time.perf_counter()
    theirs = score(model, tokens, lines)
    seconds = time.perf_counter() - began
    began = time.perf_counter()
    said = subprocess.run(
        [args.unroll, "score", "--checkpoint", args.checkpoint, "--device", "cpu", "--json",
         "--threads", str(args.threads)],
        input=text, capture_output=True, text=True, check=True).stdout.splitlines()
    our_seconds = time.perf_counter() - began
    *each, sums = map(json.loads, said)
    ours = [line["logprob"] for line in each]
    assert len(ours) == len(theirs), (len(ours), len(theirs))
    differences = [abs(a - b) / max(1, abs(b)) for a, b in zip(ours, theirs)]
    print("tokenizer,lines,tokens,sum_unroll,sum_pytorch,largest_relative_difference_of_a_line,"
          "seconds_unroll,seconds_pytorch")
    print(tokens.kind, len(ours), sums["tokens"], f"{sums['logprob']:.4f}", f"{sum(theirs):.4f}",
          f"{max(differences):.2g}", f"{our_seconds:.2f}", f"{seconds:.2f}", sep=",")
    return 0 if max(differences) <= RELATIVE else 1


def draw(model, tokens, count, length):
    state, read = None, torch.full((1, count), tokens.start)
    for _ in range(length):
        log_prob, state = model.step(read, state)
        read = torch.multinomial(log_prob[0].exp(), 1).T


def our_seconds(args, length):
    began = time.perf_counter()
    subprocess.run([args.unroll, "generate", "--checkpoint", args.checkpoint, "--device", "cpu", "--n",
                    str(args.n), "--length", str(length), "--threads", str(args.threads)],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def compare_draws(args, model, tokens):
    ours, theirs = [], []
    for _ in range(args.rounds):
        seconds = our_seconds(args, 2 * args.length) - our_seconds(args, args.length)
        ours.append(args.n * args.length / seconds)
        began = time.perf_counter()
        draw(model, tokens, args.n, args.length)
        theirs.append(args.n * args.length / (time.perf_counter() - began))
    print("n,length,rounds,tokens_per_second_unroll,lowest,highest,tokens_per_second_pytorch,lowest,highest")
    rates = [f"{f(rates):.0f}" for rates in (ours, theirs) for f in (statistics.median, min, max)]
    print(args.n, args.length, args.rounds, *rates, sep=",")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["score", "generate"])
    parser.add_argument("--checkpoint", type=Path, required=True, help="one checkpoint, RUN/best for instance")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--n", type=int, default=1)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--unroll", default="build/bin/unroll")
    args = parser.parse_args()
    if (args.what == "score") != (args.text is not None):
        parser.error("--text: expected with score, and only there")
    torch.set_num_threads(args.threads)
    torch.set_grad_enabled(False)
    model = Model(args.checkpoint)
    tokens = Tokens(args.checkpoint, model.kind)
    print(f"# PyTorch {torch.__version__}, {args.threads} threads")
    return (compare_scores if args.what == "score" else compare_draws)(args, model, tokens)


if __name__ == "__main__":
    sys.exit(main())
