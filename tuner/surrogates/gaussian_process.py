"""A Gaussian process over knobs of mixed kinds, for tens of trials and tens of knobs.

The kernel is Matern 5/2 on a weighted distance: each column adds `(weight * difference)^2`, the
difference of an ordered column being that of its places, of a categorical column 0 or 1 (Hamming;
Oh et al., NeurIPS 2019, compare such kernels). Weights, signal and noise are the most probable
under log-normal priors; a weight's prior scales with the number of columns, so that a space of
many knobs is not taken to be rough in all of them (Hvarfner et al., ICML 2024).
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
# Targets are standardised, so the signal's variance is near 1.
_SIGNAL_LOG_SD = 0.5
_NOISE_LOG_SD = 1.0
_LEAST_NOISE = 1e-4
_JITTER = 1e-8
_ITERATIONS = 60


@dataclass(frozen=True)
class GaussianProcess:
    """A fitted process. `rows` (n, n_columns), `targets` (n,) standardised, lower is better.

    `predict` speaks of the mean that repeated windows would tend to: noise is left out.
    """

    rows: Rows
    targets: Vector
    error: Vector
    levels: NDArray[np.int_]
    weights: Vector
    signal: float

    @classmethod
    def fit(
        cls,
        rows: Rows,
        targets: Vector,
        *,
        levels: NDArray[np.int_],
        counts: Vector,
        noise: float,
    ) -> GaussianProcess:
        """Fit to standardised targets.

        Args:
            levels: (n_columns,) how many levels a categorical column has, 0 for an ordered one.
            counts: (n,) windows behind each target.
            noise: one window's expected noise variance; the fitted one stays within a factor of
                a few.
        """
        parts = _squared_differences(rows, levels > 0)
        columns = max(1, rows.shape[1])
        centre = -_LENGTH_LOG_MEAN - 0.5 * math.log(columns)
        means = np.array([*[centre] * rows.shape[1], 0.0, math.log(max(noise, _LEAST_NOISE))])
        sds = np.array([*[_LENGTH_LOG_SD] * rows.shape[1], _SIGNAL_LOG_SD, _NOISE_LOG_SD])
        start = means.copy()
        start[:-2] += 1.0

        def loss(parameters: Vector) -> tuple[float, Vector]:
            value, gradient = _negative_log_likelihood(parameters, parts, targets, counts)
            off = (parameters - means) / sds
            return value + 0.5 * float(off @ off), gradient + off / sds

        bounds = [(mean - 4 * sd, mean + 4 * sd) for mean, sd in zip(means, sds, strict=True)]
        found = minimize(
            loss,
            start,
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": _ITERATIONS},
        )
        *weights, signal, fitted_noise = np.exp(found.x)
        return cls(rows, targets, fitted_noise / counts, levels, np.array(weights), signal)

    def predict(self, rows: Rows) -> tuple[Vector, Vector]:
        """Posterior mean and standard deviation: (m,), (m,)."""
        cross, half = self._cross(rows)
        variance = self.signal - (half**2).sum(axis=0)
        return cross @ self._solved, np.sqrt(np.maximum(variance, 1e-12))

    def draw(self, rows: Rows, count: int, rng: np.random.Generator) -> Rows:
        """(count, m): functions drawn from the posterior, at `rows`."""
        cross, half = self._cross(rows)
        covariance = self._covariance(rows, rows) - half.T @ half
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
        parts = [rows[:, ordered] * self.weights[ordered]]
        for column in np.flatnonzero(self.levels):
            hot = rows[:, [column]] == np.arange(self.levels[column])
            # Two levels' one-hot vectors are sqrt(2) apart.
            parts.append(hot * (self.weights[column] / math.sqrt(2.0)))
        return np.hstack(parts)

    def _covariance(self, rows: Rows, others: Rows) -> Rows:
        return self.signal * _matern(cdist(self._features(rows), self._features(others)))

    def _cross(self, rows: Rows) -> tuple[Rows, Rows]:
        cross = self._covariance(rows, self.rows)
        half = solve_triangular(self._cholesky, cross.T, lower=True, check_finite=False)
        return cross, half

    @cached_property
    def _cholesky(self) -> Rows:
        covariance = self._covariance(self.rows, self.rows)
        covariance[np.diag_indices_from(covariance)] += self.error + _JITTER
        return np.asarray(cholesky(covariance, lower=True, check_finite=False))

    @cached_property
    def _solved(self) -> Vector:
        return np.asarray(cho_solve((self._cholesky, True), self.targets, check_finite=False))


def _matern(distance: Rows) -> Rows:
    scaled = _ROOT5 * distance
    return np.asarray((1.0 + scaled + scaled**2 / 3.0) * np.exp(-scaled))


def _squared_differences(rows: Rows, categorical: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(n_columns, n, n): each column's squared difference between every two rows."""
    differences = (rows[:, None, :] - rows[None, :, :]) ** 2
    differences[:, :, categorical] = differences[:, :, categorical] > 0
    return np.ascontiguousarray(np.moveaxis(differences, 2, 0))


def _negative_log_likelihood(
    parameters: Vector, parts: NDArray[np.float64], targets: Vector, counts: Vector
) -> tuple[float, Vector]:
    """And its gradient by the log weights, log signal and log noise (Rasmussen and Williams,
    2006, eq. 5.8 and 5.9)."""
    n = len(targets)
    squared_weights = np.exp(2.0 * parameters[:-2])
    signal, noise = np.exp(parameters[-2:])
    distance = np.sqrt(np.tensordot(squared_weights, parts, axes=1))
    correlation = _matern(distance)
    covariance = signal * correlation + np.diag(noise / counts + _JITTER)
    factor = cholesky(covariance, lower=True, check_finite=False)
    inverse = cho_solve((factor, True), np.eye(n), check_finite=False)
    solved = inverse @ targets
    value = 0.5 * targets @ solved + np.log(np.diag(factor)).sum()
    outer = inverse - np.outer(solved, solved)
    # d correlation / d distance^2 = -5/6 (1 + sqrt(5) r) exp(-sqrt(5) r)
    slope = -5.0 / 6.0 * (1.0 + _ROOT5 * distance) * np.exp(-_ROOT5 * distance)
    by_weights = squared_weights * signal * np.tensordot(parts, outer * slope, axes=2)
    by_signal = 0.5 * signal * (outer * correlation).sum()
    by_noise = 0.5 * noise * (np.diag(outer) / counts).sum()
    return float(value), np.array([*by_weights, by_signal, by_noise])
