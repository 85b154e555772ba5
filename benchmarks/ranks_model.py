#!/usr/bin/env python3
"""Time per step of one model on 1 to 64 GPUs, on paper: floors of an H100 and published rates of links.

Nothing here was measured on a GPU. A step computes its shards, exchanges gradients as
host/parallel/gradient_sum.cpp does, and updates. Models: LSTM of two layers, 35 timesteps, 10,000 words, an
embedding as wide as the layers, untied.

  ranks_model.py [--streams N] [--precision fp32|bf16] [--host-gb-s R]
"""
import argparse
import math

# The GPU: docs/floors.md says where these come from.
PRODUCTS = {"fp32": 67e12, "bf16": 798e12}  # operations a second
ELEMENT = {"fp32": 4, "bf16": 2}            # bytes of a weight in products
MEMORY, CACHE = 3.0e12, 5.7e12              # bytes a second, copied in memory; out of L2
KERNEL, STATES = 1.3e-6, 0.4e-6             # seconds: to the next kernel, exchange of states
RESIDENT = 132 * 328e3                      # bytes of weights that stay on the chip
OTHER_NODES = 40                            # of a step's graph, beside the recurrence

STEPS, WORDS, LAYERS = 35, 10_000, 2
GPUS = (1, 2, 4, 8, 16, 32, 64)
NODE = 8  # GPUs of one machine

# Bytes a second that one GPU sends while it receives as many, as vendors publish them. Large messages
# reach about four fifths: MESSAGES.
NVLINK = 450e9      # NVLink 4: 900 GB/s in both directions
PCIE = 64e9         # PCIe 5, 16 lanes
INFINIBAND = 50e9   # NDR, 400 Gbit/s, an adapter for each GPU
MESSAGES = 0.8
# Seconds until a grouped exchange has begun on every GPU: within a machine, and between machines.
NEAR, FAR = 15e-6, 30e-6
HOST_ROUND = 60e-6  # a round of small messages between the hosts, while the GPUs compute


class Model:
    def __init__(self, units, precision):
        self.units, self.precision = units, precision
        self.recurrent = LAYERS * (8 * units * units + 8 * units)
        self.decoder = WORDS * (units + 1)
        self.dense = self.recurrent + self.decoder  # gradients that are added up
        self.parameters = self.dense + WORDS * units

    def compute(self, streams):
        """Seconds of a step's products and recurrence, forward and backward."""
        units, rate, size = self.units, PRODUCTS[self.precision], ELEMENT[self.precision]
        weights = 4 * units * units * size
        total = OTHER_NODES * KERNEL
        for passes in (1, 2):  # backward multiplies twice, of which once out of the loop
            product = 2 * streams * 4 * units * units / rate
            kernels = 2 * KERNEL + max(product, weights / CACHE)
            resident = STATES + streams * units * size / (CACHE / 132) + product
            step = min(kernels, resident) if weights <= RESIDENT else kernels
            total += LAYERS * STEPS * step
            # Products over all timesteps: inputs; backward their gradients and those of the weights.
            total += LAYERS * STEPS * (product if passes == 1 else 3 * product)
            total += passes * 2 * STEPS * streams * units * WORDS / rate
        return total

    def update(self):
        """Seconds of the norm and of SGD: gradients are read twice, parameters once and written."""
        return (2 * self.dense + 2 * self.parameters) * 4 / MEMORY + 6 * KERNEL

    def exchange(self, gpus, streams, machine, network):
        """Seconds of the exchange; `machine` and `network` in bytes a second."""
        if gpus == 1:
            return 0
        near = min(gpus, NODE)
        to_near, to_far = (near - 1) / gpus, (gpus - near) / gpus
        slices = 2 * 4 * self.dense  # all-to-all, then all-gather
        rows = gpus * 4 * (self.units + 1) * math.ceil(streams / gpus) * STEPS
        seconds = (slices + rows) * to_near / machine
        if to_far:
            seconds = max(seconds, (slices + rows) * to_far / network)
        seconds += 2 * (FAR if gpus > NODE else NEAR)
        # The ordered sum of a slice: each addition reads two and writes one.
        return seconds + 12 * self.dense * (gpus - 1) / gpus / MEMORY

    def step(self, gpus, streams, machine, network):
        own = math.ceil(streams / gpus)
        compute = max(self.compute(own), HOST_ROUND if gpus > 1 else 0)
        return compute + self.update() + self.exchange(gpus, streams, machine, network)

    def overlapped(self, gpus, streams, machine, network):
        """What overlapping the decoder's part of the exchange with the recurrence would save at most."""
        exchange = self.exchange(gpus, streams, machine, network)
        own = math.ceil(streams / gpus)
        backward = self.compute(own) / 2
        return min(exchange * self.decoder / self.dense, backward)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--streams", type=int, default=1024, help="of the whole batch")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    parser.add_argument("--host-gb-s", type=float, default=2.0,
                        help="measured: what a rank sends through memory that ranks of a machine share")
    args = parser.parse_args()
    links = (("NVLink, InfiniBand between machines of 8", NVLINK * MESSAGES, INFINIBAND * MESSAGES),
             ("PCIe, InfiniBand between machines of 8", PCIE * MESSAGES, INFINIBAND * MESSAGES),
             ("through the host's memory, without NCCL", args.host_gb_s * 1e9, 0))
    print(f"{args.streams} streams, {args.precision}; milliseconds a step, and times as fast as one GPU")
    print("| link | units | " + " | ".join(map(str, GPUS)) + " | overlap, 8 |")
    print("|---|---|" + "---|" * (len(GPUS) + 1))
    for name, machine, network in links:
        for units in (200, 650, 1500, 4096):
            model = Model(units, args.precision)
            one = model.step(1, args.streams, machine, network)
            cells = []
            for gpus in GPUS:
                if (gpus > NODE and not network) or gpus > args.streams:
                    cells.append("")
                    continue
                seconds = model.step(gpus, args.streams, machine, network)
                cells.append(f"{seconds * 1e3:.2f}" + (f" ({one / seconds:.1f})" if gpus > 1 else ""))
            saved = model.overlapped(NODE, args.streams, machine, network)
            part = saved / model.step(NODE, args.streams, machine, network)
            print(f"| {name} | {units} | " + " | ".join(cells) + f" | {100 * part:.0f} % |")
            name = ""


main()
