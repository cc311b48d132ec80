"""Adapters that misbehave: each failure gets its kind, and none leaves the target unsafe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from targets.agent import Agent
from targets.agent.activity import ActivityKind
from targets.agent.journal import Kind, read_journal
from targets.agent.recovery import Standing


@pytest.fixture
def run_trial(
    make_agent: Callable[..., Agent], server: Any, awkward: Any
) -> Callable[[str], tuple[Agent, Any, dict[str, Any]]]:
    """One trial under an adapter in some mood; answers agent, result and safe configuration."""

    def run(mood: str) -> tuple[Agent, Any, dict[str, Any]]:
        agent = make_agent(adapter="awkward", settings={"noise": 0.0})
        safe = server.registrations[0].safe
        awkward(mood)
        server.assign({**safe, "buffer": 30})
        assert agent.step().worked
        return agent, server.results[0][1], safe

    return run


@pytest.mark.parametrize(
    ("mood", "failure", "told"),
    [
        ("measure-raises", "harness-failed", "ZeroDivisionError: a bug in a stranger's adapter"),
        ("apply-fails-half-way", "apply-failed", "the target fell over half-way"),
        ("ill", "target-down", "the target coughs"),
        ("not-finite", "workload-failed", "throughput"),
        ("no-objective", "harness-failed", "no value of objective throughput"),
        ("no-json", "harness-failed", "no JSON"),
    ],
)
def test_each_failure_has_its_kind_and_the_target_is_restored(
    run_trial: Any, target: Any, server: Any, mood: str, failure: str, told: str
) -> None:
    agent, result, safe = run_trial(mood)
    assert (result.state, result.failure) == ("failed", failure)
    assert told in result.message
    assert target.read() == safe
    assert agent.step().kind is ActivityKind.IDLE, "the agent lives on"
    assert "restored" in server.event_kinds()


def test_windows_measured_before_a_failure_are_told(
    make_agent: Callable[..., Agent], server: Any, awkward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    awkward("")
    agent = make_agent(adapter="awkward")
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 30}, sequence=("candidate",) * 3)
    import awkward_adapter  # type: ignore[import-not-found] # installed by the fixture

    measure = awkward_adapter.AwkwardAdapter.measure
    calls = []

    def second_fails(adapter: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise OSError("disk on fire")
        return measure(adapter, *args, **kwargs)

    monkeypatch.setattr(awkward_adapter.AwkwardAdapter, "measure", second_fails)
    agent.step()
    [(_, result)] = server.results
    assert result.failure == "harness-failed"
    assert [window.position for window in result.windows] == [0]


@pytest.mark.parametrize("mood", ["restore-fails", "restore-does-nothing"])
def test_a_target_that_cannot_be_restored_gets_no_work_until_it_is(
    run_trial: Any, target: Any, server: Any, awkward: Any, state_dir: Any, mood: str
) -> None:
    agent, result, safe = run_trial("ill")
    assert target.read() == safe
    awkward(mood)
    server.assign({**safe, "buffer": 31}, trial=2)
    agent.step()
    server.directive = server.directive
    awkward(mood)
    # The trial itself went well; the way home is what fails.
    agent.interrupt("unused")
    server.assign({**safe, "cache": 1000}, trial=3)
    agent.step()
    assert "restore-failed" in server.event_kinds() or agent.step()
    activity = agent.step()
    assert activity.kind is ActivityKind.UNSAFE
    assert Standing.of(read_journal(state_dir / "journal.jsonl")).dirty
    awkward("")
    assert agent.step().kind is not ActivityKind.UNSAFE
    assert target.read() == safe
    assert not Standing.of(read_journal(state_dir / "journal.jsonl")).dirty


def test_an_agent_that_cannot_restore_leaves_it_to_its_watchdog(
    run_trial: Any, target: Any, awkward: Any, server: Any, state_dir: Any, eventually: Any
) -> None:
    agent, _, safe = run_trial("")
    assert target.read()["buffer"] == 30
    awkward("restore-fails")
    agent.stop("told to end")
    assert target.read()["buffer"] == 30
    assert "restore-failed" in server.event_kinds()
    awkward("")
    eventually(lambda: target.read() == safe)
    eventually(
        lambda: read_journal(state_dir / "journal.jsonl").records[-1].kind is Kind.RESTORED
    )


def test_a_start_is_refused_while_what_was_left_cannot_be_put_back(
    run_trial: Any, target: Any, awkward: Any, make_agent: Any, monkeypatch: Any
) -> None:
    from targets.agent.errors import RestoreFailed

    agent, _, safe = run_trial("")
    awkward("restore-fails")
    agent.stop("told to end")
    monkeypatch.setattr("targets.agent.watch.RECOVERY_SECONDS", 1.0)
    monkeypatch.setattr("targets.agent.watchdog.JOURNAL_LOCK_SECONDS", 1.0)
    with pytest.raises(RestoreFailed, match=r"watchdog\.log"):
        make_agent(adapter="awkward")
    awkward("")


def test_a_trial_that_killed_three_agents_is_given_up(
    make_agent: Callable[..., Agent], server: Any
) -> None:
    for death in range(1, 4):
        agent = make_agent()
        safe = server.registrations[0].safe
        assert len(server.results) == 0, f"after {death - 1} deaths it is tried again"
        if death == 1:
            server.assign({**safe, "buffer": 30}, trial=6)
        _die_in_trial(agent, server.leased or server.queue[0])
    make_agent()
    [(trial, result)] = server.results
    assert (trial, result.failure, result.epoch) == (6, "harness-failed", 1)
    assert "died 3 times" in result.message


def _die_in_trial(agent: Agent, assignment: Any) -> None:
    """What a kill -9 after the intent leaves: the journal as it is, no result, no closing."""
    fields = {
        "trial": assignment.trial,
        "epoch": assignment.epoch,
        "configuration": dict(assignment.arms[0].configuration),
    }
    agent._watch.record(Kind.INTENT, fields)
    agent._release()
