"""A bandit that knows workloads: what was good under a similar one is played first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from targets.knobs import Configuration
from targets.settings import Setting
from tuner.errors import SpaceExhausted
from tuner.history import History
from tuner.noise import Noise, estimate_noise
from tuner.recommenders.arms import (
    ARMS,
    Newcomer,
    as_history,
    newcomers,
    playable,
    translated,
    trials,
    wants_more,
)
from tuner.recommenders.base import Observation, Problem, Suggestion
from tuner.recommenders.belief import THOMPSON, UCB, Belief
from tuner.recommenders.contexts import Contexts, contexts_of, with_contexts
from tuner.recommenders.playing import play_again, play_another
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.wording import moves
from tuner.surrogates.linear_arms import LinearArms, Means


class ContextualBanditRecommender(SequentialRecommender):
    """LinUCB over known configurations: each one's cost is linear in the workload's context.

    A context belongs to a task, for a session has one workload: `Problem.context` and
    `PastTask.context`, or where nobody gave them the metrics of the first trial. Later trials'
    metrics are not used: they tell of the configuration as much as of the workload, and the next
    trial's are not known when it is chosen. Without contexts, or past tasks, it is a plain bandit
    that need not try every arm.
    """

    name = "contextual-bandit"
    summary = "a bandit that plays first what was good under similar workloads; needs past sessions"
    source = "Li et al., WWW 2010 (LinUCB); Agrawal and Goyal, ICML 2013 (linear Thompson sampling)"
    heeds_limits = True
    settings_declared = (
        ARMS,
        Setting(
            name="policy",
            default=UCB,
            choices=(UCB, THOMPSON),
            help="play the best by how good it may well be, or the best of one draw",
        ),
    )

    def suggest(
        self,
        problem: Problem,
        observations: Sequence[Observation],
        pending: Sequence[Configuration],
        state: Mapping[str, Any],
        rng: np.random.Generator,
        *,
        count: int = 1,
    ) -> tuple[tuple[Suggestion, ...], State]:
        """As `Recommender.suggest`."""
        problem = with_contexts(problem, observations)
        return super().suggest(problem, observations, pending, state, rng, count=count)

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        most, policy = int(self.options["arms"]), str(self.options["policy"])
        untried, played = newcomers(history, most, each=most), playable(history, most)
        if not untried and (not len(played) or wants_more(history, most)):
            try:
                return play_another(history, state, rng, lane=self.name, playing=len(played))
            except SpaceExhausted:
                if not len(played):
                    raise
        contexts = contexts_of(history.problem)
        belief = believed(history, contexts, played, untried)
        arm = belief.choose(policy, 1 + trials(history), rng)
        if arm < len(played):
            outcome = history.measured[played[arm]]
            return (
                play_again(history, outcome, belief, arm, rng, lane=self.name, policy=policy),
                state,
            )
        new = untried[arm - len(played)]
        suggestion = Suggestion(
            configuration=new.configuration,
            kind=new.kind,
            lane=self.name,
            reason=f"Known from elsewhere ({new.origin}) and not tried here yet; of "
            f"{len(belief.mean)} known configurations it is the most promising"
            f"{_like(history.problem, contexts)}. {moves(history, new.configuration)}",
            # Before anything was measured here, a workload's level is anybody's guess.
            expected=belief.expectation(arm, history.scale) if len(played) else None,
        )
        return suggestion, state


def believed(
    history: History, contexts: Contexts, played: NDArray[np.int_], untried: Sequence[Newcomer]
) -> Belief:
    """The belief of the arms' costs here: those played, by place in `measured`, then the others."""
    keys = [history.measured[place].key for place in played]
    keys += [history.encoder.key(one.configuration) for one in untried]
    arms = {key: arm for arm, key in enumerate(keys)}
    past = [as_history(task, history.problem) for task in history.problem.history]
    # Costs compare where their axes are the same; a task on another one teaches nothing.
    tasks = [(0, history)] + [
        (number, one) for number, one in enumerate(past, 1) if one.scale == history.scale
    ]
    noise = _pooled_noise([one for _, one in tasks])
    known = [
        (number, arms[key], cost, noise.sd**2 / count)
        for number, one in tasks
        for key, cost, count in zip(_keys_here(history, one), one.costs, one.counts, strict=True)
        if key in arms
    ]
    numbers, which, costs, variances = np.array(known, float).reshape(len(known), 4).T
    means = Means(
        tasks=numbers.astype(int), arms=which.astype(int), costs=costs, variances=variances
    )
    model = LinearArms.fit(contexts, means)
    return Belief.of(*model.predict(0, np.arange(len(keys))), noise)


def _keys_here(history: History, other: History) -> list[str]:
    """What a task's measured configurations are called here."""
    if other.problem.space == history.problem.space and not history.encoder.pins:
        return [one.key for one in other.measured]
    space = history.problem.space
    return [
        history.encoder.key(history.encoder.pinned(translated(one.configuration, space)))
        for one in other.measured
    ]


def _pooled_noise(histories: Sequence[History]) -> Noise:
    here = histories[0]
    if not here.scale.logarithmic:
        return here.noise
    groups = [
        one.costs_of(outcome)
        for one in histories
        for outcome in one.outcomes
        if len(outcome.values) > 1
    ]
    return estimate_noise(groups, deterministic=here.problem.objective.deterministic)


def _like(problem: Problem, contexts: Contexts) -> str:
    """Which past task's workload is most like this one's, in words."""
    if not contexts.shape[1] or len(contexts) < 2:
        return ""
    distances = ((contexts[1:] - contexts[0]) ** 2).sum(axis=1)
    return f" under a workload that is most like that of {problem.history[distances.argmin()].name}"
