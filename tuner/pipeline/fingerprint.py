"""What a workload looks like in its metrics, apart from how much of it there is.

Metrics are compared at their `Coordinates`, and `LoadAnswers` take the common rate out. A
`Yardstick` says how far each metric scatters from window to window of one workload, and how far
workloads differ in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from targets.metrics import Metric
from tuner.pipeline.arrays import Array
from tuner.pipeline.coordinates import Coordinates, Windows
from tuner.pipeline.load import LoadAnswers, best_shift

PRIOR_SCATTER = 0.10
"""Scatter of one window's logarithm while no workload was seen twice; as `tuner.noise.PRIOR_SD`."""

PRIOR_BETWEEN = 0.7
"""How far workloads differ in a metric while only one is known: by a factor of two."""

DRIFT = 0.02
"""Nothing comes back nearer than this, however still it stood from window to window."""

_SCATTER_DEGREES = 4.0
_BETWEEN_DEGREES = 3.0
_FEW = 4  # workloads, below which their distances are not trusted to be large enough
_ROUNDS = 3
_CONFUSION = 0.1  # common movement from window to window that is not load
_LEAST_TOLD = 1e-6  # sum of squares, of a thousandth: less says nothing of load or its answers


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """One workload: (n_metrics,) arrays in the yardstick's order.

    `centre` is the mean of the windows' coordinates at their middle load, NaN where never read;
    `counts` how many windows each mean rests on; `load` the log of that load relative to the
    yardstick's reference.
    """

    centre: Array
    counts: Array
    load: float

    def shape(self, yardstick: Yardstick) -> Array:
        """(n_metrics,): the centre with the load taken out."""
        return yardstick.moved(self.centre, np.array(-self.load))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "centre": [None if math.isnan(value) else value for value in self.centre.tolist()],
            "counts": self.counts.tolist(),
            "load": self.load,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Fingerprint:
        """Read `to_dict`'s form."""
        centre = [math.nan if value is None else value for value in data["centre"]]
        return cls(
            centre=np.array(centre, float),
            counts=np.array(data["counts"], float),
            load=float(data["load"]),
        )


@dataclass(frozen=True, kw_only=True)
class Yardstick:
    """How to compare workloads: (n_metrics,) arrays beside the answers to load.

    `squares` are those of windows around their workload, of so many `degrees` of freedom; `between`
    is the standard deviation of workloads around `reference`, the middle of all.
    """

    coordinates: Coordinates
    answers: LoadAnswers
    squares: Array
    degrees: Array
    between: Array
    reference: Array

    @classmethod
    def learn(
        cls, known: Mapping[str, Windows], metrics: Iterable[Metric] | None = None
    ) -> Yardstick:
        """From the windows of known workloads.

        Args:
            known: workload -> windows; metrics that never change are left out.
            metrics: what is known of the metrics' kinds; without it their answers to load are
                guessed from the recordings alone.
        """
        kinds = {metric.name: metric.kind for metric in metrics or ()}
        coordinates = Coordinates.of(known.values())
        count = len(coordinates.names)
        bare = cls(
            coordinates=coordinates,
            answers=LoadAnswers.of_kinds([kinds.get(name) for name in coordinates.names]),
            squares=np.zeros(count),
            degrees=np.zeros(count),
            between=np.full(count, PRIOR_BETWEEN),
            reference=np.zeros(count),
        )
        tables = [coordinates.table(windows) for windows in known.values() if len(windows)]
        result = bare
        for _ in range(_ROUNDS if tables else 0):
            result = result._refined(bare, tables)
        return result

    @property
    def names(self) -> tuple[str, ...]:
        """Of the metrics."""
        return self.coordinates.names

    @cached_property
    def scatter(self) -> Array:
        """(n_metrics,): the standard deviation of one window around its workload.

        A metric leans on the usual one of all metrics, the more so the less it was seen.
        """
        usual = _usual(self.squares, self.degrees, PRIOR_SCATTER**2)
        pooled = self.squares + _SCATTER_DEGREES * usual
        return np.asarray(np.sqrt(pooled / (self.degrees + _SCATTER_DEGREES) + DRIFT**2))

    def moved(self, table: Array, shift: Array) -> Array:
        """(..., n_metrics): where coordinates go when the log of the load grows by `shift`, (...).

        Metrics go as far as is expected of them.
        """
        return self.coordinates.moved(table, self.answers.mean * np.expand_dims(shift, -1))

    def fingerprint(self, windows: Windows) -> Fingerprint:
        """Of one workload's windows, each at whatever load.

        Raises:
            ValueError: there is no window.
        """
        if not len(windows):
            raise ValueError("a fingerprint needs at least one window of metrics")
        table = self.coordinates.table(windows)
        centre = _mean(self.moved(table, -self._loads(table)))
        return Fingerprint(
            centre=centre,
            counts=np.isfinite(table).sum(axis=0).astype(float),
            load=self._load(centre),
        )

    def _load(self, centre: Array) -> float:
        """Log load relative to the reference: the weighted middle of what the rates say.

        A weighted mean over the metrics by how surely they follow the load: a common change of
        rate moves it by just that change.
        """
        step = self.answers.mean * self.coordinates.sensitivity(centre, self.reference)
        weight = np.where(np.isfinite(step), self.answers.weights[0], 0.0)
        step = np.where(weight > 0, step, 0.0)
        bottom = float((weight * step**2).sum())
        if bottom < _LEAST_TOLD:
            return 0.0
        difference = np.where(weight > 0, centre - self.reference, 0.0)
        return float((weight * step * difference).sum() / bottom)

    def _loads(self, table: Array) -> Array:
        """(n_windows,): one workload's log loads around their middle."""
        if len(table) == 1:
            return np.zeros(1)
        middle = _median(table)
        loads, _ = best_shift(
            self.answers,
            table - middle,
            self.scatter**2 * (1.0 + 1.0 / len(table)),
            self.between**2,
            sensitivity=self.coordinates.sensitivity(table, middle),
        )
        return np.asarray(loads - loads.mean())

    def _refined(self, bare: Yardstick, tables: Sequence[Array]) -> Yardstick:
        """One round: loads from answers, then answers, scatter and distances from loads."""
        loads = [self._loads(table) for table in tables]
        cross, square, count = (np.zeros(len(self.names)) for _ in range(3))
        for table, at_load in zip(tables, loads, strict=True):
            present = np.isfinite(table)
            at = at_load[:, None] * self.coordinates.sensitivity(table, _median(table))
            at = np.where(present, at - _mean(at), 0.0)
            cross += (np.where(present, table - _mean(table), 0.0) * at).sum(axis=0)
            square += (at**2).sum(axis=0)
            count += np.maximum(present.sum(axis=0) - 1, 0)
        square = np.where(square > _LEAST_TOLD, square, 0.0)
        slope = np.divide(cross, square, out=np.zeros_like(cross), where=square > 0)
        # What moves metrics together is not always load: a small common movement teaches little.
        variance = self.scatter**2 + np.maximum(self.scatter, _CONFUSION) ** 2 * count
        learnt = replace(self, answers=bare.answers.learnt(slope, square / variance))
        aligned = [
            learnt.moved(table, -at_load) for table, at_load in zip(tables, loads, strict=True)
        ]
        squares, degrees = _within(aligned)
        scattering = replace(learnt, squares=squares, degrees=degrees)
        return scattering._with_distances([_mean(table) for table in aligned])

    def seen(self, windows: Windows) -> Yardstick:
        """With the scatter of one more workload's windows taken into account."""
        table = self.coordinates.table(windows)
        squares, degrees = _within([self.moved(table, -self._loads(table))])
        return replace(self, squares=self.squares + squares, degrees=self.degrees + degrees)

    def _with_distances(self, centres: Sequence[Array]) -> Yardstick:
        table = np.array(centres)
        started = replace(self, reference=_median(table))
        loads = np.array([started._load(centre) for centre in centres])
        shapes = self.moved(table, -loads)
        squares, degrees = _within([shapes])
        usual = _usual(squares, degrees, PRIOR_BETWEEN**2)
        if len(centres) < _FEW:
            usual = max(usual, PRIOR_BETWEEN**2)
        pooled = (squares + _BETWEEN_DEGREES * usual) / (degrees + _BETWEEN_DEGREES)
        return replace(self, between=np.sqrt(pooled), reference=_median(shapes))

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "coordinates": self.coordinates.to_dict(),
            "answers": self.answers.to_dict(),
            "squares": self.squares.tolist(),
            "degrees": self.degrees.tolist(),
            "between": self.between.tolist(),
            "reference": self.reference.tolist(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Yardstick:
        """Read `to_dict`'s form."""
        arrays = ("squares", "degrees", "between", "reference")
        return cls(
            coordinates=Coordinates.from_dict(data["coordinates"]),
            answers=LoadAnswers.from_dict(data["answers"]),
            **{key: np.array(data[key], float) for key in arrays},
        )


def _within(tables: Sequence[Array]) -> tuple[Array, Array]:
    """(n_metrics,), (n_metrics,): squares around each table's mean, and degrees of freedom."""
    squares, degrees = np.zeros(tables[0].shape[1]), np.zeros(tables[0].shape[1])
    for table in tables:
        present = np.isfinite(table)
        squares += np.where(present, (table - _mean(table)) ** 2, 0.0).sum(axis=0)
        degrees += np.maximum(present.sum(axis=0) - 1, 0)
    return squares, degrees


def _usual(squares: Array, degrees: Array, otherwise: float) -> float:
    """The middle metric's variance; `otherwise` where none has a degree of freedom.

    The median of chi-squared by its degrees is below 1 (Wilson and Hilferty, 1931).
    """
    seen = degrees > 0
    if not seen.any():
        return otherwise
    middle = (1.0 - 2.0 / (9.0 * degrees[seen])) ** 3
    return float(np.median(squares[seen] / degrees[seen] / middle))


def _mean(table: Array) -> Array:
    """(n_metrics,): the mean over the windows that have the metric; NaN where none has."""
    present = np.isfinite(table)
    count = present.sum(axis=0)
    total = np.where(present, table, 0.0).sum(axis=0)
    return np.asarray(np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def _median(table: Array) -> Array:
    """(n_metrics,): as `_mean`, the median."""
    result = np.full(table.shape[1], np.nan)
    seen = np.isfinite(table).any(axis=0)
    result[seen] = np.nanmedian(table[:, seen], axis=0)
    return result
