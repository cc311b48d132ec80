"""What was tried does not stay in force because a server hangs, or because a watchdog was lost."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import httpx2

from targets.agent import Agent, ServerClient
from targets.agent.client import TIMEOUT_SECONDS
from targets.agent.liaison import TELL_SECONDS
from targets.agent.lock import FileLock
from targets.agent.statedir import StateDir

GRACE_SECONDS = 3.0


class HangingServer(httpx2.BaseTransport):
    """Answers until a request to `hangs_at` comes, and then to none; keeps how long each of those
    was waited for."""

    def __init__(self, server: Any) -> None:
        self._server = httpx2.WSGITransport(app=server)
        self.hangs_at: str | None = None
        self.waited: list[tuple[str, float]] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        path = request.url.path
        if self.hangs_at is not None and (self.waited or path.endswith(self.hangs_at)):
            self.waited.append((path, request.extensions["timeout"]["read"]))
            raise httpx2.ReadTimeout("timed out", request=request)
        return self._server.handle_request(request)


def test_a_server_that_hangs_is_not_waited_for_beyond_the_time_of_grace(
    make_config: Callable[..., Any], server: Any, target: Any, eventually: Any
) -> None:
    server.heartbeat_seconds = 3600.0
    transport = HangingServer(server)
    with ServerClient("http://localhost", "lontra_00000000_secret", transport=transport) as client:
        agent = Agent(make_config(idle_grace_seconds=GRACE_SECONDS), client)
        agent.start()
        try:
            safe = server.registrations[-1].safe
            server.assign({**safe, "buffer": 30})
            transport.hangs_at = "/state"
            agent.step()
            assert target.read()["buffer"] == 30
            (told, *_), (delivered, patience) = transport.waited[0], transport.waited[-1]
            assert told.endswith("/state")
            assert {wait for path, wait in transport.waited if path == told} == {TELL_SECONDS}
            assert delivered.endswith(("/result", "/events"))
            assert patience <= GRACE_SECONDS
            eventually(lambda: agent.step() and target.read() == safe)
            transport.waited.clear()
            transport.hangs_at = ""
            agent.step()
            assert {wait for _, wait in transport.waited} == {TIMEOUT_SECONDS}, "safe: no hurry"
        finally:
            agent.stop("the test ended")


def test_a_watchdog_lost_between_two_trials_brings_the_safe_configuration_back(
    make_agent: Callable[..., Agent], server: Any, target: Any, state_dir: Any, eventually: Any
) -> None:
    agent = make_agent(idle_grace_seconds=3600.0)
    safe = server.registrations[-1].safe
    server.assign({**safe, "buffer": 30})
    agent.step()
    assert target.read()["buffer"] == 30
    watchdog = FileLock(StateDir(state_dir).journal_lock).holder()
    assert watchdog is not None
    os.kill(watchdog.pid, signal.SIGKILL)
    eventually(lambda: agent.step() and target.read() == safe)
    eventually(lambda: agent.step() and "watchdog-restarted" in server.event_kinds())
