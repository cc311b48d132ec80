"""From a history to a fitted model of cost: the two models the searching lanes share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.history import History
from tuner.space import Rows
from tuner.surrogates.base import CostModel, Standard, Vector
from tuner.surrogates.forest import Forest
from tuner.surrogates.gaussian_process import GaussianProcess

LARGEST_FIT = 150
"""A Gaussian process is fitted to at most this many configurations, for its cost grows with the
cube of their number."""

FEWEST_TO_GO_ON = 30
"""With fewer configurations a fit begins anew: it is cheap then, and likelier to be another."""

NOISE_RANGE = (0.05, 0.9)
"""The share of the targets' variance that noise may be expected to make up. Never none, even where
repeats agree: what no smooth function can follow counts as well, and a model told to go through
every point of recorded tables led to worse configurations."""


@dataclass(frozen=True, kw_only=True)
class CostProcess(CostModel):
    """A Gaussian process that speaks in costs, and can be drawn from."""

    surrogate: GaussianProcess

    def draw(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """(count, m): cost functions drawn from the posterior, at `rows`."""
        return self.standard.costs(self.surrogate.draw(rows, count, rng))


def fit_gaussian_process(history: History, *, start: Vector | None = None) -> CostProcess:
    """A process for which what is in flight or failed holds nothing new; needs two measured.

    Args:
        start: the parameters of an earlier fit in this session. They are begun at from
            `FEWEST_TO_GO_ON` on; before, a new trial may change everything.
    """
    usable = start is not None and len(start) == 2 * history.encoder.n_columns + 2
    goes_on = usable and len(history.measured) >= FEWEST_TO_GO_ON
    places = best_and_latest(history, LARGEST_FIT)
    costs, counts = history.costs[places], history.counts[places]
    standard = Standard.of(costs)
    process = GaussianProcess.fit(
        history.rows[places],
        standard.targets(costs),
        levels=history.encoder.levels,
        counts=counts,
        noise=float(np.clip((history.noise.sd / standard.scale) ** 2, *NOISE_RANGE)),
        noise_degrees=history.noise.degrees if history.noise.sd else 0,
        start=start if goes_on else None,
    )
    return CostProcess(surrogate=process.believing(history.uninformative_rows), standard=standard)


def fit_forest(history: History, *, seed: int) -> CostModel:
    """Trees that take what is in flight or failed for middling; need two measured ones."""
    standard = Standard.of(history.costs)
    middling = history.uninformative_rows
    forest = Forest.fit(
        history.encoder,
        np.vstack((history.rows, middling)),
        np.concatenate((standard.targets(history.costs), np.zeros(len(middling)))),
        counts=np.concatenate((history.counts, np.ones(len(middling)))),
        seed=seed,
    )
    return CostModel(surrogate=forest, standard=standard)


def best_and_latest(history: History, count: int) -> NDArray[np.int_]:
    """Places of at most `count` measured configurations: half the best, half the latest others."""
    n = len(history.measured)
    if n <= count:
        return np.arange(n)
    best = history.ranking[: count // 2]
    latest = np.setdiff1d(np.arange(n), best)[len(best) - count :]
    return np.sort(np.concatenate((best, latest)))
