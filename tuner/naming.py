"""Whom a session names: its candidate, its incumbent, the front, and what the limits say of them.

Pure, and quick enough for a request but for `candidate` with one noisy objective, for which a model
is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from knowledge_base.records import Trial, TrialState
from targets.protocol import BASELINE_ARM, CANDIDATE_ARM
from tuner.confirmation import BETTER, PAIRS_PER_BLOCK, Confirmation, confirm, pair_ratios
from tuner.estimate import Estimate, front, incumbent
from tuner.history import History
from tuner.keeping import Check, Reading
from tuner.measuring import Blocks, blocks_of, planned_looks
from tuner.view import CONFIRM_TASK, SEARCH_TASK, SessionView, is_baseline, spares_budget


def candidate(view: SessionView) -> Trial | None:
    """The search trial whose configuration the session would name now, never the baseline's.

    Of several objectives it is the best in the first among those on the front. Configurations that
    failed or broke a limit while being confirmed are out; they are known by what was in force, as
    the observations are, for a target may round what it is asked for.
    """
    out = _out(view, {view.space.key(view.session.baseline)}, baseline=True)
    if len(view.objectives) > 1:
        best = next(iter(front(view.problem, view.observations, exclude=out, modelled=False)), None)
    else:
        best = incumbent(view.problem, view.observations, exclude=out)
    if best is None:
        return None
    return next(trial for trial in view.search_trials if trial.number in best.numbers)


def session_front(view: SessionView) -> list[Estimate]:
    """The configurations of which none is beaten in every objective, within the limits; the best in
    the first objective first.

    By each one's own windows, without a model: what is confirmed is then on the front that is
    shown, and a request can show it.
    """
    return front(view.problem, view.observations, exclude=_out(view, set()), modelled=False)


def least_breaking(view: SessionView) -> Trial | None:
    """The search trial whose configuration breaks the limits by the least, where none of those
    measured keeps them; the baseline's, and those turned down, not counted."""
    if not view.limits:
        return None
    history = History.of(view.problem, view.observations)
    trials = {trial.number: trial for trial in view.search_trials}
    out = _out(view, {view.space.key(view.session.baseline)}, baseline=True)
    for outcome in (history.measured[place] for place in history.ranking.tolist()):
        named = next((trials[number] for number in outcome.numbers if number in trials), None)
        if named is None or view.space.key(view.acting(named)) in out:
            continue
        if outcome.acceptable:
            return None
        if outcome.over_limit:
            return named
    return None


def _out(view: SessionView, keys: set[str], *, baseline: bool = False) -> set[str]:
    """The keys of what may not be named, by what was in force."""
    key, down = view.space.key, turned_down(view)
    return keys | {
        key(view.acting(trial))
        for trial in view.of_task(SEARCH_TASK)
        if (baseline and is_baseline(trial)) or key(trial.configuration) in down
    }


def turned_down(view: SessionView) -> Mapping[str, str]:
    """The configurations, by key, that failed or broke a limit while being confirmed, and why.

    A limit counts as broken once the whole interval is beyond its bound, or the mean is when every
    block was measured.
    """
    planned = planned_looks(view).pairs[-1] // PAIRS_PER_BLOCK
    asked: dict[str, list[Trial]] = {}
    for trial in view.of_task(CONFIRM_TASK):
        asked.setdefault(view.space.key(trial.configuration), []).append(trial)
    down: dict[str, str] = {}
    for key, trials in asked.items():
        failed = [t for t in trials if t.state is TrialState.FAILED and not spares_budget(t)]
        if failed:
            down[key] = f"{failed[0].failure}: {failed[0].message}"
            continue
        done = blocks_of(view, trials).counted
        for reading in readings(view, done, CANDIDATE_ARM):
            if reading.broken and (reading.sure or len(done) >= planned):
                down.setdefault(key, f"it breaks {reading.limit.text}: {reading.words}")
    return down


def readings(view: SessionView, trials: Sequence[Trial], arm: str) -> Iterator[Reading]:
    """What one arm's windows say of each limit that they tell of."""
    for limit in view.limits:
        values = [value for trial in trials for value in view.values(trial, arm, limit.name)]
        reading = Reading.of(limit, values)
        if reading is not None:
            yield reading


def incumbent_trial(view: SessionView) -> Trial | None:
    """The trial that the session names as its incumbent; None before confirmation, and when its
    configuration was turned down in it."""
    wanted = view.session.incumbent_trial_id
    found = next((trial for trial in view.trials if trial.id == wanted), None)
    if found is None or view.space.key(found.configuration) in turned_down(view):
        return None
    return found


def recommended(view: SessionView) -> bool:
    """Whether the incumbent is to be run in the baseline's place: it is confirmed better within the
    limits, or keeps a limit that the baseline breaks."""
    told = view.session.verdict
    if not told:
        return confirmation(view).recommended
    # Before there were limits a verdict did not say so.
    return bool(told.get("recommended", told.get("verdict") == BETTER))


def confirming(view: SessionView) -> list[Trial]:
    """The confirmation trials of the present incumbent."""
    best = incumbent_trial(view)
    if best is None:
        return []
    key = view.space.key(best.configuration)
    return [t for t in view.of_task(CONFIRM_TASK) if view.space.key(t.configuration) == key]


def confirmed(view: SessionView) -> Blocks:
    """The completed blocks of the present incumbent's confirmation."""
    return blocks_of(view, confirming(view))


def confirmation(view: SessionView) -> Confirmation:
    """What the paired windows of the present incumbent say at the last look that was reached."""
    trials = confirmed(view).counted
    windows = [window for trial in trials for window in view.windows_of(trial)]
    ratios = pair_ratios(view.objective, windows)
    seconds = sum(window.seconds for window in windows)
    before = {one.limit: one for one in readings(view, trials, BASELINE_ARM)}
    return confirm(
        ratios,
        looks=planned_looks(view),
        margin=float(view.session.budget["margin"]),
        pair_seconds=seconds / len(ratios) if ratios else 0.0,
        checks=tuple(
            Check(incumbent=one, baseline=before.get(one.limit))
            for one in readings(view, trials, CANDIDATE_ARM)
        ),
    )
