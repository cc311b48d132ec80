"""Who may do what: every operation against every scope, revocation, and other targets' things."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from knowledge_base.records import Scope

# What each operation demands, written down apart from the code that enforces it.
OPERATIONS = {
    ("GET", "/api/v1/targets"): "viewer",
    ("GET", "/api/v1/targets/{target_id}"): "viewer",
    ("GET", "/api/v1/agents"): "viewer",
    ("POST", "/api/v1/agents/register"): "agent",
    ("POST", "/api/v1/agents/heartbeat"): "agent",
    ("POST", "/api/v1/agents/work"): "agent",
    ("POST", "/api/v1/agents/events"): "agent",
    ("POST", "/api/v1/trials/{trial_id}/state"): "agent",
    ("POST", "/api/v1/trials/{trial_id}/result"): "agent",
    ("GET", "/api/v1/trials/{trial_id}"): "viewer",
    ("GET", "/api/v1/trials/{trial_id}/windows"): "viewer",
    ("GET", "/api/v1/sessions"): "viewer",
    ("POST", "/api/v1/sessions"): "operator",
    ("GET", "/api/v1/sessions/{session_id}"): "viewer",
    ("GET", "/api/v1/sessions/{session_id}/trials"): "viewer",
    ("GET", "/api/v1/sessions/{session_id}/report"): "viewer",
    ("GET", "/api/v1/sessions/{session_id}/recommendation"): "viewer",
    ("POST", "/api/v1/sessions/{session_id}/pause"): "operator",
    ("POST", "/api/v1/sessions/{session_id}/resume"): "operator",
    ("POST", "/api/v1/sessions/{session_id}/cancel"): "operator",
    ("GET", "/api/v1/sessions/{session_id}/knowledge"): "viewer",
    ("GET", "/api/v1/history"): "viewer",
    ("GET", "/api/v1/events"): "viewer",
    ("GET", "/api/v1/tokens"): "operator",
    ("POST", "/api/v1/tokens"): "operator",
    ("DELETE", "/api/v1/tokens/{token_id}"): "operator",
    ("GET", "/api/v1/health"): "nobody",
}
LETS_IN = {
    "nobody": {None, "viewer", "operator", "agent"},
    "viewer": {"viewer", "operator"},
    "operator": {"operator"},
    "agent": {"agent"},
}


def filled(path: str) -> str:
    for name, value in (("target_id", "9"), ("trial_id", "9"), ("session_id", "9")):
        path = path.replace("{" + name + "}", value)
    return path.replace("{token_id}", "abcdefgh")


def callers(server: Any) -> Iterator[tuple[str | None, Any]]:
    yield None, server.caller()
    yield "viewer", server.caller(Scope.VIEWER)
    yield "operator", server.caller(Scope.OPERATOR)
    yield "agent", server.agent()


def test_the_matrix_covers_every_documented_operation(viewer: Any) -> None:
    document = viewer.get("openapi.json").json
    documented = {
        (method.upper(), path): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method != "parameters"
    }
    assert set(documented) == set(OPERATIONS)
    for key, operation in documented.items():
        assert operation.get("x-scope", "nobody") == OPERATIONS[key], key


def test_each_scope_reaches_what_it_should_and_no_more(server: Any) -> None:
    for scope, caller in callers(server):
        for (method, path), demanded in OPERATIONS.items():
            response = caller.send(method, filled(path), json={} if method == "POST" else None)
            told = (response.status_code, response.json.get("code"))
            if scope in LETS_IN[demanded]:
                assert told[0] not in (401, 403), (scope, method, path, told)
            elif scope is None:
                assert told == (401, "unauthorised"), (method, path)
                assert response.headers["WWW-Authenticate"].startswith("Bearer")
            else:
                assert told == (403, "forbidden"), (scope, method, path)


@pytest.mark.parametrize(
    "header",
    [
        "Basic dXNlcjpwYXNz",
        "Bearer",
        "Bearer lontra_abcdefgh",
        "Bearer " + "x" * 5000,
        "Bearer lontra_abcdefgh_" + "é" * 43,
        "Bearer lontra_abcdefgh_" + "a" * 43,
    ],
)
def test_what_is_no_valid_token_is_refused(server: Any, header: str) -> None:
    response = server.caller().get("targets", headers={"Authorization": header})
    assert response.status_code == 401


def test_revocation_and_expiry_count_at_once(server: Any, operator: Any) -> None:
    token, text = server.store.tokens.create(scope=Scope.VIEWER, label="v")
    viewer = type(operator)(server.app.test_client(), text)
    assert viewer.get("targets").status_code == 200
    assert operator.send("DELETE", f"tokens/{token.id}").status_code == 200
    assert viewer.get("targets").status_code == 401

    soon = server.clock.now() + timedelta(seconds=60)
    _, text = server.store.tokens.create(scope=Scope.VIEWER, label="v", expires_at=soon)
    passing = type(operator)(server.app.test_client(), text)
    assert passing.get("targets").status_code == 200
    server.clock.advance(61)
    assert passing.get("targets").status_code == 401


def test_an_agent_cannot_register_for_another_target(server: Any) -> None:
    server.store.targets.describe("billing", {})
    response = server.agent("orders").register(target="billing")
    assert (response.status_code, response.json["code"]) == (403, "forbidden")


def test_an_agents_token_without_a_target_serves_nothing(server: Any, agent: Any) -> None:
    _, text = server.store.tokens.create(scope=Scope.AGENT, label="loose")
    loose = type(agent)(server.app.test_client(), text, description=server.description)
    for response in (loose.register(), loose.heartbeat(), loose.work()):
        assert (response.status_code, response.json["code"]) == (403, "forbidden")


def test_an_agent_cannot_touch_what_is_another_targets(server: Any, agent: Any) -> None:
    session = server.start_session()
    trial = server.add_trial(session)
    epoch = agent.work().json["epoch"]
    other = server.agent("billing", instance="instance-2")
    assert other.register().status_code == 200
    refused = (
        other.state(trial.id, epoch, "applying"),
        other.result(trial.id, epoch),
        other.heartbeat(trial=trial.id, epoch=epoch),
        other.event("restored", session=session.id),
        other.event("restored", trial=trial.id),
        other.heartbeat(instance=agent.instance),
        other.post("agents/work", {"instance": agent.instance, "incarnation": "start-1"}),
        other.event("knob-changed-outside", instance=agent.instance),
    )
    assert [(r.status_code, r.json["code"]) for r in refused] == [(403, "forbidden")] * len(refused)
    assert server.store.trials.get(trial.id).state == "leased"
    assert server.store.sessions.get(session.id).state == "running"
    assert server.store.windows.of_trial(trial.id) == []


def test_tokens_are_made_listed_and_revoked_by_operators(server: Any, operator: Any) -> None:
    made = operator.post("tokens", {"scope": "agent", "label": "db1", "target": "orders"})
    assert made.status_code == 201
    text = made.json["token"]
    new = type(server.agent())(server.app.test_client(), text, description=server.description)
    assert new.register().status_code == 200
    listed = operator.get("tokens").json["items"]
    assert text.split("_", 2)[2] not in str(listed)
    assert {token["label"] for token in listed} == {"db1", "the operator"} | {"agent of orders"}
    kinds = [event.kind for event in server.store.events.list()]
    assert "token-created" in kinds


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "agent", "label": "no target"},
        {"scope": "viewer", "label": "a target", "target": "orders"},
        {"scope": "admin", "label": "x"},
        {"scope": "viewer", "label": ""},
        {"scope": "viewer", "label": "x", "expires_at": "tomorrow"},
        {"scope": "viewer", "label": "x", "expires_at": "2026-01-01T00:00:00"},
        {"scope": "viewer", "label": "x", "expires_at": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_a_senseless_token_is_refused(operator: Any, body: dict[str, Any]) -> None:
    response = operator.post("tokens", body)
    assert (response.status_code, response.json["code"]) == (422, "invalid")


def test_a_new_tokens_secret_is_never_kept_for_replay(server: Any, operator: Any) -> None:
    body = {"scope": "viewer", "label": "x"}
    first = operator.post("tokens", body, key="one")
    second = operator.post("tokens", body, key="one")
    assert first.json["token"] != second.json["token"]
    assert server.store.replies.get(operator.token.split("_")[1], "one") is None
