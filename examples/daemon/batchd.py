"""batchd: a small durable key-value log, here to have something real to tune.

    python batchd.py RUN_FOLDER

Takes its configuration from RUN_FOLDER/batchd.conf (`name = value`; no file: the defaults), again
at every SIGHUP, and answers on RUN_FOLDER/batchd.sock, one JSON object a line. Writes are
acknowledged once their batch is on disk; reads decompress the block their key is in.

A configuration it cannot take is refused whole: `status` then still tells the one it runs with.
Some that it does take are a bad idea, as with any daemon: a batch that never fills up waits for
flush_interval_ms each time, and a queue shorter than there are clients turns them away.
"""

from __future__ import annotations

import json
import os
import signal
import socketserver
import sys
import threading
import time
import zlib
from collections import Counter, OrderedDict
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

LIMITS = {
    "batch_records": (1, 4096),
    "flush_interval_ms": (0.0, 60_000.0),
    "compression_level": (0, 9),
    "cache_blocks": (0, 65_536),
    "queue_limit": (1, 65_536),
}


@dataclass(frozen=True)
class Config:
    """What the daemon runs with. The defaults are what is in force without a file."""

    batch_records: int = 1
    flush_interval_ms: float = 2.0
    compression_level: int = 6
    cache_blocks: int = 2
    queue_limit: int = 64

    @classmethod
    def load(cls, path: Path) -> Config:
        """Read the file; raises ValueError for a line that is wrong."""
        types = {item.name: type(item.default) for item in fields(cls)}
        given: dict[str, Any] = {}
        for line in path.read_text().splitlines() if path.exists() else ():
            text = line.partition("#")[0].strip()
            if not text:
                continue
            name, _, value = (part.strip() for part in text.partition("="))
            if name not in types:
                raise ValueError(f"no setting {name!r}")
            given[name] = types[name](value)
            low, high = LIMITS[name]
            if not low <= given[name] <= high:
                raise ValueError(f"{name}={value} is outside {low}..{high}")
        return cls(**given)


@dataclass
class Write:
    """A record that waits for its batch to be on disk."""

    key: str
    value: str
    done: threading.Event = field(default_factory=threading.Event)


class Store:
    """Blocks of compressed records in a file, an index in memory, a cache of read blocks."""

    def __init__(self, path: Path, config: Config) -> None:
        self._config = config
        self.counters = Counter(puts=0, gets=0, cache_misses=0, flushes=0, refused=0)
        self._file = path.open("w+b", buffering=0)
        self._index: dict[str, tuple[int, int]] = {}
        self._cache: OrderedDict[int, dict[str, str]] = OrderedDict()
        self._lock = threading.Lock()
        self._waiting: list[Write] = []
        self._changed = threading.Condition()  # something waits, or the configuration is new
        threading.Thread(target=self._write_batches, daemon=True).start()

    @property
    def config(self) -> Config:
        return self._config

    @config.setter
    def config(self, config: Config) -> None:
        with self._changed:
            self._config = config
            self._changed.notify()

    def put(self, key: str, value: str) -> dict[str, Any]:
        write = Write(key, value)
        with self._changed:
            if len(self._waiting) >= self._config.queue_limit:
                self.counters["refused"] += 1
                return {"error": "busy"}
            self._waiting.append(write)
            self._changed.notify()
        write.done.wait()
        self.counters["puts"] += 1
        return {}

    def get(self, key: str) -> dict[str, Any]:
        with self._lock:
            place = self._index.get(key)
            if place is None:
                return {"error": "no such key"}
            self.counters["gets"] += 1
            block = self._cache.get(place[0])
            if block is None:
                packed = os.pread(self._file.fileno(), place[1], place[0])
                block = json.loads(zlib.decompress(packed))
                self.counters["cache_misses"] += 1
            self._cache[place[0]] = block
            self._cache.move_to_end(place[0])
            while len(self._cache) > self._config.cache_blocks:
                self._cache.popitem(last=False)
            return {"value": block[key]}

    def load(self, blocks: list[dict[str, str]]) -> dict[str, Any]:
        """Begin anew with these blocks, so that every measurement starts from the same data."""
        with self._lock:
            self._file.seek(0)
            self._file.truncate()
            self._index.clear()
            self._cache.clear()
        for block in blocks:
            self._append(block)
        os.fdatasync(self._file.fileno())
        return {}

    def _write_batches(self) -> None:
        while True:
            batch = self._next_batch()
            self._append({write.key: write.value for write in batch})
            os.fdatasync(self._file.fileno())
            self.counters["flushes"] += 1
            for write in batch:
                write.done.set()

    def _next_batch(self) -> list[Write]:
        """Wait for a full batch, or for as long as its first record may be kept waiting."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting)
            first = time.monotonic()
            while len(self._waiting) < self._config.batch_records:
                left = first + self._config.flush_interval_ms / 1000 - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            batch = self._waiting[: self._config.batch_records]
            del self._waiting[: len(batch)]
            return batch

    def _append(self, records: dict[str, str]) -> None:
        packed = zlib.compress(json.dumps(records).encode(), self._config.compression_level)
        with self._lock:
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(packed)
            self._index.update(dict.fromkeys(records, (offset, len(packed))))


class Batchd(socketserver.ThreadingUnixStreamServer):
    """The daemon: one thread a connection, the configuration replaced as a whole on SIGHUP."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: Path) -> None:
        os.chdir(folder)  # a socket's path may be 108 bytes long, so a relative one is used
        Path("batchd.sock").unlink(missing_ok=True)
        super().__init__("batchd.sock", Connection)
        self.store = Store(Path("batchd.log"), Config.load(Path("batchd.conf")))
        self.reloads = 0
        self.error = ""

    def reload(self) -> None:
        """Take the file's configuration, or say why not and go on with the old one."""
        try:
            self.store.config = Config.load(Path("batchd.conf"))
            self.error = ""
        except (OSError, ValueError) as error:
            self.error = f"batchd.conf: {error}"
        self.reloads += 1

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        match request:
            case {"do": "get", "key": str(key)}:
                return self.store.get(key)
            case {"do": "put", "key": str(key), "value": str(value)}:
                return self.store.put(key, value)
            case {"do": "load", "blocks": list(blocks)}:
                return self.store.load(blocks)
            case {"do": "status"}:
                return {
                    "pid": os.getpid(),
                    "running": asdict(self.store.config),
                    "reloads": self.reloads,
                    "error": self.error,
                    "counters": dict(self.store.counters),
                }
        return {"error": "want do = get, put, load or status"}


class Connection(socketserver.StreamRequestHandler):
    """Answers a client's requests in turn."""

    server: Batchd

    def handle(self) -> None:
        for line in self.rfile:
            try:
                answer = self.server.answer(json.loads(line))
            except ValueError as error:
                answer = {"error": f"no JSON: {error}"}
            try:
                self.wfile.write(json.dumps(answer).encode() + b"\n")
            except BrokenPipeError:
                return


def main() -> None:
    signals = {signal.SIGHUP, signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # for every thread; awaited in this one
    server = Batchd(Path(sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while signal.sigwait(signals) == signal.SIGHUP:
        server.reload()
    Path("batchd.sock").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
