"""What each answer of a server means to the agent."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import httpx2
import pytest

from targets.agent import ServerClient
from targets.agent.backoff import Backoff
from targets.agent.client import NoWork
from targets.agent.errors import MessageRefused, UnknownToServer, Unreachable
from targets.errors import AgentRefused, ProtocolError, StaleEpoch
from targets.protocol import Heartbeat, WorkRequest

WORK = WorkRequest(instance="i", incarnation="n")
BEAT = Heartbeat(instance="i", incarnation="n")

Answering = Callable[..., ServerClient]


@pytest.fixture
def answering() -> Answering:
    def make(status: int, body: Any = None, **headers: str) -> ServerClient:
        def answer(request: httpx2.Request) -> httpx2.Response:
            if isinstance(body, str):
                return httpx2.Response(status, text=body, headers=headers)
            return httpx2.Response(status, json=body, headers=headers)

        return ServerClient("http://localhost", "secret", transport=httpx2.MockTransport(answer))

    return make


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid", MessageRefused),
        (401, "unauthorised", AgentRefused),
        (403, "forbidden", AgentRefused),
        (404, "not-found", UnknownToServer),
        (408, "", Unreachable),
        (409, "held", AgentRefused),
        (409, "superseded", AgentRefused),
        (409, "stale-epoch", StaleEpoch),
        (409, "in-progress", Unreachable),
        (413, "too-large", MessageRefused),
        (422, "invalid", MessageRefused),
        (425, "", Unreachable),
        (426, "protocol-too-old", AgentRefused),
        (429, "", Unreachable),
        (500, "", Unreachable),
        (503, "", Unreachable),
        (302, "", Unreachable),
    ],
)
def test_answers_become_errors_that_say_what_to_do(
    answering: Answering, status: int, code: str, expected: type[Exception]
) -> None:
    client = answering(status, {"code": code, "detail": "because", "status": status})
    with pytest.raises(expected) as caught:
        client.heartbeat(BEAT)
    assert type(caught.value) is expected
    assert "because" in str(caught.value)


def test_the_code_may_come_as_the_problem_type(answering: Answering) -> None:
    client = answering(409, {"type": "https://lontra.example/problems/held", "title": "Held"})
    with pytest.raises(AgentRefused, match="stop the other one"):
        client.heartbeat(BEAT)


def test_retry_after_is_respected(answering: Answering) -> None:
    with pytest.raises(Unreachable) as caught:
        answering(503, {}, **{"Retry-After": "7"}).heartbeat(BEAT)
    assert caught.value.retry_after_seconds == 7.0
    assert answering(204, None, **{"Retry-After": "3"}).work(WORK) == NoWork(3.0)


@pytest.mark.parametrize("body", ["<html>a proxy's page</html>", {"action": 5}, [1]])
def test_an_answer_in_another_form_is_a_protocol_error(answering: Answering, body: Any) -> None:
    with pytest.raises(ProtocolError):
        answering(200, body).heartbeat(BEAT)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    with (
        ServerClient("http://127.0.0.1:9", "secret", timeout_seconds=1.0) as client,
        pytest.raises(Unreachable, match="does not answer"),
    ):
        client.heartbeat(BEAT)


def test_the_token_travels_as_a_header_and_stays_out_of_errors() -> None:
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(401, json={"detail": "no"})

    client = ServerClient("http://localhost", "s3cret", transport=httpx2.MockTransport(answer))
    with pytest.raises(AgentRefused) as caught:
        client.work(WORK)
    assert seen[0].headers["Authorization"] == "Bearer s3cret"
    assert seen[0].headers["Idempotency-Key"]
    assert seen[0].url.path == "/api/v1/agents/work"
    assert "s3cret" not in str(caught.value)
    assert "token_file" in str(caught.value)


def test_backoff_is_jittered_bounded_and_starts_again_after_a_success() -> None:
    backoff = Backoff(random.Random(7))
    for attempt in range(12):
        assert 0.0 <= backoff.failed() <= min(60.0, 2.0**attempt)
    assert backoff.failed(retry_after_seconds=90.0) == 90.0
    backoff.succeeded()
    assert backoff.failed() <= 1.0
    draws = {Backoff(random.Random(seed)).failed() for seed in range(20)}
    assert len(draws) == 20, "agents that lost their server together come back apart"
