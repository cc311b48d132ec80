"""Prometheus: the state of the house at /metrics, in base units.

What comes from the knowledge base is the same whichever web process is asked; request durations
are those of the process that answers. Labels never hold numbers of sessions or trials.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import TypeVar

from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from knowledge_base.records import Page, Scope, SessionState, TrialState
from knowledge_base.store import Store
from web.access import from_this_machine
from web.auth import authorise
from web.services import EXTENSION
from web.version import lontra_version

METRICS_PATH = "/metrics"
PAGE = 500
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Other methods share one label: a client must not be able to make up new series."""

T = TypeVar("T")


class KnowledgeBaseCollector(Collector):
    """Reads the knowledge base at each scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing: registering must not read the knowledge base."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families, as they stand now."""
        build = InfoMetricFamily("lontra_build", "Which Lontra this is.")
        build.add_metric([], {"version": lontra_version()})
        yield build
        yield self._sessions()
        yield self._trials()
        yield self._agents()

    def _sessions(self) -> Metric:
        family = GaugeMetricFamily("lontra_sessions", "Sessions by state.", labels=["state"])
        for state in SessionState:
            family.add_metric([state], self._store.sessions.list(state=state, limit=1).total)
        return family

    def _trials(self) -> Metric:
        family = GaugeMetricFamily(
            "lontra_open_session_trials",
            "Trials by state in sessions that have not ended.",
            labels=["state"],
        )
        counts = dict.fromkeys(TrialState, 0)
        for state in (SessionState.RUNNING, SessionState.PAUSED):
            for session in _all(partial(self._store.sessions.list, state=state)):
                for trial in self._store.trials.all(session.id):
                    counts[trial.state] += 1
        for trial_state, count in counts.items():
            family.add_metric([trial_state], count)
        return family

    def _agents(self) -> Metric:
        family = GaugeMetricFamily(
            "lontra_agent_last_seen_timestamp_seconds",
            "When a target's agent was last heard.",
            labels=["target"],
        )
        names = {target.id: target.name for target in _all(self._store.targets.list)}
        seen: dict[str, float] = {}
        for agent in _all(self._store.agents.list):
            name = names.get(agent.target_id)
            if name is not None:
                seen[name] = max(seen.get(name, 0.0), agent.last_seen_at.timestamp())
        for name, moment in seen.items():
            family.add_metric([name], moment)
        return family


def register_metrics(app: Flask) -> None:
    """Serve /metrics and time every request, in a registry of this application's own."""
    registry = CollectorRegistry()
    registry.register(KnowledgeBaseCollector(app.extensions[EXTENSION].store))
    durations = Histogram(
        "lontra_http_request_duration_seconds",
        "Time to answer a request, by route.",
        ["method", "route", "status"],
        registry=registry,
    )

    @app.before_request
    def start() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def stop(response: Response) -> Response:
        if "started" in g:
            route = request.url_rule.rule if request.url_rule else "none"
            method = request.method if request.method in METHODS else "other"
            durations.labels(method, route, str(response.status_code)).observe(
                time.perf_counter() - g.started
            )
        return response

    @app.get(METRICS_PATH)
    def metrics() -> Response:
        if not from_this_machine():
            authorise(Scope.VIEWER)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


def _all(listed: Callable[..., Page[T]]) -> Iterator[T]:
    """Every item of a listed thing, a page at a time."""
    offset = 0
    while True:
        page = listed(limit=PAGE, offset=offset)
        yield from page.items
        offset += PAGE
        if offset >= page.total:
            return
