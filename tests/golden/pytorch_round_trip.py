#!/usr/bin/env python3
"""Carries word language models from PyTorch into Unroll and back, and compares their losses.

Needs PyTorch, numpy and safetensors. Run as `pytorch_round_trip.py [program]`; the default is
build/bin/unroll. For each cell, tied and untied, a random model of PyTorch's is saved, imported and
evaluated on a random text; then Unroll's file is loaded into a new model of PyTorch's. Exits with 1
if a relative difference exceeds 1e-5. The two sum float32 products in different orders, which moves
a mean loss by some 1e-9 of itself; a wrong cell or a gate out of order by more than 1e-4.
"""

import json
import pathlib
import random
import subprocess
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file, save_model

WORDS, EMBEDDING, HIDDEN, LAYERS, LINES = 300, 48, 48, 2, 200
PROJECTED = 72  # units of an LSTM whose output is projected to 48 elements
LIMIT = 1e-5
CELLS = ["lstm", "lstm_proj", "gru", "rnn_tanh", "rnn_relu"]


class Model(torch.nn.Module):
    """The parameters of PyTorch's examples/word_language_model, and their names."""

    def __init__(self, cell, tied):
        super().__init__()
        self.encoder = torch.nn.Embedding(WORDS, EMBEDDING)
        if cell == "lstm_proj":
            self.rnn = torch.nn.LSTM(EMBEDDING, PROJECTED, LAYERS, proj_size=HIDDEN)
        elif cell in ("lstm", "gru"):
            self.rnn = getattr(torch.nn, cell.upper())(EMBEDDING, HIDDEN, LAYERS)
        else:
            self.rnn = torch.nn.RNN(EMBEDDING, HIDDEN, LAYERS, nonlinearity=cell[4:])
        self.decoder = torch.nn.Linear(HIDDEN, WORDS)
        if tied:
            self.decoder.weight = self.encoder.weight

    def loss(self, inputs, targets):
        with torch.no_grad():
            hidden, _ = self.rnn(self.encoder(inputs).unsqueeze(1))
            logits = self.decoder(hidden.squeeze(1)).double()
            return torch.nn.functional.cross_entropy(logits, targets).item()


def text_of(words):
    """Lines of random words, and the ids that a model reads and predicts."""
    rng = random.Random(1)
    lines = [[rng.randrange(2, WORDS) for _ in range(rng.randrange(1, 20))] for _ in range(LINES)]
    text = "".join(" ".join(words[i] for i in line) + "\n" for line in lines)
    ids = torch.tensor([i for line in lines for i in [*line, 0]])  # 0 is <eos>
    return text, torch.cat([ids.new_zeros(1), ids[:-1]]), ids


def unroll(program, *arguments):
    result = subprocess.run([program, *arguments], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return result.stdout


def save(model, tied, file):
    """save_file() refuses tensors that share memory; save_model() names one of them as an alias."""
    if tied == "alias":
        return save_model(model, file)
    state = dict(model.state_dict())
    if tied == "copied":
        state["decoder.weight"] = state["decoder.weight"].clone()
    return save_file(state, file)


def compare(program, cell, tied, folder):
    words = ["<eos>", "<unk>", *(f"w{i}" for i in range(2, WORDS))]
    text, inputs, targets = text_of(words)
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in words))
    (folder / "text.txt").write_text(text)
    torch.manual_seed(7)
    model = Model(cell, tied != "no")
    save(model, tied, folder / "weights.safetensors")
    expected = model.loss(inputs, targets)

    run = folder / "run"
    model_flag = ["--model", cell] if cell.startswith("rnn") else []
    unroll(program, "import", "--weights", folder / "weights.safetensors", "--save", run,
           *model_flag)
    report = json.loads(unroll(program, "eval", "--checkpoint", run, "--json",
                               "--data", folder / "text.txt"))
    assert report["tokens"] == len(targets), (report["tokens"], len(targets))
    assert report["unknown"] == 0, report["unknown"]

    torch.manual_seed(8)
    back = Model(cell, tied != "no")
    back.load_state_dict(load_file(run / "best" / "model.safetensors"))
    return expected, report["loss"], back.loss(inputs, targets)


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/bin/unroll"
    print(f"PyTorch {torch.__version__}, {WORDS} words, {LAYERS} layers of {HIDDEN} units")
    print(f"{'cell':<9} {'tied':<9} {'PyTorch':>13} {'imported':>13} {'rel. diff':>10} "
          f"{'back':>13} {'rel. diff':>10}")
    worst = 0
    for cell in CELLS:
        for tied in ("no", "copied", "alias"):
            with tempfile.TemporaryDirectory() as folder:
                there, ours, back = compare(program, cell, tied, pathlib.Path(folder))
            differences = [abs(loss / there - 1) for loss in (ours, back)]
            worst = max(worst, *differences)
            print(f"{cell:<9} {tied:<9} {there:13.9f} {ours:13.9f} {differences[0]:10.1e} "
                  f"{back:13.9f} {differences[1]:10.1e}")
    print(f"largest relative difference {worst:.1e}, at most {LIMIT:.0e} allowed")
    sys.exit(worst > LIMIT)


if __name__ == "__main__":
    main()
