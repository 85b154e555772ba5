#!/usr/bin/env python3
"""Requests a second and latency of `unroll serve` with 1, 16 and 256 clients.

Each client keeps a connection and asks again as soon as it has its answer. The clients are this process, one
thread for all, so that they leave most of a processor to the server; on a small machine they still share it.

    benchmarks/serve.py --program build/bin/unroll --checkpoint RUN --text "the company said"
"""
import argparse
import asyncio
import json
import os
import re
import subprocess
import time


def request(path, question):
    body = json.dumps(question).encode()
    return (f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n").encode() + body


async def client(port, data, end, times):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.perf_counter() < end:
        start = time.perf_counter()
        writer.write(data)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(re.search(rb"Content-Length: (\d+)", head)[1]))
        if b" 200 " not in head[:20]:
            raise RuntimeError(head.decode())
        times.append(time.perf_counter() - start)
    writer.close()


async def measure(port, data, clients, seconds):
    """Latencies of the questions that clients ask in that time."""
    times = []
    end = time.perf_counter() + seconds
    await asyncio.gather(*(client(port, data, end, times) for _ in range(clients)))
    return sorted(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--text", required=True, help="the history, the line to score and the prompt")
    parser.add_argument("--length", type=int, default=20, help="tokens to generate")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--flags", default="--device cpu", help="more flags of unroll serve")
    arguments = parser.parse_args()
    text = arguments.text
    questions = {"predict": request("/v1/predict", {"text": text}),
                 "score": request("/v1/score", {"text": text}),
                 "generate": request("/v1/generate", {"prompt": text, "length": arguments.length, "seed": 1})}
    with subprocess.Popen([arguments.program, "serve", "--checkpoint", arguments.checkpoint, "--port", "0",
                           *arguments.flags.split()], stdout=subprocess.PIPE, text=True) as server:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
        print(f"{'question':10} {'clients':>7} {'requests/s':>10} {'p50 ms':>8} {'p99 ms':>8}")
        for name, data in questions.items():
            for clients in (1, 16, 256):
                asyncio.run(measure(port, data, clients, 1))  # connections, memory, caches
                times = asyncio.run(measure(port, data, clients, arguments.seconds))
                p50, p99 = (1000 * times[int(share * (len(times) - 1))] for share in (0.5, 0.99))
                print(f"{name:10} {clients:7} {len(times) / arguments.seconds:10.0f} {p50:8.2f} {p99:8.2f}",
                      flush=True)
        server.terminate()


if __name__ == "__main__":
    main()
