"""CDBTune's idea kept light: an actor proposes, taught by critics of what was tried."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from targets.knobs import Configuration
from tuner.history import History
from tuner.recommenders.arms import as_history, translated
from tuner.recommenders.base import Observation, Problem, Suggestion, SuggestionKind
from tuner.recommenders.contexts import contexts_of, shares_by_likeness, with_contexts
from tuner.recommenders.lanes import by_chance
from tuner.recommenders.search import UNLIKELY
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.wording import moves
from tuner.repair import repaired_rows
from tuner.space import Rows
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.base import Standard, Vector
from tuner.surrogates.fitting import best_and_latest
from tuner.surrogates.policy_gradient import ActorCritic, Replay, column_blocks

REPLAYED = 200
"""Configurations of a task that are learnt from: half the best, half the latest."""

PAST_WEIGHT = 20.0
"""What all past tasks together count, in trials of this one."""

NOISE = (0.02, 0.2)
"""Standard deviation of the noise of exploration, in axis lengths: once critics foretell all of
what trials give, and while they foretell nothing."""

MOVED = 3.0
"""How many knobs the noise moves on average: any one of them may spoil a good configuration."""

BLUR = 3.0
"""A level the noise moves is drawn from the actor's shares mixed with even ones, which weigh this
many times the noise: with once, a wrong level was seldom left, and the best of 30 trials on a
problem with one such knob was further off (0.24 instead of 0.17, six seeds)."""

DRAWN = 64
"""Noisy actions drawn, of which the first that is new and likely to work is tried."""


class ActorCriticRecommender(SequentialRecommender):
    """Deterministic policy gradient over all trials so far, trained from scratch each time.

    The reward is how far a cost lies below its task's middle. CDBTune's, which also counts the step
    from the trial before, rewards what a configuration does not decide.

    CDBTune's state, the internal metrics, is no input of the networks: in a session it tells
    nothing, for a trial's metrics do not change what the next one gives, and between sessions it
    earned nothing. With 60 random trials of each of three workloads as history, the regret after 25
    trials of nine simulated targets was 0.07 with such a state, 0.07 to 0.08 with no history, and
    0.03 where metrics say how much each past task counts, which is what is done (`contexts`).

    What is tried is the first new and feasible configuration around an action. Ranked by their
    critic, 200 such left twice the regret: what was chosen was what the critic was wrong about.
    """

    name = "actor-critic"
    summary = "CDBTune's way, light: small networks learn a policy, from past workloads too"
    source = (
        "Zhang et al., SIGMOD 2019 (CDBTune); Lillicrap et al., ICLR 2016 (DDPG); "
        "Fujimoto and Gu, NeurIPS 2021 (TD3+BC)"
    )
    heeds_limits = True

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
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """What an actor does, with noise; a random configuration while nothing is acceptable."""
        if history.best is None or not history.encoder.n_columns:
            return by_chance(history, rng)
        model = ActorCritic.fit(history.encoder, replay(history), rng)
        least, most = NOISE
        noise = least + (most - least) * math.sqrt(1.0 - model.learnt)
        actor = int(rng.integers(len(model.actions)))
        rows = noisy(history, model.actions[actor], noise, rng)
        if not len(rows):
            return by_chance(history, rng)
        chance = Acceptability.fit(history, seed=int(rng.integers(2**31))).chance(rows)
        likely = chance >= UNLIKELY
        place = int((likely if likely.any() else chance).argmax())
        [chosen] = history.encoder.decode_many(rows[[place]])
        return Suggestion(
            configuration=chosen,
            kind=SuggestionKind.EXPLOIT,
            lane=self.name,
            reason=f"Actor {actor + 1} of {len(model.actions)}, with noise of {noise:.2f} for "
            f"exploration: critics foretell {model.learnt:.0%} of how trials differ. "
            f"{moves(history, chosen)}",
        )


def replay(history: History) -> Replay:
    """All that was tried here and in past tasks, which count by how alike their workloads are."""
    parts = [_lessons(history, history, weight=1.0)]
    shares = shares_by_likeness(contexts_of(history.problem)).tolist()
    for task, share in zip(history.problem.history, shares, strict=True):
        known = as_history(task, history.problem)
        size = min(REPLAYED, len(known.measured))
        if size:
            weight = min(1.0, PAST_WEIGHT * share / size)
            parts.append(_lessons(history, known, weight=weight))
    return Replay.joined(parts)


def _lessons(history: History, known: History, *, weight: float) -> Replay:
    """What a task teaches, `known`, its configurations as those of `history`."""
    places = best_and_latest(known, REPLAYED)
    encoder, costs = history.encoder, known.costs[places]
    if known is history:
        rows = known.rows[places]
    else:
        tried = [known.measured[place].configuration for place in places]
        space = history.problem.space
        rows = encoder.encode_many([encoder.pinned(translated(one, space)) for one in tried])
    return Replay.of_task(
        encoder.one_hot(rows),
        -Standard.of(costs).targets(costs),
        good=known.acceptable[places],
        weight=weight,
    )


def noisy(history: History, action: Vector, noise: float, rng: np.random.Generator) -> Rows:
    """(m, n_columns): new feasible configurations around an action (n_features,)."""
    encoder = history.encoder
    rows = np.empty((DRAWN, encoder.n_columns))
    moved = rng.random(rows.shape) < MOVED / encoder.n_columns
    for column, place in enumerate(column_blocks(encoder)):
        levels = int(encoder.levels[column])
        if levels:
            blur = min(1.0, BLUR * noise)
            shares = (1.0 - blur) * action[place] + blur / levels
            other = rng.choice(levels, size=DRAWN, p=shares / shares.sum())
            rows[:, column] = np.where(moved[:, column], other, action[place].argmax())
        else:
            step = noise * rng.standard_normal(DRAWN) * moved[:, column]
            rows[:, column] = np.clip(action[place] + step, 0.0, 1.0)
    rows = repaired_rows(encoder, rows, rng)
    return np.asarray(rows[history.seen_rows.fresh(rows, canonical=True)])
