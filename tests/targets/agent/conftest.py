"""A faithful small server that speaks the protocol, and agents against it.

It checks every message with `targets.protocol`, leases one trial at a time, fences by epochs and
answers a repeated Idempotency-Key as it did the first time. The real server is exercised by the
integration tests; this one can be told to be away, to refuse, and to give any assignment.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import signal
import subprocess
import sys
import threading
import time
import wsgiref.simple_server
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from targets.agent import Agent, AgentConfig, ServerClient
from targets.agent.lock import FileLock
from targets.agent.processes import ProcessMark
from targets.agent.statedir import StateDir
from targets.protocol import (
    PROTOCOL_VERSION,
    Arm,
    Assignment,
    Directive,
    EventReport,
    Heartbeat,
    Receipt,
    Registration,
    StateReport,
    TrialResult,
    Welcome,
    WorkRequest,
)

TOKEN = "lontra_00000000_secret"
REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 401: "Unauthorized",
           404: "Not Found", 409: "Conflict", 426: "Upgrade Required",
           503: "Service Unavailable"}  # fmt: skip


class Problem(Exception):
    def __init__(self, status: int, code: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.headers = status, code, detail, headers


class FakeServer:
    """`queue` holds what is to be given out; what came in is kept in order."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.queue: list[Assignment] = []
        self.leased: Assignment | None = None
        self.registrations: list[Registration] = []
        self.heartbeats: list[Heartbeat] = []
        self.states: list[tuple[int, str]] = []
        self.results: list[tuple[int, TrialResult]] = []
        self.events: list[EventReport] = []
        self.replies: dict[str, tuple[int, Any]] = {}
        self.requests = 0
        self.problem: Problem | None = None
        self.lose_answers = 0
        self.directive = Directive()
        self.heartbeat_seconds = 0.2
        self.retry_after = "0.05"

    def assign(self, configuration: dict[str, Any], **changes: Any) -> Assignment:
        trial = changes.pop("trial", 1 + len(self.queue) + len(self.results))
        fields: dict[str, Any] = {
            "session": 1, "trial": trial, "number": trial, "epoch": 1, "task": "trial",
            "arms": (Arm(name="candidate", configuration=configuration),),
            "sequence": ("candidate",), "seed": trial, "lease_seconds": 60.0,
            "timeout_seconds": 60.0,
        }  # fmt: skip
        assignment = Assignment(**{**fields, **changes})
        self.queue.append(assignment)
        return assignment

    def event_kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        status, body, headers = self._answer(environ)
        content = b"" if body is None else json.dumps(body).encode()
        kind = "application/json" if status < 400 else "application/problem+json"
        start_response(
            f"{status} {REASONS[status]}",
            [("Content-Type", kind), ("Content-Length", str(len(content))), *headers.items()],
        )
        return [content]

    def _answer(self, environ: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        with self.lock:
            self.requests += 1
            try:
                if self.problem is not None:
                    raise self.problem
                status, body, headers = self._route(environ)
                if self.lose_answers and environ["PATH_INFO"].endswith("result"):
                    self.lose_answers -= 1
                    raise Problem(503, "", "the answer was lost on its way")
                return status, body, headers
            except Problem as problem:
                body = {"code": problem.code, "detail": problem.detail, "status": problem.status}
                return problem.status, body, problem.headers

    def _route(self, environ: dict[str, Any]) -> tuple[int, Any, dict[str, str]]:
        path = environ["PATH_INFO"].removeprefix("/api/v1")
        if path == "/health":
            return 200, {"status": "ok"}, {}
        if environ.get("HTTP_AUTHORIZATION") != f"Bearer {TOKEN}":
            raise Problem(401, "unauthorised", "no such token")
        length = int(environ.get("CONTENT_LENGTH") or 0)
        data = json.loads(environ["wsgi.input"].read(length))
        key = environ["HTTP_IDEMPOTENCY_KEY"]
        if key in self.replies:
            return *self.replies[key], {}
        parts = path.strip("/").split("/")
        if parts == ["agents", "work"]:
            return self._work(WorkRequest.from_json(data))
        if parts == ["agents", "register"]:
            status, body = 200, self._register(Registration.from_json(data))
        elif parts == ["agents", "heartbeat"]:
            status, body = 200, self._heartbeat(Heartbeat.from_json(data))
        elif parts == ["agents", "events"]:
            self.events.append(EventReport.from_json(data))
            status, body = 201, {}
        elif parts[0] == "trials" and parts[2] == "state":
            status, body = 200, self._state(int(parts[1]), StateReport.from_json(data))
        elif parts[0] == "trials" and parts[2] == "result":
            status, body = 200, self._result(int(parts[1]), TrialResult.from_json(data))
        else:
            raise Problem(404, "not-found", path)
        self.replies[key] = status, body
        return status, body, {}

    def _register(self, message: Registration) -> Any:
        if message.protocol != PROTOCOL_VERSION:
            raise Problem(426, "protocol-too-old", "too old")
        self.registrations.append(message)
        return Welcome(
            protocol=PROTOCOL_VERSION, agent=1, target=1, lease_seconds=60.0,
            heartbeat_seconds=self.heartbeat_seconds, server_time="",
        ).to_json()  # fmt: skip

    def _heartbeat(self, message: Heartbeat) -> Any:
        if not any(known.instance == message.instance for known in self.registrations):
            raise Problem(404, "not-found", "no such agent")
        self.heartbeats.append(message)
        return self.directive.to_json()

    def _work(self, message: WorkRequest) -> tuple[int, Any, dict[str, str]]:
        if self.leased is None and self.queue:
            self.leased = self.queue.pop(0)
        if self.leased is None:
            return 204, None, {"Retry-After": self.retry_after}
        return 200, self.leased.to_json(), {}

    def _state(self, trial: int, message: StateReport) -> Any:
        if self.leased is None or message.epoch < self.leased.epoch:
            raise Problem(409, "stale-epoch", f"trial {trial} epoch {message.epoch} is stale")
        self.states.append((trial, message.state))
        return self.directive.to_json()

    def _result(self, trial: int, message: TrialResult) -> Any:
        late = self.leased is None or self.leased.trial != trial
        self.results.append((trial, message))
        if not late:
            self.leased = None
        return Receipt(late=late).to_json()


class QuietHandler(wsgiref.simple_server.WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        del format, args


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def away() -> Problem:
    """For `server.problem`: the server cannot answer now."""
    return Problem(503, "", "the server is away")


@pytest.fixture
def refusal() -> Problem:
    """For `server.problem`: another agent has the target."""
    return Problem(409, "held", "another agent holds box")


@pytest.fixture
def loopback(server: FakeServer) -> Iterator[str]:
    """The fake server behind a real socket; the url."""
    http = wsgiref.simple_server.make_server(
        "127.0.0.1", 0, server, handler_class=QuietHandler  # type: ignore[arg-type]
    )  # fmt: skip
    thread = threading.Thread(target=http.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


@pytest.fixture
def client(server: FakeServer) -> Iterator[ServerClient]:
    """A client that stays in the process."""
    transport = httpx2.WSGITransport(app=server)  # type: ignore[arg-type]
    with ServerClient("http://localhost", TOKEN, transport=transport) as client:
        yield client


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def awkward(
    tmp_path: Path, state_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], Any]]:
    """Install the adapter `awkward`, as pip would, for this process and its children; answers how
    to put it into a mood."""
    site = tmp_path / "site"
    info = site / "awkward-1.dist-info"
    info.mkdir(parents=True)
    source = Path(__file__).with_name("awkward") / "awkward_adapter.py"
    (site / source.name).write_text(source.read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: awkward\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[lontra.targets]\nawkward = awkward_adapter:AwkwardAdapter\n"
    )
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))

    def be(mood: str) -> None:
        state_dir.with_name("mood").write_text(mood)

    yield be
    be("")  # or a watchdog would go on trying to restore


@pytest.fixture
def make_config(state_dir: Path) -> Callable[..., AgentConfig]:
    def make(**changes: Any) -> AgentConfig:
        fields: dict[str, Any] = {
            "server_url": "http://localhost", "token": TOKEN, "target": "box",
            "adapter": "simulated", "settings": {"noise": 0.0}, "state_dir": state_dir,
            "interval_seconds": 0.1, "dead_man_seconds": 2.0, "idle_grace_seconds": 0.3,
        }  # fmt: skip
        return AgentConfig(**{**fields, **changes})

    return make


@pytest.fixture
def make_agent(
    make_config: Callable[..., AgentConfig], client: ServerClient
) -> Iterator[Callable[..., Agent]]:
    """Agents in this process, with real watchdogs; stopped at the end of the test."""
    with contextlib.ExitStack() as stack:

        def make(**changes: Any) -> Agent:
            agent = Agent(make_config(**changes), client)
            stack.callback(agent.stop, "the test ended")
            agent.start()
            return agent

        yield make


class Target:
    """The simulated target as somebody else sees it: a file."""

    def __init__(self, state_dir: Path) -> None:
        self.path = state_dir / "target" / "state.json"
        self._numbers = itertools.count()

    def read(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text()))

    def set(self, **values: Any) -> None:
        """Change knobs by hand."""
        beside = self.path.with_name(f"by-hand-{next(self._numbers)}")
        beside.write_text(json.dumps({**self.read(), **values}))
        beside.replace(self.path)


@pytest.fixture
def target(state_dir: Path) -> Target:
    return Target(state_dir)


class Daemon:
    """A real agent process, with its real watchdog."""

    def __init__(self, command: list[str], state: StateDir, log: Path) -> None:
        self.state = state
        self.log = log
        with log.open("a") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, start_new_session=True)

    @property
    def watchdog(self) -> ProcessMark | None:
        """The living watchdog: whoever holds the journal."""
        mark = FileLock(self.state.journal_lock).holder()
        return mark if mark is not None and mark.alive else None

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def signal_watchdog(self, number: signal.Signals) -> ProcessMark:
        mark = self.watchdog
        assert mark is not None, "there is no watchdog"
        mark.signal(number)
        return mark

    def wait(self, seconds: float = 20.0) -> int:
        return self.process.wait(seconds)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        if watchdog := self.watchdog:
            watchdog.kill(wait_seconds=5.0)


@pytest.fixture
def start_daemon(tmp_path: Path, state_dir: Path, loopback: str) -> Iterator[Callable[..., Daemon]]:
    """Real agents against the fake server on a real socket; a window takes a minute unless
    `window_seconds` says otherwise. Ended at the end of the test."""
    with contextlib.ExitStack() as stack:

        def start(
            *,
            dead_man_seconds: float = 1.5,
            window_seconds: float = 60.0,
            adapter: str = "simulated",
        ) -> Daemon:
            config = tmp_path / "agent.toml"
            config.write_text(
                f"""
                [server]
                url = "{loopback}"
                token = "{TOKEN}"
                [agent]
                state_dir = "{state_dir}"
                interval_seconds = 0.2
                dead_man_seconds = {dead_man_seconds}
                idle_grace_seconds = 0.3
                [target]
                name = "box"
                adapter = "{adapter}"
                settings = {{ noise = 0.0, window_seconds = {window_seconds} }}
                """
            )
            command = [sys.executable, "-m", "targets.agent", "--config", str(config)]
            daemon = Daemon(command, StateDir(state_dir), tmp_path / "agent.log")
            stack.callback(daemon.end)
            return daemon

        yield start


@pytest.fixture
def start_awkward(start_daemon: Any, awkward: Any) -> Callable[[str], Daemon]:
    """Real agents of the adapter `awkward`, in a mood once they have started."""

    def start(mood: str) -> Daemon:
        awkward(mood)
        return start_daemon(adapter="awkward", window_seconds=0.01)

    return start


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Wait until something holds; answers what it was."""

    def wait(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "did not come to hold in time"
            time.sleep(0.02)
        return value

    return wait
