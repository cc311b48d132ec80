"""A real ring to be struck: daemon, server, worker, agent and its watchdog, as processes.

Everything is started by the command line, as on a server, and steered over the REST API.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from plan import AGENT, SERVER, WATCHDOG, WORKER

EXAMPLE = Path(__file__).parents[2] / "examples" / "daemon"
HERE = Path(__file__).parent
TARGET = "batchd"
WINDOW_SECONDS = 0.3

AGENT_TOML = """
[server]
url = "{url}"
token_file = "token"

[agent]
state_dir = "{folder}/state"

[target]
name = "{target}"
adapter = "command"

[target.settings]
file = "{folder}/daemon/daemon.toml"

# Within these no trial takes long; which configuration is in force is what the campaign is about.
[policy.bounds]
flush_interval_ms = {{ high = 10 }}
queue_limit = {{ low = 16 }}
"""


class Gone(Exception):
    """Something did not happen in time."""


def wait_for(
    what: str, holds: Callable[[], Any], *, seconds: float, poll_seconds: float = 0.02
) -> Any:
    """Poll until it holds; answers what it answered. Raises Gone."""
    deadline = time.monotonic() + seconds
    while not (answer := holds()):
        if time.monotonic() > deadline:
            raise Gone(f"{what}: not within {seconds:g} s")
        time.sleep(poll_seconds)
    return answer


@dataclass(frozen=True)
class Sample:
    """What the inspector saw from `at` on, until the next sample."""

    at: float
    running: dict[str, Any] | None
    safe: bool


class Inspection:
    """The inspector's process and what it has said so far."""

    def __init__(self, run_folder: Path, journal: Path) -> None:
        self.samples: list[Sample] = []
        self.faults: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "inspector.py"), str(run_folder), str(journal)],
            stdout=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._listen, daemon=True).start()
        wait_for("the inspector's first look", lambda: self.samples, seconds=30)

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            if "fault" in said:
                self.faults.append(said["fault"])
            else:
                self.samples.append(Sample(said["at"], said["running"], said["safe"]))

    @property
    def last_safe(self) -> dict[str, Any] | None:
        """The configuration in which the daemon was safe last."""
        return next(sample.running for sample in reversed(self.samples) if sample.safe)

    def safe_since(self, begin: float, *, steady_seconds: float = 0.0) -> float | None:
        """The first moment from `begin` on at which the daemon was safe and then stayed so for
        `steady_seconds`; None when there was none as yet."""
        samples = list(self.samples)
        ends = [*(sample.at for sample in samples[1:]), time.monotonic()]
        for sample, end in zip(samples, ends, strict=True):
            since = max(begin, sample.at)
            if sample.safe and end >= since + steady_seconds and end >= begin:
                return since
        return None

    def safe_throughout(self, begin: float) -> bool:
        """Whether the daemon has been safe ever since."""
        samples = list(self.samples)
        ends = [*(sample.at for sample in samples[1:]), math.inf]
        return all(sample.safe for sample, end in zip(samples, ends, strict=True) if end > begin)

    def take_faults(self) -> list[str]:
        """What was wrong since this was asked last."""
        faults, self.faults = self.faults, []
        return faults

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


class Ring:
    """The parts, each of which can be struck and started again.

    Args:
        folder: everything lies there; kept short, as a socket's path must be.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.journal = self.state / "journal.jsonl"
        self.run_folder = folder / "daemon" / "run"
        self.url = ""
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._known: list[psutil.Process] = []
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith("LONTRA_")
        } | {"LONTRA_HOME": str(folder / "home")}

    def start(self) -> None:
        """Bring everything up; returns when the agent has registered."""
        shutil.copytree(
            EXAMPLE, self.folder / "daemon", ignore=shutil.ignore_patterns("run", "__pycache__")
        )
        toml = self.folder / "daemon" / "daemon.toml"
        toml.write_text(
            toml.read_text().replace('"--seconds", "2"', f'"--seconds", "{WINDOW_SECONDS}"')
            .replace("window_seconds = 2", f"window_seconds = {WINDOW_SECONDS}")
        )  # fmt: skip
        self.run_folder.mkdir()
        self._spawn("daemon", [sys.executable, "batchd.py", "run"], cwd=self.folder / "daemon")
        wait_for("the daemon", (self.run_folder / "batchd.sock").exists, seconds=30)
        self.lontra("db", "upgrade")
        self._operator = self.lontra("token", "create", "--scope", "operator")
        token = self.folder / "token"
        token.write_text(self.lontra("token", "create", "--scope", "agent", "--target", TARGET))
        token.chmod(0o600)
        self.launch(SERVER)
        config = self.folder / "agent.toml"
        config.write_text(AGENT_TOML.format(url=self.url, folder=self.folder, target=TARGET))
        config.chmod(0o600)
        self.launch(WORKER)
        self.start_agent()

    def lontra(self, *arguments: str) -> str:
        """One command of Lontra's that ends by itself."""
        command = [sys.executable, "-m", "lontra.cli", *arguments]
        done = subprocess.run(
            command,
            env=self._environment,
            cwd=self.folder,
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise Gone(f"lontra {' '.join(arguments)}: {done.stderr}")
        return done.stdout.strip()

    def launch(self, role: str) -> None:
        """Start a part anew, whatever became of the one before."""
        arguments = {
            SERVER: ["serve", "--port", self.url.rpartition(":")[2] or "0"],
            WORKER: ["worker"],
            AGENT: ["agent", "--config", "agent.toml"],
        }[role]
        log = self.folder / f"{role}.log"
        said = log.stat().st_size if log.exists() else 0
        self._spawn(role, [sys.executable, "-m", "lontra.cli", *arguments], cwd=self.folder)
        if role == SERVER:
            self.url = wait_for("the server's address", lambda: _address(log, said), seconds=60)

    def _spawn(self, role: str, command: list[str], *, cwd: Path) -> None:
        with (self.folder / f"{role}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self._environment,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[role] = process
        self._known.append(psutil.Process(process.pid))

    # -- striking

    def processes(self, role: str) -> list[psutil.Process]:
        """A part's living processes; the server has several."""
        if role == WATCHDOG:
            found = [p for p in psutil.process_iter(["cmdline"]) if self._is_watchdog(p)]
        elif self._processes[role].poll() is not None:
            found = []
        else:
            found = [psutil.Process(self._processes[role].pid)]
            found += found[0].children(recursive=True) if role == SERVER else []
        self._known += [process for process in found if process not in self._known]
        return found

    def _is_watchdog(self, process: psutil.Process) -> bool:
        """Whether it is one of this ring's, whichever agent started it."""
        argv = process.info["cmdline"] or []
        return "targets.agent.watchdog" in argv and str(self.state) in argv and running(process)

    def runs(self, role: str) -> bool:
        """Whether a part lives and is not stopped."""
        return any(running(process) for process in self.processes(role))

    def resume_stopped(self) -> None:
        """Let everything that was stopped go on."""
        for process in self._known:
            if _status(process) == psutil.STATUS_STOPPED:
                process.resume()

    def end_agent(self) -> None:
        """Ask the agent to end, as a supervisor would."""
        self._processes[AGENT].send_signal(signal.SIGTERM)

    def start_agent(self) -> None:
        """Start it, and wait until it has told the server what is safe."""
        before = self._registered()
        self.launch(AGENT)
        wait_for("the agent", lambda: self._registered() not in ("", before), seconds=90)

    def agent_ended(self) -> bool:
        """Whether the agent's process has."""
        return self._processes[AGENT].poll() is not None

    def set_by_hand(self, text: str) -> None:
        """Change the daemon's configuration as a person would, with no agent about."""
        (self.run_folder / "batchd.conf").write_text(text)
        command = [sys.executable, "client.py", "run", "reload"]
        subprocess.run(command, cwd=self.folder / "daemon", check=True, timeout=30)

    # -- the API

    def api(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask the REST API as an operator; a body makes it a POST.

        Raises:
            OSError: the server is away or refuses; in its own words then.
        """
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self._operator}",
                "Content-Type": "application/json",
            },
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise OSError(f"{path}: {error.read().decode()}") from error

    def answers(self) -> bool:
        """Whether the server answers."""
        try:
            self.api("/health")
        except OSError:
            return False
        return True

    def _registered(self) -> str:
        """The incarnation of the agent that registered last; empty before there was one."""
        agents = self.api("/agents")["items"]
        return str(agents[0]["incarnation"]) if agents else ""

    def close(self) -> None:
        """End everything that was ever started, and what is left of it."""
        for role in (WATCHDOG, *self._processes):
            self.processes(role)
        for process in self._known:
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        for started in self._processes.values():
            started.wait()


def _address(log: Path, said: int) -> str:
    words = log.read_bytes()[said:].decode().split()
    return next((word for word in words if word.startswith("http://127.0.0.1:")), "")


def _status(process: psutil.Process) -> str:
    try:
        # A process id may be another's by now, which only is_running notices.
        return str(process.status()) if process.is_running() else psutil.STATUS_DEAD
    except psutil.NoSuchProcess:
        return psutil.STATUS_DEAD


def running(process: psutil.Process) -> bool:
    """Whether a process lives and is not stopped."""
    return _status(process) not in (
        psutil.STATUS_DEAD,
        psutil.STATUS_ZOMBIE,
        psutil.STATUS_STOPPED,
    )
