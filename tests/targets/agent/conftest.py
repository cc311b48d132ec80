"""A faithful small server that speaks the protocol, and agents against it.

It checks every message with `targets.protocol`, leases one trial at a time, fences by epochs and
answers a repeated Idempotency-Key as it did the first time. The real server is exercised by the
integration tests; this one can be told to be away, to refuse, and to give any assignment.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
import wsgiref.simple_server
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from targets.agent import Agent, AgentConfig, ServerClient
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


@pytest.fixture
def target(state_dir: Path) -> Target:
    return Target(state_dir)


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
def eventually() -> Callable[..., Any]:
    """Wait until something holds; answers what it was."""

    def wait(condition: Callable[[], Any], *, seconds: float = 15.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < deadline, "did not come to hold in time"
            time.sleep(0.02)
        return value

    return wait
