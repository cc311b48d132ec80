"""Asks batchd, tells it to reload, checks it, and measures it: all that tuning it takes.

python client.py RUN_FOLDER status | reload | check | measure [--seconds S] [--seed N]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

CLIENTS = 8
KEYS = 2000
BLOCK_KEYS = 50
READ_SHARE = 0.7
ZIPF_EXPONENT = 0.9
PATIENCE_SECONDS = 3.0
"""An answer that takes longer is as good as none."""


class Batchd:
    """One connection. Raises OSError when the daemon is away or too slow."""

    def __init__(self, timeout_seconds: float = PATIENCE_SECONDS) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout_seconds)
        self._socket.connect("batchd.sock")
        self._answers = self._socket.makefile("rb")

    def ask(self, **request: Any) -> dict[str, Any]:
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = self._answers.readline()
        if not line:
            raise ConnectionResetError("batchd closed the connection")
        return json.loads(line)


def reload() -> None:
    """Have the file read again, and wait until it was; fails when the daemon refuses it."""
    before = Batchd().ask(do="status")
    os.kill(before["pid"], signal.SIGHUP)
    deadline = time.monotonic() + 5.0
    while time.monotonic() < deadline:
        status = Batchd().ask(do="status")
        if status["reloads"] > before["reloads"]:
            if status["error"]:
                sys.exit(f"batchd refuses: {status['error']}")
            return
        time.sleep(0.005)
    sys.exit("batchd did not reload within 5 s")


def check() -> None:
    """Write and read one record within the patience of a client.

    Twice at most: where a measurement begins in between, it loads its data anew and the record
    is rightly gone.
    """
    daemon = Batchd()
    for _ in range(2):
        written = daemon.ask(do="put", key="check", value=".")
        answer = daemon.ask(do="get", key="check")
        error = written.get("error") or answer.get("error")
        if error is None:
            return
    sys.exit(f"batchd answers: {error}")


def measure(seconds: float, seed: int) -> None:
    """Drive it with concurrent clients; prints throughput and latency as JSON."""
    rng = random.Random(seed)
    names = [f"key-{number:05d}" for number in range(KEYS)]
    text = " ".join(rng.choices(["lutra", "lontra", "amblonyx", "hydrictis", "pteronura"], k=60))
    blocks = [
        {name: f"{name} {text}" for name in names[start : start + BLOCK_KEYS]}
        for start in range(0, KEYS, BLOCK_KEYS)
    ]
    Batchd(timeout_seconds=10.0).ask(do="load", blocks=blocks)
    weights = [1 / rank**ZIPF_EXPONENT for rank in range(1, KEYS + 1)]
    rng.shuffle(names)
    latencies: list[float] = []
    refused: list[str] = []

    def drive(mine: random.Random, end: float) -> None:
        try:
            daemon = Batchd()
            for key in itertools.cycle(mine.choices(names, weights, k=KEYS)):
                started = time.monotonic()
                if started >= end:
                    return
                if mine.random() < READ_SHARE:
                    answer = daemon.ask(do="get", key=key)
                else:
                    answer = daemon.ask(do="put", key=key, value=f"{key} {text}")
                if "error" in answer:
                    refused.append(answer["error"])
                latencies.append(time.monotonic() - started)
        except OSError as error:
            refused.append(str(error))

    started = time.monotonic()
    threads = [
        threading.Thread(target=drive, args=(random.Random(rng.random()), started + seconds))
        for _ in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if refused:
        sys.exit(f"{len(refused)} requests failed, the last: {refused[-1]}")
    latencies.sort()
    result = {
        "throughput": len(latencies) / (time.monotonic() - started),
        "latency_p99_ms": 1000 * latencies[int(0.99 * len(latencies))],
    }
    print(json.dumps(result))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("act", choices=["status", "reload", "check", "measure"])
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    os.chdir(args.folder)
    try:
        match args.act:
            case "status":
                print(json.dumps(Batchd().ask(do="status")))
            case "reload":
                reload()
            case "check":
                check()
            case "measure":
                measure(args.seconds, args.seed)
    except OSError as error:
        sys.exit(f"batchd does not answer: {error}")


if __name__ == "__main__":
    main()
