"""One Gaussian process over windows of every length.

How long a window was is one more column beside the knobs, so what short windows show counts for
long ones as far as the two agreed where both were measured; the process learns how far that is
(Kandasamy et al., ICML 2017, put fidelity into the kernel alike). A window of a third of the length
scatters as if it were a third of a window.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tuner.history import History
from tuner.space import Rows
from tuner.surrogates.base import Standard, Vector
from tuner.surrogates.fitting import (
    FEWEST_TO_GO_ON,
    LARGEST_FIT,
    NOISE_RANGE,
    best_and_latest,
)
from tuner.surrogates.gaussian_process import GaussianProcess


@dataclass(frozen=True)
class LengthModel:
    """A model of what full windows cost (`surrogates.base.Predictor`), fitted to all lengths."""

    process: GaussianProcess
    standard: Standard

    @classmethod
    def fit(cls, rungs: Mapping[float, History], *, start: Vector | None = None) -> LengthModel:
        """Fit to histories of windows of one length each (`History.at`), by their fidelity.

        All must tell costs on one scale, and at least two configurations be measured.

        Args:
            start: the parameters of an earlier fit in this session, to begin at.
        """
        shortest = min(rungs)
        rows, costs, counts = [], [], []
        for fidelity, history in rungs.items():
            places = best_and_latest(history, LARGEST_FIT // len(rungs))
            rows.append(_beside(history.rows[places], _place(fidelity, shortest)))
            costs.append(history.costs[places])
            counts.append(fidelity * history.counts[places])
        longest = rungs[max(rungs)]
        every = np.concatenate(costs)
        standard = Standard.of(every)
        noise = longest.noise
        n_columns = longest.encoder.n_columns + 1
        goes_on = start is not None and len(start) == 2 * n_columns + 2
        process = GaussianProcess.fit(
            np.vstack(rows),
            standard.targets(every),
            levels=np.append(longest.encoder.levels, 0),
            counts=np.concatenate(counts),
            noise=float(np.clip((noise.sd / standard.scale) ** 2, *NOISE_RANGE)),
            noise_degrees=noise.degrees if noise.sd else 0,
            start=start if goes_on and len(every) >= FEWEST_TO_GO_ON else None,
        )
        return cls(process.believing(_beside(longest.uninformative_rows, 1.0)), standard)

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean cost in full windows and its standard deviation at `rows`: (m,), (m,)."""
        mean, sd = self.process.predict(_beside(rows, 1.0))
        return self.standard.costs(mean), self.standard.scale * sd


def _place(fidelity: float, shortest: float) -> float:
    """Where a length lies between the shortest (0) and a full one (1), on a logarithmic scale."""
    return 1.0 - math.log(fidelity) / math.log(shortest) if shortest < 1.0 else 1.0


def _beside(rows: Rows, place: float) -> NDArray[np.float64]:
    """(n, n_columns + 1): rows with the column of their length."""
    return np.column_stack((rows, np.full(len(rows), place)))
