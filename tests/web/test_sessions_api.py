"""Sessions, recommendations, events, targets and lists through the API."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tuner.confirmation import MINIMUM_PAIRS, confirm
from tuner.looks import Looks

LOOKS = Looks.plan(16, least=MINIMUM_PAIRS)


def test_an_operator_starts_a_session(server: Any, agent: Any, operator: Any) -> None:
    response = operator.post("sessions", {"target": "orders", "trials": 5, "seed": 3})
    assert response.status_code == 201
    assert response.headers["Location"] == f"/api/v1/sessions/{response.json['id']}"
    assert (response.json["state"], response.json["target"]) == ("running", "orders")
    assert response.json["objective"]["name"] == "throughput"
    assert response.json["actor"].startswith("the operator (")
    found = operator.get(response.headers["Location"]).json
    assert found == response.json


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"trials": 0}, "trials=0"),
        ({"confirm_pairs": 3}, "confirm_pairs=3"),
        ({"margin": 0}, "margin=0"),
        ({"objective": "joy"}, "'joy' is not measured"),
        ({"recommender": "oracle"}, "oracle"),
        ({"pins": {"cache": -5}}, "pin refused"),
        ({"seed": 2**40}, "seed"),
    ],
)
def test_a_senseless_session_is_refused_with_the_rule(
    agent: Any, operator: Any, body: dict[str, Any], said: str
) -> None:
    response = operator.post("sessions", {"target": "orders", **body})
    assert (response.status_code, response.json["code"]) == (422, "invalid-session")
    assert said in response.json["detail"]


def test_one_session_a_target(agent: Any, operator: Any) -> None:
    assert operator.post("sessions", {"target": "orders"}).status_code == 201
    response = operator.post("sessions", {"target": "orders"})
    assert (response.status_code, response.json["code"]) == (409, "conflict")


def test_an_unknown_or_undescribed_target(server: Any, operator: Any) -> None:
    assert operator.post("sessions", {"target": "orders"}).status_code == 404
    server.store.targets.describe("orders", {})
    response = operator.post("sessions", {"target": "orders"})
    assert (response.status_code, response.json["code"]) == (422, "invalid-session")


def test_pause_resume_cancel_are_events_that_say_who_and_why(
    server: Any, agent: Any, operator: Any
) -> None:
    session = server.start_session()
    steps = [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")]
    for verb, state in steps:
        response = operator.post(f"sessions/{session.id}/{verb}", {"reason": f"because {verb}"})
        assert (response.status_code, response.json["state"]) == (200, state)
    response = operator.post(f"sessions/{session.id}/pause", {})
    assert (response.status_code, response.json["code"]) == (409, "conflict")
    told = operator.get(f"events?session_id={session.id}").json["items"]
    assert [(event["kind"], event["message"]) for event in told[1:]] == [
        ("session-paused", "because pause"),
        ("session-running", "because resume"),
        ("session-cancelled", "because cancel"),
    ]
    assert all(event["actor"].startswith("the operator (") for event in told[1:])


def test_a_write_sent_twice_is_carried_out_once(server: Any, agent: Any, operator: Any) -> None:
    body = {"target": "orders", "seed": 3}
    first = operator.post("sessions", body, key="k1")
    again = operator.post("sessions", body, key="k1")
    assert (again.status_code, again.json) == (201, first.json)
    assert again.headers["Location"] == first.headers["Location"]
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert server.store.sessions.list().total == 1
    other = operator.post("sessions", {**body, "seed": 4}, key="k1")
    assert (other.status_code, other.json["code"]) == (422, "key-reused")


def test_keys_belong_to_the_token_that_sent_them(server: Any, agent: Any, operator: Any) -> None:
    from knowledge_base.records import Scope

    body = {"target": "orders"}
    assert operator.post("sessions", body, key="k1").status_code == 201
    colleague = server.caller(Scope.OPERATOR)
    assert colleague.post("sessions", body, key="k1").status_code == 409


def test_a_refused_write_may_be_tried_again_under_its_key(
    server: Any, agent: Any, operator: Any
) -> None:
    session = server.start_session()
    assert operator.post("sessions", {"target": "orders"}, key="k1").status_code == 409
    operator.post(f"sessions/{session.id}/cancel", {})
    assert operator.post("sessions", {"target": "orders"}, key="k1").status_code == 201


@pytest.mark.parametrize("key", ["x" * 201, "bell\a", "é"])
def test_a_senseless_key_is_refused(operator: Any, key: str) -> None:
    response = operator.send(
        "POST", "sessions", json={"target": "x"}, headers={"Idempotency-Key": key}
    )
    assert (response.status_code, response.json["code"]) == (400, "malformed")


def test_a_copy_does_not_overtake_its_original(
    server: Any, agent: Any, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner: list[Any] = []
    create = server.store.sessions.create

    def slow(new: Any) -> Any:
        if not inner:
            inner.append(None)
            inner[0] = operator.post("sessions", {"target": "orders"}, key="k1")
        return create(new)

    monkeypatch.setattr(server.store.sessions, "create", slow)
    assert operator.post("sessions", {"target": "orders"}, key="k1").status_code == 201
    assert (inner[0].status_code, inner[0].json["code"]) == (409, "in-progress")
    assert inner[0].headers["Retry-After"] == "1"


def test_events_and_results_are_replayed_too(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    for attempt in range(2):
        assert agent.result(trial.id, epoch, key="r").json == {"late": False, "duplicate": False}
        assert agent.event("restored", key="e").status_code == 201
        assert (attempt == 0) or len(server.store.events.list(kind="restored")) == 1
    assert len(server.store.windows.of_trial(trial.id)) == 1


def test_lists_come_in_pages_with_links(server: Any, agent: Any, viewer: Any) -> None:
    session = server.start_session()
    for number in range(5):
        server.add_trial(session, number)
    path = f"/api/v1/sessions/{session.id}/trials"
    first = viewer.get(f"{path}?limit=2")
    assert (first.json["total"], len(first.json["items"])) == (5, 2)
    assert first.headers["Link"] == f'<{path}?limit=2&offset=2>; rel="next"'
    middle = viewer.get(f"{path}?limit=2&offset=2")
    assert [item["number"] for item in middle.json["items"]] == [2, 3]
    assert 'rel="prev"' in middle.headers["Link"]
    last = viewer.get(f"{path}?limit=2&offset=4")
    assert "next" not in last.headers["Link"]
    assert viewer.get(f"{path}?offset=99").json["items"] == []


def test_sessions_are_listed_by_target_and_state(server: Any, agent: Any, viewer: Any) -> None:
    session = server.start_session()
    assert viewer.get("sessions?target=orders&state=running").json["total"] == 1
    assert viewer.get("sessions?state=finished").json["total"] == 0
    assert viewer.get("sessions?target=unheard-of").status_code == 404
    assert viewer.get("sessions").json["items"][0]["id"] == session.id


def test_events_are_followed_by_number(server: Any, agent: Any, viewer: Any) -> None:
    server.start_session()
    first = viewer.get("events?limit=1").json
    rest = viewer.get(f"events?after={first['last']}").json
    ids = [event["id"] for event in first["items"] + rest["items"]]
    assert ids == sorted(set(ids))
    assert viewer.get(f"events?after={rest['last']}").json == {"items": [], "last": rest["last"]}
    assert viewer.get("events?kind=session-started").json["items"][0]["actor"] == "ops"


def measured(
    server: Any, agent: Any, window: Any, number: int, value: float, **changes: Any
) -> Any:
    session = server.store.sessions.list().items[0]
    server.add_trial(session, number, **changes)
    leased = agent.work().json
    agent.result(
        leased["trial"], leased["epoch"], windows=[window(objectives={"throughput": value})]
    )
    return server.store.trials.get(leased["trial"])


def name_incumbent(server: Any, trial: Any, **changes: Any) -> None:
    session = server.store.sessions.get(trial.session_id)
    server.store.sessions.advance(
        session.id, revision=session.revision, incumbent_trial_id=trial.id, **changes
    )


def test_the_report_has_the_documented_form(
    server: Any, agent: Any, viewer: Any, window: Any, check_form: Any
) -> None:
    session = server.start_session()
    measured(server, agent, window, 0, 100.0)
    measured(
        server,
        agent,
        window,
        1,
        200.0,
        configuration={**session.baseline, "cache": 9},
        suggestion={"kind": "explore", "lane": "random", "reason": "a dart", "expected": None},
    )
    trial = server.store.trials.all(session.id)[1]
    name_incumbent(
        server, trial, verdict=confirm([2.0, 2.1] * 6, looks=LOOKS, margin=0.02).to_dict()
    )
    report = viewer.get(f"sessions/{session.id}/report").json
    check_form("Report", report)
    assert [trial["value"] for trial in report["trials"]] == [100.0, 200.0]


def test_a_recommendation_shows_what_would_change(
    server: Any, agent: Any, viewer: Any, window: Any
) -> None:
    session = server.start_session()
    nothing = viewer.get(f"sessions/{session.id}/recommendation").json
    assert (nothing["incumbent"], nothing["changes"]) == (None, [])
    assert nothing["recommended"] == session.baseline
    measured(server, agent, window, 0, 100.0)
    better = measured(
        server, agent, window, 1, 200.0,
        configuration={**session.baseline, "cache": 9}, suggestion={"kind": "explore"},
    )  # fmt: skip
    name_incumbent(server, better)
    told = viewer.get(f"sessions/{session.id}/recommendation").json
    assert told["incumbent"]["trial"] == better.number
    (change,) = told["changes"]
    assert (change["knob"], change["from"], change["to"]) == (
        "cache", session.baseline["cache"], 9,
    )  # fmt: skip
    assert told["recommended"] == session.baseline, "not confirmed yet"
    name_incumbent(
        server, better, verdict=confirm([2.0, 2.1] * 6, looks=LOOKS, margin=0.02).to_dict()
    )
    told = viewer.get(f"sessions/{session.id}/recommendation").json
    assert told["recommended"] == {**session.baseline, "cache": 9}
    assert told["confirmation"]["verdict"] == "better"


def test_trials_show_asked_and_in_force(server: Any, agent: Any, viewer: Any) -> None:
    session = server.start_session()
    trial = server.add_trial(session)
    epoch = agent.work().json["epoch"]
    agent.result(trial.id, epoch, in_force={**session.baseline, "cache": 8})
    shown = viewer.get(f"trials/{trial.id}").json
    assert shown["configuration"]["cache"] == session.baseline["cache"]
    assert shown["in_force"]["cache"] == 8
    windows = viewer.get(f"trials/{trial.id}/windows").json["items"]
    assert windows[0]["metrics"] == {"hits": 12.0}


def test_targets_and_agents_are_shown(server: Any, agent: Any, viewer: Any) -> None:
    (target,) = viewer.get("targets").json["items"]
    assert (target["name"], target["kind"]) == ("orders", "simulated")
    detail = viewer.get(f"targets/{target['id']}").json
    assert detail["description"]["space"]["knobs"]
    (shown,) = viewer.get("agents").json["items"]
    assert (shown["instance"], shown["host"]) == ("instance-1", "db1")


def test_prometheus_metrics_for_viewers_and_this_machine(
    server: Any, agent: Any, viewer: Any
) -> None:
    server.add_trial(server.start_session())
    elsewhere = {"environ_base": {"REMOTE_ADDR": "192.0.2.7"}}
    assert server.caller().get("/metrics", **elsewhere).status_code == 401
    assert viewer.get("/metrics", **elsewhere).status_code == 200
    text = server.caller().get("/metrics").get_data(as_text=True)
    assert 'lontra_sessions{state="running"} 1.0' in text
    assert 'lontra_open_session_trials{state="suggested"} 1.0' in text
    (seen,) = re.findall(r'lontra_agent_last_seen_timestamp_seconds{target="orders"} (\S+)', text)
    assert float(seen) == server.clock.now().timestamp()
    assert "lontra_build_info" in text
    assert 'route="/api/v1/agents/register",status="200"' in text
