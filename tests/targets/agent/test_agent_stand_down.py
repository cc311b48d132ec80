"""A knob changed by hand: noticed, kept, told, and the session left alone."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from targets.agent import Agent
from targets.agent.journal import read_journal
from targets.agent.recovery import Standing


@pytest.fixture
def measuring(
    make_agent: Callable[..., Agent], server: Any, target: Any, eventually: Any
) -> Iterator[Any]:
    """An agent in the middle of a long window under a candidate."""

    class Measuring:
        def __init__(self) -> None:
            self.agent = make_agent(settings={"noise": 0.0, "window_seconds": 60.0})
            self.safe = server.registrations[0].safe
            server.assign({**self.safe, "buffer": 40, "policy": "lru"}, session=8, trial=3)
            self.thread = threading.Thread(target=self.agent.step)
            self.thread.start()
            eventually(lambda: (3, "measuring") in server.states)

        def join(self) -> None:
            self.thread.join(15.0)
            assert not self.thread.is_alive(), "the change was not noticed"

    yield Measuring()


def test_a_change_by_hand_ends_the_window_keeps_the_value_and_is_told(
    measuring: Any, server: Any, target: Any, state_dir: Any
) -> None:
    target.set(buffer=77)
    measuring.join()
    left = {**measuring.safe, "buffer": 77}
    assert target.read() == left, "theirs stays, ours (policy) is back at safe"
    [(trial, result)] = server.results
    assert (trial, result.state, result.failure) == (3, "failed", "cancelled")
    assert "stood down: changed outside Lontra: buffer from 40 to 77" in result.message
    [event] = [event for event in server.events if event.kind == "knob-changed-outside"]
    assert (event.session, event.trial) == (8, 3)
    assert event.details["changes"] == {"buffer": [40, 77]}
    assert event.details["in_force"] == left
    assert "buffer from 40 to 77" in event.message
    standing = Standing.of(read_journal(state_dir / "journal.jsonl"))
    assert standing.snapshot is not None
    assert standing.snapshot["configuration"] == left, "no watchdog will overwrite the value"
    assert not standing.dirty


def test_no_more_work_of_that_session_but_of_a_later_one(
    measuring: Any, server: Any, target: Any, make_agent: Any
) -> None:
    target.set(buffer=77)
    measuring.join()
    left = target.read()
    server.assign({**measuring.safe, "buffer": 10}, session=8, trial=4)
    measuring.agent.step()
    assert target.read() == left
    assert server.results[-1][1].failure == "cancelled"
    assert server.registrations[-1].safe == left, "the server hears what is safe now"
    measuring.agent.stop("done")
    assert target.read() == left, "not on exit either"

    again = make_agent()
    server.assign({**left, "cache": 9}, session=9, trial=5)
    again.step()
    assert target.read() == {**left, "cache": 9}


def test_several_changes_are_told_together(measuring: Any, server: Any, target: Any) -> None:
    target.set(buffer=77, window=5)
    measuring.join()
    assert target.read() == {**measuring.safe, "buffer": 77, "window": 5}
    [event] = [event for event in server.events if event.kind == "knob-changed-outside"]
    assert event.details["changes"] == {"buffer": [40, 77], "window": [0, 5]}


def test_a_mixture_that_the_target_refuses_is_left_alone(
    make_agent: Callable[..., Agent], server: Any, awkward: Any, target: Any
) -> None:
    agent = make_agent(adapter="awkward", idle_grace_seconds=60.0)
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 40, "policy": "lru"})
    agent.step()
    awkward("refuse-mixtures")
    target.set(buffer=77)
    agent.step()
    assert target.read() == {**safe, "buffer": 77, "policy": "lru"}
    [event] = [event for event in server.events if event.kind == "knob-changed-outside"]
    assert "all knobs are left as they are" in event.message
    assert event.details["in_force"]["policy"] == "lru"


def test_a_change_between_trials_is_noticed_before_the_next(
    make_agent: Callable[..., Agent], server: Any, target: Any
) -> None:
    agent = make_agent(idle_grace_seconds=60.0)
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 40}, session=2)
    agent.step()
    target.set(cache=3)
    server.assign({**safe, "buffer": 41}, session=2, trial=2)
    agent.step()
    assert target.read() == {**safe, "cache": 3}
    assert server.results[-1][1].failure == "cancelled"


def test_a_change_in_the_time_of_grace_is_not_overwritten_by_going_home(
    make_agent: Callable[..., Agent], server: Any, target: Any
) -> None:
    agent = make_agent(idle_grace_seconds=60.0)
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 40})
    agent.step()
    target.set(buffer=50)
    agent.stop("told to end")
    assert target.read() == {**safe, "buffer": 50}


def test_a_change_at_rest_is_the_new_safe_configuration(
    make_agent: Callable[..., Agent], server: Any, target: Any
) -> None:
    agent = make_agent()
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 40})
    agent.step()
    agent.stop("done")
    agent = make_agent()
    target.set(buffer=8)
    agent.step()
    agent.step()
    assert "knob-changed-outside" in server.event_kinds()
    assert server.registrations[-1].safe == {**safe, "buffer": 8}


def test_a_change_while_no_agent_lived_is_noticed_by_the_next(
    make_agent: Callable[..., Agent], server: Any, target: Any, state_dir: Any
) -> None:
    agent = make_agent()
    safe = server.registrations[0].safe
    server.assign({**safe, "buffer": 40}, session=8)
    agent.step()
    agent._rounds.go_home("no work")
    agent._release()  # what a kill -9 at rest leaves: everything safe, the journal not closed
    target.set(buffer=8)
    again = make_agent()
    again.step()
    [event] = [event for event in server.events if event.kind == "knob-changed-outside"]
    assert event.session == 8, "the session that was under way, as the journal remembers it"
    assert event.details["changes"] == {"buffer": [5, 8]}
    assert server.registrations[-1].safe == {**safe, "buffer": 8}
    server.assign({**safe, "buffer": 50}, session=8, trial=2)
    again.step()
    assert target.read() == {**safe, "buffer": 8}
    assert server.results[-1][1].failure == "cancelled"
