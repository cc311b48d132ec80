"""Which metrics say something of their own, out of the hundreds that a target reports.

As OtterTune prunes (Van Aken et al., SIGMOD 2017, section 4): factor analysis of the metrics over
windows, then k-means over the metrics' loadings, and of each cluster the metric nearest its centre.
How many factors there are is what beats shuffled data (parallel analysis: Horn, Psychometrika
1965), and how many clusters what separates them best (silhouette: Rousseeuw, 1987).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from tuner.pipeline.arrays import Array, Places

LEAST_WINDOWS = 6
"""With fewer windows correlations between metrics mean nothing: only constants are dropped."""

MAXIMUM_FACTORS, MAXIMUM_CLUSTERS = 12, 25

LEAST_SILHOUETTE = 0.2
"""Metrics of a single factor are one cluster unless a partition is better than this."""

MISSING = 0.5
"""A metric that more than this share of windows lacks is dropped."""

_CLIP = 5.0  # standard deviations: one wild window shall not make a factor
_MAD_TO_SD = 1.4826
_SAME = 1e-9  # of the largest value: what differs by no more is constant
_OFFSET = 1e-3  # of a metric's median size: tells 0 from little
_LEAST = 5e-324  # the least float above 0
_SHUFFLES = 20
_DIGITS = 6  # of loadings; k-means tells no more of them apart


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Metrics that move together, and the one that stands for them."""

    representative: str
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """What is left of the metrics.

    Attributes:
        dropped: metric -> why it says nothing.
        factors: how many hidden factors move the metrics.
        silhouette: how well the clusters are apart, -1 to 1; None where there is only one or
            each metric is its own.
    """

    clusters: tuple[Cluster, ...]
    dropped: Mapping[str, str]
    factors: int
    silhouette: float | None
    windows: int

    @property
    def representatives(self) -> tuple[str, ...]:
        """The metrics to keep."""
        return tuple(cluster.representative for cluster in self.clusters)

    @property
    def reason(self) -> str:
        """What was done, in words."""
        kept = sum(len(cluster.members) for cluster in self.clusters)
        told = (
            f"{kept} move with {self.factors} hidden factor{'s' if self.factors != 1 else ''} "
            f"over {self.windows} windows"
            if self.factors
            else f"of {kept} none is known to move with another in {self.windows} windows"
        )
        return (
            f"{len(self.clusters)} of {kept + len(self.dropped)} metrics stand for the rest: "
            f"{len(self.dropped)} say nothing, {told}"
        )

    def to_dict(self) -> dict[str, Any]:
        """A JSON-able form."""
        return {
            "clusters": [
                {"representative": one.representative, "members": list(one.members)}
                for one in self.clusters
            ],
            "dropped": dict(self.dropped),
            "factors": self.factors,
            "silhouette": self.silhouette,
            "windows": self.windows,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pruning:
        """Read `to_dict`'s form."""
        clusters = tuple(
            Cluster(representative=one["representative"], members=tuple(one["members"]))
            for one in data["clusters"]
        )
        return cls(**{**data, "clusters": clusters})


def prune(metrics: Mapping[str, Sequence[float]], *, seed: int = 0) -> Pruning:
    """Prune metrics, each given by its values over the same windows.

    >>> up = [1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0]
    >>> wave = [5.0, 1.0, 9.0, 4.0, 2.0, 7.0, 3.0, 6.0]
    >>> pruning = prune({
    ...     "reads": up, "bytes": [8192.0 * one for one in up],
    ...     "stalls": wave, "version": [16.0] * 8,
    ... })
    >>> sorted(len(cluster.members) for cluster in pruning.clusters)
    [1, 2]
    >>> dict(pruning.dropped)
    {'version': 'constant at 16'}

    Args:
        metrics: name -> one value a window, NaN where it could not be read.
        seed: for shuffling and for where k-means starts; the same gives the same.

    Raises:
        ValueError: metrics have different numbers of windows.
    """
    windows = {len(values) for values in metrics.values()}
    if len(windows) > 1:
        raise ValueError(f"metrics have different numbers of windows: {sorted(windows)}")
    rng = np.random.default_rng(seed)
    dropped: dict[str, str] = {}
    columns: dict[str, Array] = {}
    for name, values in sorted(metrics.items()):
        column = np.asarray(values, float)
        if why := _says_nothing(column):
            dropped[name] = why
        else:
            columns[name] = _standardised(column)
    names, count = list(columns), max(windows, default=0)
    if len(names) < 2 or count < LEAST_WINDOWS:
        return _alone(names, dropped, count)
    table = np.column_stack(list(columns.values()))
    # Tables are small: several threads spend ten times what one does on waiting for each other.
    with threadpool_limits(1):
        factors = _factors(table, rng)
        if not factors:
            return _alone(names, dropped, count)
        loadings = _loadings(table, factors, rng)
        labels, silhouette = _partition(loadings, rng)
    clusters = [
        _cluster(names, loadings, np.flatnonzero(labels == label)) for label in np.unique(labels)
    ]
    return Pruning(
        clusters=tuple(sorted(clusters, key=lambda one: (-len(one.members), one.representative))),
        dropped=dropped,
        factors=loadings.shape[1],
        silhouette=silhouette,
        windows=count,
    )


def prune_windows(windows: Sequence[Mapping[str, float]], *, seed: int = 0) -> Pruning:
    """As `prune`, from windows of metrics by name; absent ones could not be read."""
    names = sorted({name for window in windows for name in window})
    return prune({name: [one.get(name, math.nan) for one in windows] for name in names}, seed=seed)


def _alone(names: Sequence[str], dropped: Mapping[str, str], windows: int) -> Pruning:
    """Nothing is known to move together: each metric stands for itself."""
    clusters = tuple(Cluster(representative=name, members=(name,)) for name in names)
    return Pruning(clusters=clusters, dropped=dropped, factors=0, silhouette=None, windows=windows)


def _says_nothing(column: Array) -> str:
    finite = column[np.isfinite(column)]
    if len(finite) < (1.0 - MISSING) * len(column) or not len(finite):
        return f"read in {len(finite)} of {len(column)} windows only"
    largest = float(np.abs(finite).max())
    if not largest or np.ptp(finite / largest) <= _SAME:
        return f"constant at {finite[0] + 0.0:g}"  # without the sign of a zero
    return ""


def _standardised(column: Array) -> Array:
    """Middle 0, scatter 1, wild windows clipped, missing ones in the middle; counts as logarithms.

    Workloads differ by factors, not by amounts: what is never negative is compared by its
    logarithm.
    """
    finite = np.isfinite(column)
    values = column[finite]
    # In units of the largest, for the sum of two of the largest floats is none.
    values = values / np.abs(values).max()
    if (values >= 0.0).all():
        offset = np.log(np.median(values[values > 0.0])) + np.log(_OFFSET)
        values = np.logaddexp(np.log(np.maximum(values, _LEAST)), offset)
    centred = values - np.median(values)
    scale = _MAD_TO_SD * float(np.median(np.abs(centred))) or float(centred.std())
    result = np.zeros(len(column))
    result[finite] = np.clip(centred, -_CLIP * scale, _CLIP * scale) / scale
    return result


def _factors(table: Array, rng: np.random.Generator) -> int:
    """How many eigenvalues of the correlations are above those of shuffled columns."""
    seen = _eigenvalues(table)
    chance = np.array([_eigenvalues(rng.permuted(table, axis=0)) for _ in range(_SHUFFLES)])
    above = seen > np.quantile(chance, 0.95, axis=0)
    count = len(above) if above.all() else int(np.argmin(above))
    return min(count, MAXIMUM_FACTORS)


def _eigenvalues(table: Array) -> Array:
    """Of the correlations, falling: (min(n_windows, n_metrics),)."""
    centred = table - table.mean(axis=0)
    singular = np.linalg.svd(centred / np.maximum(centred.std(axis=0), 1e-12), compute_uv=False)
    return np.asarray(singular**2 / len(table))


def _loadings(table: Array, factors: int, rng: np.random.Generator) -> Array:
    """(n_metrics, factors): a metric and its opposite tell the same, so the sign is dropped."""
    from sklearn.decomposition import FactorAnalysis

    analysis = FactorAnalysis(
        n_components=factors, svd_method="lapack", random_state=int(rng.integers(2**31))
    )
    loadings = np.asarray(analysis.fit(table).components_.T)
    largest = loadings[np.arange(len(loadings)), np.abs(loadings).argmax(axis=1)]
    return loadings * np.where(largest < 0.0, -1.0, 1.0)[:, None]


def _partition(loadings: Array, rng: np.random.Generator) -> tuple[Places, float | None]:
    """(n_metrics,) cluster of each metric, and the silhouette; the number of clusters chosen.

    There are at least as many clusters as factors: fewer representatives would lose one.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    seed = int(rng.integers(2**31))
    distinct = len(np.unique(loadings.round(_DIGITS), axis=0))
    best, labels = -1.0, np.zeros(len(loadings), int)
    most = min(MAXIMUM_CLUSTERS, distinct, len(loadings) - 1)
    for count in range(max(2, min(loadings.shape[1], most)), most + 1):
        means = KMeans(n_clusters=count, n_init=4, random_state=seed).fit(loadings)
        score = float(silhouette_score(loadings, means.labels_))
        if score > best:
            best, labels = score, means.labels_
    if loadings.shape[1] == 1 and best < LEAST_SILHOUETTE:
        return np.zeros(len(loadings), int), None
    return labels, best if labels.any() else None


def _cluster(names: Sequence[str], loadings: Array, members: Places) -> Cluster:
    centre = loadings[members].mean(axis=0)
    distance = np.linalg.norm(loadings[members] - centre, axis=1)
    # The two of a pair are equally near, and copies are: the first by name, not by the last digit.
    distance = distance.round(_DIGITS)
    return Cluster(
        representative=names[members[int(distance.argmin())]],
        members=tuple(names[place] for place in members.tolist()),
    )
