"""From a history to a fitted Gaussian process of cost, which the searching lanes share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuner.history import History
from tuner.space import Rows
from tuner.surrogates.base import CostModel, Standard, Vector
from tuner.surrogates.gaussian_process import GaussianProcess

LARGEST_FIT = 150
"""A Gaussian process is fitted to at most this many configurations, for its cost grows with the
cube of their number."""

FEWEST_TO_GO_ON = 30
"""With fewer configurations a fit begins anew: it is cheap then, and likelier to be another."""

GROWTH_TO_REFIT = 1.05
"""What was fitted to so many windows is fitted again when there are a twentieth more; until then
the same parameters are conditioned on what came in."""

NOISE_RANGE = (0.05, 0.9)
"""The share of the targets' variance that noise may be expected to make up. Never none, even where
repeats agree: what no smooth function can follow counts as well, and a model told to go through
every point of recorded tables led to worse configurations."""


@dataclass(frozen=True)
class EarlierFit:
    """The parameters of a process fitted earlier in a session, and to how many windows."""

    parameters: Vector
    windows: int

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> EarlierFit:
        """What `to_dict` gave."""
        return cls(np.array(kept["parameters"], float), int(kept["windows"]))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {"parameters": self.parameters.tolist(), "windows": self.windows}


@dataclass(frozen=True, kw_only=True)
class CostProcess(CostModel):
    """A Gaussian process that speaks in costs, and can be drawn from. `fit`: to go on from."""

    surrogate: GaussianProcess
    fit: EarlierFit

    def draw(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """(count, m): cost functions drawn from the posterior, at `rows`."""
        return self.standard.costs(self.surrogate.draw(rows, count, rng))


def fit_gaussian_process(history: History, *, start: EarlierFit | None = None) -> CostProcess:
    """A process for which what is in flight or failed holds nothing new; needs two measured.

    Args:
        start: an earlier fit in this session, to go on from where `FEWEST_TO_GO_ON` configurations
            are measured; with fewer, a new trial may change everything.
    """
    goes_on = (
        start is not None
        and len(start.parameters) == 2 * history.encoder.n_columns + 2
        and len(history.measured) >= FEWEST_TO_GO_ON
    )
    places = best_and_latest(history, LARGEST_FIT)
    rows, costs, counts = history.rows[places], history.costs[places], history.counts[places]
    standard = Standard.of(costs)
    targets, levels = standard.targets(costs), history.encoder.levels
    windows = int(history.counts.sum())
    if goes_on and start is not None and windows < GROWTH_TO_REFIT * start.windows:
        fit = start
        process = GaussianProcess.fitted(
            rows, targets, levels=levels, counts=counts, parameters=start.parameters
        )
    else:
        process = GaussianProcess.fit(
            rows,
            targets,
            levels=levels,
            counts=counts,
            noise=float(np.clip((history.noise.sd / standard.scale) ** 2, *NOISE_RANGE)),
            noise_degrees=history.noise.degrees if history.noise.sd else 0,
            start=start.parameters if goes_on and start is not None else None,
        )
        fit = EarlierFit(process.parameters, windows)
    believing = process.believing(history.uninformative_rows)
    return CostProcess(surrogate=believing, standard=standard, fit=fit)


def best_and_latest(history: History, count: int) -> NDArray[np.int_]:
    """Places of at most `count` measured configurations: half the best, half the latest others."""
    n = len(history.measured)
    if n <= count:
        return np.arange(n)
    best = history.ranking[: count // 2]
    latest = np.setdiff1d(np.arange(n), best)[len(best) - count :]
    return np.sort(np.concatenate((best, latest)))
