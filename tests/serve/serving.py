"""What the tests of `unroll serve` share: small models, a server, and clients on plain sockets."""
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import threading
import time


def write_text(folder):
    """Sentences of a few words, some of them with letters outside ASCII."""
    draw = random.Random(1)
    os.makedirs(folder)
    for name, lines in (("train", 400), ("valid", 60), ("test", 60)):
        with open(f"{folder}/{name}.txt", "w", encoding="utf-8") as file:
            for _ in range(lines):
                file.write(" ".join((draw.choice(("he", "she", "Zoë")), draw.choice(("ate", "saw")),
                                     "the", draw.choice(("cake", "fork", "café", "cat")), ".")) + "\n")


def train(program, folder, tokenizer, *more):
    """A run folder with a model of such tokens."""
    run = f"{folder}/{tokenizer.split(':')[0]}"
    subprocess.run([program, "train", "--device", "cpu", "--threads", "1", "--data",
                    f"{folder}/text", "--cache-dir", f"{folder}/cache", "--tokenizer", tokenizer,
                    "--nhid", "16", "--emsize", "8", "--nlayers", "1", "--dropout", "0", "--epochs",
                    "1", "--batch-size", "4", "--bptt", "10", "--optimizer", "adam", "--lr", "0.02",
                    "--save", run, *more], check=True, capture_output=True, timeout=120)
    return run


def ask(program, run, command, *flags, text=None):
    """The objects that a command of the program prints with --json."""
    done = subprocess.run([program, command, "--device", "cpu", "--threads", "1", "--checkpoint", run,
                           "--json", *flags], input=text, check=True, capture_output=True,
                          encoding="utf-8", timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


class Server:
    """`unroll serve` on a free port, until the end of the block."""

    def __init__(self, program, run, *flags, prepare=None):
        self.process = subprocess.Popen(
            [program, "serve", "--device", "cpu", "--threads", "1", "--checkpoint", run, "--port",
             "0", *flags], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            preexec_fn=prepare)
        line = self.process.stdout.readline()
        found = re.fullmatch(r"listening on http://(\S+):(\d+)\n", line)
        if not found:
            raise RuntimeError(f"got {line!r} and {self.process.stderr.read()!r}")
        self.host, self.port = found[1].strip("[]"), int(found[2])
        self.notes = []
        self.reader = threading.Thread(target=self.keep_notes, daemon=True)
        self.reader.start()

    def keep_notes(self):
        for line in self.process.stderr:
            self.notes.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, number=signal.SIGTERM, timeout=30):
        """Its exit status after the signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout)

    def memory(self):
        """Of the process, in MiB."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read())[1]) / 1024

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            user, system = file.read().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    # ---- whole requests

    def client(self, timeout=60):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, body=None, fields=None):
        """Status, fields and body of an answer."""
        client = self.client()
        try:
            client.request(method, path, body, fields or {})
            answer = client.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            client.close()

    def post(self, path, question, **fields):
        """Status and object of an answer."""
        status, _, body = self.request("POST", path, json.dumps(question).encode(),
                                       {"Content-Type": "application/json", **fields})
        return status, json.loads(body)

    def get(self, path):
        status, _, body = self.request("GET", path)
        return status, json.loads(body)

    def events(self, question):
        """Those of a stream, which ends with [DONE]."""
        body = json.dumps({**question, "stream": True}).encode()
        status, fields, text = self.request("POST", "/v1/generate", body,
                                            {"Content-Type": "application/json"})
        if status != 200 or fields["Content-Type"] != "text/event-stream":
            raise RuntimeError(f"{status} {fields} {text}")
        lines = [line.removeprefix("data: ") for line in text.decode().split("\n\n")]
        if lines[-2:] != ["[DONE]", ""]:
            raise RuntimeError(f"a stream ends with {lines[-2:]}")
        return [json.loads(line) for line in lines[:-2]]

    # ---- bytes

    def connect(self, timeout=30):
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def idle(self, timeout=10):
        """Waits until it has nothing to do; False if it has not come to that."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            health = self.get("/healthz")[1]
            if health["active"] == health["queued"] == 0:
                return True
            time.sleep(0.02)
        return False


def post_bytes(path, question, *fields):
    body = question if isinstance(question, bytes) else json.dumps(question).encode()
    head = [f"POST {path} HTTP/1.1", "Host: localhost", "Content-Type: application/json",
            f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def receive(connection):
    """All bytes until the server ends the connection."""
    data = b""
    try:
        while part := connection.recv(1 << 16):
            data += part
    except ConnectionResetError:
        pass
    return data


def receive_answer(connection):
    """Status and object of the next answer of a connection that stays; (None, None) if it ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(1)
        if not part:
            return None, None
        data += part
    status = int(data.split()[1])
    if status == 100:
        return receive_answer(connection)
    size = int(re.search(rb"(?i)content-length: (\d+)", data)[1])
    body = b""
    while len(body) < size:
        part = connection.recv(size - len(body))
        if not part:
            return None, None
        body += part
    return status, json.loads(body)
