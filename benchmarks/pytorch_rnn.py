"""Times PyTorch's recurrent layers, forward as in training and backward: the peer of
`unroll bench rnn`, same CSV.

Backward makes all gradients (of x, of the states, of weights and of both biases) and follows a
forward of its own, since PyTorch frees what forward has saved. Before each pass memory is
overwritten, as `unroll bench rnn` does. On a GPU events are the clock, and "graph" replays the same
calls captured in CUDA graphs. bf16 is timed in fp16, too: cuDNN's layers take it in every version,
and bfloat16 not in all.
"""

import functools
import time

import pytorch_common as common
import torch

FLUSHED = 128 * 2**20  # bytes, twice the L2 of an H200


class Eager:
    """Passes as a training loop calls them."""

    def __init__(self, shape, device, dtype):
        options = {"device": device, "dtype": dtype}
        self.model = common.Stack(shape).to(**options)
        self.x = torch.rand(shape.steps, shape.batch, shape.input, **options) * 2 - 1
        self.x.requires_grad_()
        self.states = self.model.states(shape, requires_grad=True, **options)
        self.dy = torch.full((shape.steps, shape.batch, shape.hidden[-1]), 0.01, **options)
        flat = [s for state in self.states for s in (state if type(state) is tuple else [state])]
        self.leaves = [self.x, *flat, *self.model.parameters()]

    def forward(self):
        self.y, self.after = self.model(self.x, self.states)

    def backward(self):
        self.gradients = torch.autograd.grad(self.y, self.leaves, self.dy)


class Captured:
    """The passes of an Eager as CUDA graphs."""

    def __init__(self, eager):
        side = torch.cuda.Stream()  # capturing wants a warm-up, and that on another stream
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                eager.forward()
                eager.backward()
        torch.cuda.current_stream().wait_stream(side)
        graphs = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(graphs[0]):
            eager.forward()
        with torch.cuda.graph(graphs[1], pool=graphs[0].pool()):
            eager.backward()
        self.kept = eager  # whose tensors the graphs read and write
        self.forward, self.backward = graphs[0].replay, graphs[1].replay


def time_on_cpu(flushed, work):
    flushed.zero_()
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e6


def time_on_gpu(flushed, work):
    flushed.zero_()  # also gives the CPU time to queue `work` before its turn comes
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    work()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) * 1e3


def sample_passes(passes, shape, args):
    """Microseconds per timestep: samples of forward, samples of backward."""
    flushed = torch.empty(FLUSHED, dtype=torch.int8, device=args.device)
    timer = functools.partial(time_on_gpu if args.device == "cuda" else time_on_cpu, flushed)
    for _ in range(3):
        passes.forward()
        passes.backward()
    us = [], []
    for _ in range(args.samples):
        us[0].append(timer(passes.forward) / shape.steps)
        us[1].append(timer(passes.backward) / shape.steps)
    return us


def memory_of(passes):
    """MiB on a GPU, results not counted: what forward keeps, what each pass has besides."""

    def bytes_of(tensors):
        return sum(t.numel() * t.element_size() for t in tensors)

    def run(work):
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        work()
        torch.cuda.synchronize()
        return (torch.cuda.memory_allocated() - before, torch.cuda.max_memory_allocated() - before)

    passes.y = passes.after = passes.gradients = None
    kept, most = run(passes.forward)
    states = [s for state in passes.after for s in (state if type(state) is tuple else [state])]
    forward = {
        "reserve_mib": common.mib(max(0, kept - bytes_of([passes.y, *states]))),
        "work_mib": common.mib(most - kept),
    }
    _, most = run(passes.backward)
    work = max(0, most - bytes_of(passes.gradients))
    return forward, {"work_mib": common.mib(work)}


def print_rows(shape, us, memory, **columns):
    for name, times, sizes, products in zip(("forward", "backward"), us, memory, (1, 2)):
        flop = products * 2 * shape.weights() * shape.batch
        common.print_row(shape, times, flop, **{"pass": name}, **sizes, **columns)


def print_failure(shape, why, **columns):
    for name in "forward", "backward":
        common.print_row(shape, **{"pass": name}, status=common.one_line(why), **columns)


def measure(shape, name, dtype, args):
    on_gpu = args.device == "cuda"
    case = {"task": "rnn", "precision": args.precision}
    eager = {"algorithm": "eager" + name, "execution": "stream" if on_gpu else "calls"} | case
    graph = {"algorithm": "graph" + name, "execution": "graph"} | case
    if shape.cell not in common.LAYERS:
        print_failure(shape, f"PyTorch has no {shape.cell}", **eager)
        return
    try:
        passes = Eager(shape, args.device, dtype)
        us = sample_passes(passes, shape, args)
        print_rows(shape, us, memory_of(passes) if on_gpu else ({}, {}), **eager)
    except RuntimeError as error:  # a shape may be too large; the others may not
        print_failure(shape, error, **eager)
        return
    if not on_gpu:
        return
    try:
        print_rows(shape, sample_passes(Captured(passes), shape, args), ({}, {}), **graph)
    except RuntimeError as error:
        print_failure(shape, error, **graph)


def main():
    args = common.parse_arguments(__doc__, samples=20)
    common.print_header()
    dtypes = {"": torch.float32}
    if args.precision == "bf16":
        dtypes = {"": torch.bfloat16, ":fp16": torch.float16}
    for shape in args.shapes:
        for name, dtype in dtypes.items():
            measure(shape, name, dtype, args)
            common.free_memory()


main()
