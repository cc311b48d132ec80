"""From a view of a session to its next suggestion: the same function live and in replay.

A `Job` holds all that is needed and pickles, so that any `concurrent.futures.Executor` can
carry it: inline, processes, or a Dask cluster's.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from threadpoolctl import threadpool_limits

from knowledge_base.records import NewTrial
from targets.errors import LontraError, Rejected
from targets.knobs import Configuration
from targets.protocol import CANDIDATE_ARM
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.estimate import expected_further_gain, finalists
from tuner.plan import new_trial
from tuner.recommenders.base import (
    Observation,
    Problem,
    Recommender,
    Suggestion,
    SuggestionKind,
    suggestion_rng,
)
from tuner.registry import load_recommender
from tuner.view import SEARCH_TASK, SessionView

FINALISTS = 3
GAIN_NEEDS_TRIALS = 30  # below this the estimate is too low as often as not (tuner.estimate)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Job:
    """One question to a recommender."""

    recommender: str
    options: Mapping[str, Any]
    problem: Problem
    observations: tuple[Observation, ...]
    pending: tuple[Configuration, ...]
    state: Mapping[str, Any]
    seed: int
    number: int
    remeasure: bool
    baseline_key: str


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The suggestion, the state to store with it, and how the recommender was configured.

    `set_aside`: why it was made without the history that was offered; "" where it was not.
    """

    suggestion: Suggestion
    state: Mapping[str, Any]
    recommender: Mapping[str, Any]
    set_aside: str = ""


@dataclass(frozen=True, kw_only=True)
class NoAnswer:
    """Why there is no suggestion; `exhausted`: because everything was tried."""

    reason: str
    exhausted: bool = False


def job(view: SessionView, *, remeasure: bool) -> Job:
    """The question that the session's next trial answers."""
    session = view.session
    return Job(
        recommender=session.recommender,
        options=session.recommender_options,
        problem=view.problem,
        observations=view.observations,
        pending=view.not_again,
        state=view.recommender_state,
        seed=session.seed,
        number=view.next_number,
        remeasure=remeasure,
        baseline_key=view.space.key(session.baseline),
    )


def attempt(question: Job) -> Answer | NoAnswer:
    """`answer`, and in words what it raises: a stranger's recommender may raise anything, and not
    every exception survives its way back from another process."""
    try:
        return answer(question)
    except SpaceExhausted as error:
        return NoAnswer(reason=str(error), exhausted=True)
    except LontraError as error:
        return NoAnswer(reason=str(error))
    except Exception as error:
        log.exception("recommender failed name=%s number=%d", question.recommender, question.number)
        return NoAnswer(
            reason=f"recommender {question.recommender} failed with {type(error).__name__}: {error}"
        )


def answer(question: Job) -> Answer:
    """Ask. Fits run on one BLAS thread: at these sizes two were 2 to 6 times slower than one.

    Where the recommender fails over what other sessions saw, it is asked once more without: no
    past session may end a running one.

    Raises:
        SpaceExhausted: every configuration of a finite space was tried.
        Rejected: the recommender broke its contract: not in the space, or a pin moved.
    """
    recommender = load_recommender(question.recommender)(question.options)
    if question.remeasure and (chosen := _finalist(question)) is not None:
        return Answer(suggestion=chosen, state=question.state, recommender=recommender.describe())
    try:
        return _ask(recommender, question)
    except (SpaceExhausted, InfeasibleSpace):
        raise
    except Exception as error:
        if not question.problem.history:
            raise
        log.exception("history set aside name=%s number=%d", recommender.name, question.number)
        cold = replace(question, problem=replace(question.problem, history=()))
        why = f"{recommender.name} failed with it: {type(error).__name__}: {error}"
        return replace(_ask(recommender, cold), set_aside=why)


def _ask(recommender: Recommender, question: Job) -> Answer:
    with threadpool_limits(1):
        suggestions, state = recommender.suggest(
            question.problem,
            question.observations,
            question.pending,
            question.state,
            suggestion_rng(question.seed, question.number),
        )
    return Answer(
        suggestion=_checked(question, suggestions[0]),
        state=state,
        recommender=recommender.describe(),
    )


def _checked(question: Job, suggestion: Suggestion) -> Suggestion:
    try:
        configuration = question.problem.space.check(suggestion.configuration)
    except Rejected as error:
        raise Rejected(
            f"recommender {question.recommender} left the space ({error}): choose another one"
        ) from error
    moved = [name for name, pin in question.problem.pins.items() if configuration[name] != pin]
    if moved:
        raise Rejected(
            f"recommender {question.recommender} moved what is pinned ({', '.join(moved)}): "
            "choose another one"
        )
    # A target that cannot shorten its windows so far measures longer ones, and its trial says so.
    fidelity = max(suggestion.fidelity, question.problem.least_fidelity)
    return replace(suggestion, configuration=configuration, fidelity=fidelity)


def _finalist(question: Job) -> Suggestion | None:
    """The finalist measured least so far, the better one first; None when there is none."""
    space = question.problem.space
    best = finalists(
        question.problem, question.observations, FINALISTS, exclude={question.baseline_key}
    )
    if not best:
        return None
    measured: Counter[str] = Counter()
    for observation in question.observations:
        measured[space.key(observation.configuration)] += observation.fidelity == 1.0
    rank, chosen = min(
        enumerate(best), key=lambda item: (measured[space.key(item[1].configuration)], item[0])
    )
    times = measured[space.key(chosen.configuration)]
    return Suggestion(
        configuration=chosen.configuration,
        kind=SuggestionKind.RE_MEASURE,
        lane="finalists",
        reason=f"Finalist {rank + 1} of {len(best)}, measured {times} "
        f"time{'s' if times != 1 else ''} so far: measured again so that luck does not win.",
    )


def trial_of(view: SessionView, given: Answer) -> NewTrial:
    """The trial that carries a suggestion."""
    return new_trial(
        view,
        task=SEARCH_TASK,
        configuration=given.suggestion.configuration,
        sequence=(CANDIDATE_ARM,),
        suggestion=given.suggestion.to_dict(),
        recommender_state=given.state,
        recommender=given.recommender,
    )


def further_gain(view: SessionView) -> float | None:
    """The relative gain still expected of the search; None while too little is known."""
    if len(view.search_trials) < GAIN_NEEDS_TRIALS:
        return None
    with threadpool_limits(1):
        return expected_further_gain(view.problem, view.observations)
