"""What was learnt from a session and from all of them, read from the knowledge base.

For the API, the command line, the pages and reports: nothing is computed here. The artefacts come
from `tuner.studying`, which sessions taught which from `tuner.past`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from knowledge_base.records import Artefact, Page, Session, TrialState
from knowledge_base.store import Store
from tuner.recommenders.base import SuggestionKind
from tuner.view import SEARCH_TASK, SessionView, spares_budget

PRUNING, MAPPING, RANKING, EXPLANATION = (
    "metric-pruning",
    "workload-map",
    "knob-ranking",
    "explanation",
)
"""The kinds of artefact; a pruning's is followed by its targets' kind (`pruning_of`)."""

HISTORY = "history"
"""The kind of the artefact that says which past sessions a session begins from."""

FORMAT = 1
"""Of all these artefacts' contents; a change that readers would trip over raises it."""

TOP_KNOBS = 5
"""How many knobs of a ranking a line about a session names."""

NO_LANE = "unknown"

log = logging.getLogger(__name__)


def pruning_of(kind: str) -> str:
    """The artefact's kind for the metrics of one kind of target, of which all sessions share."""
    return f"{PRUNING}/{kind}"


def newest(store: Store, kind: str, *, session_id: int | None = None) -> Artefact | None:
    """The newest artefact, if it is of the `FORMAT` that is understood here; None else, as where
    there is none. The worker computes it again then (`tuner.studying`)."""
    return understood(store.artefacts.latest(kind, session_id=session_id))


def understood(artefact: Artefact | None) -> Artefact | None:
    """The artefact, if its content is of the `FORMAT` that is understood here."""
    if artefact is None or artefact.content.get("format") == FORMAT:
        return artefact
    log.warning(
        "artefact passed over kind=%s session=%s version=%d format=%r understood=%d",
        artefact.kind,
        artefact.session_id,
        artefact.version,
        artefact.content.get("format"),
        FORMAT,
    )
    return None


@dataclass(frozen=True, kw_only=True)
class LaneRecord:
    """One lane's trials with a result; `wins`: those that beat everything measured before.

    A re-measurement tries nothing new and wins nothing. `share` is of all lanes' trials.
    """

    lane: str
    trials: int
    wins: int
    share: float


@dataclass(frozen=True, kw_only=True)
class SessionKnowledge:
    """What was learnt in one session, and from which others.

    `ranking`, `mapping`, `pruning` and `explanation` are the newest artefacts' contents with
    `version` and `computed_at`; None where there is none yet. `history` says which sessions the
    recommender learns from, in the order of preference, and how many observations of each.
    """

    session: int
    lanes: tuple[LaneRecord, ...]
    ranking: Mapping[str, Any] | None
    mapping: Mapping[str, Any] | None
    pruning: Mapping[str, Any] | None
    explanation: Mapping[str, Any] | None
    history: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            **vars(self),
            "lanes": [asdict(lane) for lane in self.lanes],
            "history": [dict(one) for one in self.history],
        }


@dataclass(frozen=True, kw_only=True)
class KnownTask:
    """One session as a line of what is known.

    Attributes:
        trials, failures: search trials that ended, the baseline among them; and that failed.
        gain: `ratio` (above 1 is better), `ci95`, `pairs` and `verdict`; None unless confirmed by
            paired windows.
        top_knobs: the most important ones, by the newest ranking; none while nothing is told.
        created_at: ISO 8601.
    """

    session: int
    target: str
    kind: str
    workload: str
    objective: str
    direction: str
    state: str
    trials: int
    failures: int
    gain: Mapping[str, Any] | None
    top_knobs: tuple[str, ...]
    created_at: str

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {**vars(self), "top_knobs": list(self.top_knobs)}


def knowledge_of(store: Store, session_id: int) -> SessionKnowledge:
    """What was learnt in a session.

    Raises:
        NotFound: no such session.
    """
    session = store.sessions.get(session_id)
    return knowledge_in(store, SessionView.load(store, session, metrics=False))


def knowledge_in(store: Store, view: SessionView) -> SessionKnowledge:
    """The same of a session that was read before."""
    session = view.session
    _, kind = store.targets.names([session.target_id])[session.target_id]

    def latest(stage: str) -> dict[str, Any] | None:
        return _told(newest(store, stage, session_id=session.id))

    begun = newest(store, HISTORY, session_id=session.id)
    return SessionKnowledge(
        session=session.id,
        lanes=lanes_of(view),
        ranking=latest(RANKING),
        mapping=latest(MAPPING),
        pruning=pruned_metrics(store, kind),
        explanation=latest(EXPLANATION),
        history=tuple(
            {key: one[key] for key in ("session", "target", "workload", "trials", "used")}
            for one in (begun.content["sessions"] if begun else ())
        ),
    )


def pruned_metrics(store: Store, kind: str) -> dict[str, Any] | None:
    """Which metrics of one kind of target stand for the rest; None while that is not known."""
    return _told(newest(store, pruning_of(kind)))


def lanes_of(view: SessionView) -> tuple[LaneRecord, ...]:
    """The lanes by falling number of trials."""
    trials: dict[str, int] = {}
    wins: dict[str, int] = {}
    best = view.value(view.baseline_trial) if view.baseline_trial else None
    for trial in view.search_trials:
        if not trial.state.ended or spares_budget(trial):
            continue
        lane = str(trial.suggestion.get("lane") or NO_LANE)
        trials[lane] = trials.get(lane, 0) + 1
        value = view.value(trial) if trial.state is TrialState.COMPLETED else None
        if value is None or trial.fidelity < 1.0:
            continue
        if best is not None and not view.objective.better(value, best):
            continue
        best = value
        if trial.suggestion.get("kind") != SuggestionKind.RE_MEASURE:
            wins[lane] = wins.get(lane, 0) + 1
    total = sum(trials.values())
    records = [
        LaneRecord(lane=lane, trials=count, wins=wins.get(lane, 0), share=count / total)
        for lane, count in trials.items()
    ]
    return tuple(sorted(records, key=lambda record: (-record.trials, record.lane)))


def known_history(
    store: Store, *, kind: str | None = None, limit: int = 100, offset: int = 0
) -> Page[KnownTask]:
    """All sessions, newest first, with what came of each.

    Args:
        kind: of targets of this kind only.
    """
    page = store.sessions.list(kind=kind, limit=limit, offset=offset)
    ids = [session.id for session in page.items]
    names = store.targets.names({session.target_id for session in page.items})
    counts = store.trials.counts(ids, task=SEARCH_TASK)
    rankings = store.artefacts.latest_of(RANKING, ids)
    items = []
    for session in page.items:
        name, of_kind = names[session.target_id]
        counted = counts.get(session.id, {})
        failures = counted.get(TrialState.FAILED, 0)
        items.append(
            KnownTask(
                session=session.id,
                target=name,
                kind=of_kind,
                workload=str(session.workload["name"]),
                objective=str(session.objective["name"]),
                direction=str(session.objective["direction"]),
                state=str(session.state),
                trials=counted.get(TrialState.COMPLETED, 0) + failures,
                failures=failures,
                gain=_gain(session),
                top_knobs=_top_knobs(rankings.get(session.id)),
                created_at=session.created_at.isoformat(),
            )
        )
    return Page(tuple(items), page.total)


def _gain(session: Session) -> dict[str, Any] | None:
    verdict = session.verdict
    if not verdict.get("pairs") or verdict.get("ratio") is None:
        return None
    return {key: verdict[key] for key in ("ratio", "ci95", "pairs", "verdict")}


def _top_knobs(stored: Artefact | None) -> tuple[str, ...]:
    """Where nothing can be told of any knob, all their shares are 0."""
    ranking = understood(stored)
    knobs = ranking.content["knobs"] if ranking else ()
    return tuple(one["knob"] for one in knobs if one["share"]["value"] > 0.0)[:TOP_KNOBS]


def _told(artefact: Artefact | None) -> dict[str, Any] | None:
    if artefact is None:
        return None
    return {
        **artefact.content,
        "version": artefact.version,
        "computed_at": artefact.created_at.isoformat(),
    }
