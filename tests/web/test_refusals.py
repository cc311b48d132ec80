"""Every refusal is problem+json with a code, a status and words; nothing sent makes a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knowledge_base.errors import Unavailable
from web.errors import PROBLEMS


def problem(response: Any, status: int, code: str) -> Any:
    assert response.content_type == "application/problem+json", response.data
    body = response.json
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["type"] == f"/api/v1/docs#problem-{code}"
    assert body["title"]
    assert body["detail"]
    return body


def test_unknown_paths_and_things(viewer: Any) -> None:
    problem(viewer.get("nothing-here"), 404, "not-found")
    problem(viewer.get("sessions/99"), 404, "not-found")
    problem(viewer.get("sessions/0"), 404, "not-found")
    problem(viewer.get(f"sessions/{2**70}"), 404, "not-found")
    problem(viewer.get(f"trials/{2**53 - 1}"), 404, "not-found")


def test_a_wrong_method_says_which_are_known(operator: Any) -> None:
    response = operator.send("PUT", "sessions")
    problem(response, 405, "method-not-allowed")
    assert {"GET", "POST"} <= set(response.headers["Allow"].split(", "))


def test_the_body_must_say_that_it_is_json(operator: Any) -> None:
    sent = operator.send("POST", "sessions", data=b'{"target": "x"}', content_type="text/plain")
    problem(sent, 415, "not-json")


def test_a_body_too_large_is_refused(operator: Any) -> None:
    body = b'{"target": "' + b"x" * (2 * 1024 * 1024) + b'"}'
    sent = operator.send("POST", "sessions", data=body, content_type="application/json")
    problem(sent, 413, "too-large")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "nonsense",
        '{"target": NaN}',
        '{"trials": Infinity}',
        '{"margin": 1e999}',
        '{"seed": -1e999}',
        '{"seed": 123456789012345678901234567890}',
        '{"target": "a\\u0000b"}',
        '{"tar\\u0000get": "ab"}',
        '{"target": "\\ud800"}',
        '{"pins": {"\\udfff": 1}}',
        '{"pins": ' + '{"a": ' * 60 + "1" + "}" * 60 + "}",
        "[" * 200_000,
        '{"target": "' + "x" * 70_000 + '"}',
        '{"a": "\\ud83d\\ude00"',
    ],
)
def test_json_that_cannot_be_kept_is_malformed(operator: Any, text: str) -> None:
    sent = operator.send("POST", "sessions", data=text, content_type="application/json")
    if text:
        problem(sent, 400, "malformed")
    else:
        problem(sent, 422, "invalid")


def test_bytes_that_are_no_text_are_malformed(operator: Any) -> None:
    sent = operator.send("POST", "sessions", data=b'{"a": "\xff"}', content_type="application/json")
    problem(sent, 400, "malformed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ([], "_schema"),
        ("text", "_schema"),
        ({}, "target"),
        ({"target": 5}, "target"),
        ({"target": None}, "target"),
        ({"target": "x" * 300}, "target"),
        ({"target": "x", "trials": "40"}, "trials"),
        ({"target": "x", "trials": True}, "trials"),
        ({"target": "x", "trials": 1.5}, "trials"),
        ({"target": "x", "trials": -1}, "trials"),
        ({"target": "x", "margin": "0.1"}, "margin"),
        ({"target": "x", "promote": "yes"}, "promote"),
        ({"target": "x", "promote": 1}, "promote"),
        ({"target": "x", "pins": {"a": [1]}}, "pins"),
        ({"target": "x", "pins": [1]}, "pins"),
        ({"target": "x", "recommender_options": 3}, "recommender_options"),
        ({"target": "x", "unheard_of": 1}, "unheard_of"),
    ],
)
def test_wrong_types_name_their_field(operator: Any, body: Any, field: str) -> None:
    told = problem(operator.post("sessions", body), 422, "invalid")
    assert field in told["errors"]["json"]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=501", "limit=x", "limit=", "limit=-1", "limit=1e3", "offset=-1", "limt=5",
     "offset=99999999999999999999", "state=odd", "limit=٣"],
)  # fmt: skip
def test_wrong_queries_are_refused(viewer: Any, query: str) -> None:
    problem(viewer.get(f"sessions?{query}"), 422, "invalid")


def test_a_wrong_result_is_refused_field_by_field(server: Any, agent: Any, window: Any) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    wrong: list[dict[str, Any]] = [
        {"state": "measuring"},
        {"failure": "bad luck"},
        {"epoch": "1"},
        {"windows": [window(arm="third")]},
        {"windows": [window(started_at="2026-01-01T00:00:00")]},
        {"windows": [window(metrics={"a": "1"})]},
        {"windows": [window(position=-1)]},
        {"windows": [window(purpose="fun")]},
        {"windows": "none"},
        {"lines": [{"name": "x"}]},
        {"in_force": {"cache": None}},
        {"measured_at": "noon"},
    ]
    for change in wrong:
        told = problem(agent.result(trial.id, epoch, **change), 422, "invalid")
        assert set(told["errors"]["json"]) == set(change)
    assert server.store.trials.get(trial.id).state == "leased"


def test_hosts_that_are_not_ours_are_refused(viewer: Any) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "a b", "["):
        problem(viewer.get("health", headers={"Host": host}), 400, "malformed")
    for host in ("localhost", "LOCALHOST:8642", "127.0.0.1:1", "[::1]:8642", "localhost."):
        assert viewer.get("health", headers={"Host": host}).status_code == 200


def test_a_fault_of_our_own_is_logged_and_not_told(
    server: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("the password is swordfish")

    monkeypatch.setattr(server.store.targets, "list", fail)
    told = problem(viewer.get("targets"), 500, "internal")
    assert "swordfish" not in json.dumps(told)
    assert "swordfish" in caplog.text


def test_a_database_that_is_away_is_503_for_now(
    server: Any, viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise Unavailable("could not connect to postgresql://lontra:secret@db")

    monkeypatch.setattr(server.store.targets, "list", fail)
    for path in ("targets", "health"):
        response = viewer.get(path)
        told = problem(response, 503, "unavailable")
        assert "secret" not in json.dumps(told)
        assert int(response.headers["Retry-After"]) > 0


def test_every_answer_carries_the_strict_headers(viewer: Any) -> None:
    for path in ("health", "targets", "nothing-here", "openapi.json", "/", "/static/none.js"):
        headers = viewer.get(path).headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    assert viewer.get("health").headers["Cache-Control"] == "no-store"


def test_failed_logins_are_slowed_down_by_source_and_token(server: Any, viewer: Any) -> None:
    wrong = {"Authorization": "Bearer lontra_abcdefgh_" + "a" * 43}
    nobody = server.caller()
    statuses = [nobody.get("targets", headers=wrong).status_code for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    response = nobody.get("targets", headers=wrong)
    problem(response, 429, "too-many-failures")
    assert 0 < int(response.headers["Retry-After"]) <= 60
    assert viewer.get("targets").status_code == 200, "other tokens from there are unharmed"
    server.clock.advance(61)
    assert nobody.get("targets", headers=wrong).status_code == 401


def test_a_flood_of_made_up_tokens_locks_its_address_but_not_known_tokens(
    server: Any, viewer: Any
) -> None:
    assert viewer.get("targets").status_code == 200
    nobody = server.caller()
    statuses = [
        nobody.get(
            "targets", headers={"Authorization": f"Bearer lontra_{n:08d}_{'a' * 43}"}
        ).status_code
        for n in range(101)
    ]
    assert statuses == [401] * 100 + [429]
    assert viewer.get("targets").status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    made_up = {"Authorization": f"Bearer lontra_newcomer_{'a' * 43}"}
    assert nobody.get("targets", headers=made_up, environ_base=elsewhere).status_code == 401


def test_every_problem_has_a_meaning() -> None:
    for code, kind in PROBLEMS.items():
        assert kind.status >= 400
        assert kind.meaning, code
