"""The agent's side of the API: register, heartbeat, work, state, result, events."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from knowledge_base.records import SessionState, TrialState


def code(response: Any) -> str:
    assert response.content_type == "application/problem+json", response.data
    return str(response.json["code"])


def test_registering_describes_the_target_and_takes_its_lease(server: Any) -> None:
    agent = server.agent()
    response = agent.register()
    assert response.status_code == 200
    welcome = response.json
    target = server.store.targets.get(welcome["target"])
    assert target.kind == "simulated"
    assert target.description["safe"]["cache"] == target.description["space"]["knobs"][0]["default"]
    assert server.store.agents.lease_of(target.id).holder == "instance-1"
    assert welcome["heartbeat_seconds"] * 2 <= welcome["lease_seconds"]
    event = server.store.events.list(kind="agent-registered")[0]
    assert event.actor.startswith("agent of orders (")


def test_registering_again_is_no_second_event(server: Any, agent: Any) -> None:
    assert agent.register().status_code == 200
    assert len(server.store.events.list(kind="agent-registered")) == 1
    assert replace(agent, incarnation="start-2").register().status_code == 200
    assert len(server.store.events.list(kind="agent-registered")) == 2


def test_another_installation_is_refused_while_the_first_one_lives(server: Any, agent: Any) -> None:
    other = replace(agent, instance="instance-2")
    response = other.register()
    assert (response.status_code, code(response)) == (409, "held")
    server.clock.advance(31)
    assert other.register().status_code == 200
    assert code(agent.heartbeat()) == "not-found", "which has it register again"
    assert code(agent.register()) == "held"


def test_a_later_start_supersedes_the_earlier_one(agent: Any) -> None:
    assert replace(agent, incarnation="start-2").register().status_code == 200
    assert (agent.heartbeat().status_code, code(agent.heartbeat())) == (409, "superseded")
    assert code(agent.work()) == "superseded"


def test_an_agent_that_lost_its_target_is_told_to_register_again(server: Any, agent: Any) -> None:
    server.clock.advance(31)
    other = replace(agent, instance="instance-2")
    assert other.register().status_code == 200
    server.clock.advance(31)
    assert (agent.heartbeat().status_code, code(agent.heartbeat())) == (404, "not-found")
    assert agent.register().status_code == 200


def test_an_installation_at_work_is_not_moved_by_another_targets_token(
    server: Any, agent: Any
) -> None:
    thief = replace(server.agent("billing"), instance=agent.instance)
    assert code(thief.register()) == "held"
    assert agent.heartbeat().status_code == 200
    server.clock.advance(31)
    assert thief.register().status_code == 200


def test_an_old_protocol_is_refused_with_the_oldest_one_served(server: Any) -> None:
    response = server.agent().register(protocol=0)
    assert (response.status_code, code(response)) == (426, "protocol-too-old")
    assert response.json["oldest"] == 1
    assert response.headers["Upgrade"] == "lontra/1"


def test_a_newer_agent_is_served_under_our_protocol(server: Any) -> None:
    response = server.agent().register(protocol=7, a_field_of_the_future={"x": 1})
    assert (response.status_code, response.json["protocol"]) == (200, 1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"space": {"knobs": [{"name": "a", "type": "integer", "default": 1}]}}, "low and high"),
        ({"space": {"knobs": [{"name": "a", "type": "odd", "default": 1}]}}, "Must be one of"),
        ({"metrics": [{"name": "m", "kind": "counter", "unit": 5}]}, "Not a valid string"),
        ({"space": {"knobs": [], "constraints": [{"expression": "x >"}]}}, "does not parse"),
        ({"window_seconds": "soon"}, "Not a valid number"),
    ],
)
def test_a_wrong_description_is_refused_and_takes_no_lease(
    server: Any, change: dict[str, Any], said: str
) -> None:
    agent = server.agent()
    response = agent.register(description={**server.description, **change})
    assert (response.status_code, code(response)) == (422, "invalid")
    assert said in response.get_data(as_text=True)
    assert server.store.agents.list().total == 0


def test_no_session_no_work(server: Any, agent: Any) -> None:
    response = agent.work()
    assert (response.status_code, response.headers["Retry-After"]) == (204, "5")
    server.start_session()
    assert agent.work().headers["Retry-After"] == "1"


def test_work_carries_both_arms_in_the_order_of_the_plan(server: Any, agent: Any) -> None:
    session = server.start_session()
    candidate = {**session.baseline, "cache": 9}
    server.add_trial(
        session,
        task="confirm",
        sequence=("baseline", "candidate", "candidate", "baseline"),
        configuration=candidate,
    )
    assignment = agent.work().json
    arms = {arm["name"]: arm["configuration"] for arm in assignment["arms"]}
    assert arms == {"baseline": session.baseline, "candidate": candidate}
    assert assignment["sequence"] == ["baseline", "candidate", "candidate", "baseline"]
    assert assignment["task"] == "confirm"


def test_a_trial_goes_from_leased_to_completed(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    for state in ("applying", "measuring"):
        assert agent.state(trial.id, epoch, state).json["action"] == "continue"
        assert server.store.trials.get(trial.id).state == state
    assert agent.result(trial.id, epoch).json == {"late": False, "duplicate": False}
    stored = server.store.trials.get(trial.id)
    assert (stored.state, stored.failure) == (TrialState.COMPLETED, None)
    (window,) = server.store.windows.of_trial(trial.id)
    assert window.metrics.as_dict() == {"hits": 12.0}
    assert window.metrics.names == ("hits", "unreadable")


def test_a_trial_held_is_given_again_under_a_new_epoch(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    first = agent.work().json["epoch"]
    second = agent.work().json["epoch"]
    assert second > first
    response = agent.state(trial.id, first, "applying")
    assert (response.status_code, code(response)) == (409, "stale-epoch")


def test_an_expired_lease_is_given_out_again_and_the_old_result_is_late(
    server: Any, agent: Any
) -> None:
    trial = server.add_trial(server.start_session())
    old = agent.work().json["epoch"]
    server.clock.advance(31)
    new = agent.work().json["epoch"]
    assert agent.result(trial.id, old).json == {"late": True, "duplicate": False}
    assert server.store.trials.get(trial.id).state is TrialState.LEASED
    assert agent.result(trial.id, new).json["late"] is False
    assert [w.late for w in server.store.windows.of_trial(trial.id)] == [True, False]
    assert server.store.events.list(kind="result-late")[0].trial_id == trial.id


def test_a_result_sent_twice_is_stored_once(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    agent.result(trial.id, epoch)
    assert agent.result(trial.id, epoch).json == {"late": False, "duplicate": True}
    assert len(server.store.windows.of_trial(trial.id)) == 1


@pytest.mark.parametrize("objectives", [{}, {"throughput": None}, {"latency": 3.0}])
def test_a_completed_result_without_the_objective_is_kept_as_our_own_fault(
    server: Any, agent: Any, window: Any, objectives: dict[str, Any]
) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    response = agent.result(trial.id, epoch, windows=[window(objectives=objectives)])
    assert response.status_code == 200
    stored = server.store.trials.get(trial.id)
    assert (stored.state, stored.failure) == (TrialState.FAILED, "harness-failed")
    assert "throughput was measured in 0 of 1 planned windows" in stored.message
    assert len(server.store.windows.of_trial(trial.id)) == 1


def test_half_a_block_is_kept_and_does_not_count_as_completed(
    server: Any, agent: Any, window: Any
) -> None:
    trial = server.add_trial(
        server.start_session(), task="confirm", sequence=("baseline", "candidate")
    )
    epoch = agent.work().json["epoch"]
    agent.result(trial.id, epoch, windows=[window(arm="baseline", purpose="confirm")])
    assert server.store.trials.get(trial.id).failure == "harness-failed"


def test_a_failure_keeps_its_kind_and_message(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    agent.result(
        trial.id, epoch, state="failed", failure="guardrail", message="p99 9 ms", windows=[]
    )
    stored = server.store.trials.get(trial.id)
    assert (stored.failure, stored.message) == ("guardrail", "p99 9 ms")


def test_an_epoch_that_was_never_granted_is_refused_for_good(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    agent.work()
    response = agent.result(trial.id, 99)
    assert (response.status_code, code(response)) == (422, "never-granted")


def test_a_promoted_configuration_becomes_the_targets_safe_one(server: Any, agent: Any) -> None:
    session = server.start_session()
    better = {**session.baseline, "cache": 9}
    trial = server.add_trial(session, task="promote", sequence=(), configuration=better)
    epoch = agent.work().json["epoch"]
    agent.result(trial.id, epoch, windows=[], in_force=better)
    assert server.store.targets.get(session.target_id).description["safe"] == better


def test_a_heartbeat_renews_the_trial_in_hand(server: Any, agent: Any) -> None:
    trial = server.add_trial(server.start_session())
    epoch = agent.work().json["epoch"]
    for _ in range(4):
        server.clock.advance(20)
        assert agent.heartbeat(trial=trial.id, epoch=epoch).json["action"] == "continue"
    assert server.store.trials.expire() == []


def test_a_heartbeat_tells_to_abandon_what_was_cancelled_or_taken_back(
    server: Any, agent: Any
) -> None:
    session = server.start_session()
    trial = server.add_trial(session)
    epoch = agent.work().json["epoch"]
    stale = agent.heartbeat(trial=trial.id, epoch=epoch - 1).json
    assert (stale["action"], "does not hold it" in stale["reason"]) == ("abandon", True)
    revision = server.store.sessions.get(session.id).revision
    server.store.sessions.advance(
        session.id, revision=revision, state=SessionState.CANCELLED, reason="not today"
    )
    told = agent.heartbeat(trial=trial.id, epoch=epoch).json
    assert told["action"] == "abandon"
    assert "cancelled: not today" in told["reason"]
    assert code(agent.state(trial.id, epoch, "measuring")) == "stale-epoch"


def test_host_metrics_are_kept_once_a_minute(server: Any, agent: Any) -> None:
    start = server.clock.now()
    for _ in range(30):
        server.clock.advance(5)
        agent.heartbeat(host_metrics={"cpu_percent": 3.0, "unreadable": None})
    reports = server.store.reports.of_agent(1, start)
    assert len(reports) == 2
    assert reports[0].metrics.as_dict() == {"cpu_percent": 3.0}
    assert server.store.agents.by_instance("instance-1").host_metrics["unreadable"] is None


def test_a_knob_changed_by_hand_ends_the_session_and_says_what_changed(
    server: Any, agent: Any
) -> None:
    session = server.start_session()
    trial = server.add_trial(session)
    agent.work()
    response = agent.event("knob-changed-outside", session=session.id, trial=trial.id)
    assert response.status_code == 201
    ended = server.store.sessions.get(session.id)
    assert (ended.state, "changed from 5 to 7" in ended.reason) == (SessionState.STOOD_DOWN, True)
    kinds = [event.kind for event in server.store.events.list(session_id=session.id)]
    assert kinds == ["session-started", "knob-changed-outside", "session-stood-down"]
    assert server.store.trials.get(trial.id).failure == "cancelled"
    # Sent again from a spool, after the end: kept, and nothing to end any more.
    assert agent.event("knob-changed-outside", session=session.id).status_code == 201


def test_other_events_end_nothing(server: Any, agent: Any) -> None:
    session = server.start_session()
    assert agent.event("restored", session=session.id).status_code == 201
    assert server.store.sessions.get(session.id).state is SessionState.RUNNING


def test_an_unknown_agent_is_told_to_register(server: Any) -> None:
    agent = server.agent()
    for response in (agent.heartbeat(), agent.work(), agent.event("restored")):
        assert (response.status_code, code(response)) == (404, "not-found")


def test_a_trial_that_ran_out_is_not_handed_out_while_its_session_is_paused(
    server: Any, agent: Any, operator: Any
) -> None:
    session = server.start_session()
    server.add_trial(session)
    assert agent.work().status_code == 200
    operator.post(f"sessions/{session.id}/pause", {})
    assert agent.work().status_code == 200, "what the agent holds it may finish"
    server.clock.advance(31)
    assert agent.work().status_code == 204
    operator.post(f"sessions/{session.id}/resume", {})
    assert agent.work().status_code == 200
