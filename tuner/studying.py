"""The pipeline on the knowledge base: which stages are due, their questions, and what they found.

A `Study` holds all that its stages need and pickles, as a recommender's `Job` does, so that any
executor can carry it. Each finding is a versioned artefact that says what it was computed from. A
stage that fails is a fault to be told, and harms no session.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from threadpoolctl import threadpool_limits

from knowledge_base.errors import InvalidRecord
from knowledge_base.records import SessionPhase
from knowledge_base.store import Store
from targets.knobs import Configuration
from targets.metrics import Metric
from tuner.baselines import (
    Metrics,
    Recording,
    described_metrics,
    joined,
    metrics_of,
    others,
    recordings,
    windows_at_baseline,
)
from tuner.learning import EXPLANATION, FORMAT, MAPPING, PRUNING, RANKING, newest, pruning_of
from tuner.naming import candidate, incumbent_trial
from tuner.pipeline import (
    Effects,
    KnownWorkloads,
    Ranking,
    explanation_of,
    prune_windows,
    ranking_of,
)
from tuner.recommenders.base import Observation, Problem
from tuner.view import SessionView

FIRST_RANKING = 10
"""Observations from which on a ranking says more than that nothing is known."""

GROWTH = 4 / 3
"""A ranking is computed again when there are a third more observations: after 10, 14, 19, 26, 35
and so on, so that all of them together cost a few times what the last one does."""

PRUNED_WINDOWS = 400
"""Windows that metrics are pruned by; correlations of more are no better known."""

PRUNED_SESSIONS = 12
"""The newest sessions, from which those windows are taken."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What a session's newest artefacts were computed from: observations, the trial explained,
    windows of the baseline, and whether metrics were pruned with this session's or a newer one's.

    What was stored in a format that is not understood counts as not there.
    """

    observations: int = 0
    explained: int | None = None
    baseline_windows: int = 0
    pruned: bool = False

    @classmethod
    def stored(cls, store: Store, view: SessionView) -> Learnt:
        """From the artefacts' own record."""
        session = view.session
        _, kind = store.targets.names([session.target_id])[session.target_id]

        def inputs(stage: str, session_id: int | None = session.id) -> Mapping[str, Any]:
            found = newest(store, stage, session_id=session_id)
            return found.content["inputs"] if found else {}

        return cls(
            observations=inputs(RANKING).get("observations", 0),
            explained=inputs(EXPLANATION).get("explained"),
            baseline_windows=inputs(MAPPING).get("windows", 0),
            pruned=session.id <= max(inputs(pruning_of(kind), None).get("sessions", ()), default=0),
        )

    def after(self, view: SessionView, stages: tuple[str, ...]) -> Learnt:
        """Once those stages were tried on the session as it is now."""
        result = self
        if RANKING in stages:
            named = _explained(view)
            result = replace(
                result,
                observations=len(view.observations),
                explained=named[0] if named else None,
            )
        if MAPPING in stages:
            result = replace(result, baseline_windows=len(windows_at_baseline(view)))
        return replace(result, pruned=result.pruned or PRUNING in stages)


def due(view: SessionView, learnt: Learnt) -> tuple[str, ...]:
    """The stages to compute now.

    The workload is mapped before the first suggestion, and again when the confirmation has
    measured the baseline more often. Knobs are ranked, and the recommendation is explained, when
    observations have grown by a third, at the end of the search, and when another configuration
    takes the incumbent's place. Metrics are pruned at the end.
    """
    phase, count = view.session.phase, len(view.observations)
    if phase is SessionPhase.BASELINE:
        return ()
    stages: tuple[str, ...] = ()
    if phase is SessionPhase.SEARCH:
        if count >= max(FIRST_RANKING, math.ceil(GROWTH * learnt.observations)):
            stages = (RANKING, EXPLANATION)
    else:
        named = incumbent_trial(view)
        other = named is not None and named.number != learnt.explained
        if count != learnt.observations or other:
            stages = (RANKING, EXPLANATION)
        if phase is not SessionPhase.CONFIRM and view.windows and not learnt.pruned:
            stages = (*stages, PRUNING)
    if phase is not SessionPhase.CONFIRM:
        windows = len(windows_at_baseline(view))
        if windows and windows != learnt.baseline_windows:
            stages = (*stages, MAPPING)
    return stages


@dataclass(frozen=True, kw_only=True)
class Study:
    """One question to the pipeline.

    `explained` is the configuration that the session would name now, by its trial;
    `baseline_windows` how many windows of the baseline there are, with metrics or without.
    """

    session: int
    stages: tuple[str, ...]
    problem: Problem
    observations: tuple[Observation, ...]
    explained: tuple[int, Configuration] | None
    baseline: Configuration
    baseline_windows: int
    windows: tuple[Metrics, ...]
    seed: int
    known: tuple[Recording, ...] = ()
    metrics: tuple[Metric, ...] = ()
    pruned: tuple[Metrics, ...] = ()
    pruned_sessions: tuple[int, ...] = ()

    @property
    def inputs(self) -> dict[str, Any]:
        """What every finding says it was computed from."""
        return {
            "sessions": [self.session],
            "observations": len(self.observations),
            "last_trial": max((one.number for one in self.observations), default=None),
        }


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What the stages found: the artefacts' contents; and in words what kept others from it."""

    contents: Mapping[str, Mapping[str, Any]]
    faults: Mapping[str, str]


def study_of(store: Store, view: SessionView, stages: tuple[str, ...]) -> Study:
    """The question that those stages answer."""
    session = view.session
    at_baseline = windows_at_baseline(view)
    question = Study(
        session=session.id,
        stages=stages,
        problem=replace(view.problem, history=()),
        observations=tuple(replace(one, metrics={}) for one in view.observations),
        explained=_explained(view),
        baseline=session.baseline,
        baseline_windows=len(at_baseline),
        windows=tuple(metrics_of(at_baseline)),
        seed=session.seed,
    )
    if MAPPING in stages:
        known = tuple(recordings(store, others(store, session)))
        names = {name for one in known for window in one.windows for name in window}
        metrics = described_metrics(store, session.target_id, sorted(names))
        question = replace(question, known=known, metrics=metrics)
    if PRUNING in stages:
        windows, sessions = metrics_of(view.windows), [session.id]
        for other in others(store, session)[:PRUNED_SESSIONS]:
            if len(windows) >= PRUNED_WINDOWS:
                break
            windows += metrics_of(store.windows.of_session(other.id))
            sessions.append(other.id)
        question = replace(
            question, pruned=tuple(windows[:PRUNED_WINDOWS]), pruned_sessions=tuple(sessions)
        )
    return question


def study(question: Study) -> Findings:
    """Compute the stages, on one BLAS thread as recommenders do (`tuner.suggesting.answer`)."""
    contents: dict[str, Mapping[str, Any]] = {}
    faults: dict[str, str] = {}
    pipeline = _Pipeline(question)
    with threadpool_limits(1):
        for stage in question.stages:
            try:
                found = pipeline.run(stage)
            # Whatever goes wrong, the session goes on without this finding.
            except Exception as error:
                log.exception("stage failed stage=%s session=%d", stage, question.session)
                faults[stage] = f"{type(error).__name__}: {error}"
            else:
                if found is not None:
                    contents[stage] = {"format": FORMAT, **found}
    return Findings(contents=contents, faults=faults)


def keep(store: Store, view: SessionView, findings: Findings) -> dict[str, str]:
    """Store what was found; answers stage by stage what could not be found or stored."""
    session = view.session
    faults = dict(findings.faults)
    for stage, content in findings.contents.items():
        try:
            if stage == PRUNING:
                _, kind = store.targets.names([session.target_id])[session.target_id]
                store.artefacts.put(pruning_of(kind), content)
            else:
                store.artefacts.put(stage, content, session_id=session.id)
        except InvalidRecord as error:
            faults[stage] = str(error)
    return faults


def _explained(view: SessionView) -> tuple[int, Configuration] | None:
    """The trial of the configuration that the session would name now, and what was measured."""
    best = incumbent_trial(view) or candidate(view)
    return (best.number, view.acting(best)) if best else None


@dataclass(frozen=True)
class _Pipeline:
    """The stages of one question; knobs are ranked and a configuration is explained by one fit."""

    question: Study

    def run(self, stage: str) -> dict[str, Any] | None:
        """A stage's finding; None where there is nothing to be found."""
        return {
            RANKING: self._rank,
            EXPLANATION: self._explain,
            MAPPING: self._map,
            PRUNING: self._prune,
        }[stage]()

    @cached_property
    def _effects(self) -> Effects:
        asked = self.question
        return Effects.fit(asked.problem, asked.observations, seed=asked.seed)

    @cached_property
    def _ranking(self) -> Ranking:
        return ranking_of(self._effects, seed=self.question.seed)

    def _rank(self) -> dict[str, Any]:
        return {"inputs": self.question.inputs, **self._ranking.to_dict()}

    def _explain(self) -> dict[str, Any] | None:
        asked = self.question
        if asked.explained is None:
            return None
        number, configuration = asked.explained
        explanation = explanation_of(
            self._effects, self._ranking, configuration, asked.baseline, seed=asked.seed
        )
        return {
            "inputs": {**asked.inputs, "explained": number},
            "trial": number,
            "configuration": dict(configuration),
            **explanation.to_dict(),
        }

    def _map(self) -> dict[str, Any] | None:
        asked = self.question
        if not asked.windows:
            return None
        known = joined(asked.known, asked.metrics, seed=asked.seed)
        learnt = KnownWorkloads.learn(
            {one.label: one.windows for one in known}, asked.metrics, seed=asked.seed
        )
        mapping = learnt.map(asked.windows)
        sessions = [number for one in known for number in one.sessions]
        inputs = {"windows": asked.baseline_windows, "sessions": [asked.session, *sessions]}
        return {
            "inputs": {**asked.inputs, **inputs},
            "name": mapping.name,
            "confidence": mapping.confidence,
            "known": {
                one.label: {
                    "targets": list(one.targets),
                    "workload": one.workload,
                    "sessions": list(one.sessions),
                }
                for one in known
            },
            **mapping.to_dict(),
        }

    def _prune(self) -> dict[str, Any]:
        asked = self.question
        pruning = prune_windows(asked.pruned, seed=asked.seed)
        return {
            "inputs": {**asked.inputs, "sessions": list(asked.pruned_sessions)},
            "representatives": list(pruning.representatives),
            "reason": pruning.reason,
            **pruning.to_dict(),
        }
