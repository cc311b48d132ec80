"""How metrics answer to load, so that the same mix at four times the load is the same workload.

Between two recordings of one workload at loads `exp(shift)` apart, a metric's logarithm moves by
`exponent * shift`. A counter's exponent is mostly 1 and a gauge's 0, but not surely: a queue grows
faster than the load, a utilisation saturates. So a metric has three *answers*, each with a weight,
an exponent and a spread of it: proportional, indifferent, and any. The weights and exponents start
from the metric's kind and are learnt wherever one workload was seen at several loads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from targets.metrics import MetricKind
from tuner.pipeline.arrays import Array

#               proportional  indifferent  any
_EXPONENTS = ((1.00, 0.02), (0.00, 0.02), (0.80, 0.60))
_WEIGHTS = {
    MetricKind.COUNTER: (0.80, 0.02, 0.18),
    MetricKind.GAUGE: (0.05, 0.70, 0.25),
    MetricKind.HISTOGRAM: (0.02, 0.70, 0.28),
    None: (0.45, 0.35, 0.20),
}
"""What is believed of a metric of each kind before it was seen at two loads. A gauge may hide a
rate (connections in use, bytes dirty)."""

OUTLIER_WEIGHT = 0.02
"""Share of metrics that may differ by anything at all: a sensor that broke, a background job."""

SHIFT_SD = 2.0
"""Spread of the logarithm of a ratio of loads: a factor of 7 is nothing unusual."""

_STARTS = 7
_TRIED = 2  # of the starts, the likeliest ones
_STEPS = 4
_LEAST_STEP = 0.3  # of a sensitivity, to say anything of the load
_LEAST_WEIGHT = 1e-9
_LEAST_DENSITY = 1e-290
_ODDITY_PRIOR = 2.0  # metrics' worth of belief in the weights as they are


@dataclass(frozen=True)
class LoadAnswers:
    """Each metric's answers to load: three arrays of (3, n_metrics)."""

    weights: Array
    exponents: Array
    spreads: Array

    @classmethod
    def of_kinds(cls, kinds: Sequence[MetricKind | None]) -> LoadAnswers:
        """What is believed beforehand; None is a metric of unknown kind."""
        exponents, spreads = np.repeat(np.array(_EXPONENTS).T[:, :, None], len(kinds), axis=2)
        weights = np.array([_WEIGHTS[kind] for kind in kinds]).reshape(-1, 3).T
        return cls(weights, exponents, spreads)

    @property
    def mean(self) -> Array:
        """(n_metrics,): the expected exponent."""
        return np.asarray((self.weights * self.exponents).sum(axis=0))

    @property
    def variance(self) -> Array:
        """(n_metrics,): of the exponent."""
        second = (self.weights * (self.exponents**2 + self.spreads**2)).sum(axis=0)
        return np.asarray(np.maximum(second - self.mean**2, 0.0))

    def learnt(self, slope: Array, precision: Array) -> LoadAnswers:
        """After each metric showed a slope against the log of load, (n_metrics,).

        Args:
            precision: the inverse variance of each slope; 0 where it was not seen.
        """
        prior = 1.0 / self.spreads**2
        spreads = 1.0 / np.sqrt(prior + precision)
        exponents = (prior * self.exponents + precision * slope) * spreads**2
        uncertain = self.spreads**2 + 1.0 / np.maximum(precision, 1e-12)
        fit = np.where(precision > 0, _log_normal(slope - self.exponents, uncertain), 0.0)
        log_weights = np.log(np.maximum(self.weights, _LEAST_WEIGHT)) + fit
        weights = np.exp(log_weights - log_weights.max(axis=0))
        return LoadAnswers(weights / weights.sum(axis=0), exponents, spreads)

    def densities(
        self, difference: Array, shift: Array, variance: Array, wide: Array, oddity: Array
    ) -> Array:
        """(4, ..., n_metrics): of every answer, and of being an outlier, weights included.

        Args:
            difference: (..., n_metrics) between two recordings' logarithms.
            shift: (..., n_metrics) how far a proportional metric would have gone.
            variance: (..., n_metrics) of a difference at one load.
            wide: (n_metrics,) variance of an outlier's difference.
            oddity: (..., 1) how many times likelier than believed the third answer is.
        """
        common, odd = self.weights[:2], self.weights[2] * oddity
        inliers = (1.0 - OUTLIER_WEIGHT) / (common.sum(axis=0) + odd)
        shares = (common[0] * inliers, common[1] * inliers, odd * inliers)
        answers = [
            share * _normal(difference - exponent * shift, variance + (spread * shift) ** 2)
            for share, exponent, spread in zip(shares, self.exponents, self.spreads, strict=True)
        ]
        outlier = OUTLIER_WEIGHT * _normal(difference, variance + wide)
        return np.stack([*answers, np.broadcast_to(outlier, answers[0].shape)])

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "weights": self.weights.tolist(),
            "exponents": self.exponents.tolist(),
            "spreads": self.spreads.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LoadAnswers:
        """Read `to_dict`'s form."""
        return cls(*(np.array(data[key], float) for key in ("weights", "exponents", "spreads")))


def best_shift(
    answers: LoadAnswers,
    difference: Array,
    variance: Array,
    wide: Array,
    *,
    sensitivity: Array,
    starts: Array | None = None,
) -> tuple[Array, Array]:
    """The likeliest log ratio of loads for each pair of recordings, and that log likelihood.

    Expectation maximisation over the answers of the metrics, and over how common the third answer
    is, from the likeliest of several starts: each says at what shift some metric would be
    proportional.

    Args:
        difference: (n_pairs, n_metrics); NaN where either recording lacks the metric.
        variance, wide: as in `LoadAnswers.densities`.
        sensitivity: (n_pairs, n_metrics) how far a proportional metric goes for a shift of 1.
        starts: (n_pairs, n_starts) shifts to start from, where they are known.

    Returns:
        (n_pairs,) shifts, (n_pairs,) log likelihoods; both 0 where no metric is shared.
    """
    present = np.isfinite(difference)
    counted = present[:, None, :]
    shared = np.where(present, difference, 0.0)[:, None, :]
    spread = np.where(present, variance, 1.0)[:, None, :]
    step = np.where(present, sensitivity, 0.0)[:, None, :]
    believed = (counted * answers.weights[2]).sum(axis=-1, keepdims=True)

    def likelihood(shift: Array, oddity: Array) -> Array:
        densities = answers.densities(shared, shift * step, spread, wide, oddity).sum(axis=0)
        logarithms = np.log(np.maximum(densities, _LEAST_DENSITY)) * counted
        return np.asarray(logarithms.sum(axis=-1) - 0.5 * (shift[..., 0] / SHIFT_SD) ** 2)

    if starts is None:
        starts = _starts(answers, difference, sensitivity)
        total = likelihood(starts[:, :, None], np.ones((*starts.shape, 1)))
        starts = np.take_along_axis(starts, np.argsort(-total, axis=1)[:, :_TRIED], axis=1)
    shift = starts[:, :, None]
    oddity = np.ones_like(shift)
    for _ in range(_STEPS):
        densities = answers.densities(shared, shift * step, spread, wide, oddity)
        parts = densities[:3] * (counted / np.maximum(densities.sum(axis=0), _LEAST_DENSITY))
        oddity = parts[2].sum(axis=-1, keepdims=True) + _ODDITY_PRIOR
        oddity = oddity / (believed + _ODDITY_PRIOR)
        top, bottom = np.zeros_like(shift), np.full_like(shift, SHIFT_SD**-2)
        for part, exponent, own in zip(parts, answers.exponents, answers.spreads, strict=True):
            slope = exponent * step
            precision = part * slope / (spread + (own * shift * step) ** 2)
            top = top + (precision * shared).sum(axis=-1, keepdims=True)
            bottom = bottom + (precision * slope).sum(axis=-1, keepdims=True)
        shift = top / bottom
    total = likelihood(shift, oddity)
    best = total.argmax(axis=1)
    rows = np.arange(len(difference))
    return shift[rows, best, 0], total[rows, best]


def _starts(answers: LoadAnswers, difference: Array, sensitivity: Array) -> Array:
    """(n_pairs, n_starts): no shift, and quantiles of the metrics that may be proportional."""
    proportional = answers.weights[0]
    likely = proportional >= min(0.3, proportional.max(initial=0.0))
    result = np.zeros((len(difference), _STARTS))
    levels = np.linspace(0.1, 0.9, _STARTS - 1)
    for place, (values, steps) in enumerate(zip(difference, sensitivity, strict=True)):
        telling = likely & np.isfinite(values) & (np.abs(steps) > _LEAST_STEP)
        if telling.any():
            result[place, 1:] = np.quantile(values[telling] / steps[telling], levels)
    return result


def _log_normal(residual: Array, variance: Array) -> Array:
    return np.asarray(-0.5 * (residual**2 / variance + np.log(2.0 * np.pi * variance)))


def _normal(residual: Array, variance: Array) -> Array:
    return np.asarray(np.exp(-0.5 * residual**2 / variance) / np.sqrt(2.0 * np.pi * variance))
