"""Times word_language_model's training step in PyTorch: the peer of lm_step.cpp, same CSV.

In bf16 the whole module, its parameters and its optimiser step are bfloat16; the softmax is
float32. On a GPU the step is also timed as one CUDA graph ("graph"), which few programs do and which
is what this hardware can do with PyTorch's kernels. --compile times the step of torch.compile(model)
as well, which compiles all but the recurrent layers: Dynamo leaves those as they are.
"""

import time

import pytorch_common as common
import torch


class Model(torch.nn.Module):
    def __init__(self, shape, args):
        super().__init__()
        self.drop = torch.nn.Dropout(args.dropout)
        self.encoder = torch.nn.Embedding(args.vocabulary, shape.input)
        self.rnn = common.Stack(shape, args.dropout)
        self.decoder = torch.nn.Linear(shape.hidden[-1], args.vocabulary)

    def forward(self, tokens, states):
        y, states = self.rnn(self.drop(self.encoder(tokens)), states)
        return self.decoder(self.drop(y).flatten(0, 1)), states


def detached(state):
    return tuple(s.detach() for s in state) if isinstance(state, tuple) else state.detach()


def tensors(states):
    return [t for s in states for t in (s if isinstance(s, tuple) else (s,))]


class Training:
    def __init__(self, shape, args, compiled):
        dtype = torch.bfloat16 if args.precision == "bf16" else torch.float32
        model = Model(shape, args).to(args.device, dtype)
        self.parameters = list(model.parameters())
        self.states = model.rnn.states(shape, device=args.device, dtype=dtype)
        self.model = torch.compile(model) if compiled else model
        tokens = (shape.steps, shape.batch)
        self.inputs = torch.randint(args.vocabulary, tokens, device=args.device)
        self.targets = torch.randint(args.vocabulary, tokens, device=args.device).flatten()
        self.loss_of = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.parameters, lr=1.0)

    def step(self):
        self.optimizer.zero_grad()
        logits, states = self.model(self.inputs, [detached(s) for s in self.states])
        self.loss_of(logits.float(), self.targets).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 0.25)
        self.optimizer.step()
        self.carry(states)

    def carry(self, states):
        self.states = states

    def capture(self):
        """From now on a step is the replay of one graph, whose states lie where they lay before."""
        self.carry = lambda states: [
            old.copy_(new.detach())
            for old, new in zip(tensors(self.states), tensors(states), strict=True)
        ]
        self.states = [detached(s) for s in self.states]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                self.step()
        torch.cuda.current_stream().wait_stream(stream)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.step()
        self.step = self.graph.replay


def sample(training, on_gpu):
    """Microseconds of a step. A GPU gets ten in a row, and the last is waited for."""
    steps = 10 if on_gpu else 1
    start = time.perf_counter()
    for _ in range(steps):
        training.step()
    if on_gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e6 / steps


def measure(shape, args, algorithm):
    on_gpu = args.device == "cuda"
    columns = {"task": "lm", "precision": args.precision, "pass": "step", "algorithm": algorithm,
               "execution": "graph" if algorithm == "graph" else "stream" if on_gpu else "calls"}
    if shape.cell not in common.LAYERS:
        common.print_row(shape, status=f"PyTorch has no {shape.cell}", **columns)
        return
    try:
        training = Training(shape, args, algorithm == "compile")
        if algorithm == "graph":
            training.capture()
        for _ in range(3):
            sample(training, on_gpu)
        us = [sample(training, on_gpu) / shape.steps for _ in range(args.samples)]
    except RuntimeError as error:  # a shape may be too large; the others may not
        common.print_row(shape, status=common.one_line(error), **columns)
        return
    weights = shape.weights() + shape.hidden[-1] * args.vocabulary
    if on_gpu:
        columns["work_mib"] = common.mib(torch.cuda.max_memory_allocated())
    common.print_row(shape, us, 6 * weights * shape.batch, **columns)


def add_flags(parser):
    parser.add_argument("--vocabulary", type=int, default=10000)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--compile", action="store_true")


def main():
    args = common.parse_arguments(__doc__, samples=30, add_more=add_flags)
    print(f"# lm: V {args.vocabulary}, dropout {args.dropout:g}; work_mib is all memory at its peak")
    common.print_header()
    for shape in args.shapes:
        algorithms = ["eager"] + ["graph"] * (args.device == "cuda") + ["compile"] * args.compile
        for algorithm in algorithms:
            measure(shape, args, algorithm)
            common.free_memory()


main()
