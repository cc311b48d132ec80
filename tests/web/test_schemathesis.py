"""The API under generated requests: no 500, no status, header or body that it does not document.

Half of the requests name things that exist, or generation would hardly get past 404. One check
of schemathesis is left out: that every request which fits its schema is accepted, for rules that
span fields (a knob's default within its range) are beyond a schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, not_a_server_error

from knowledge_base.records import Scope
from web import WebSettings

SHORT, LONG = 12, 250
LEFT_OUT = {"positive_data_acceptance", "max_response_time", "custom_header"}


@dataclass
class Target:
    """A server with something of everything, and a token for every scope."""

    schema: Any
    tokens: dict[str, str]
    known: dict[str, Any]
    turns: Iterator[int] = field(default_factory=count)

    def ground(self, case: Any) -> None:
        """Have every other valid request name what exists."""
        if case.meta.generation.mode is GenerationMode.NEGATIVE or next(self.turns) % 2:
            return
        for name in set(case.path_parameters) & set(self.known):
            case.path_parameters[name] = self.known[name]
        if isinstance(case.body, dict):
            case.body.update({n: v for n, v in self.known.items() if n in case.body})

    def headers(self, case: Any) -> dict[str, str]:
        scope = case.operation.definition.raw.get("x-scope")
        return {"Authorization": f"Bearer {self.tokens[scope]}"} if scope else {}


@pytest.fixture
def settings_for_fuzzing() -> WebSettings:
    """Checks that take the token away must not lock the address out."""
    return WebSettings(failures_per_minute=1_000_000)


@pytest.fixture
def target(settings_for_fuzzing: WebSettings, server: Any, store: Any) -> Target:
    from dataclasses import replace

    from web import create_app

    fuzzed = replace(server, app=create_app(store, settings_for_fuzzing, clock=server.clock))
    agent = fuzzed.agent()
    agent.register()
    session = fuzzed.start_session()
    for number in range(3):
        trial = fuzzed.add_trial(session, number)
    agent.work()
    return Target(
        schema=schemathesis.openapi.from_wsgi("/api/v1/openapi.json", fuzzed.app),
        tokens={
            "viewer": fuzzed.caller(Scope.VIEWER).token,
            "operator": fuzzed.caller(Scope.OPERATOR).token,
            "agent": agent.token,
        },
        known={
            "target_id": session.target_id,
            "session_id": session.id,
            "trial_id": trial.id - 2,
            "target": "orders",
            "session": session.id,
            "trial": trial.id,
            "instance": "instance-1",
            "incarnation": "start-1",
            "epoch": 1,
            "protocol": 1,
        },
    )


def run(target: Target, examples: int) -> int:
    """Ask every operation `examples` times; answers how many requests were judged."""
    checks = [check for check in CHECKS.get_all() if check.__name__ not in LEFT_OUT]
    assert not_a_server_error in checks
    judged = count()
    for result in target.schema.get_all_operations():
        operation = result.ok()

        def ask(case: Any) -> None:
            target.ground(case)
            case.call_and_validate(headers=target.headers(case), checks=checks)
            next(judged)

        test = operation.as_strategy()
        hypothesis_run(test, ask, examples)
    return next(judged)


def hypothesis_run(strategy: Any, ask: Any, examples: int) -> None:
    from hypothesis import given

    settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )(given(case=strategy)(ask))()


def test_generated_requests_meet_a_documented_answer(target: Target) -> None:
    operations = sum(1 for _ in target.schema.get_all_operations())
    assert run(target, SHORT) >= operations * SHORT / 2


@pytest.mark.slow
def test_many_generated_requests_meet_a_documented_answer(target: Target) -> None:
    run(target, LONG)
