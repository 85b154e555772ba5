#!/usr/bin/env python3
"""Writes recurrent.json: what torch.nn.LSTM, GRU and RNN compute, and their gradients.

Needs PyTorch (the version used is in the file). Run as `make_goldens.py [output]`; the default is
recurrent.json beside this script. Every array is a list of the float32 values as decimal numbers
with 9 significant digits, which restores them exactly.

The last networks are LSTMs with a projection (proj_size); their number of layers is their own.

The loss is sum(wy * y) + sum(wh * h_n) + sum(wc * c_n) with fixed random weights. Each network runs
twice: on whole sequences, and on packed ones with the lengths given.
"""

import json
import pathlib
import sys

import torch

STEPS, BATCH, INPUT, HIDDEN, LAYERS = 5, 3, 4, 6, 2
PROJECTION = 4
LENGTHS = [3, 5, 1]

CELLS = {
    "rnn_tanh": lambda **kw: torch.nn.RNN(nonlinearity="tanh", **kw),
    "rnn_relu": lambda **kw: torch.nn.RNN(nonlinearity="relu", **kw),
    "lstm": torch.nn.LSTM,
    "gru": torch.nn.GRU,
}


def numbers(tensor):
    return [float(f"{value:.9g}") for value in tensor.detach().flatten().tolist()]


class Network:
    """One network with the data that it runs on."""

    def __init__(self, name, bidirectional, layers=LAYERS, projection=0):
        self.name = name
        self.directions = 2 if bidirectional else 1
        self.own = {"layers": layers, "projection": projection} if projection else {}
        self.net = CELLS[name](
            input_size=INPUT,
            hidden_size=HIDDEN,
            num_layers=layers,
            bidirectional=bidirectional,
            **({"proj_size": projection} if projection else {}),
        )
        width = projection or HIDDEN
        h_state = (layers * self.directions, BATCH, width)
        c_state = (layers * self.directions, BATCH, HIDDEN)
        self.x = torch.randn(STEPS, BATCH, INPUT, requires_grad=True)
        self.h0 = (0.5 * torch.randn(h_state)).requires_grad_()
        self.c0 = (0.5 * torch.randn(c_state)).requires_grad_()
        self.wy = torch.randn(STEPS, BATCH, self.directions * width)
        self.wh, self.wc = torch.randn(h_state), torch.randn(c_state)

    def run(self, lengths):
        self.net.zero_grad()
        for tensor in (self.x, self.h0, self.c0):
            tensor.grad = None
        lstm = self.name == "lstm"
        inputs = self.x
        if lengths:
            inputs = torch.nn.utils.rnn.pack_padded_sequence(
                self.x, torch.tensor(lengths), enforce_sorted=False
            )
        y, state = self.net(inputs, (self.h0, self.c0) if lstm else self.h0)
        if lengths:
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=STEPS)
        h_n, c_n = state if lstm else (state, torch.zeros(()))
        loss = (self.wy * y).sum() + (self.wh * h_n).sum()
        if lstm:
            loss = loss + (self.wc * c_n).sum()
        loss.backward()
        result = {
            "lengths": lengths,
            "y": numbers(y),
            "h_n": numbers(h_n),
            "dx": numbers(self.x.grad),
            "dh0": numbers(self.h0.grad),
            "dweights": {key: numbers(value.grad) for key, value in self.net.named_parameters()},
        }
        if lstm:
            result |= {"c_n": numbers(c_n), "dc0": numbers(self.c0.grad)}
        return result

    def record(self):
        names = ["x", "h0", "wy", "wh"] + (["c0", "wc"] if self.name == "lstm" else [])
        return {
            "cell": self.name,
            "directions": self.directions,
            **self.own,
            **{key: numbers(getattr(self, key)) for key in names},
            "weights": {key: numbers(value) for key, value in self.net.named_parameters()},
            "runs": [self.run([]), self.run(LENGTHS)],
        }


def main():
    default = pathlib.Path(__file__).with_name("recurrent.json")
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    torch.manual_seed(20150101)
    torch.set_num_threads(1)
    networks = [Network(name, both).record() for name in CELLS for both in (False, True)]
    networks += [
        Network("lstm", both, layers, PROJECTION).record()
        for layers in (1, 2)
        for both in (False, True)
    ]
    head = {
        "source": f"PyTorch {torch.__version__}, CPU",
        "steps": STEPS,
        "batch": BATCH,
        "input": INPUT,
        "hidden": HIDDEN,
        "layers": LAYERS,
    }
    with output.open("w", encoding="ascii") as file:
        # One network per line keeps differences readable.
        lines = ",\n".join(json.dumps(network, separators=(",", ":")) for network in networks)
        file.write(json.dumps(head)[:-1] + ', "networks": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
