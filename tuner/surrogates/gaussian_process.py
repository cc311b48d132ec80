"""A Gaussian process over knobs of mixed kinds, for tens of trials and tens of knobs.

The kernel is a sum of two. The first is additive: each column has a function of its own, which is
all that a handful of trials over many knobs can tell (Duvenaud, Nickisch and Rasmussen, NeurIPS
2011; Durrande, Ginsbourger and Roustant, 2012). The second is what knobs do together: Matern 5/2
on a weighted distance, where a column adds `(weight * difference)^2`, the difference of an ordered
column being that of its places, of a categorical column 0 or 1 (Hamming; Oh et al., NeurIPS 2019,
compare such kernels). Weights, variances and noise are the most probable under log-normal priors;
a weight's prior scales with the number of columns, so that a space of many knobs is not taken to be
rough in all of them (Hvarfner et al., ICML 2024).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from tuner.space import Rows

Vector = NDArray[np.float64]

_ROOT5 = math.sqrt(5.0)
# Length scale of the prior: exp(sqrt(2)) * sqrt(columns), log sd sqrt(3); Hvarfner et al.
_LENGTH_LOG_MEAN, _LENGTH_LOG_SD = math.sqrt(2.0), math.sqrt(3.0)
# Targets are standardised: together the two kernels' variances are near 1.
_SIGNAL_LOG_SD = 0.5
_ADDITIVE_SHARE, _ADDITIVE_LOG_SD = 0.5, 1.0
# A column's own function is smooth: over its whole range it turns about once.
_ADDITIVE_LENGTH = 0.7
_KNOTS = np.linspace(0.0, 1.0, 6)
_NOISE_LOG_SD = 1.0
_LEAST_NOISE = 1e-4
_JITTER = 1e-8
_ITERATIONS = 60
# From the fit of the trial before.
_ITERATIONS_ON = 10


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process. `rows` (n, n_columns), `targets` (n,) standardised, lower is better.

    `weights` (n_columns,) and `signal` are the joint kernel's, `shares` (n_columns,) the variance
    of each column's own function. `predict` speaks of the mean that repeated windows would tend
    to: noise is left out. `parameters` are the logarithms of weights, shares, signal and noise.
    """

    rows: Rows
    targets: Vector
    error: Vector
    levels: NDArray[np.int_]
    weights: Vector
    shares: Vector
    signal: float
    parameters: Vector

    @classmethod
    def fit(
        cls,
        rows: Rows,
        targets: Vector,
        *,
        levels: NDArray[np.int_],
        counts: Vector,
        noise: float,
        noise_degrees: int = 0,
        start: Vector | None = None,
    ) -> GaussianProcess:
        """Fit to standardised targets.

        Args:
            levels: (n_columns,) how many levels a categorical column has, 0 for an ordered one.
            counts: (n,) windows behind each target.
            noise: one window's expected noise variance; the fitted one stays within a factor of
                a few.
            noise_degrees: how many degrees of freedom that was seen with; the more, the less the
                fitted one may differ.
            start: parameters of a fit to almost the same, to begin at.
        """
        prior = _Prior.of(rows.shape[1], noise=noise, degrees=noise_degrees)
        likelihood = _Likelihood.of(rows, targets, levels=levels, counts=counts)

        def loss(parameters: Vector) -> tuple[float, Vector]:
            value, gradient = likelihood(parameters)
            off = (parameters - prior.means) / prior.sds
            return value + 0.5 * float(off @ off), gradient + off / prior.sds

        found = minimize(
            loss,
            prior.start if start is None else np.clip(start, *np.transpose(prior.bounds)),
            jac=True,
            method="L-BFGS-B",
            bounds=prior.bounds,
            options={"maxiter": _ITERATIONS if start is None else _ITERATIONS_ON},
        )
        return cls.fitted(rows, targets, levels=levels, counts=counts, parameters=found.x)

    @classmethod
    def fitted(
        cls,
        rows: Rows,
        targets: Vector,
        *,
        levels: NDArray[np.int_],
        counts: Vector,
        parameters: Vector,
    ) -> GaussianProcess:
        """With the parameters of an earlier fit: (2 n_columns + 2,), as `parameters` gives them."""
        d = rows.shape[1]
        weights, shares, (signal, noise) = np.split(np.exp(parameters), [d, 2 * d])
        return cls(
            rows, targets, noise / counts, levels, weights, shares, float(signal), parameters
        )

    def mean(self, rows: Rows) -> Vector:
        """(m,): the posterior mean alone, much sooner had."""
        return np.asarray(self.covariance(rows, self.rows) @ self._solved)

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Posterior mean and standard deviation: (m,), (m,)."""
        cross, half = self._cross(rows)
        variance = self.signal + (self._own(rows) ** 2).sum(axis=1) - (half**2).sum(axis=0)
        return cross @ self._solved, np.sqrt(np.maximum(variance, 1e-12))

    def draw(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """(count, m): functions drawn from the posterior, at `rows`."""
        cross, half = self._cross(rows)
        covariance = self.covariance(rows, rows) - half.T @ half
        # By eigenvalues: a posterior covariance is singular to rounding.
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
        return np.asarray(cross @ self._solved + rng.standard_normal((count, len(rows))) @ root.T)

    def believing(self, rows: Rows) -> GaussianProcess:
        """The process after seeing its own mean at `rows`: what is in flight is not new.

        The kriging believer of Ginsbourger, Le Riche and Carraro, 2010.
        """
        if not len(rows):
            return self
        mean, _ = self.predict(rows)
        return replace(
            self,
            rows=np.vstack((self.rows, rows)),
            targets=np.concatenate((self.targets, mean)),
            error=np.concatenate((self.error, np.full(len(rows), self.error.min()))),
        )

    def _features(self, rows: Rows) -> Rows:
        """Columns whose squared differences add up to the weighted distance."""
        ordered = self.levels == 0
        leveled, level = _every_level(self.levels)
        # Two levels' one-hot vectors are sqrt(2) apart.
        hot = (rows[:, leveled] == level) * (self.weights[leveled] / math.sqrt(2.0))
        return np.hstack((rows[:, ordered] * self.weights[ordered], hot))

    def covariance(self, rows: Rows, others: Rows) -> Rows:
        """(m, k): before anything is seen."""
        joint = self.signal * _matern(cdist(self._features(rows), self._features(others)))
        return joint + self._own(rows) @ self._own(others).T

    def _own(self, rows: Rows) -> Rows:
        """(n, n_features): what columns do by themselves, weighted by their shares."""
        features, columns = _own_features(rows, self.levels)
        return features * np.sqrt(self.shares)[columns]

    def _cross(self, rows: Rows) -> tuple[Rows, Rows]:
        cross = self.covariance(rows, self.rows)
        half = solve_triangular(self._cholesky, cross.T, lower=True, check_finite=False)
        return cross, half

    @cached_property
    def _cholesky(self) -> Rows:
        covariance = self.covariance(self.rows, self.rows)
        covariance[np.diag_indices_from(covariance)] += self.error + _JITTER
        return np.asarray(cholesky(covariance, lower=True, check_finite=False))

    @cached_property
    def _solved(self) -> Vector:
        return np.asarray(cho_solve((self._cholesky, True), self.targets, check_finite=False))


def _matern(distance: Rows) -> Rows:
    scaled = _ROOT5 * distance
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))


def _inverse_root(covariance: Rows) -> Rows:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors / np.sqrt(values))


_KNOTS_ROOT = _inverse_root(_matern(np.abs(_KNOTS[:, None] - _KNOTS) / _ADDITIVE_LENGTH))


def _squared_differences(rows: Rows, categorical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n_columns, n, n): each column's squared difference between every two rows."""
    differences = (rows[:, None, :] - rows[None, :, :]) ** 2
    differences[:, :, categorical] = differences[:, :, categorical] > 0
    return np.ascontiguousarray(np.moveaxis(differences, 2, 0))


def _every_level(levels: NDArray[np.int_]) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """The categorical columns, each as often as it has levels, and which level is meant."""
    columns = np.repeat(np.arange(len(levels)), levels)
    return columns, np.arange(len(columns)) - np.repeat(np.cumsum(levels) - levels, levels)


def _own_features(rows: Rows, levels: NDArray[np.int_]) -> tuple[Rows, NDArray[np.int_]]:
    """(n, n_features), and (n_features,) whose column's each is: a function of a column alone is a
    weighted sum of that column's features.

    A level has a feature to itself. An ordered column's are those of a Matern process seen at a few
    knots (Nystroem), so that its covariance is a product of two thin matrices.
    """
    ordered = np.flatnonzero(levels == 0)
    knots = _matern(np.abs(rows[:, ordered, None] - _KNOTS) / _ADDITIVE_LENGTH) @ _KNOTS_ROOT
    leveled, level = _every_level(levels)
    features = np.hstack(
        (knots.reshape(len(rows), len(ordered) * len(_KNOTS)), rows[:, leveled] == level)
    )
    return features, np.concatenate((np.repeat(ordered, len(_KNOTS)), leveled))


@dataclass(frozen=True)
class _Prior:
    """Log-normal priors of the parameters, which are logarithms: of the weights, the shares, the
    signal's variance and the noise's."""

    means: Vector
    sds: Vector
    start: Vector

    @classmethod
    def of(cls, columns: int, *, noise: float, degrees: int) -> _Prior:
        count = max(1, columns)
        weight = -_LENGTH_LOG_MEAN - 0.5 * math.log(count)
        share = math.log(_ADDITIVE_SHARE / count)
        level = math.log(max(noise, _LEAST_NOISE))
        means = np.array([*[weight] * columns, *[share] * columns, 0.0, level])
        sds = np.array(
            [
                *[_LENGTH_LOG_SD] * columns,
                *[_ADDITIVE_LOG_SD] * columns,
                _SIGNAL_LOG_SD,
                # Of a variance seen with that many degrees of freedom, its logarithm's.
                min(_NOISE_LOG_SD, math.sqrt(2.0 / max(degrees, 1))),
            ]
        )
        start = means.copy()
        # Rougher than the prior's middle: from a flat start the ascent may end in "all is noise".
        start[:columns] += 1.0
        return cls(means, sds, start)

    @property
    def bounds(self) -> list[tuple[float, float]]:
        return [
            (mean - 4 * sd, mean + 4 * sd) for mean, sd in zip(self.means, self.sds, strict=True)
        ]


@dataclass(frozen=True)
class _Likelihood:
    """The negative log likelihood and its gradient by the parameters (Rasmussen and Williams,
    2006, eq. 5.8 and 5.9)."""

    squares: NDArray[np.float64]
    own: NDArray[np.float64]
    targets: Vector
    counts: Vector

    @classmethod
    def of(
        cls, rows: Rows, targets: Vector, *, levels: NDArray[np.int_], counts: Vector
    ) -> _Likelihood:
        features, columns = _own_features(rows, levels)
        each = (features[:, columns == column] for column in range(len(levels)))
        own = np.array([one @ one.T for one in each])
        return cls(_squared_differences(rows, levels > 0), own, targets, counts)

    def __call__(self, parameters: Vector) -> tuple[float, Vector]:
        n, d = len(self.targets), len(self.squares)
        weights, shares, (signal, noise) = np.split(np.exp(parameters), [d, 2 * d])
        distance = np.sqrt(np.tensordot(weights**2, self.squares, axes=1))
        decay = np.exp(-_ROOT5 * distance)
        correlation = (1.0 + _ROOT5 * distance + 5.0 / 3.0 * distance**2) * decay
        covariance = signal * correlation + np.tensordot(shares, self.own, axes=1)
        covariance[np.diag_indices(n)] += noise / self.counts + _JITTER
        factor = cholesky(covariance, lower=True, check_finite=False)
        inverse = cho_solve((factor, True), np.eye(n), check_finite=False)
        solved = inverse @ self.targets
        value = 0.5 * self.targets @ solved + np.log(np.diag(factor)).sum()
        outer = inverse - np.outer(solved, solved)
        # d correlation / d distance^2 = -5/6 (1 + sqrt(5) r) exp(-sqrt(5) r)
        slope = -5.0 / 6.0 * (1.0 + _ROOT5 * distance) * decay
        by_weights = weights**2 * signal * np.tensordot(self.squares, outer * slope, axes=2)
        by_shares = 0.5 * shares * np.tensordot(self.own, outer, axes=2)
        by_signal = 0.5 * signal * (outer * correlation).sum()
        by_noise = 0.5 * noise * (np.diag(outer) / self.counts).sum()
        return float(value), np.array([*by_weights, *by_shares, by_signal, by_noise])
