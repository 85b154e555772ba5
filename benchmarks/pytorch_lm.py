"""Times word_language_model's training step in PyTorch: the peer of lm_step.cpp, same CSV row."""

import argparse
import statistics
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("--cell", default="lstm", choices=["lstm", "gru", "rnn_tanh"])
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--vocabulary", type=int, default=10000)
parser.add_argument("--hidden", type=int, default=200)
parser.add_argument("--batch", type=int, default=20)
parser.add_argument("--steps", type=int, default=35)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--samples", type=int, default=30)
args = parser.parse_args()

torch.set_num_threads(args.threads)
torch.manual_seed(1)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN}[args.cell]
        self.encoder = torch.nn.Embedding(args.vocabulary, args.hidden)
        self.rnn = layer(args.hidden, args.hidden, args.layers)
        self.decoder = torch.nn.Linear(args.hidden, args.vocabulary)

    def forward(self, tokens, state):
        y, state = self.rnn(self.encoder(tokens), state)
        return self.decoder(y.view(-1, args.hidden)), state


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


model = Model()
inputs = torch.randint(args.vocabulary, (args.steps, args.batch))
targets = torch.randint(args.vocabulary, (args.steps * args.batch,))
zeros = torch.zeros(args.layers, args.batch, args.hidden)
state = (zeros, zeros.clone()) if args.cell == "lstm" else zeros
loss_of = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)


def step():
    global state
    optimizer.zero_grad()
    logits, state = model(inputs, detached(state))
    loss_of(logits, targets).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()


for _ in range(3):
    step()
times = []
for _ in range(args.samples):
    start = time.perf_counter()
    step()
    times.append((time.perf_counter() - start) * 1000)
median = statistics.median(times)
print(
    f"pytorch-{torch.__version__},{args.cell},{args.layers},{args.vocabulary},{args.hidden},"
    f"{args.batch},{args.steps},{args.threads},{median:.3f},{min(times):.3f},{max(times):.3f},"
    f"{args.batch * args.steps / median * 1000:.0f},"
)
