"""What the target is left with when processes die: real processes, real signals."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from targets.agent.journal import Kind, read_journal

pytestmark = pytest.mark.survival

SAFE_WITHIN_SECONDS = 15.0


@pytest.fixture
def safe(server: Any, start_daemon: Any, target: Any, eventually: Any) -> Any:
    """Begin a trial whose window takes a minute; answers the daemon and the check that the target
    is back in its safe configuration."""

    class Running:
        def __init__(self) -> None:
            self.daemon = start_daemon()
            eventually(lambda: server.registrations)
            self.safe = server.registrations[0].safe
            self.candidate = {**self.safe, "buffer": 40, "policy": "lru"}
            server.assign(self.candidate)
            eventually(lambda: (1, "measuring") in server.states)
            assert target.read() == self.candidate

        def restored(self) -> bool:
            return bool(target.read() == self.safe)

        def kinds(self) -> list[Kind]:
            return [record.kind for record in read_journal(self.daemon.state.journal).records]

    return Running()


def test_kill_9_of_the_agent_makes_the_watchdog_restore(safe: Any, eventually: Any) -> None:
    watchdog = safe.daemon.watchdog
    safe.daemon.signal(signal.SIGKILL)
    eventually(safe.restored, seconds=SAFE_WITHIN_SECONDS)
    eventually(lambda: Kind.RESTORED in safe.kinds())
    assert watchdog.wait(5.0), "a watchdog whose work is done ends"


def test_kill_9_of_both_is_put_right_by_the_next_start_before_anything_else(
    safe: Any, server: Any, start_daemon: Any, eventually: Any
) -> None:
    safe.daemon.signal_watchdog(signal.SIGKILL)
    safe.daemon.signal(signal.SIGKILL)
    safe.daemon.wait()
    assert not safe.restored(), "nobody is left to restore"
    start_daemon()
    eventually(lambda: len(server.registrations) == 2, seconds=SAFE_WITHIN_SECONDS)
    assert server.registrations[1].safe == safe.safe
    assert server.registrations[1].instance == server.registrations[0].instance
    assert server.registrations[1].incarnation != server.registrations[0].incarnation
    # The trial was not lost: the server gives it again, and it is taken up.
    eventually(lambda: server.states.count((1, "measuring")) == 2)
    assert server.results == []


def test_a_stopped_agent_is_killed_and_its_target_restored(safe: Any, eventually: Any) -> None:
    safe.daemon.signal(signal.SIGSTOP)
    eventually(safe.restored, seconds=SAFE_WITHIN_SECONDS)
    assert safe.daemon.wait() == -signal.SIGKILL
    assert Kind.KILLED in safe.kinds()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_watchdog_is_replaced_and_the_trial_fails_as_the_harness_fault(
    safe: Any, server: Any, eventually: Any, number: signal.Signals
) -> None:
    lost = safe.daemon.signal_watchdog(number)
    eventually(lambda: server.results, seconds=SAFE_WITHIN_SECONDS)
    trial, result = server.results[0]
    assert (trial, result.state, result.failure) == (1, "failed", "harness-failed")
    assert "watchdog" in result.message
    eventually(safe.restored, seconds=SAFE_WITHIN_SECONDS)
    eventually(lambda: "watchdog-restarted" in server.event_kinds())
    assert not lost.alive
    assert safe.daemon.watchdog.pid != lost.pid
    assert safe.daemon.process.poll() is None
    # The new one guards: the next trial is not unwatched.
    server.assign(safe.candidate)
    eventually(lambda: (2, "measuring") in server.states)
    safe.daemon.signal(signal.SIGKILL)
    eventually(safe.restored, seconds=SAFE_WITHIN_SECONDS)


def test_a_stopped_pair_is_taken_over_by_the_next_start(
    safe: Any, server: Any, start_daemon: Any, eventually: Any
) -> None:
    stopped = safe.daemon.signal_watchdog(signal.SIGSTOP)
    safe.daemon.signal(signal.SIGSTOP)
    start_daemon()
    eventually(lambda: len(server.registrations) == 2, seconds=2 * SAFE_WITHIN_SECONDS)
    assert server.registrations[1].safe == safe.safe
    assert safe.daemon.wait() == -signal.SIGKILL
    assert not stopped.alive


def test_a_second_agent_is_refused_while_the_first_lives(
    safe: Any, start_daemon: Any, target: Any
) -> None:
    second = start_daemon()
    assert second.wait() == 1
    told = second.log.read_text()
    assert f"is held by the agent of pid {safe.daemon.process.pid}" in told
    assert target.read() == safe.candidate, "the first one's trial goes on"


@pytest.mark.parametrize("to_group", [False, True], ids=["SIGTERM", "Ctrl-C"])
def test_an_agent_told_to_end_restores_and_leaves_the_trial_to_be_given_again(
    safe: Any, server: Any, eventually: Any, *, to_group: bool
) -> None:
    watchdog = safe.daemon.watchdog
    if to_group:
        os.killpg(safe.daemon.process.pid, signal.SIGINT)
    else:
        safe.daemon.signal(signal.SIGTERM)
    assert safe.daemon.wait() == 0, safe.daemon.log.read_text()
    assert safe.restored()
    assert safe.kinds() == [Kind.OPENED, Kind.CLOSED]
    assert server.event_kinds()[-1] == "agent-stopped"
    assert server.results == []
    assert watchdog.wait(5.0)


def test_sigterm_to_the_watchdog_does_not_leave_the_agent_unguarded(
    safe: Any, eventually: Any
) -> None:
    watchdog = safe.daemon.signal_watchdog(signal.SIGTERM)
    safe.daemon.signal(signal.SIGKILL)
    eventually(safe.restored, seconds=SAFE_WITHIN_SECONDS)
    assert watchdog.wait(5.0)
