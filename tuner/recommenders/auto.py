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
from tuner.recommenders import lanes
from tuner.recommenders.base import Suggestion
from tuner.recommenders.forest import ForestRecommender
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.tpe import TreeParzenRecommender


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
        Lane(name="parzen", search=TreeParzenRecommender().search, won=1.0, lost=3.0),
        Lane(name="trees", search=ForestRecommender().search, won=0.5, lost=3.0),
        Lane(name="neighbour", search=lanes.by_neighbour, won=1.0, lost=3.0),
        Lane(name="random", search=lanes.by_chance, won=0.25, lost=3.0),
    )


class AutoRecommender(SequentialRecommender):
    """Start design, then the lane that a bandit picks; the state keeps whose turn a trial was."""

    name = "auto"
    summary = "the default: a portfolio of methods that gives most turns to what works here"
    source = "a bandit over the other recommenders and a mixed-kernel Gaussian process"

    def __init__(self, options: Mapping[str, object] | None = None) -> None:
        super().__init__(options)
        self._lanes = default_lanes()

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        started = propose_start(history, state, rng)
        if started is not None:
            return started
        turns = [(str(label), str(lane)) for label, lane in state.get("turns", ())]
        record = wins(history, turns)
        lane = self.pick(record, rng)
        suggestion = lane.search(history, rng)
        label = digest(history.encoder.key(suggestion.configuration))
        won, taken = record.get(lane.name, (0, 0))
        words = f"Lane {lane.name} (won {won} of {taken} turns here). {suggestion.reason}"
        return (
            replace(suggestion, lane=lane.name, reason=words),
            {**state, "turns": [*map(list, turns), [label, lane.name]]},
        )

    def pick(self, record: Mapping[str, tuple[int, int]], rng: np.random.Generator) -> Lane:
        """Whose turn is next, given each lane's turns won and taken."""
        draws = []
        for lane in self._lanes:
            won, taken = record.get(lane.name, (0, 0))
            draws.append(rng.beta(lane.won + won, lane.lost + taken - won))
        return self._lanes[int(np.argmax(draws))]


def wins(history: History, turns: list[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """Lane -> (turns won, turns with a result)."""
    lane_of = dict(turns)
    record: dict[str, tuple[int, int]] = {}
    best = np.inf
    for one in history.outcomes:
        cost = float(history.costs_of(one).mean()) if one.acceptable else np.inf
        won = cost < best
        best = min(best, cost)
        lane = lane_of.get(digest(one.key))
        if lane is not None:
            before = record.get(lane, (0, 0))
            record[lane] = (before[0] + won, before[1] + 1)
    return record


def digest(key: str) -> str:
    """Short, for the state is stored with every trial."""
    return hashlib.sha256(key.encode()).hexdigest()[:12]
