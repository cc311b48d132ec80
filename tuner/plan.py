"""The session's state machine: from what is known to the one next step. Pure: no SQL, no clock.

    baseline -> search -> confirm -> references -> (promote) -> done

The baseline is trial 0. Search spends the trial budget; where the objective is noisy its last
part re-measures the finalists, so that the answer is not the luckiest window. Confirmation
compares the incumbent with the baseline in interleaved blocks. A trial that fails by no fault of
its configuration costs no budget and is planned again, unless that happens `ATTEMPTS` times in a
row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from knowledge_base.records import (
    NewTrial,
    SessionPhase,
    SessionState,
    Trial,
    TrialState,
)
from targets.protocol import CANDIDATE_ARM
from tuner.confirmation import PAIRS_PER_BLOCK, Confirmation, block_sequence, nothing_to_confirm
from tuner.errors import InvalidSession
from tuner.limits import SessionLimit
from tuner.looks import Looks
from tuner.measuring import Blocks, noise_study, planned_looks, planned_pairs
from tuner.naming import (
    candidate,
    confirmation,
    confirmed,
    confirming,
    incumbent_trial,
    least_breaking,
    recommended,
    turned_down,
)
from tuner.recommenders.base import SuggestionKind
from tuner.view import (
    CONFIRM_TASK,
    PROMOTE_TASK,
    REFERENCES_TASK,
    SEARCH_TASK,
    SessionView,
    is_baseline,
    spares_budget,
)

BASELINE_WINDOWS = 6  # the noise study: what scatter and drift are first estimated from
FUTILE = 0.05  # a chance to know by more pairs below which they are not measured
ATTEMPTS = 5  # how often a harness fault is forgiven in a row before the session gives up
MOST_CANDIDATES = 5  # how many are confirmed one after the other, each broken by a limit or failing
RUN_TIME_FACTOR = 20  # a window may take this many times its nominal length, plus the grace
GRACE_SECONDS = 60.0
SEEDS_APART = 100  # more than a trial has windows, so that no two trials share work by chance


@dataclass(frozen=True)
class Wait:
    """Nothing to do until a result arrives."""


@dataclass(frozen=True)
class Add:
    """Store this trial for the agent to take."""

    trial: NewTrial


@dataclass(frozen=True)
class Suggest:
    """Ask the recommender; `remeasure`: choose among the finalists instead."""

    remeasure: bool


@dataclass(frozen=True)
class Move:
    """Go on to another phase."""

    phase: SessionPhase
    reason: str
    incumbent_trial_id: int | None = None
    verdict: Mapping[str, Any] | None = None
    limits: Sequence[Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class End:
    """The session is over."""

    state: SessionState
    reason: str
    verdict: Mapping[str, Any] = field(default_factory=dict)


Step = Wait | Add | Suggest | Move | End


def plan(view: SessionView, now: datetime, *, further_gain: float | None = None) -> Step:
    """The next step of a session.

    Args:
        view: the session as stored.
        now: for the wall-time stop rule.
        further_gain: the relative gain still expected of the search, where it was asked for.
    """
    session = view.session
    if session.state is not SessionState.RUNNING or view.open_trials:
        return Wait()
    match session.phase:
        case SessionPhase.BASELINE:
            return _baseline(view)
        case SessionPhase.SEARCH:
            return _search(view, now, further_gain)
        case SessionPhase.CONFIRM:
            return _confirm(view)
        case SessionPhase.REFERENCES:
            return _references(view)
        case SessionPhase.PROMOTE:
            return _promote(view)
    return Wait()


def _baseline(view: SessionView) -> Step:
    if view.baseline_trial is not None:
        return _begin_search(view, view.baseline_trial)
    attempts = [trial for trial in view.of_task(SEARCH_TASK) if is_baseline(trial)]
    if not _to_be_tried(attempts):
        return End(
            SessionState.FAILED,
            f"the baseline cannot be measured ({attempts[-1].failure}: {attempts[-1].message}): "
            "mend the target or the workload, then start a new session",
        )
    windows = 1 if view.deterministic else BASELINE_WINDOWS
    return Add(
        new_trial(
            view,
            task=SEARCH_TASK,
            configuration=view.session.baseline,
            sequence=(CANDIDATE_ARM,) * windows,
            suggestion={
                "configuration": dict(view.session.baseline),
                "kind": str(SuggestionKind.BASELINE),
                "lane": "baseline",
                "reason": "The configuration in force when the session began, measured "
                + ("once." if windows == 1 else f"{windows} times to see how noisy it is."),
                "expected": None,
            },
        )
    )


def _begin_search(view: SessionView, baseline: Trial) -> Step:
    """The bounds that are relative to the baseline are known from here on, and stay."""
    try:
        limits = [limit.resolved(view.value(baseline, limit.name)) for limit in view.limits]
    except InvalidSession as error:
        return End(SessionState.FAILED, str(error))
    stored = [limit.to_dict() for limit in limits]
    why = "the baseline is measured"
    if (study := noise_study(view)) is not None:
        why += f". {study.words()} Up to {planned_pairs(view)} pairs are planned"
    if broken := _broken(replace(view, session=replace(view.session, limits=tuple(stored)))):
        why += f"; it breaks {broken}"
    return Move(SessionPhase.SEARCH, why, limits=stored if view.limits else None)


def _broken(view: SessionView) -> str:
    """What the baseline breaks, with its values; empty where it keeps every limit."""
    baseline = view.baseline_trial
    if baseline is None:
        return ""
    return ", ".join(_with_value(view, baseline, limit) for limit in view.broken_by(baseline))


def _with_value(view: SessionView, trial: Trial, limit: SessionLimit) -> str:
    return f"{limit.text} with {limit.amount(view.value(trial, limit.name))}"


def _search(view: SessionView, now: datetime, further_gain: float | None) -> Step:
    budget = view.session.budget
    left = int(budget["trials"]) - view.spent
    stop = _stop_reason(view, now, left, further_gain)
    if stop is None:
        return Suggest(remeasure=left <= remeasured(view))
    return conclude_search(view, stop)


def conclude_search(view: SessionView, why: str) -> Step:
    """What follows the search, which ends because of `why`."""
    best = candidate(view)
    if best is not None:
        return Move(SessionPhase.CONFIRM, why, incumbent_trial_id=best.id)
    nearest = least_breaking(view)
    if nearest is not None:
        return _none_keeps(view, f"{why}, and no configuration measured keeps the limits", nearest)
    if _given_up(view.search_trials):
        return End(
            SessionState.FAILED,
            f"{why} (last: {view.search_trials[-1].message}), and no configuration could be "
            "measured: mend the target or the workload, then start a new session",
        )
    tried = "no configuration tried could be measured" if view.search_trials else "none was tried"
    verdict = nothing_to_confirm(f"{why}, and {tried}")
    return Move(SessionPhase.REFERENCES, verdict.words, verdict=verdict.to_dict())


def _none_keeps(view: SessionView, why: str, nearest: Trial) -> Step:
    """The end of a session in which nothing else keeps the limits."""
    broken = ", ".join(_with_value(view, nearest, limit) for limit in view.broken_by(nearest))
    verdict = nothing_to_confirm(
        f"{why}; trial {nearest.number} breaks them the least: {broken}", advice=_advice(view)
    )
    return Move(SessionPhase.REFERENCES, verdict.words, verdict=verdict.to_dict())


def _advice(view: SessionView) -> str:
    """What to do where there is nothing to run in the baseline's place."""
    broken = _broken(view)
    if not broken:
        return "Keep the baseline."
    return (
        f"The baseline breaks its limits too ({broken}): move a limit, or let other knobs be "
        "tuned; until then keep the baseline."
    )


def _stop_reason(
    view: SessionView, now: datetime, left: float, further_gain: float | None
) -> str | None:
    budget = view.session.budget
    if left <= 0:
        return f"the budget of {budget['trials']} trials is spent"
    seconds = budget.get("wall_seconds")
    if seconds is not None and (now - view.session.created_at).total_seconds() >= seconds:
        return f"the search time of {seconds:g} s is over"
    floor = budget.get("gain_floor")
    if floor is not None and further_gain is not None and further_gain < floor:
        return f"the further gain expected, {further_gain:.1%}, is under {floor:.1%}"
    if _given_up(view.search_trials):
        return f"{ATTEMPTS} trials in a row failed by a fault of the harness"
    return None


def _given_up(trials: Sequence[Trial]) -> bool:
    """Whether the last of them all failed by no fault of their configurations."""
    return len(trials) >= ATTEMPTS and all(map(spares_budget, trials[-ATTEMPTS:]))


def _to_be_tried(trials: Sequence[Trial]) -> bool:
    """Whether the one thing that these trials were for is to be tried, for the first time or
    again after a fault that was not its own."""
    return not trials or (spares_budget(trials[-1]) and not _given_up(trials))


def remeasured(view: SessionView) -> int:
    """How many trials of the budget are kept for re-measuring the finalists.

    About a sixth: on recorded systems single-sample winners lose 15 to 20 % when measured again,
    so a few repeats buy more than as many new points.
    """
    trials = int(view.session.budget["trials"])
    return 0 if view.deterministic else trials // 6


def _confirm(view: SessionView) -> Step:
    best = incumbent_trial(view)
    trials = confirming(view)
    if best is None:
        return _replace_incumbent(view)
    found, looks = confirmed(view), planned_looks(view)
    done, blocks = len(found.counted), looks.pairs[-1] // PAIRS_PER_BLOCK
    so_far = confirmation(view)
    why = _enough(so_far, found, looks)
    if why is None and _given_up(trials):
        why = (
            f"The confirmation was given up after {ATTEMPTS} faults of the harness in a row "
            f"(last: {trials[-1].message})."
        )
    if why is not None:
        finding = " ".join(filter(None, [so_far.finding, why, found.words]))
        verdict = replace(so_far, finding=finding)
        return Move(SessionPhase.REFERENCES, verdict.words, verdict=verdict.to_dict())
    return Add(
        new_trial(
            view,
            task=CONFIRM_TASK,
            configuration=best.configuration,
            sequence=block_sequence(done),
            block=done,
            suggestion={
                "configuration": dict(best.configuration),
                "kind": str(SuggestionKind.RE_MEASURE),
                "lane": "confirmation",
                "reason": f"Paired windows against the baseline, block {done + 1} of {blocks}.",
                "expected": None,
            },
        )
    )


def _enough(so_far: Confirmation, found: Blocks, looks: Looks) -> str | None:
    """Why no more pairs are measured; empty where all were, None where some still are."""
    done = len(found.counted) * PAIRS_PER_BLOCK
    if done >= looks.pairs[-1]:
        return ""
    if done not in looks.pairs or any(check.incumbent.broken for check in so_far.checks):
        return None  # what breaks a limit is measured until that is sure
    if so_far.decided:
        return f"That was known after {done} of {looks.pairs[-1]} planned pairs."
    if so_far.chance < FUTILE and not so_far.checks:
        return (
            f"The other {looks.pairs[-1] - done} planned pairs would decide it with a probability "
            f"of {so_far.chance:.0%}, and were spared."
        )
    return None


def _replace_incumbent(view: SessionView) -> Step:
    down = list(turned_down(view).values())
    other = candidate(view) if len(down) < MOST_CANDIDATES else None
    if other is None:
        tried = "every candidate" if len(down) < MOST_CANDIDATES else f"each of {len(down)}"
        verdict = nothing_to_confirm(
            f"{tried} failed while being confirmed (the last: {down[-1]})", advice=_advice(view)
        )
        return Move(SessionPhase.REFERENCES, verdict.words, verdict=verdict.to_dict())
    return Move(
        SessionPhase.CONFIRM,
        f"the incumbent failed while being confirmed ({down[-1]}); the next best takes its place",
        incumbent_trial_id=other.id,
    )


def _references(view: SessionView) -> Step:
    if _to_be_tried(view.of_task(REFERENCES_TASK)):
        return Add(
            new_trial(view, task=REFERENCES_TASK, configuration=view.session.baseline, sequence=())
        )
    verdict = view.session.verdict
    if view.session.budget.get("promote") and recommended(view):
        return Move(SessionPhase.PROMOTE, "it is confirmed")
    return End(SessionState.FINISHED, str(verdict.get("words", "")), verdict)


def _promote(view: SessionView) -> Step:
    asked = view.of_task(PROMOTE_TASK)
    best = incumbent_trial(view)
    verdict = view.session.verdict
    if best is not None and _to_be_tried(asked):
        return Add(
            new_trial(view, task=PROMOTE_TASK, configuration=best.configuration, sequence=())
        )
    if asked and asked[-1].state is TrialState.COMPLETED:
        return End(SessionState.FINISHED, f"{verdict.get('words', '')} Promoted.", verdict)
    why = f" ({asked[-1].failure}: {asked[-1].message})" if asked else ""
    return End(SessionState.FINISHED, f"{verdict.get('words', '')} Promotion failed{why}.", verdict)


def new_trial(
    view: SessionView,
    *,
    task: str,
    configuration: Mapping[str, Any],
    sequence: tuple[str, ...],
    block: int = 0,
    suggestion: Mapping[str, Any] | None = None,
    recommender_state: Mapping[str, Any] | None = None,
    recommender: Mapping[str, Any] | None = None,
) -> NewTrial:
    """The session's next trial, with what it is based on.

    First measurements share one seed, so that every configuration does the same work. What is
    measured again, or confirmed, does fresh work: the answer must not fit one run of the dice.
    """
    if task == CONFIRM_TASK or (suggestion or {}).get("kind") == SuggestionKind.RE_MEASURE:
        fresh = SEEDS_APART * view.next_number
    else:
        fresh = 0
    return NewTrial(
        session_id=view.session.id,
        number=view.next_number,
        task=task,
        configuration=dict(configuration),
        sequence=sequence,
        seed=(view.session.seed + fresh) % 2**31,
        block=block,
        suggestion=suggestion or {},
        based_on=view.ended_numbers,
        recommender_state=recommender_state or {},
        recommender=recommender or {},
        timeout_seconds=GRACE_SECONDS
        + RUN_TIME_FACTOR * max(1, len(sequence)) * view.window_seconds,
    )
