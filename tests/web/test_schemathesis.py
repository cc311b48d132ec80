"""The API under generated requests: no 500, no status, header or body that it does not document.

Half of the valid requests name things that exist, or generation would hardly get past 404. One
check is left out: that every request which fits its schema is accepted, for rules that span
fields (a knob's default within its range) are beyond a schema.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from werkzeug.serving import WSGIRequestHandler, make_server

from knowledge_base import Store
from knowledge_base.records import Scope
from targets.clock import ManualClock
from web import WebSettings, create_app
from web.api import api_document


class Quiet(WSGIRequestHandler):
    """Keeps a line for each of thousands of requests out of the log."""

    def log(self, type: str, message: str, *args: Any) -> None:
        return


@dataclass(frozen=True)
class Fuzzed:
    """A running server with something of everything, and a token for every scope."""

    url: str
    tokens: dict[str, str]
    known: dict[str, Any]
    turns: Iterator[int] = field(default_factory=count)

    def ground(self, case: Any) -> None:
        """Have every other valid request name what exists."""
        if case.meta.generation.mode is GenerationMode.NEGATIVE or next(self.turns) % 2:
            return
        for name in set(case.path_parameters or {}) & set(self.known):
            case.path_parameters[name] = self.known[name]
        if isinstance(case.body, dict):
            case.body.update({n: v for n, v in self.known.items() if n in case.body})

    def ask(self, case: Any) -> None:
        self.ground(case)
        scope = case.operation.definition.raw.get("x-scope")
        headers = {"Authorization": f"Bearer {self.tokens[scope]}"} if scope else {}
        case.call_and_validate(
            base_url=self.url, headers=headers, excluded_checks=[positive_data_acceptance]
        )


@pytest.fixture(scope="module")
def fuzzed(
    tmp_path_factory: pytest.TempPathFactory,
    empty_database: Path,
    description: Mapping[str, Any],
    make_server_of: Any,
) -> Iterator[Fuzzed]:
    path = tmp_path_factory.mktemp("fuzzed") / "lontra.db"
    shutil.copy(empty_database, path)
    clock = ManualClock()
    # Checks that take the token away must not lock the address out.
    lenient = WebSettings(failures_per_minute=1_000_000)
    with Store.open(f"sqlite:///{path}", clock=clock) as store:
        app = create_app(store, lenient, clock=clock)
        server = make_server_of(app=app, store=store, clock=clock, description=description)
        agent = server.agent()
        assert agent.register().status_code == 200
        session = server.start_session()
        trial = next(server.add_trial(session, number) for number in range(3))
        assert agent.work().status_code == 200
        listener = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        thread = threading.Thread(target=listener.serve_forever)
        thread.start()
        try:
            yield Fuzzed(
                url=f"http://127.0.0.1:{listener.port}",
                tokens={
                    "viewer": server.caller(Scope.VIEWER).token,
                    "operator": server.caller(Scope.OPERATOR).token,
                    "agent": agent.token,
                },
                known={
                    "target_id": session.target_id,
                    "session_id": session.id,
                    "trial_id": trial.id,
                    "target": "orders",
                    "session": session.id,
                    "trial": trial.id,
                    "instance": "instance-1",
                    "incarnation": "start-1",
                    "epoch": 1,
                    "protocol": 1,
                },
            )
        finally:
            listener.shutdown()
            thread.join()


schema = schemathesis.openapi.from_dict(dict(api_document()))
# A list that is too long may make a body that is too large: that is a refusal as well.
schema.config.checks.negative_data_rejection.expected_statuses = [
    "400", "401", "403", "404", "413", "415", "422",
]  # fmt: skip
bounded: dict[str, Any] = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
}


@schema.parametrize()
@settings(max_examples=8, **bounded)
def test_generated_requests_meet_a_documented_answer(case: Any, fuzzed: Fuzzed) -> None:
    fuzzed.ask(case)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@schema.parametrize()
@settings(max_examples=200, **bounded)
def test_many_generated_requests_meet_a_documented_answer(case: Any, fuzzed: Fuzzed) -> None:
    fuzzed.ask(case)
