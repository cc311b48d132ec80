"""The whole ring on one machine: web application, worker and agent in one process.

The agent talks to the Flask application through an in-process WSGI transport, and the worker is
stepped between the agent's rounds, so that nothing is computed while a window is measured.
Everything else is as in production: the same application, tokens, leases, spool, journal and
watchdog.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from knowledge_base import Store, upgrade
from knowledge_base.records import Scope, Session, Trial
from lontra.home import Home
from targets.agent import Agent, AgentConfig, ServerClient
from targets.agent.policy import Policy
from targets.clock import Clock, SystemClock
from tuner.service import SessionService
from tuner.worker import Worker
from web import WebSettings, create_app

IN_PROCESS_URL = "http://localhost"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Ring:
    """A running ring: start or resume a session, then `run` it to its end."""

    store: Store
    service: SessionService
    worker: Worker
    agent: Agent
    clock: Clock
    target: str

    def run(self, session_id: int, *, on_trial: Callable[[Trial], None]) -> Session:
        """Go round until the session has ended; `on_trial` hears of each finished trial."""
        told = {t.number for t in self.store.trials.all(session_id) if t.state.ended}
        while True:
            moved = self.worker.step()
            session = self.store.sessions.get(session_id)
            for trial in self.store.trials.all(session_id):
                if trial.state.ended and trial.number not in told:
                    told.add(trial.number)
                    on_trial(trial)
            if session.state.ended:
                self.worker.step()  # where a person ended it, what it taught is worked out now
                return session
            activity = self.agent.step()
            if not moved and not activity.worked:
                self.clock.sleep(min(0.2, activity.wait_seconds))


@contextmanager
def local_ring(
    home: Home,
    *,
    adapter: str,
    settings: Mapping[str, Any],
    target: str,
    policy: Policy,
    clock: Clock | None = None,
    learning: bool = True,
) -> Iterator[Ring]:
    """Set up server, worker and agent for one target, and take them down in order.

    On leaving, however it is left, the agent puts the safe configuration back and the tokens
    made for this run are revoked.
    """
    clock = clock or SystemClock()
    home.prepare()
    upgrade(home.database_url)
    store = Store.open(home.database_url, clock=clock)
    try:
        target_id = _target_id(store, target)
        token, secret = store.tokens.create(
            scope=Scope.AGENT, label=f"lontra tune {target}", target_id=target_id
        )
        try:
            app = create_app(store, WebSettings(), clock=clock)
            client = ServerClient(IN_PROCESS_URL, secret, transport=httpx2.WSGITransport(app=app))
            config = AgentConfig(
                server_url=IN_PROCESS_URL,
                token=secret,
                target=target,
                adapter=adapter,
                settings=dict(settings),
                state_dir=home.agents / target,
                policy=policy,
            )
            agent = Agent(config, client, clock=clock)
            agent.start()
            try:
                yield Ring(
                    store=store,
                    service=SessionService(store, clock),
                    worker=Worker(store, clock=clock, learning=learning),
                    agent=agent,
                    clock=clock,
                    target=target,
                )
            finally:
                agent.stop("lontra tune ends")
        finally:
            store.tokens.revoke(token.id)
    finally:
        store.close()


def _target_id(store: Store, name: str) -> int:
    from knowledge_base.errors import NotFound

    try:
        return store.targets.by_name(name).id
    except NotFound:
        return store.targets.describe(name, {}).id
