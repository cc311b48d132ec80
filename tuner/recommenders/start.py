"""The first trials, before there is anything to learn from: a design spread over the space."""

from __future__ import annotations

import numpy as np

from targets.knobs import Configuration
from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.sequential import State
from tuner.recommenders.subspace import WIDE
from tuner.sampling import latin_hypercube, repair, sample

LANE = "start"

SIZE = 6
"""On recorded tables, with the additive kernel: better after 10 trials than 8, and than 4."""

BUDGET_SHARE = 3
"""At most one in this many of a budget's trials goes to the start."""

LEAST_MEASURED = 3
"""With fewer measured configurations a model has nothing to say, and the start goes on."""


def start_size(budget: int) -> int:
    """How many trials of a budget (0: unknown) the start takes."""
    return min(SIZE, max(LEAST_MEASURED, budget // BUDGET_SHARE)) if budget else SIZE


def propose_start(
    history: History, state: State, rng: np.random.Generator
) -> tuple[Suggestion, State] | None:
    """The next point of the start; None once it is through.

    The state keeps a seed, from which the whole design follows, and how many points were given;
    so the points fit together although each is asked for on its own.
    """
    size = start_size(history.problem.budget)
    kept = state.get("start") or {"seed": int(rng.integers(2**31)), "given": 0}
    given = int(kept["given"])
    known = len(history.outcomes) > size
    if (given >= size or known) and len(history.measured) >= LEAST_MEASURED:
        return None
    place = min(given, size)
    configuration = _default(history, rng) if place == 0 else None
    if configuration is not None:
        reason = (
            f"Start, point 1 of {size}: the default, for of so many knobs most stand well "
            "there already."
        )
    elif place < size:
        reason = (
            f"Start, point {place + 1} of {size}: spread evenly over the space, "
            "because too little is known yet to prefer any part of it."
        )
    else:
        reason = (
            f"Random start: {len(history.measured)} configurations could be measured so far, "
            f"and it takes {LEAST_MEASURED} to learn from."
        )
    suggestion = Suggestion(
        configuration=configuration
        or _point(history, rng, seed=int(kept["seed"]), place=place, size=size),
        kind=SuggestionKind.EXPLORE,
        lane=LANE,
        reason=reason,
    )
    return suggestion, {**state, "start": {**kept, "given": given + 1}}


def _default(history: History, rng: np.random.Generator) -> Configuration | None:
    """A wide space's default, mended if it breaks a constraint; None where it was seen.

    In spaces of 80 knobs of which most were best at their default, it was 0.41 of the way from the
    best known to the average random configuration, and the best of six random ones 0.70; where
    defaults were drawn at random it cost one trial.
    """
    encoder = history.encoder
    if encoder.n_columns <= WIDE:
        return None
    configuration = repair(encoder, encoder.space.default(), rng)
    if configuration is None or encoder.key(configuration) in history.seen:
        return None
    return configuration


def _point(
    history: History, rng: np.random.Generator, *, seed: int, place: int, size: int
) -> Configuration:
    """A design's point, mended if it breaks a constraint; a random one if that was seen."""
    encoder = history.encoder
    if place < size:
        design = latin_hypercube(encoder, size, np.random.default_rng(seed))
        configuration = repair(encoder, encoder.decode(design[place]), rng)
        if configuration is not None and encoder.key(configuration) not in history.seen:
            return configuration
    return sample(encoder, 1, rng, avoid=history.seen)[0]
