"""What an agent and its watchdog take at rest.

Starts both, as `lontra agent` would, against a server on loopback that never has work, lets them
settle, and prints memory (resident, and proportional: shared pages divided among their users) and
processor time over the measured span.

    python benchmarks/agent_footprint.py [--seconds 60] [--interval 5]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import wsgiref.simple_server
from collections.abc import Callable
from pathlib import Path
from typing import Any

AIM_RSS_MIB = 60.0
AIM_CPU_PERCENT = 0.5
SETTLE_SECONDS = 5.0


class IdleServer:
    """Welcomes the agent and never has work for it."""

    def __init__(self, interval_seconds: float) -> None:
        self.registered = threading.Event()
        self.requests = 0
        self._interval = interval_seconds

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        self.requests += 1
        action = environ["PATH_INFO"].rpartition("/")[2]
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        if action == "work":
            start_response("204 No Content", [("Retry-After", f"{self._interval:g}")])
            return [b""]
        answer: dict[str, Any] = {"action": "continue"}
        if action == "register":
            self.registered.set()
            answer = {
                "protocol": 1, "agent": 1, "target": 1, "lease_seconds": 60.0,
                "heartbeat_seconds": self._interval, "server_time": "",
            }  # fmt: skip
        content = json.dumps(answer).encode()
        start_response("200 OK", [("Content-Length", str(len(content)))])
        return [content]


class Quiet(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident and proportional set size."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    found = dict(re.findall(r"^(Rss|Pss):\s+(\d+) kB", text, re.MULTILINE))
    return int(found["Rss"]) / 1024, int(found["Pss"]) / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time so far; from schedstat, which counts nanoseconds, not clock ticks."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="span that is measured")
    parser.add_argument("--interval", type=float, default=5.0, help="the agent's interval, seconds")
    args = parser.parse_args()
    server = IdleServer(args.interval)
    http = wsgiref.simple_server.make_server("127.0.0.1", 0, server, handler_class=Quiet)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "LONTRA_AGENT__SERVER__URL": f"http://127.0.0.1:{http.server_port}",
            "LONTRA_AGENT__SERVER__TOKEN": "none",
            "LONTRA_AGENT__AGENT__STATE_DIR": f"{folder}/state",
            "LONTRA_AGENT__AGENT__INTERVAL_SECONDS": str(args.interval),
            "LONTRA_AGENT__AGENT__LOG": "warning",
            "LONTRA_AGENT__TARGET__NAME": "rest",
            "LONTRA_AGENT__TARGET__ADAPTER": "simulated",
        }
        agent = subprocess.Popen([sys.executable, "-m", "targets.agent"], env=environment)
        try:
            if not server.registered.wait(30.0):
                raise SystemExit("the agent did not register")
            time.sleep(SETTLE_SECONDS)
            watchdog = json.loads(Path(folder, "state", "journal.lock").read_text())["pid"]
            return report({"agent": agent.pid, "watchdog": watchdog}, args, server)
        finally:
            agent.send_signal(signal.SIGTERM)
            agent.wait(30.0)
            http.shutdown()


def report(pids: dict[str, int], args: argparse.Namespace, server: IdleServer) -> int:
    """Measure the span and print the table; 0 when both aims are met."""
    asked, began = server.requests, time.monotonic()
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    time.sleep(args.seconds)
    span = time.monotonic() - began
    rows = [
        (name, *memory_mib(pid), 100 * (cpu_seconds(pid) - before[name]) / span)
        for name, pid in pids.items()
    ]
    rows.append(("together", *(sum(row[i] for row in rows) for i in (1, 2, 3))))
    print(f"{span:.0f} s at rest, interval {args.interval:g} s, "
          f"{server.requests - asked} requests, Python {sys.version.split()[0]}")  # fmt: skip
    print(f"{'process':10} {'RSS MiB':>9} {'PSS MiB':>9} {'% of a core':>12}")
    for name, rss, pss, cpu in rows:
        print(f"{name:10} {rss:9.1f} {pss:9.1f} {cpu:12.3f}")
    met = rows[-1][1] < AIM_RSS_MIB and rows[-1][3] < AIM_CPU_PERCENT
    print(f"aim: together under {AIM_RSS_MIB:g} MiB and {AIM_CPU_PERCENT:g} % of a core: "
          f"{'met' if met else 'NOT met'}")  # fmt: skip
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
