"""How targets looked at their baselines, by workload: what mapping a workload compares.

A workload is told by target and by its name and parameters: "live" traffic on two databases is not
taken for one workload because both are called so, but because its metrics look alike as well.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from statistics import median_low
from typing import Any

from knowledge_base.records import Session, Window
from knowledge_base.store import Store
from targets.metrics import Metric, MetricKind
from targets.protocol import BASELINE_ARM
from tuner.pipeline import KnownWorkloads
from tuner.view import SEARCH_TASK, SessionView

CONSIDERED = 60
"""How many other sessions are looked at, the newest ones of the same kind of target: more than
anybody learns from, few enough to be read in a moment."""

MOST_WINDOWS = 24
"""Windows of one workload: the error of a mean hardly falls any more."""

Metrics = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Recording:
    """The windows of one workload at the baseline, the newest session's first."""

    label: str
    targets: tuple[str, ...]
    workload_id: int
    workload: dict[str, Any]
    sessions: tuple[int, ...]
    windows: tuple[Metrics, ...]


def others(store: Store, session: Session) -> list[Session]:
    """The newest other sessions of targets of the same kind."""
    _, kind = store.targets.names([session.target_id])[session.target_id]
    newest = store.sessions.list(kind=kind, limit=CONSIDERED + 1).items
    return [other for other in newest if other.id != session.id][:CONSIDERED]


def windows_at_baseline(view: SessionView) -> list[Window]:
    """The session's windows of its baseline: the baseline trial's and the other arm of blocks."""
    trial = view.baseline_trial
    return [
        window
        for window in view.windows
        if not window.late
        and (window.arm == BASELINE_ARM or (trial is not None and window.trial_id == trial.id))
    ]


def recordings(store: Store, sessions: Sequence[Session]) -> list[Recording]:
    """Those sessions' windows at their baselines, by workload; those without metrics left out."""
    windows = store.windows.at_baseline(
        [session.id for session in sessions], task=SEARCH_TASK, arm=BASELINE_ARM
    )
    names = store.targets.names({session.target_id for session in sessions})
    grouped: dict[tuple[int, int], list[Session]] = {}
    for session in sessions:
        grouped.setdefault((session.target_id, session.workload_id), []).append(session)
    found: dict[str, Recording] = {}
    for (target_id, workload_id), group in grouped.items():
        target, _ = names[target_id]
        read = [one for session in group for one in metrics_of(windows.get(session.id, ()))]
        if not read:
            continue
        workload = dict(group[0].workload)
        label = f"{workload['name']} on {target}"
        if label in found:
            label += f" (workload {workload_id})"
        found[label] = Recording(
            label=label,
            targets=(target,),
            workload_id=workload_id,
            workload=workload,
            sessions=tuple(session.id for session in group),
            windows=tuple(read[:MOST_WINDOWS]),
        )
    return list(found.values())


def joined(
    recordings: Sequence[Recording], metrics: Sequence[Metric], *, seed: int = 0
) -> list[Recording]:
    """Recordings under one name and with the same parameters, on several targets, as one where
    their metrics are likelier those of one workload than of two.

    Known twice, a workload would seem to say that another one may look just like it.
    """
    declared = Counter(one.workload_id for one in recordings)
    if len(declared) == len(recordings):
        return list(recordings)
    learnt = KnownWorkloads.learn(
        {one.label: one.windows for one in recordings}, metrics, seed=seed
    )
    found: list[Recording] = []
    for one in recordings:
        scores = {match.workload: match.score for match in learnt.map(one.windows).matches}
        for place, other in enumerate(found):
            if other.workload_id == one.workload_id and scores[other.label] > 0.0:
                found[place] = _together(other, one)
                break
        else:
            found.append(one)
    return found


def _together(first: Recording, second: Recording) -> Recording:
    """As one, under the first one's label; windows of both, however many the first one has."""
    turns = zip_longest(first.windows, second.windows)
    windows = [window for turn in turns for window in turn if window is not None]
    return replace(
        first,
        targets=(*first.targets, *second.targets),
        sessions=(*first.sessions, *second.sessions),
        windows=tuple(windows[:MOST_WINDOWS]),
    )


def middle(windows: Iterable[Metrics], names: Collection[str] = ()) -> Metrics:
    """Each metric's median over the windows that have it: what a workload looks like.

    Args:
        names: the metrics that stand for the rest (`tuner.pipeline.prune`); where none of them was
            read, or none is given, all metrics are told.
    """
    values: dict[str, list[float]] = {}
    for window in windows:
        for name, value in window.items():
            if math.isfinite(value):
                values.setdefault(name, []).append(value)
    # The lower one of two in the middle: their mean may be more than a float can hold.
    known = {name: median_low(seen) for name, seen in sorted(values.items())}
    return {name: known[name] for name in known if name in names} or known


def metrics_of(windows: Iterable[Window]) -> list[Metrics]:
    """Each window's metrics; windows that were rolled up show one mean, which counts once."""
    seen: set[tuple[int, str]] = set()
    result = []
    for window in windows:
        place = (window.trial_id, window.arm)
        if window.rolled_up and place in seen:
            continue
        seen.add(place)
        values = window.metrics.as_dict()
        if values:
            result.append(values)
    return result


def described_metrics(store: Store, target_id: int, names: Iterable[str]) -> tuple[Metric, ...]:
    """What the target's description says of these metrics; a histogram's of its quantiles."""
    described = [
        Metric.from_dict(one) for one in store.targets.get(target_id).description.get("metrics", ())
    ]
    histograms = [metric for metric in described if metric.kind is MetricKind.HISTOGRAM]
    known = {metric.name for metric in described}
    quantiles = [
        replace(metric, name=name)
        for name in names
        if name not in known
        for metric in histograms
        if name.startswith(f"{metric.name}_p")
    ]
    return (*described, *quantiles)
