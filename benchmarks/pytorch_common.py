"""What pytorch_rnn.py and pytorch_lm.py share: flags, the recurrent stack, rows of results.h's CSV.

fp32 forbids TF32 and tf32 allows it, in cuBLAS and in cuDNN. With bf16 every number that PyTorch
keeps is bfloat16, which is faster than autocast and what favours PyTorch. Exit status 3: not run,
with the reason.
"""

import argparse
import csv
import gc
import itertools
import statistics
import sys

try:
    import torch
except ImportError as missing:
    print(f"not run: {missing}", file=sys.stderr)
    sys.exit(3)

COLUMNS = (  # results.h's
    "task,shape,cell,T,B,I,hidden,precision,pass,program,algorithm,execution,status,us_per_step,"
    "us_min,us_max,samples,noise,prepare_us,speed,tflops,peak_share,floor_us,floor_ratio,"
    "reserve_mib,work_mib"
).split(",")
LAYERS = {
    "lstm": (torch.nn.LSTM, 4, {}),  # module, gates, arguments
    "gru": (torch.nn.GRU, 3, {}),
    "rnn_tanh": (torch.nn.RNN, 1, {"nonlinearity": "tanh"}),
    "rnn_relu": (torch.nn.RNN, 1, {"nonlinearity": "relu"}),
}


class Shape:
    """Of "NAME=CELL,T,B,I,H1/H2/...": what `lm_step --list` prints."""

    def __init__(self, text):
        try:
            self.name, rest = text.split("=")
            self.cell, steps, batch, size, hidden = rest.split(",")
            self.steps, self.batch, self.input = int(steps), int(batch), int(size)
            self.hidden = [int(units) for units in hidden.split("/")]
            if min(self.steps, self.batch, self.input, *self.hidden) < 1:
                raise ValueError
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"got {text}, expected NAME=CELL,T,B,I,H1/H2/..."
            ) from None

    def weights(self):
        """Those that multiply a vector in every timestep."""
        inputs = [self.input, *self.hidden]
        gates = LAYERS[self.cell][1]
        return sum(gates * h * (i + h) for i, h in zip(inputs, self.hidden))


class Stack(torch.nn.Module):
    """Recurrent layers: one module of PyTorch's for each run of equal sizes."""

    def __init__(self, shape, dropout=0.0):
        super().__init__()
        module, _, arguments = LAYERS[shape.cell]
        self.drop = torch.nn.Dropout(dropout)
        self.runs = torch.nn.ModuleList()
        size = shape.input
        for units, run in itertools.groupby(shape.hidden):
            layers = len(list(run))
            between = dropout if layers > 1 else 0.0
            self.runs.append(module(size, units, layers, dropout=between, **arguments))
            size = units

    def states(self, shape, **options):
        """Of zeros, for each run: h0, for an LSTM (h0, c0)."""
        made = []
        for run in self.runs:
            size = (run.num_layers, shape.batch, run.hidden_size)
            h0 = torch.zeros(size, **options)
            made.append((h0, torch.zeros(size, **options)) if shape.cell == "lstm" else h0)
        return made

    def forward(self, x, states):
        after = []
        for k, (run, state) in enumerate(zip(self.runs, states)):
            x, state = run(x if k == 0 else self.drop(x), state)
            after.append(state)
        return x, after


def parse_arguments(description, samples, add_more=lambda parser: None):
    """The flags, with PyTorch set up as they say and the lines before the rows printed."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", default="fp32", choices=["fp32", "tf32", "bf16"])
    parser.add_argument("--shape", type=Shape, action="append", required=True, dest="shapes",
                        metavar="NAME=CELL,T,B,I,H1/H2/...", help="may be repeated")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--samples", type=int, default=samples)
    add_more(parser)
    args = parser.parse_args()
    if args.samples < 1:
        parser.error("--samples: expected at least 1")
    if args.device == "cpu" and args.precision != "fp32":
        parser.error("--precision: the CPU is measured in fp32")
    if args.device == "cuda" and not torch.cuda.is_available():
        print("not run: PyTorch sees no CUDA device", file=sys.stderr)
        sys.exit(3)
    torch.backends.cuda.matmul.allow_tf32 = args.precision != "fp32"
    torch.backends.cudnn.allow_tf32 = args.precision != "fp32"  # without, no tensor cores for bf16
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    where = f"{args.threads} threads"
    if args.device == "cuda":
        where = f"cuDNN {torch.backends.cudnn.version()}, {torch.cuda.get_device_name()}"
    print(f"# PyTorch {torch.__version__}, {where}")
    return args


def print_header():
    print(",".join(COLUMNS), flush=True)


def print_row(shape, us=(), flop=0, **columns):
    """`us`: samples, microseconds per timestep. `flop`: 2 for each multiply-add of a timestep."""
    row = dict.fromkeys(COLUMNS, "")
    row.update(shape=shape.name, cell=shape.cell, T=shape.steps, B=shape.batch, I=shape.input,
               hidden="/".join(map(str, shape.hidden)), program="pytorch", status="ok",
               samples=len(us))
    if us:
        median = statistics.median(us)
        row.update(us_per_step=f"{median:.6g}", us_min=f"{min(us):.6g}", us_max=f"{max(us):.6g}",
                   tflops=f"{flop / median / 1e6:.4g}")
    row.update(columns)
    csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n").writerow(row)
    sys.stdout.flush()


def one_line(error):
    """Why there are no times, for the column `status`."""
    return " ".join(str(error).split())[:200]


def mib(size):
    return f"{size / 2**20:.1f}"


def free_memory():
    """Gives back what a shape, or one that failed, has left behind."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
