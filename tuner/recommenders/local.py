"""Coordinate-wise direct search: steps of one knob from the best, wider ones when stuck.

A randomised direct search on a mixed space. From the best known it changes one knob: another
level, or a step along the axis of a size that doubles with success and halves after a round of
failures, as in FLAML's CFO. Which knob and which way comes from a memory of what the same step did
elsewhere, drawn with its doubt. The longer nothing improves, the likelier it changes several knobs
at once, or steps from another good configuration.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from targets.settings import Setting
from tuner.history import History, Outcome
from tuner.recommenders.again import suggestible
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.lanes import by_chance
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.steps import LEVEL_STEP, Move, Steps, distance
from tuner.recommenders.wording import moves
from tuner.repair import repair
from tuner.sampling import sample

STEP = 0.3
"""The first step along an ordered axis."""

STEP_RANGE = (0.005, 0.5)
"""No smaller and no larger step is taken."""

MOST_KNOBS = 4
"""More are not changed at once: a wide jump from a good configuration is a random one."""

WIDE_SHARE = 0.6
"""The largest share of steps that change several knobs, reached after about two rounds."""

ORIGINS = 4
"""How many of the best configurations a stuck search steps from."""

CONFIRMED = 3
"""Windows after which a better-looking configuration's word is final, online."""

BOUND_SDS = 1.645
"""One-sided 95 %: what is better by this bound is better with that probability."""


class LocalRecommender(SequentialRecommender):
    """Direct search from the best known, or from the default while nothing is known.

    Online (`trust_region`) it makes no spread start and no jump: each configuration lies within a
    bound of the one that is best by its pessimistic bound. The bound doubles when a configuration
    has proved better, and shrinks when one has not; what merely looks better is measured again.
    """

    name = "local"
    summary = "steps of one knob from the best; with trust_region in small, verified steps online"
    source = "Wu, Wang and Huang, AAAI 2021 (CFO); Eriksson et al., NeurIPS 2019 (trust region)"
    heeds_limits = True
    settings_declared = (
        Setting(
            name="trust_region",
            default=False,
            help="for live systems: bound every step from the best, widen only on proof",
        ),
        Setting(
            name="radius",
            default=0.3,
            low=0.01,
            high=1.0,
            help="the first bound: axis lengths that all steps may add up to; another level "
            f"without order counts {LEVEL_STEP:g}",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        first = _at_the_default(history, rng, lane=self.name)
        if first is not None:
            return first, state
        if self.options["trust_region"]:
            return self._within_bound(history, state, rng)
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A step once something acceptable is known; a random configuration before."""
        if history.best is None:
            return by_chance(history, rng)
        progress = Progress.of(history)
        origin, rank = history.best, 0
        if rng.random() < min(0.5, progress.rounds):
            rank = int(rng.integers(min(ORIGINS, history.acceptable.sum())))
            origin = history.measured[history.ranking[rank]]
        start = history.encoder.nearest(origin.configuration)
        steps = Steps.from_origin(history, start, rng, step=progress.step)
        count = 1
        if not steps.moves or rng.random() < min(WIDE_SHARE, progress.rounds / 3):
            count = int(rng.integers(2, 1 + min(MOST_KNOBS, max(2, history.encoder.n_columns))))
        chosen = (steps.joined(count, rng) if count > 1 else None) or steps.best()
        if chosen is None:
            return by_chance(history, rng)
        where = "the best" if rank == 0 else f"number {rank + 1} of the best"
        what = "one knob" if count == 1 else "several knobs"
        return Suggestion(
            configuration=chosen,
            kind=SuggestionKind.EXPLOIT,
            lane=self.name,
            reason=f"A step of {what} from {where}; {progress.since} trials without a gain. "
            f"{moves(history, chosen)}",
        )

    def _within_bound(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        """A step inside the trust region, or a second look at what seems better."""
        centre = _proven(history)
        origin = history.encoder.nearest(centre.configuration) if centre else _default(history, rng)
        if origin is None:
            return by_chance(history, rng), state
        radius = _radius(state, history, origin, first=float(self.options["radius"]))
        state = {
            **state,
            "centre": _digest(history, origin),
            "known": len(history.outcomes),
            "radius": radius,
        }
        doubtful = _doubtful(history, centre)
        if doubtful is not None and suggestible(history, doubtful):
            return _again(doubtful, lane=self.name), state
        steps = Steps.from_origin(history, origin, rng, step=radius / 2, reach=radius)
        chosen, words = steps.best(), f"within {radius:.2f} of the best proven"
        if chosen is None:
            chosen = _nearest(history, origin, rng)
            words = f"nothing new is left within {radius:.2f} of the best proven, so the nearest"
        return (
            Suggestion(
                configuration=chosen,
                kind=SuggestionKind.EXPLOIT,
                lane=self.name,
                reason=f"Trust region: {words}. {moves(history, chosen)}",
            ),
            state,
        )


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How the search fares: trials since the last gain, in rounds of one a knob; step size."""

    since: int
    rounds: float
    step: float

    @classmethod
    def of(cls, history: History) -> Progress:
        """Replayed from the outcomes, so that nothing need be remembered."""
        step, best, since = STEP, np.inf, 0
        size = max(1, history.encoder.n_columns)
        for one in history.outcomes:
            cost = float(history.costs_of(one).mean()) if one.acceptable else np.inf
            since += 1
            if cost < best:
                best, since, step = cost, 0, min(2 * step, STEP_RANGE[1])
            elif since % size == 0:
                step = max(step / 2, STEP_RANGE[0])
        return cls(since=since, rounds=since / size, step=step)


def _at_the_default(history: History, rng: np.random.Generator, *, lane: str) -> Suggestion | None:
    """The space's default while nothing at all is known; None after that."""
    default = None if history.seen else _default(history, rng)
    if default is None:
        return None
    return Suggestion(
        configuration=default,
        kind=SuggestionKind.EXPLORE,
        lane=lane,
        reason="The default: steps begin where nothing is known yet to be better.",
    )


def _default(history: History, rng: np.random.Generator) -> Move | None:
    """The space's default, mended if need be; None where it cannot be."""
    return repair(history.encoder, history.encoder.space.default(), rng)


def _proven(history: History) -> Outcome | None:
    """The acceptable configuration with the best pessimistic bound."""
    if history.best is None:
        return None
    # By its own windows alone: what few windows borrow from the others is no proof.
    bounds = history.costs + BOUND_SDS * history.noise.sd / np.sqrt(history.counts)
    return history.measured[int(np.where(history.acceptable, bounds, np.inf).argmin())]


def _doubtful(history: History, centre: Outcome | None) -> Outcome | None:
    """What looks better than the best proven and was not measured often enough to say."""
    looks = history.best
    if looks is None or centre is None or looks.key == centre.key or len(looks.values) >= CONFIRMED:
        return None
    in_flight = {history.encoder.key(one) for one in history.pending}
    return None if looks.key in in_flight else looks


def _radius(state: State, history: History, origin: Move, *, first: float) -> float:
    """The bound after what was told since the last step: doubled on proof, shrunk on failure."""
    radius = float(state.get("radius", first))
    if "centre" not in state:
        return radius
    if state["centre"] != _digest(history, origin):
        return min(2 * radius, float(max(1, history.encoder.n_columns)))
    new = len(history.outcomes) - int(state.get("known", 0))
    return max(radius * 0.7 ** max(0, new), STEP_RANGE[0])


def _digest(history: History, origin: Move) -> str:
    """Short, for the state is stored with every trial."""
    return hashlib.sha256(history.encoder.key(origin).encode()).hexdigest()[:12]


def _nearest(history: History, origin: Move, rng: np.random.Generator) -> Move:
    """The nearest new configuration that can be found.

    Raises:
        SpaceExhausted: everything was tried.
    """
    encoder = history.encoder
    steps = Steps.from_origin(history, origin, rng, step=STEP_RANGE[0])
    pool = steps.moves or sample(encoder, 256, rng, avoid=history.seen)
    return min(pool, key=lambda one: distance(encoder, origin, one))


def _again(outcome: Outcome, *, lane: str) -> Suggestion:
    return Suggestion(
        configuration=outcome.configuration,
        kind=SuggestionKind.RE_MEASURE,
        lane=lane,
        reason=f"Looks better than the best proven after {len(outcome.values)} "
        f"window{'s' if len(outcome.values) != 1 else ''}: measured again before any step "
        "starts from it.",
    )
