"""Adapters that misbehave: each failure gets its kind, and none leaves the target unsafe."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import pytest

from targets.agent import Agent
from targets.agent.activity import ActivityKind
from targets.agent.errors import RestoreFailed
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
        ("unaccounted", "harness-failed", "the target's own counter operations_total grew by 3"),
        ("uncounted", "harness-failed", "operations_total was not read in the window"),
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


def test_a_failure_of_the_safe_configuration_itself_leaves_no_limit_running(
    make_agent: Callable[..., Agent], server: Any, awkward: Any
) -> None:
    """A baseline that cannot be measured is at home already; were its phase still open, the
    watchdog would kill the agent at the phase's limit."""
    agent = make_agent(adapter="awkward")
    awkward("measure-raises")
    server.assign(server.registrations[0].safe)
    agent.step()
    assert server.results[0][1].failure == "harness-failed"
    assert agent._watch._phase == ("idle", None)


def test_windows_measured_before_a_failure_are_told(
    make_agent: Callable[..., Agent], server: Any, awkward: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
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
    agent, _, safe = run_trial("")
    awkward(mood)
    server.assign({**safe, "buffer": 1000}, trial=2)
    assert agent.step().worked, "refused, and on the way home from the last one"
    server.assign({**safe, "buffer": 31}, trial=3)
    assert agent.step().kind is ActivityKind.UNSAFE
    assert agent.step().kind is ActivityKind.UNSAFE
    assert Standing.of(read_journal(state_dir / "journal.jsonl")).dirty
    awkward("")
    assert agent.step().worked
    assert server.event_kinds().count("restore-failed") == 1, "told once, not at every attempt"
    assert "restored" in server.event_kinds()
    agent.stop("done")
    assert target.read() == safe
    assert not Standing.of(read_journal(state_dir / "journal.jsonl")).dirty


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that does not wait for a watchdog which cannot end."""
    monkeypatch.setattr("targets.agent.watch.KILL_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
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
    eventually(lambda: read_journal(state_dir / "journal.jsonl").records[-1].kind is Kind.RESTORED)


@pytest.mark.usefixtures("impatient")
def test_a_start_is_refused_while_what_was_left_cannot_be_put_back(
    run_trial: Any, target: Any, awkward: Any, make_agent: Any, monkeypatch: Any, eventually: Any
) -> None:
    agent, _, safe = run_trial("")
    awkward("restore-fails")
    agent.stop("told to end")
    monkeypatch.setattr("targets.agent.watch.RECOVERY_SECONDS", 1.0)
    with pytest.raises(RestoreFailed, match=r"watchdog\.log"):
        make_agent(adapter="awkward")
    awkward("")
    eventually(lambda: target.read() == safe)


@pytest.mark.usefixtures("impatient")
def test_a_target_that_cannot_be_restored_is_told_at_once(
    run_trial: Any, server: Any, awkward: Any, eventually: Any
) -> None:
    agent, _, _ = run_trial("")
    awkward("restore-fails")
    eventually(lambda: agent.step().kind is ActivityKind.UNSAFE)
    agent.step()
    assert "restore-failed" in server.event_kinds()


@pytest.mark.slow
@pytest.mark.survival
def test_a_window_that_hangs_costs_its_agent_once_and_the_trial_for_good(
    start_awkward: Any, server: Any, eventually: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a window of the safe configuration, for which nothing was set or is to be restored."""
    daemon = start_awkward("measure-hangs")
    eventually(lambda: server.registrations)
    server.assign(server.registrations[0].safe, timeout_seconds=0.5)
    assert daemon.wait(30.0) == -signal.SIGKILL
    start_awkward("")
    eventually(lambda: server.results)
    [(trial, result)] = server.results
    assert (trial, result.failure) == (1, "timed-out")
    assert "measure did not end within its limit" in result.message


def test_a_trial_that_killed_three_agents_is_given_up(
    make_agent: Callable[..., Agent], server: Any
) -> None:
    for death in range(1, 4):
        agent = make_agent()
        safe = server.registrations[0].safe
        assert len(server.results) == 0, f"after {death - 1} deaths it is tried again"
        if death == 1:
            server.leased = server.assign({**safe, "buffer": 30}, trial=6)
            server.queue.clear()
        _die_in_trial(agent, server.leased)
    make_agent().step()
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
