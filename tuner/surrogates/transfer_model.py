"""What other sessions' models and this session's measurements come to together.

One linear Gaussian model of the cost here: a level, a share of what each source expects, and what
is left over, a process whose kernel has the shape that the sources' own have. So which knobs
matter, and how far a good setting reaches, is known from the first trial on, and only a few numbers
are fitted to what is measured here (Golovin et al., KDD 2017, section 3.3.3, stack one process on
another alike; Wang et al., 2021, arXiv 2109.08215, learn the kernel from other tasks). Shares have
a normal distribution around that of sources that are all trusted alike, and what is measured moves
them. A source whose ranking of what was measured contradicts it has none: weights by ranking are
those of Feurer, Letham and Bakshy (RGPE, arXiv 1802.02219).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.stats import rankdata

from tuner.history import History
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Standard, Vector
from tuner.surrogates.fitting import LARGEST_FIT, best_and_latest
from tuner.surrogates.gaussian_process import GaussianProcess
from tuner.surrogates.transfer import Source, Sources

AGREEMENT_NEEDED = 0.3
"""A source is heard while its rank correlation with what was measured here may be that high: is, or
is lower by no more than a standard error, for where all that was tried is good, good sources
correlate little as well. Once it is doubted, it has to be higher by as much."""

LEAST_COMPARED = 3
"""From this many measured configurations on, rankings are compared."""

LEVEL_SD = 10.0
"""Next to nothing is known of the level: another machine may be so many times as fast."""

SCALES = (0.5, 1.0, 2.0)
SCALE_LOG_SD = 0.5
"""How far costs are spread here, in units of how far they were at the sources."""

SHARE_SDS = (0.15, 0.4)
LEFT_SDS = (0.4, 0.8, 1.6)
LEFT_MIDDLE, LEFT_LOG_SD = 0.4, 0.7
ERROR_SDS = (0.05, 0.15, 0.45)
"""What is tried for the standard deviations of a share, of what is left over, and of what no smooth
function can follow; in standard deviations of a source's costs. Left-overs below 0.4 were likelier
where every trial had been good, and made the search stay with what the sources knew."""

_JITTER = 1e-8


@dataclass(frozen=True)
class Spread:
    """How far things are spread: `unit` is how many of a cost's units one of the model's is, and in
    the model's a share, what is left over, and one error have these standard deviations."""

    unit: float
    share_sd: float
    left_sd: float
    error_sd: float


@dataclass(frozen=True)
class TransferModel:
    """A cost model (`surrogates.base.Predictor`) that begins with what sources say.

    At `rows` (n, n_columns) the sources that are heard expect `expected` (n, n_heard), and
    `unsaid` (n,) is what was measured there beyond their mean, with an `error` (n,) variance, both
    in the model's unit.
    """

    encoder: SpaceEncoder
    heard: Sources
    kernel: GaussianProcess
    spread: Spread
    rows: Rows
    expected: Rows
    unsaid: Vector
    error: Vector

    @classmethod
    def fit(
        cls, history: History, sources: Sources, *, doubted: bool = False
    ) -> TransferModel | None:
        """None where no source is heard.

        Args:
            doubted: sources have no longer the benefit of the doubt.
        """
        every = sources.means(history.encoder, history.rows)
        agreeing = [agrees(one, history.costs, doubted=doubted) for one in every.T]
        heard = sources.only(agreeing)
        if not heard:
            return None
        places = best_and_latest(history, LARGEST_FIT)
        rows, expected = history.rows[places], every[places][:, agreeing]
        kernel = heard.kernel(history.encoder)
        costs, counts = history.costs[places], history.counts[places]
        targets = np.minimum(costs, Standard.of(costs).ceiling) if len(costs) else costs
        unit = heard.unit(history)
        seen = (history.noise.sd / unit) ** 2 / counts if history.noise.degrees else 0.0 / counts
        said = expected.mean(axis=1)
        spread = _likeliest(
            targets / unit,
            said,
            seen,
            left=kernel.covariance(rows, rows),
            shares=expected @ expected.T,
        )
        model = cls(
            encoder=history.encoder,
            heard=heard,
            kernel=kernel,
            spread=replace(spread, unit=unit * spread.unit),
            rows=rows,
            expected=expected,
            unsaid=targets / (unit * spread.unit) - said,
            error=spread.error_sd**2 + seen,
        )
        return model.believing(history.uninformative_rows)

    def believing(self, rows: Rows) -> TransferModel:
        """The model after seeing its own mean at `rows`: what is in flight is not new."""
        if not len(rows):
            return self
        expected = self.heard.means(self.encoder, rows)
        unsaid = self._across(rows, expected) @ self._solved
        return replace(
            self,
            rows=np.vstack((self.rows, rows)),
            expected=np.vstack((self.expected, expected)),
            unsaid=np.concatenate((self.unsaid, unsaid)),
            error=np.concatenate((self.error, np.full(len(rows), self.spread.error_sd**2))),
        )

    @property
    def weightiest(self) -> list[Source]:
        """The sources that are heard, the weightiest first."""
        shares = self.spread.share_sd**2 * (self.expected.T @ self._solved)
        return [self.heard.sources[place] for place in np.argsort(-shares)]

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Mean cost and its standard deviation at `rows`: (m,), (m,)."""
        spread, expected = self.spread, self.heard.means(self.encoder, rows)
        across = self._across(rows, expected)
        mean = expected.mean(axis=1) + across @ self._solved
        half = solve_triangular(self._factor, across.T, lower=True, check_finite=False)
        own = LEVEL_SD**2 + spread.share_sd**2 * (expected**2).sum(axis=1) + spread.left_sd**2
        variance = np.maximum(own - (half**2).sum(axis=0), 1e-12)
        return spread.unit * mean, spread.unit * np.sqrt(variance)

    def _across(self, rows: Rows, expected: Rows) -> Rows:
        """(m, n): how what is unsaid at `rows` goes with what is at the model's."""
        left = self.kernel.covariance(rows, self.rows)
        return _covariance(self.spread, left, expected @ self.expected.T)

    @cached_property
    def _factor(self) -> Rows:
        covariance = self._across(self.rows, self.expected)
        covariance[np.diag_indices_from(covariance)] += self.error + _JITTER
        return np.asarray(cholesky(covariance, lower=True, check_finite=False))

    @cached_property
    def _solved(self) -> Vector:
        return np.asarray(cho_solve((self._factor, True), self.unsaid, check_finite=False))


def agrees(expected: Vector, costs: Vector, *, doubted: bool) -> bool:
    """Whether a source that expects this (n,) ranks configurations well enough to be heard."""
    n = len(costs)
    if n < LEAST_COMPARED or np.ptp(costs) == 0.0 or np.ptp(expected) == 0.0:
        return not doubted
    correlation = np.corrcoef(rankdata(expected), rankdata(costs))[0, 1]
    # Fisher's transformation, for which the standard error is known.
    error = 1.0 / math.sqrt(max(n - 3, 1))
    agreement = math.atanh(min(max(correlation, -0.999), 0.999))
    return math.tanh(agreement - error if doubted else agreement + error) > AGREEMENT_NEEDED


def _covariance(spread: Spread, left: Rows, shares: Rows) -> Rows:
    return LEVEL_SD**2 + spread.share_sd**2 * shares + spread.left_sd**2 * left


def _likeliest(costs: Vector, said: Vector, seen: Vector, *, left: Rows, shares: Rows) -> Spread:
    """The spread under which costs (n,) were likeliest, the prior of spreads included.

    Args:
        said: (n,) what the sources together expect.
        seen: (n,) the variance that repeats showed.
        left: (n, n) how what is left over goes together.
        shares: (n, n) how sources' words go together.
    """
    best, found = -math.inf, Spread(1.0, SHARE_SDS[0], LEFT_SDS[0], ERROR_SDS[0])
    for share_sd, left_sd, error_sd in product(SHARE_SDS, LEFT_SDS, ERROR_SDS):
        covariance = _covariance(Spread(1.0, share_sd, left_sd, error_sd), left, shares)
        covariance[np.diag_indices_from(covariance)] += error_sd**2 + seen + _JITTER
        factor = cholesky(covariance, lower=True, check_finite=False)
        unsaid = costs[:, None] / SCALES - said[:, None]
        white = solve_triangular(factor, unsaid, lower=True, check_finite=False)
        evidence = (
            -0.5 * (white**2).sum(axis=0)
            - np.log(np.diag(factor)).sum()
            - len(costs) * np.log(SCALES)
            - 0.5 * (np.log(SCALES) / SCALE_LOG_SD) ** 2
            - 0.5 * (math.log(left_sd / LEFT_MIDDLE) / LEFT_LOG_SD) ** 2
        )
        place = int(evidence.argmax())
        if evidence[place] > best:
            best = float(evidence[place])
            found = Spread(SCALES[place], share_sd, left_sd, error_sd)
    return found
