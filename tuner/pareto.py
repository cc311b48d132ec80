"""Several objectives at once: who is beaten by whom, and how much a set of results is worth.

Everything here is on cost axes: (n, m), one row a configuration, one column an objective, less is
better. A row is *dominated* by another that is nowhere worse and somewhere better; the rows that
none dominates are the Pareto front.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Costs = NDArray[np.float64]
"""(n, m) float64."""

MARGIN = 0.1
"""How far beyond the worst of the front the reference point lies, in the front's own ranges: far
enough that the ends of the front count, near enough that they do not count alone (Ishibuchi et
al., Evolutionary Computation 26(3), 2018)."""


def nondominated(costs: Costs) -> NDArray[np.bool_]:
    """(n,): which rows are on the front; of equal rows all are."""
    # As in a dictionary: what comes first cannot be dominated by what comes later.
    left = np.lexsort(costs.T[::-1])
    front = np.zeros(len(costs), bool)
    while len(left):
        best = costs[left[0]]
        others = costs[left]
        equal = (others == best).all(axis=1)
        front[left[equal]] = True
        left = left[(others < best).any(axis=1)]
    return front


def fronts(costs: Costs) -> NDArray[np.int_]:
    """(n,): 0 for a row on the front, 1 for one on the front of the rest, and so on (Goldberg,
    1989; the first half of Deb's nondominated sorting)."""
    ranks = np.zeros(len(costs), int)
    left = np.arange(len(costs))
    while len(left := left[~nondominated(costs[left])]):
        ranks[left] += 1
    return ranks


def reference_point(costs: Costs) -> NDArray[np.float64]:
    """(m,): the point that hypervolume is measured from, a little worse than the whole front."""
    front = costs[nondominated(costs)]
    worst = front.max(axis=0)
    # A front of one point has no ranges; then the whole set's, and where that has none, anything.
    extent = worst - front.min(axis=0)
    extent = np.where(extent > 0.0, extent, np.ptp(costs, axis=0))
    return np.asarray(worst + MARGIN * np.where(extent > 0.0, extent, 1.0))


def hypervolume(costs: Costs, reference: NDArray[np.float64]) -> float:
    """The volume that the rows dominate, as far as the reference point (m,); exact.

    Rows that are somewhere not better than the reference add nothing. Two objectives are swept;
    more are taken by WFG's recursion, in which each point adds what those after it do not (While,
    Bradstreet and Barone, IEEE Trans. Evol. Comp. 16(1), 2012): quick for hundreds of points of
    three objectives, dozens of five.
    """
    inside = costs[(costs < reference).all(axis=1)]
    front = np.unique(inside[nondominated(inside)], axis=0)
    return _volume(front, reference)


def _volume(front: Costs, reference: NDArray[np.float64]) -> float:
    """Of distinct rows of which none dominates another, sorted by their first column."""
    if not len(front):
        return 0.0
    if front.shape[1] == 1:
        return float(reference[0] - front[0, 0])
    if front.shape[1] == 2:
        above = np.concatenate((reference[1:], front[:-1, 1]))
        return float(((reference[0] - front[:, 0]) * (above - front[:, 1])).sum())
    total = 0.0
    for place, point in enumerate(front):
        # What later points dominate of this one's own box.
        shared = np.maximum(front[place + 1 :], point)
        shared = np.unique(shared[nondominated(shared)], axis=0)
        total += float(np.prod(reference - point)) - _volume(shared, reference)
    return total


def knee(costs: Costs) -> int:
    """The place of the row whose worst shortfall is the smallest, a balanced answer.

    A shortfall is how far an objective is from the best of the front, in the front's range
    (Wierzbicki's achievement, 1980, with equal weights); of equal rows that with the least sum.
    """
    front = np.flatnonzero(nondominated(costs))
    shortfalls = costs[front] - costs[front].min(axis=0)
    extent = shortfalls.max(axis=0)
    shortfalls /= np.where(extent > 0.0, extent, 1.0)
    return int(front[np.lexsort((shortfalls.sum(axis=1), shortfalls.max(axis=1)))[0]])
