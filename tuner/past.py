"""What a session may learn from others: past sessions of the same kind, as the recommender's
history; and what its own workload and theirs look like.

Which sessions, which of their trials, and the workloads is decided once, before a session's first
suggestion, and kept as an artefact: history grows while the session runs and metrics are given up
in time, but its suggestions can be computed again from the same.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from statistics import fmean
from typing import Any

from knowledge_base.errors import Unavailable
from knowledge_base.records import Session, TrialState
from knowledge_base.store import Store
from targets.knobs import Knob
from targets.metrics import Direction
from targets.protocol import BASELINE_ARM
from targets.space import KnobSpace
from tuner.baselines import metrics_of, middle, others, windows_at_baseline
from tuner.history import History
from tuner.learning import FORMAT, HISTORY, MAPPING, newest, pruning_of, understood
from tuner.pipeline.mapping import CERTAIN
from tuner.recommenders.base import Observation, PastTask
from tuner.surrogates.transfer import LARGEST_SOURCE, LEAST_OBSERVED, MOST_SOURCES
from tuner.view import SEARCH_TASK, SessionView

MOST_SESSIONS = MOST_SOURCES
"""As many as the transfer model hears."""

MOST_OBSERVATIONS = LARGEST_SOURCE
"""Of each session: as many as the transfer model fits to."""

MOST_REMEMBERED = 64
"""Sessions whose history a worker keeps at hand: some tens of megabytes at most."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a session's recommender is told beside its own observations.

    `context` is its workload as its baseline showed it: metric -> median over the windows, of the
    metrics that stand for the rest where these are known (`metric-pruning/KIND`). Each task has
    that of its own session.
    """

    context: Mapping[str, float] = field(default_factory=dict)
    tasks: tuple[PastTask, ...] = ()

    def to(self, view: SessionView) -> SessionView:
        """The view with it, as whoever asks the recommender needs it."""
        return replace(view, past=self.tasks, context=self.context)


class Past:
    """Reads what running sessions' recommenders are told, each once.

    Args:
        store: the knowledge base.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: OrderedDict[int, Told] = OrderedDict()

    def of(self, view: SessionView) -> Told:
        """What the session's recommender is told, decided now if it was not before."""
        session = view.session
        if session.id not in self._read:
            if newest(self._store, HISTORY, session_id=session.id) is None:
                self._decide(view)
            self._read[session.id] = told(self._store, session)
            while len(self._read) > MOST_REMEMBERED:
                self._read.popitem(last=False)
        self._read.move_to_end(session.id)
        return self._read[session.id]

    def _decide(self, view: SessionView) -> None:
        decided, key = decide(self._store, view), view.session.id
        kept = self._store.artefacts.put_once(HISTORY, decided, session_id=key)
        if understood(kept) is None:
            self._store.artefacts.put(HISTORY, decided, session_id=key)


def decide(store: Store, view: SessionView) -> dict[str, Any]:
    """Which sessions to learn from, which of their trials, and all their workloads: a `history`
    artefact's content.

    No session where that is not wanted. The same objective must have been improved over knobs that
    can be compared, in at least `LEAST_OBSERVED` configurations. Sessions under the workload that
    this one's was mapped to come first, then those of the same target, then newer ones. Where the
    mapping is certain, those under other known workloads are left out; of what the mapping does not
    know, it is for the recommender to find out whether it agrees with what is measured here.
    """
    mapping = newest(store, MAPPING, session_id=view.session.id)
    likeness = Likeness.of(mapping.content if mapping else {})
    wanted = view.session.budget.get("use_history", False)
    possible = _candidates(store, view) if wanted else []
    candidates = [one for one in possible if likeness.same(one.id) is not False]
    candidates.sort(
        key=lambda one: (
            likeness.same(one.id) is not True,
            one.target_id != view.session.target_id,
            -one.id,
        )
    )
    names = store.targets.names({session.target_id for session in candidates})
    chosen: list[dict[str, Any]] = []
    for session in candidates:
        if len(chosen) == MOST_SESSIONS:
            break
        observations = _observations(store, view, session)
        numbers = [one.number for one in selected(view, observations)]
        if numbers:
            chosen.append(
                {
                    "session": session.id,
                    "target": names[session.target_id][0],
                    "workload": session.workload["name"],
                    "same_workload": likeness.same(session.id),
                    "trials": len(observations),
                    "used": len(numbers),
                    "numbers": numbers,
                }
            )
    telling = _telling_metrics(store, view.session)
    at_baseline = store.windows.at_baseline(
        [one["session"] for one in chosen], task=SEARCH_TASK, arm=BASELINE_ARM
    )
    for one in chosen:
        one["context"] = middle(metrics_of(at_baseline.get(one["session"], ())), telling)
    return {
        "format": FORMAT,
        "mapping": mapping.version if mapping else None,
        "context": middle(metrics_of(windows_at_baseline(view)), telling),
        "sessions": chosen,
    }


def _telling_metrics(store: Store, session: Session) -> Sequence[str]:
    """The metrics that stand for the rest, as far as that is known of the kind of target."""
    _, kind = store.targets.names([session.target_id])[session.target_id]
    pruning = newest(store, pruning_of(kind))
    return pruning.content["representatives"] if pruning else ()


def told(store: Store, session: Session) -> Told:
    """What was decided on, as the recommender takes it; nothing before.

    Observations have no metrics: retention gives those up in time, and a replay must be told the
    same.
    """
    decided = newest(store, HISTORY, session_id=session.id)
    if decided is None:
        return Told()
    tasks = []
    for one in decided.content["sessions"]:
        view = SessionView.load(store, store.sessions.get(one["session"]), metrics=False)
        numbers = set(one["numbers"])
        tasks.append(
            PastTask(
                name=f"session {one['session']} of {one['target']}",
                space=view.space,
                observations=tuple(seen for seen in view.observations if seen.number in numbers),
                context=one.get("context", {}),  # sessions begun by an older version have none
            )
        )
    return Told(context=decided.content.get("context", {}), tasks=tuple(tasks))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """Which sessions ran under the workload that this one's was mapped to, and which did not."""

    alike: frozenset[int] = frozenset()
    unlike: frozenset[int] = frozenset()

    @classmethod
    def of(cls, mapping: Mapping[str, Any]) -> Likeness:
        """From a `workload-map` artefact's content; nothing is known from an empty one."""
        name = mapping.get("name")
        if name is None:
            return cls()
        sessions = {label: one["sessions"] for label, one in mapping["known"].items()}
        certain = mapping["confidence"] >= CERTAIN
        rest = [numbers for label, numbers in sessions.items() if certain and label != name]
        return cls(alike=frozenset(sessions[name]), unlike=frozenset(chain.from_iterable(rest)))

    def same(self, session_id: int) -> bool | None:
        """Whether a session's workload is this one's; None where that is open."""
        if session_id in self.alike:
            return True
        return False if session_id in self.unlike else None


def comparable(ours: KnobSpace, theirs: KnobSpace, pins: Collection[str] = ()) -> bool:
    """Whether what one space taught can be told of the other.

    At least one knob that is free here must be of a like kind there, and no number may be counted
    in another unit under the same name.
    """
    known = {knob.name: knob for knob in theirs}
    shared = [
        (knob, known[knob.name]) for knob in ours if knob.name in known and knob.name not in pins
    ]
    if any(one.is_number and other.is_number and one.unit != other.unit for one, other in shared):
        return False
    return any(_alike(one, other) for one, other in shared)


def _alike(one: Knob, other: Knob) -> bool:
    if one.is_number or other.is_number:
        return one.is_number and other.is_number
    return one.type == other.type and bool(set(one.levels) & set(other.levels))


def selected(view: SessionView, observations: Sequence[Observation]) -> list[Observation]:
    """At most `MOST_OBSERVATIONS`, in order: half the best, the rest spread over the session,
    failures among them."""
    if len(observations) <= MOST_OBSERVATIONS:
        return list(observations)
    name, sign = view.objective.name, 1.0
    if view.objective.direction is Direction.MAXIMISE:
        sign = -1.0
    measured = [place for place, one in enumerate(observations) if one.failure is None]
    measured.sort(key=lambda place: sign * fmean(observations[place].values[name]))
    best = set(measured[: MOST_OBSERVATIONS // 2])
    others_of = [place for place in range(len(observations)) if place not in best]
    left = MOST_OBSERVATIONS - len(best)
    spread = {others_of[place * len(others_of) // left] for place in range(left)}
    return [observations[place] for place in sorted(best | spread)]


def _candidates(store: Store, view: SessionView) -> list[Session]:
    """Other sessions of the kind that improved the same objective and measured enough."""
    objective = view.objective
    alike = [
        session
        for session in others(store, view.session)
        if (session.objective.get("name"), session.objective.get("direction"))
        == (objective.name, objective.direction)
    ]
    counts = store.trials.counts([session.id for session in alike], task=SEARCH_TASK)
    return [
        session
        for session in alike
        if counts.get(session.id, {}).get(TrialState.COMPLETED, 0) >= LEAST_OBSERVED
    ]


def _observations(store: Store, view: SessionView, session: Session) -> tuple[Observation, ...]:
    """What another session saw in full windows; nothing where it does not fit or cannot be
    understood."""
    try:
        past = SessionView.load(store, session, metrics=False)
        if not comparable(view.space, past.space, view.session.pins):
            return ()
        full = tuple(one for one in past.observations if one.fidelity == 1.0 or one.failure)
        measured = History.of(past.problem, full).measured
    except Unavailable:
        raise
    # Written by another version, or by a stranger's adapter: it must not harm this session.
    except Exception:
        log.exception("cannot be learnt from session=%d past=%d", view.session.id, session.id)
        return ()
    return full if len(measured) >= LEAST_OBSERVED else ()
