"""Times word_language_model's training step in PyTorch: the peer of lm_step.cpp, same CSV row.

fp32 forbids TF32 and tf32 allows it, in cuBLAS and in cuDNN. bf16: the whole module, its parameters
and its optimiser step are bfloat16, which is faster than autocast and what favours PyTorch; the
softmax is float32. Exit status 3: not run, with the reason.
"""

import argparse
import statistics
import sys
import time

try:
    import torch
except ImportError as missing:
    print(f"not run: {missing}", file=sys.stderr)
    sys.exit(3)

parser = argparse.ArgumentParser()
parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"])
parser.add_argument("--cell", default="lstm", choices=["lstm", "gru", "rnn_tanh"])
parser.add_argument("--layers", type=int, default=2)
parser.add_argument("--vocabulary", type=int, default=10000)
parser.add_argument("--hidden", type=int, default=200)
parser.add_argument("--batch", type=int, default=20)
parser.add_argument("--steps", type=int, default=35)
parser.add_argument("--dropout", type=float, default=0.0)
parser.add_argument("--threads", type=int, default=2)
parser.add_argument("--samples", type=int, default=30)
args = parser.parse_args()

if args.device == "cpu" and args.precision != "fp32":
    parser.error("--precision: the CPU is measured in fp32")
if args.device == "cuda" and not torch.cuda.is_available():
    print("not run: PyTorch sees no CUDA device", file=sys.stderr)
    sys.exit(3)
on_gpu = args.device == "cuda"
torch.backends.cuda.matmul.allow_tf32 = args.precision != "fp32"
torch.backends.cudnn.allow_tf32 = args.precision != "fp32"  # without, no tensor cores for bf16
dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
torch.set_num_threads(args.threads)
torch.manual_seed(1)


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn_tanh": torch.nn.RNN}[args.cell]
        self.drop = torch.nn.Dropout(args.dropout)
        self.encoder = torch.nn.Embedding(args.vocabulary, args.hidden)
        between = args.dropout if args.layers > 1 else 0
        self.rnn = layer(args.hidden, args.hidden, args.layers, dropout=between)
        self.decoder = torch.nn.Linear(args.hidden, args.vocabulary)

    def forward(self, tokens, state):
        y, state = self.rnn(self.drop(self.encoder(tokens)), state)
        return self.decoder(self.drop(y).view(-1, args.hidden)), state


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


model = Model().to(args.device, dtype)
inputs = torch.randint(args.vocabulary, (args.steps, args.batch)).to(args.device)
targets = torch.randint(args.vocabulary, (args.steps * args.batch,)).to(args.device)
zeros = torch.zeros(args.layers, args.batch, args.hidden, device=args.device, dtype=dtype)
state = (zeros, zeros.clone()) if args.cell == "lstm" else zeros
loss_of = torch.nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1.0)


def step():
    global state
    optimizer.zero_grad()
    logits, state = model(inputs, detached(state))
    loss_of(logits.float(), targets).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
    optimizer.step()


def sample():
    """Milliseconds of a step. A GPU gets ten in a row, and the last is waited for."""
    steps = 10 if on_gpu else 1
    start = time.perf_counter()
    for _ in range(steps):
        step()
    if on_gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1000 / steps


for _ in range(3):
    sample()
times = [sample() for _ in range(args.samples)]
median = statistics.median(times)
peak_mib = f"{torch.cuda.max_memory_allocated() / 2**20:.1f}" if on_gpu else ""
print(
    f"pytorch-{torch.__version__},{args.device},{args.precision},{args.cell},{args.layers},"
    f"{args.vocabulary},{args.hidden},{args.batch},{args.steps},{args.dropout:g},{args.threads},"
    f"{median:.3f},{min(times):.3f},{max(times):.3f},"
    f"{args.batch * args.steps / median * 1000:.0f},{peak_mib},"
)
