"""What an agent does with assignments: real watchdog, simulated target, faithful server."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from targets.agent import Agent
from targets.agent.activity import ActivityKind
from targets.agent.errors import StateDirHeld
from targets.agent.journal import Kind, read_journal
from targets.agent.policy import Bounds, OnExit, Policy
from targets.clock import ManualClock
from targets.errors import AgentRefused
from targets.protocol import Arm, Directive

MakeAgent = Callable[..., Agent]


def kinds(state_dir: Any) -> list[Kind]:
    return [record.kind for record in read_journal(state_dir / "journal.jsonl").records]


@pytest.fixture
def agent(make_agent: MakeAgent) -> Agent:
    return make_agent()


@pytest.fixture
def safe(agent: Agent, server: Any) -> dict[str, Any]:
    return dict(server.registrations[0].safe)


def test_a_trial_is_journalled_applied_measured_and_told(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any, state_dir: Any
) -> None:
    candidate = {**safe, "buffer": 30}
    server.assign(candidate, seed=11)
    activity = agent.step()
    assert activity.kind is ActivityKind.WORKED
    assert activity.trial == 1
    assert target.read() == candidate
    assert kinds(state_dir) == [
        Kind.OPENED, Kind.TAKEN, Kind.INTENT, Kind.SET, Kind.READ_BACK, Kind.MEASURED,
        Kind.FINISHED,
    ]  # fmt: skip
    assert server.states == [(1, "applying"), (1, "measuring")]
    [(trial, result)] = server.results
    assert (trial, result.state, result.failure, result.epoch) == (1, "completed", None, 1)
    assert result.in_force == candidate
    [window] = result.windows
    assert (window.arm, window.position, window.purpose) == ("candidate", 0, "search")
    assert window.objectives["throughput"] > 0
    assert window.details["seed"] == 11
    assert window.contamination["memory_available_bytes"] > 0
    assert window.contamination["foreign_cpu"] is None, "a tick is longer than this window"


def test_confirmation_alternates_arms_and_sets_only_what_differs(
    agent: Agent, server: Any, safe: dict[str, Any], state_dir: Any
) -> None:
    candidate = {**safe, "buffer": 30}
    arms = (
        Arm(name="baseline", configuration=safe),
        Arm(name="candidate", configuration=candidate),
    )
    sequence = ("baseline", "candidate", "candidate", "baseline")
    server.assign({}, task="confirm", arms=arms, sequence=sequence, block=3, trial=4)
    agent.step()
    [(_, result)] = server.results
    assert result.state == "completed", result.message
    assert [window.arm for window in result.windows] == list(sequence)
    assert [window.position for window in result.windows] == [0, 1, 2, 3]
    assert {window.block for window in result.windows} == {3}
    assert {window.purpose for window in result.windows} == {"confirm"}
    assert result.in_force == candidate
    assert kinds(state_dir).count(Kind.INTENT) == 2, "safe to candidate, and back"
    values = [window.objectives["throughput"] for window in result.windows]
    assert values[0] == values[3] != values[1] == values[2]


def test_reference_lines_are_measured_beside_the_safe_configuration(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any
) -> None:
    server.assign({**safe, "buffer": 30})
    agent.step()
    server.assign({}, task="references", arms=(), sequence=(), trial=2)
    agent.step()
    assert target.read() == safe
    result = server.results[1][1]
    assert [(line.name, line.value > 0) for line in result.lines] == [("optimum", True)]


def test_a_promotion_moves_what_is_safe(
    make_agent: MakeAgent, server: Any, target: Any, state_dir: Any
) -> None:
    agent = make_agent()
    safe = server.registrations[0].safe
    promoted = {**safe, "buffer": 30}
    server.assign(promoted, task="promote", sequence=())
    agent.step()
    assert server.results[0][1].state == "completed", server.results[0][1].message
    assert "promoted" in server.event_kinds()
    server.assign({**safe, "buffer": 60}, trial=2)
    agent.step()
    assert target.read()["buffer"] == 60
    agent.stop("done")
    assert target.read() == promoted
    assert kinds(state_dir) == [Kind.OPENED, Kind.CLOSED]
    again = make_agent()
    assert server.registrations[-1].safe == promoted
    again.stop("done")


def test_the_safe_configuration_comes_back_when_there_is_no_work(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any, eventually: Any
) -> None:
    server.assign({**safe, "buffer": 30})
    agent.step()
    assert agent.step().kind is ActivityKind.IDLE
    assert target.read()["buffer"] == 30, "not before the time of grace"
    eventually(lambda: agent.step() and target.read() == safe)
    assert agent.step().kind is ActivityKind.IDLE
    eventually(lambda: agent.step() and "restored" in server.event_kinds())


def test_a_server_that_goes_away_costs_no_measurement(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any, eventually: Any
) -> None:
    server.assign({**safe, "buffer": 30})
    server.lose_answers = 2
    agent.step()
    activity = agent.step()
    assert activity.kind is ActivityKind.AWAY
    assert activity.wait_seconds >= 0
    eventually(lambda: agent.step().kind is ActivityKind.IDLE)
    assert len(server.results) == 1, "stored once, though it was sent three times"


def test_while_the_server_is_away_the_safe_configuration_comes_back(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any, eventually: Any, away: Any
) -> None:
    server.assign({**safe, "buffer": 30})
    agent.step()
    server.problem = away
    eventually(lambda: agent.step().kind is ActivityKind.AWAY and target.read() == safe)
    server.problem = None
    server.assign({**safe, "buffer": 31}, trial=2)
    eventually(lambda: agent.step().worked)
    assert target.read()["buffer"] == 31


def test_an_agent_starts_without_its_server_and_registers_later(
    make_agent: MakeAgent, server: Any, away: Any, eventually: Any
) -> None:
    server.problem = away
    agent = make_agent()
    assert agent.step().kind is ActivityKind.AWAY
    assert server.registrations == []
    server.problem = None
    eventually(lambda: agent.step().kind is ActivityKind.IDLE)
    assert len(server.registrations) == 1
    assert "agent-started" in server.event_kinds()


def test_a_server_that_forgot_the_agent_hears_of_it_again(
    agent: Agent, server: Any, eventually: Any
) -> None:
    agent.step()
    server.registrations.clear()
    eventually(lambda: agent.step() and server.registrations)


def test_a_refused_agent_restores_and_says_why(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any, refusal: Any
) -> None:
    server.assign({**safe, "buffer": 30})
    agent.step()
    server.problem = refusal
    with pytest.raises(AgentRefused, match="another agent holds box"):
        agent.step()
    assert target.read() == safe


def test_heartbeats_carry_the_trial_what_is_in_force_and_the_host(
    make_agent: MakeAgent, server: Any, eventually: Any
) -> None:
    server.heartbeat_seconds = 0.1
    agent = make_agent(settings={"noise": 0.0, "window_seconds": 1.8})
    candidate = {**server.registrations[0].safe, "buffer": 30}
    server.assign(candidate, trial=5, epoch=7)
    agent.step()
    beats = [beat for beat in server.heartbeats if beat.trial is not None]
    assert beats, "heartbeats renew the trial's lease while it is measured"
    assert (beats[-1].trial, beats[-1].epoch, beats[-1].in_force) == (5, 7, candidate)
    assert beats[-1].host_metrics["memory_total_bytes"] > 0


def test_the_server_may_take_a_trial_back(
    make_agent: MakeAgent, server: Any, target: Any, eventually: Any
) -> None:
    server.heartbeat_seconds = 0.1
    agent = make_agent(settings={"window_seconds": 60.0})
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 30})
    worker = threading.Thread(target=agent.step)
    worker.start()
    eventually(lambda: (1, "measuring") in server.states)
    server.directive = Directive(action="abandon", reason="cancelled by a person")
    worker.join(15.0)
    assert not worker.is_alive(), "the window goes on"
    assert target.read() == safe
    assert server.results == [], "nothing is due for a trial that was taken back"


@pytest.mark.parametrize(
    ("policy", "changes", "told"),
    [
        (Policy(allow=("cache",)), {"buffer": 30}, "buffer=30 is not on its owner's allow-list"),
        (
            Policy(bounds={"buffer": Bounds(high=20)}),
            {"buffer": 30},
            "buffer=30 is outside its owner's bounds ..20",
        ),
        (Policy(pins={"policy": "lru"}), {"policy": "clock"}, "policy='clock' is pinned to 'lru'"),
        (Policy(), {"engine": "tree"}, "engine='tree' is a knob that needs a restart"),
        (Policy(), {"sync": False}, "sync=False is a durability knob"),
        (Policy(), {"buffer": 1000}, "knob buffer=1000 is outside 0..100"),
        (Policy(), {"nonsense": 1}, "nonsense: no such knob"),
    ],
)
def test_what_the_owner_does_not_permit_is_refused_whatever_the_server_says(
    make_agent: MakeAgent,
    server: Any,
    state_dir: Any,
    policy: Policy,
    changes: dict[str, Any],
    told: str,
) -> None:
    agent = make_agent(policy=policy, settings={"restart": True, "durability": True})
    server.assign({**server.registrations[0].safe, **changes})
    agent.step()
    [(_, result)] = server.results
    assert (result.state, result.failure) == ("failed", "rejected")
    assert told in result.message
    assert result.in_force is None
    assert Kind.SET not in kinds(state_dir), "nothing was changed"


def test_the_server_is_told_the_space_that_the_owner_permits(
    make_agent: MakeAgent, server: Any
) -> None:
    make_agent(policy=Policy(bounds={"buffer": Bounds(low=1, high=20)}, deny=("cache",)))
    knobs = {knob["name"]: knob for knob in server.registrations[0].description["space"]["knobs"]}
    assert (knobs["buffer"]["low"], knobs["buffer"]["high"]) == (1, 20)
    assert (knobs["cache"]["low"], knobs["cache"]["high"]) == (5, 5)


def test_an_older_epoch_is_never_applied_again_not_even_after_a_restart(
    make_agent: MakeAgent, server: Any, target: Any
) -> None:
    agent = make_agent()
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 30}, trial=1, epoch=5)
    agent.step()
    agent.stop("restarted")
    again = make_agent()
    server.assign({**safe, "buffer": 60}, trial=1, epoch=4)
    again.step()
    assert target.read() == safe
    assert len(server.results) == 1, "no result of a stale epoch"
    server.leased = None
    server.assign(safe, trial=1, epoch=4)
    again.step()
    assert len(server.results) == 1, "not even where nothing would have to be changed"


def test_a_lease_that_ran_out_forbids_every_further_change(
    make_config: Any, client: Any, server: Any, state_dir: Any
) -> None:
    clock = ManualClock()
    agent = Agent(make_config(settings={"window_seconds": 30.0}), client, clock=clock)
    agent.start()
    try:
        safe = server.registrations[0].safe
        arms = (
            Arm(name="baseline", configuration=safe),
            Arm(name="candidate", configuration={**safe, "buffer": 30}),
        )
        server.assign(
            {},
            task="confirm",
            arms=arms,
            sequence=("baseline", "candidate"),
            lease_seconds=20.0,
            timeout_seconds=600.0,
        )
        agent.step()
        assert Kind.MEASURED in kinds(state_dir)
        assert Kind.INTENT not in kinds(state_dir), "the candidate's turn came too late"
        assert server.results == [], "the trial is another's by now, or will be given again"
    finally:
        agent.stop("the test ended")


def test_a_trial_that_takes_too_long_times_out(
    make_agent: MakeAgent, server: Any, target: Any
) -> None:
    agent = make_agent(settings={"window_seconds": 60.0})
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 30}, timeout_seconds=0.5)
    agent.step()
    [(_, result)] = server.results
    assert (result.failure, result.state) == ("timed-out", "failed")
    assert "outlived 0.5 s" in result.message
    assert target.read() == safe


def test_the_owner_may_keep_what_is_in_force_on_exit(
    make_agent: MakeAgent, server: Any, target: Any, state_dir: Any
) -> None:
    agent = make_agent(policy=Policy(on_exit=OnExit.KEEP))
    candidate = {**server.registrations[0].safe, "buffer": 30}
    server.assign(candidate)
    agent.step()
    agent.stop("told to end")
    assert target.read() == candidate
    assert kinds(state_dir)[-1] is Kind.CLOSED
    make_agent()
    assert target.read() == candidate, "the next start puts nothing back"


def test_one_agent_per_state_directory(agent: Agent, make_agent: MakeAgent) -> None:
    with pytest.raises(StateDirHeld, match="one agent per target"):
        make_agent()
    assert agent.step().kind is ActivityKind.IDLE, "the first one goes on"


def test_run_works_until_told_to_stop(
    agent: Agent, server: Any, safe: dict[str, Any], target: Any, eventually: Any
) -> None:
    for buffer in range(10, 15):
        server.assign({**safe, "buffer": buffer}, trial=buffer)
    stop = threading.Event()
    runner = threading.Thread(target=agent.run, args=(stop,))
    runner.start()
    eventually(lambda: len(server.results) == 5)
    stop.set()
    runner.join(10.0)
    assert not runner.is_alive()
    assert [trial for trial, _ in server.results] == list(range(10, 15))


def test_stop_may_be_called_twice_and_step_needs_a_start(
    make_config: Any, client: Any, agent: Agent
) -> None:
    agent.stop("once")
    agent.stop("twice")
    with pytest.raises(RuntimeError, match="call start"):
        agent.step()
