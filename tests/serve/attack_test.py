#!/usr/bin/env python3
"""`unroll serve` under attack: slow clients, ten thousand connections, oversized and malformed
requests, clients that stop reading, clients that leave. Meanwhile another client asks, one question
after the other. Each of its questions must be answered, as it was before; the server must not grow
by more than 64 MiB, and must be idle soon after. What the client waited for is printed: it depends
on the machine, so it decides nothing.

  attack_test.py PROGRAM [ATTACK...]
"""
import multiprocessing
import os
import random
import resource
import socket
import struct
import sys
import tempfile
import time

sys.dont_write_bytecode = True
from serving import Server, post_bytes, receive, receive_answer, train, write_text  # noqa: E402

MEMORY = 64       # MiB
CONNECTIONS = 10_000
SECONDS = 8       # of an attack that goes on
QUESTIONS = [("/v1/predict", {"text": "he ate the"}), ("/v1/score", {"texts": ["he ate", "she saw"]}),
             ("/v1/generate", {"prompt": "she", "length": 20, "seed": 3})]
STREAM = post_bytes("/v1/generate", {"length": 4096, "stream": True})


def connect(server):
    return socket.create_connection((server.host, server.port), timeout=30)


def send(connection, data):
    """False if the server has ended the connection."""
    try:
        connection.sendall(data)
        return True
    except OSError:
        return False


def slow_headers(server):
    drip(server, 200, b"POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 4000)


def slow_bodies(server):
    drip(server, 200, post_bytes("/v1/predict", b'{"text":"' + b"he " * 4000))


def drip(server, clients, data):
    """A byte at a time, and from the start where the server has ended the connection."""
    connections = [connect(server) for _ in range(clients)]
    end = time.monotonic() + SECONDS + 4  # beyond the limit of 10 seconds
    for k in range(len(data)):
        for at, connection in enumerate(connections):
            if not send(connection, data[k:k + 1]):
                connection.close()
                connections[at] = connect(server)
        time.sleep(0.02)
        if time.monotonic() > end:
            break


def stopped_readers(server):
    connections = []
    for _ in range(200):
        connection = connect(server)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(STREAM)
        connections.append(connection)
    time.sleep(SECONDS + 4)


def ten_thousand(server):
    """As many at once as this process may have, and then new ones instead of the oldest."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    kept = []
    for k in range(CONNECTIONS):
        try:
            kept.append(connect(server))
        except OSError:
            pass
        if k % 3 == 0 and kept:
            send(kept[-1], b"GET /healthz HTTP/1.1\r\n")
        if len(kept) > min(4000, most - 100):
            kept.pop(0).close()


def oversized(server):
    big = post_bytes("/v1/predict", b'{"text":"' + b"he " * 349_000 + b'"}')  # a little below 1 MiB
    refused = post_bytes("/v1/predict", b" " * (1 << 21))
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        half = [connect(server) for _ in range(60)]
        for connection in half:  # all but the last byte, which never comes
            connection.settimeout(5)
            send(connection, big[:-1])
        for data in (big, refused, b"GET /" + b"a" * 100_000, b"A" * 1_000_000):
            with connect(server) as connection:
                connection.settimeout(5)
                send(connection, data)
        for connection in half:
            connection.close()


def malformed(server):
    draw = random.Random(1)
    valid = post_bytes("/v1/generate", {"prompt": "he", "length": 3, "seed": 1})
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        data = bytearray(valid * draw.randint(1, 3))
        for _ in range(draw.randint(0, 8)):
            data[draw.randrange(len(data))] = draw.randrange(256)
        if draw.random() < 0.3:
            data = bytearray(draw.randbytes(draw.randint(1, 3000)))
        with connect(server) as connection:
            connection.settimeout(0.05)
            if send(connection, bytes(data)) and draw.random() < 0.5:
                connection.shutdown(socket.SHUT_WR)
            try:
                receive(connection)
            except TimeoutError:
                pass


def leaving(server):
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        connections = [connect(server) for _ in range(50)]
        for k, connection in enumerate(connections):
            send(connection, STREAM if k % 2 else STREAM.replace(b"true", b"false"))
        time.sleep(0.05)
        for k, connection in enumerate(connections):
            if k % 3:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()


ATTACKS = {attack.__name__: attack for attack in (
    slow_headers, slow_bodies, stopped_readers, ten_thousand, oversized, malformed, leaving)}


class Asker:
    """Asks in turn, each time as soon as the last answer is there, and looks at the memory."""

    def __init__(self, server, expected):
        self.server, self.expected = server, expected
        self.times, self.problems, self.peak, self.retries = [], [], 0, 0
        self.connection = server.connect(60)

    def ask(self, k):
        """Over one connection. One that the server has closed between two questions is opened anew,
        as every client of HTTP does."""
        data = post_bytes(*QUESTIONS[k % len(QUESTIONS)])
        for _ in range(3):
            try:
                self.connection.sendall(data)
                answer = receive_answer(self.connection)
                if answer[0] is not None:
                    return answer
            except ConnectionError:
                pass
            self.retries += 1
            self.connection.close()
            self.connection = self.server.connect(60)
        return None, None

    def run(self, until):
        k = 0
        while not until():
            start = time.monotonic()
            answer = self.ask(k)
            self.times.append(time.monotonic() - start)
            if answer != self.expected[k % len(QUESTIONS)]:
                self.problems.append(f"question {k}: got {str(answer)[:200]}")
            self.peak = max(self.peak, self.server.memory())
            k += 1
            time.sleep(0.01)
        self.connection.close()

    def milliseconds(self, share):
        return 1000 * sorted(self.times)[int(share * (len(self.times) - 1))]


def run_attack(name, server):
    """It stands for other machines, so it leaves the processors to the server."""
    os.nice(19)
    ATTACKS[name](server)


def calm_asker(server, expected):
    """Just before an attack, because the machine may do other things too."""
    asker = Asker(server, expected)
    end = time.monotonic() + 3
    asker.run(lambda: time.monotonic() > end)
    return asker


def attack(server, name, expected, memory):
    calm = calm_asker(server, expected)
    attacker = multiprocessing.Process(target=run_attack, args=(name, server))
    attacker.start()
    asker = Asker(server, expected)
    asker.run(lambda: not attacker.is_alive())
    attacker.join()
    problems = (calm.problems + asker.problems)[:3]
    if attacker.exitcode != 0:
        problems.append(f"the attacker ended with {attacker.exitcode}")
    if not server.idle(30):
        problems.append(f"not idle afterwards: {server.get('/healthz')}")
    if asker.peak > memory + MEMORY:
        problems.append(f"memory {asker.peak:.0f} MiB, {memory:.0f} without attacks")
    print(f"{name:16} {len(calm.times):6} {calm.milliseconds(0.5):8.2f} {calm.milliseconds(0.99):8.2f}"
          f" {len(asker.times):6} {asker.milliseconds(0.5):8.2f} {asker.milliseconds(0.99):8.2f}"
          f" {asker.retries:8} {asker.peak:7.1f}", flush=True)
    return [f"{name}: {problem}" for problem in problems]


def main():
    program, *names = sys.argv[1:]
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        write_text(f"{folder}/text")
        with Server(program, train(program, folder, "word")) as server:
            expected = [server.post(*question) for question in QUESTIONS]
            memory = calm_asker(server, expected).peak
            print(f"memory {memory:.1f} MiB before; ms are those of another client without and with the"
                  " attack")
            print(f"{'attack':16} {'asked':>6} {'p50 ms':>8} {'p99 ms':>8} {'asked':>6} {'p50 ms':>8}"
                  f" {'p99 ms':>8} {'reopened':>8} {'MiB':>7}", flush=True)
            for name in names or ATTACKS:
                problems += attack(server, name, expected, memory)
            if server.process.poll() is not None:
                problems.append(f"the server has ended: {server.process.returncode}")
            elif server.stop() != 0:
                problems.append("it did not end as it should")
            problems += [f"on stderr: {line}" for line in server.notes
                         if not line.startswith(("device:", "unroll: stopping", "\n"))]
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
