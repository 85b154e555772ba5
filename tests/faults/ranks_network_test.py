#!/usr/bin/env python3
"""Ranks on several hosts: network namespaces that a bridge joins. They end with the hash of one rank, also
over a slow network; one whose network is cut ends all within the limit of silence, with one line.

  ranks_network_test.py PROGRAM     skipped (77) where namespaces cannot be made
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from ranks_support import FLAGS, SILENCE, model_of, write_corpus  # noqa: E402

HOSTS, PORT = 3, 29_511
BRIDGE = f"ur{os.getpid() % 100000}"


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def host(k):
    return f"{BRIDGE}h{k}"


def make_network():
    ip("link", "add", BRIDGE, "type", "bridge")
    ip("link", "set", BRIDGE, "up")
    for k in range(HOSTS):
        ip("netns", "add", host(k))
        ip("link", "add", f"{BRIDGE}v{k}", "type", "veth", "peer", "name", "eth0", "netns", host(k))
        ip("link", "set", f"{BRIDGE}v{k}", "master", BRIDGE, "up")
        ip("-n", host(k), "addr", "add", f"10.213.77.{k + 1}/24", "dev", "eth0")
        ip("-n", host(k), "link", "set", "eth0", "up")
        ip("-n", host(k), "link", "set", "lo", "up")


def remove_network():
    for k in range(HOSTS):
        subprocess.run(["ip", "netns", "del", host(k)], capture_output=True, check=False)
    subprocess.run(["ip", "link", "del", BRIDGE], capture_output=True, check=False)


def start(test, run, port, flags=()):
    processes = []
    for rank in range(HOSTS):
        environment = {**os.environ, "XDG_CACHE_HOME": test["cache"], "RANK": str(rank),
                       "WORLD_SIZE": str(HOSTS), "LOCAL_RANK": "0", "MASTER_ADDR": "10.213.77.1",
                       "MASTER_PORT": str(port)}
        processes.append(subprocess.Popen(
            ["ip", "netns", "exec", host(rank), test["program"], "train", "--data", test["text"],
             *FLAGS, "--save", run, *flags],
            env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    return processes


def wait(processes, seconds):
    deadline, results = time.monotonic() + seconds, []
    for process in processes:
        try:
            _, err = process.communicate(timeout=max(0.1, deadline - time.monotonic()))
            results.append((process.returncode,
                            [line for line in err.splitlines() if line.startswith("unroll: ")]))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            results.append(("still there", []))
    return results


def check_hash(test, run, results, what):
    if [status for status, _ in results] != [0] * HOSTS:
        sys.exit(f"{what}: got {results}, expected status 0")
    if model_of(run) != test["model"]:
        sys.exit(f"{what}: another hash than that of one rank")


def trained(test, folder, name, port):
    began = time.monotonic()
    run = f"{folder}/{name}"
    check_hash(test, run, wait(start(test, run, port), 240), name)
    return time.monotonic() - began


def cut(test, folder):
    """Takes the network of the last host away while it trains."""
    run = f"{folder}/cut"
    processes = start(test, run, PORT + 2, ["--epochs", "500"])
    deadline = time.monotonic() + 60
    while not os.path.exists(f"{run}/latest") and time.monotonic() < deadline:
        time.sleep(0.01)
    ip("link", "set", f"{BRIDGE}v{HOSTS - 1}", "down")
    began = time.monotonic()
    results = wait(processes, SILENCE + 30)
    seconds = time.monotonic() - began
    ip("link", "set", f"{BRIDGE}v{HOSTS - 1}", "up")
    # The two that still see each other say one line, and so does the one that is cut off.
    near = [line for _, lines in results[:-1] for line in lines]
    if len(near) != 1 or f"rank {HOSTS - 1} gave no sign of life" not in near[0]:
        sys.exit(f"a network that is cut: got {results}, expected one line of the ranks together")
    if [status for status, _ in results] != [1] * HOSTS or len(results[-1][1]) > 1:
        sys.exit(f"a network that is cut: got {results}, expected status 1 and one line")
    if not SILENCE - 2 < seconds < SILENCE + 6:
        sys.exit(f"a network that is cut: got {seconds:.1f} s, expected some {SILENCE}")
    return seconds


def main():
    program = os.path.abspath(sys.argv[1])
    if os.geteuid() != 0 or not shutil.which("ip"):
        print("SKIPPED: network namespaces need root and ip")
        sys.exit(77)
    try:
        make_network()
    except subprocess.CalledProcessError as error:
        remove_network()
        print(f"SKIPPED: no network namespaces: {error.stderr.strip()}")
        sys.exit(77)
    try:
        with tempfile.TemporaryDirectory() as folder:
            test = {"program": program, "text": f"{folder}/text", "cache": f"{folder}/cache"}
            write_corpus(test["text"], 1)
            subprocess.run([program, "train", "--data", test["text"], *FLAGS, "--save", f"{folder}/one"],
                           check=True, capture_output=True, timeout=120,
                           env={**os.environ, "XDG_CACHE_HOME": test["cache"]})
            test["model"] = model_of(f"{folder}/one")
            seconds = trained(test, folder, "several hosts", PORT)
            print(f"{HOSTS} hosts: one hash, {seconds:.1f} s")
            for k in range(HOSTS):
                limit = subprocess.run(["tc", "-n", host(k), "qdisc", "add", "dev", "eth0", "root", "tbf",
                                        "rate", "5mbit", "burst", "16kb", "latency", "200ms"],
                                       capture_output=True, text=True, check=False)
            if limit.returncode == 0:
                seconds = trained(test, folder, "a slow network", PORT + 1)
                print(f"{HOSTS} hosts with 5 Mbit/s each: one hash, {seconds:.1f} s")
                for k in range(HOSTS):
                    subprocess.run(["tc", "-n", host(k), "qdisc", "del", "dev", "eth0", "root"], check=True)
            else:
                print(f"not tried on a slow network: {limit.stderr.strip()}")
            print(f"a network that was cut ended the run after {cut(test, folder):.1f} s")
    finally:
        remove_network()


main()
