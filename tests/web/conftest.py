"""A whole server on a real SQLite file, callers with tokens of each scope, and an agent's words."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from knowledge_base import Store, upgrade
from knowledge_base.records import NewTrial, Scope, Session, Trial
from targets.clock import ManualClock
from targets.protocol import PROTOCOL_VERSION
from targets.simulated.adapter import SimulatedAdapter
from tuner.service import SessionRequest, SessionService
from tuner.worker import Worker
from web import WebSettings, create_app
from web.api import api_document

API = "/api/v1"
AGENT_PATHS = f"{API}/agents"


@dataclass(frozen=True)
class Caller:
    """Somebody with a token (or none) who asks the API."""

    client: FlaskClient
    token: str = ""

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.send("GET", path, **options)

    def post(self, path: str, body: Any = None, *, key: str = "", **options: Any) -> TestResponse:
        headers = {"Idempotency-Key": key} if key else {}
        return self.send("POST", path, json=body, headers=headers, **options)

    def send(self, method: str, path: str, **options: Any) -> TestResponse:
        headers = dict(options.pop("headers", {}))
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        where = path if path.startswith("/") else f"{API}/{path}"
        return self.client.open(where, method=method, headers=headers, **options)


@dataclass(frozen=True)
class AgentVoice(Caller):
    """What an agent says, with its own names filled in."""

    description: Mapping[str, Any] | None = None
    target: str = "orders"
    instance: str = "instance-1"
    incarnation: str = "start-1"

    def register(self, **changes: Any) -> TestResponse:
        assert self.description is not None
        defaults = {knob["name"]: knob["default"] for knob in self.description["space"]["knobs"]}
        body = {
            "protocol": PROTOCOL_VERSION,
            "agent_version": "0.1.0",
            "target": self.target,
            "instance": self.instance,
            "incarnation": self.incarnation,
            "host": "db1",
            "description": self.description,
            "safe": defaults,
            "in_force": defaults,
        }
        return self.post("agents/register", {**body, **changes})

    def heartbeat(self, **changes: Any) -> TestResponse:
        return self.post("agents/heartbeat", {**self._name, **changes})

    def work(self) -> TestResponse:
        return self.post("agents/work", self._name)

    def state(self, trial: int, epoch: int, state: str) -> TestResponse:
        return self.post(f"trials/{trial}/state", {**self._name, "epoch": epoch, "state": state})

    def result(self, trial: int, epoch: int, /, *, key: str = "", **changes: Any) -> TestResponse:
        body = {
            "instance": self.instance,
            "epoch": epoch,
            "state": "completed",
            "windows": [a_window()],
            "seconds": 1.5,
        }
        return self.post(f"trials/{trial}/result", {**body, **changes}, key=key)

    def event(self, kind: str, *, key: str = "", **changes: Any) -> TestResponse:
        body = {
            "instance": self.instance,
            "kind": kind,
            "message": "cache was changed from 5 to 7 by somebody else",
            "occurred_at": "2026-01-01T00:00:00+00:00",
        }
        return self.post("agents/events", {**body, **changes}, key=key)

    @property
    def _name(self) -> dict[str, str]:
        return {"instance": self.instance, "incarnation": self.incarnation}


def a_window(**changes: Any) -> dict[str, Any]:
    """A window as an agent reports it."""
    return {
        "arm": "candidate",
        "block": 0,
        "position": 0,
        "purpose": "search",
        "started_at": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
        "objectives": {"throughput": 345.0},
        "metrics": {"hits": 12.0, "unreadable": None},
        "contamination": {"foreign_cpu": 0.1},
        "details": {"operations": 345},
        **changes,
    }


@dataclass(frozen=True)
class Server:
    """The application with what lies behind it."""

    app: Flask
    store: Store
    clock: ManualClock
    description: Mapping[str, Any]

    def caller(self, scope: Scope | None = None) -> Caller:
        """Somebody with a new token of that scope (not for agents), or without any."""
        if scope is None:
            return Caller(self.app.test_client())
        _, text = self.store.tokens.create(scope=scope, label=f"the {scope}")
        return Caller(self.app.test_client(), text)

    def agent(self, target: str = "orders", **names: str) -> AgentVoice:
        """An agent with a new token for the target."""
        target_id = self.store.targets.describe(target, {}).id
        _, text = self.store.tokens.create(
            scope=Scope.AGENT, label=f"agent of {target}", target_id=target_id
        )
        return AgentVoice(
            self.app.test_client(), text, description=self.description, target=target, **names
        )

    def start_session(self, target: str = "orders", **request: Any) -> Session:
        """A session, as the session service starts it."""
        service = SessionService(self.store, self.clock)
        return service.start(SessionRequest(target=target, seed=1, actor="ops", **request))

    def add_trial(self, session: Session, number: int = 0, **changes: Any) -> Trial:
        """A trial in the session's queue, as the worker would plan it."""
        planned: dict[str, Any] = {
            "session_id": session.id,
            "number": number,
            "task": "trial",
            "configuration": dict(session.baseline),
            "sequence": ("candidate",),
            "seed": 7,
            "suggestion": {"kind": "baseline", "lane": "baseline", "reason": "where we stand"},
        }
        return self.store.trials.add(NewTrial(**{**planned, **changes}))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("database") / "empty.db"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def database(empty_database: Path) -> Path:
    """What every test's knowledge base begins as; overridden by modules that want more."""
    return empty_database


@pytest.fixture(scope="session")
def description(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    return SimulatedAdapter({}, tmp_path_factory.mktemp("simulated")).describe().to_dict()


@pytest.fixture(scope="session")
def studied_database(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, description: Mapping[str, Any]
) -> Path:
    """Session 1 of `orders`, finished, and session 2 of `billing`, which learns from it and runs.

    Worker and pipeline are the real ones.
    """
    folder, clock = tmp_path_factory.mktemp("studied"), ManualClock()
    path = folder / "lontra.db"
    shutil.copy(empty_database, path)
    adapter = SimulatedAdapter({}, folder / "simulated", clock=clock)
    with Store.open(f"sqlite:///{path}", clock=clock) as store:
        server = Server(create_app(store, clock=clock), store, clock, description)
        wanted = {"orders": ("random", 16, 99), "billing": ("auto", 30, 14)}
        for target, (recommender, trials, turns) in wanted.items():
            agent = server.agent(target, instance=target)
            assert agent.register().status_code == 200
            server.start_session(target, recommender=recommender, trials=trials, confirm_pairs=12)
            go_round(Worker(store, clock=clock), agent, adapter, turns=turns)
    return path


def go_round(worker: Worker, agent: AgentVoice, adapter: SimulatedAdapter, *, turns: int) -> None:
    """The ring, until nothing is left to do or so many trials are done."""
    for _ in range(turns):
        while worker.step():
            pass
        answer = agent.work()
        if answer.status_code == 204:
            return
        assert answer.json is not None
        carry_out(agent, adapter, answer.json)


def carry_out(agent: AgentVoice, adapter: SimulatedAdapter, work: Mapping[str, Any]) -> None:
    """What an agent does with an assignment, on a real adapter."""
    arms = {arm["name"]: arm["configuration"] for arm in work["arms"]}
    windows = []
    for position, arm in enumerate(work["sequence"]):
        adapter.apply(arms[arm])
        measured = adapter.measure(seed=work["seed"] + position)
        windows.append(
            a_window(
                arm=arm,
                position=position,
                block=work["block"],
                objectives=dict(measured.objectives),
                metrics=dict(measured.metrics),
            )
        )
    assert agent.result(work["trial"], work["epoch"], windows=windows).status_code == 200


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, database: Path, clock: ManualClock) -> Iterator[Store]:
    path = tmp_path / "lontra.db"
    shutil.copy(database, path)
    with Store.open(f"sqlite:///{path}", clock=clock) as opened:
        yield opened


@pytest.fixture
def settings() -> WebSettings:
    """Overridden by modules that want others."""
    return WebSettings()


@pytest.fixture
def server(
    store: Store, clock: ManualClock, settings: WebSettings, description: Mapping[str, Any]
) -> Server:
    return Server(create_app(store, settings, clock=clock), store, clock, description)


@pytest.fixture
def viewer(server: Server) -> Caller:
    return server.caller(Scope.VIEWER)


@pytest.fixture
def operator(server: Server) -> Caller:
    return server.caller(Scope.OPERATOR)


@pytest.fixture
def agent(server: Server) -> AgentVoice:
    """An agent that has registered for the target `orders`."""
    voice = server.agent()
    assert voice.register().status_code == 200
    return voice


def closed(schema: Any) -> Any:
    """The schema with every object's fields required to be documented."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if "properties" in schema and isinstance(schema.get("type"), str):
        inner["additionalProperties"] = False
    return inner


@pytest.fixture
def check_form() -> Callable[[str, Any], None]:
    """Fails for data that is not of a documented form, or has a field that is not documented."""
    components = api_document()["components"]

    def check(name: str, data: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": components}
        jsonschema_rs.validator_for(closed(schema)).validate(data)

    return check


@pytest.fixture
def window() -> Callable[..., dict[str, Any]]:
    """Makes windows as an agent reports them."""
    return a_window


@pytest.fixture(scope="session")
def make_server_of() -> type[Server]:
    """For modules that share one server among their tests."""
    return Server
