"""The default: a portfolio of lanes under a bandit, for no single method wins everywhere.

After the start, each trial is one lane's turn. A turn is won when its trial beats everything
measured before it. Whose turn comes next is drawn by Thompson sampling: every lane's chance to win
has a Beta distribution, from what recorded systems taught and what it won here, and the lane with
the best draw goes (Thompson, Biometrika 1933; Chapelle and Li, NeurIPS 2011).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from tuner.history import History
from tuner.recommenders import lanes, taught
from tuner.recommenders.again import may_race, probe, race
from tuner.recommenders.base import Suggestion
from tuner.recommenders.forest import ForestRecommender
from tuner.recommenders.parzen import by_density
from tuner.recommenders.sequential import State
from tuner.recommenders.start import LEAST_MEASURED, propose_start
from tuner.recommenders.weighed import WeighingRecommender
from tuner.surrogates.fitting import EarlierFit, fit_gaussian_process
from tuner.surrogates.transfer import SourcesMemo
from tuner.surrogates.transfer_model import TransferModel


@dataclass(frozen=True, kw_only=True)
class Lane:
    """One way to choose the next configuration, with the turns it is taken to have won and lost
    before the session began."""

    name: str
    search: Callable[[History, np.random.Generator], Suggestion]
    won: float
    lost: float


def default_lanes() -> tuple[Lane, ...]:
    """The lanes, the one that led on recorded tables with the most credit."""
    return (
        Lane(name="model", search=lanes.by_gaussian_process, won=4.0, lost=4.0),
        Lane(name="parzen", search=by_density, won=4.0, lost=4.0),
        Lane(name="trees", search=ForestRecommender().search, won=0.5, lost=3.0),
        Lane(name="neighbour", search=lanes.by_neighbour, won=1.0, lost=3.0),
        Lane(name="random", search=lanes.by_chance, won=0.25, lost=3.0),
    )


TAUGHT_AT_FIRST = 4
"""So many of the first trials are the sources', from the second on one after each of the start
design's, which can contradict them."""

TAUGHT_LANE = Lane(name=taught.LANE, search=lanes.by_gaussian_process, won=8.0, lost=4.0)


class AutoRecommender(WeighingRecommender):
    """Start, then the lane that a bandit picks; the state keeps whose turn a trial was.

    Where the problem has a history, its sources take turns with the start design at first, and
    their model then stands in for the plain one while it ranks what is measured here better than
    chance. Under noise a turn may go to measuring one of the best again.
    """

    name = "auto"
    summary = "the default: a portfolio of methods that gives most turns to what works here"
    source = "a bandit over the other recommenders and a mixed-kernel Gaussian process"

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self._lanes = default_lanes()
        self._sources = SourcesMemo()

    def propose_one(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        sources = self._sources.of(history.problem, state)
        learnt = None
        if sources:
            state = {**state, "sources": sources.fits}
            doubted = self._doubted(history, state)
            state = {**state, "doubted": doubted}
            learnt = TransferModel.fit(history, sources, doubted=doubted)
            if learnt is not None:
                begun = self._begin_from_sources(history, learnt, state)
                if begun is not None:
                    return begun
        if learnt is None or len(history.measured) < 2 * LEAST_MEASURED:
            started = propose_start(history, state, rng)
            if started is not None:
                return started
        again = probe(history)
        if again is not None:
            return again, state
        return self._take_turn(history, learnt, state, rng)

    def _begin_from_sources(
        self, history: History, learnt: TransferModel, state: State
    ) -> tuple[Suggestion, State] | None:
        """The first trials, while it is their turn."""
        given = list(state.get("taught", ()))
        designed = int((state.get("start") or {}).get("given", 0))
        if len(given) >= TAUGHT_AT_FIRST or len(given) > designed + 1:
            return None
        suggestion = taught.by_what_was_best(history, learnt, turn=len(given))
        if suggestion is None:
            return None
        label = digest(history.encoder.key(suggestion.configuration))
        return suggestion, {**state, "taught": [*given, label]}

    def _doubted(self, history: History, state: State) -> bool:
        """Whether a trial of the start design did better than what sources said is best, before any
        other lane had a turn."""
        if state.get("doubted") or state.get("turns"):
            return bool(state.get("doubted"))
        given = state.get("taught", ())
        from_sources = np.array([digest(one.key) in given for one in history.measured], bool)
        if not from_sources.any() or from_sources.all():
            return False
        return bool(history.costs[from_sources].min() > history.costs[~from_sources].min())

    def _take_turn(
        self,
        history: History,
        learnt: TransferModel | None,
        state: State,
        rng: np.random.Generator,
    ) -> tuple[Suggestion, State]:
        turns = [(str(label), str(lane)) for label, lane in state.get("turns", ())]
        record = wins(history, turns)
        lane = self.pick(record, rng, taught=learnt is not None)
        racing = may_race(history)
        model = None
        if racing or lane.name == lanes.MODEL:
            # Objectives weighed anew are another function.
            kept = state.get("process") if history.aim is None else None
            model = fit_gaussian_process(
                history, start=EarlierFit.from_dict(kept) if kept else None
            )
            state = {**state, "process": model.fit.to_dict()}
        if lane.name == taught.LANE and learnt is not None:
            suggestion = taught.by_sources(history, learnt, rng)
        elif lane.name == lanes.MODEL and model is not None:
            suggestion = lanes.by_model(history, model, rng)
        else:
            suggestion = lane.search(history, rng)
        if racing and model is not None:
            contender = race(history, model, suggestion)
            if contender is not None:
                return contender, state
        label = digest(history.encoder.key(suggestion.configuration))
        won, taken = record.get(lane.name, (0, 0))
        words = f"Lane {lane.name} (won {won} of {taken} turns here). {suggestion.reason}"
        return (
            replace(suggestion, lane=lane.name, reason=words),
            {**state, "turns": [*map(list, turns), [label, lane.name]]},
        )

    def pick(
        self,
        record: Mapping[str, tuple[int, int]],
        rng: np.random.Generator,
        *,
        taught: bool = False,
    ) -> Lane:
        """Whose turn is next, given each lane's turns won and taken.

        Args:
            taught: there are sources to be heard, whose model is then asked for the plain one.
        """
        lanes_now = (TAUGHT_LANE, *self._lanes[1:]) if taught else self._lanes
        draws = []
        for lane in lanes_now:
            won, taken = record.get(lane.name, (0, 0))
            draws.append(rng.beta(lane.won + won, lane.lost + taken - won))
        return lanes_now[int(np.argmax(draws))]


def wins(history: History, turns: list[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Lane -> (turns won, turns with a result)."""
    lane_of = dict(turns)
    costs = [
        cost if one.acceptable else np.inf
        for one, cost in zip(history.outcomes, history.outcome_costs.tolist(), strict=True)
    ]
    best = np.inf
    record: dict[str, tuple[int, int]] = {}
    for one, cost in zip(history.outcomes, costs, strict=True):
        won, best = cost < best, min(best, cost)
        lane = lane_of.get(digest(one.key))
        if lane is not None:
            before = record.get(lane, (0, 0))
            record[lane] = (before[0] + won, before[1] + 1)
    return record


def digest(key: str) -> str:
    """Short, for the state is stored with every trial."""
    return hashlib.blake2b(key.encode(), digest_size=6).hexdigest()
