"""Dominance, fronts, hypervolume and the knee, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tuner.pareto import Costs, fronts, hypervolume, knee, nondominated, reference_point

SETS = st.integers(1, 4).flatmap(
    lambda m: arrays(
        float,
        st.tuples(st.integers(0, 12), st.just(m)),
        # Few values, so that there are ties.
        elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0, 1e-20]),
    )
)


def dominates(one: Costs, other: Costs) -> bool:
    return bool((one <= other).all() and (one < other).any())


@given(SETS)
def test_the_front_is_what_nothing_dominates(costs: Costs) -> None:
    expected = [not any(dominates(other, one) for other in costs) for one in costs]
    assert nondominated(costs).tolist() == expected


@given(SETS)
def test_a_rank_is_one_more_than_the_worst_that_dominates(costs: Costs) -> None:
    ranks = fronts(costs)
    for one, rank in zip(costs, ranks, strict=True):
        above = [r for other, r in zip(costs, ranks, strict=True) if dominates(other, one)]
        assert rank == max(above, default=-1) + 1


@settings(deadline=None)
@given(SETS)
def test_hypervolume_is_the_volume_of_a_union_of_boxes(costs: Costs) -> None:
    reference = np.full(costs.shape[1], 0.75)
    # The values cut space into cells, each of which is dominated as a whole or not at all.
    cuts = np.array([0.0, 1e-20, 0.1, 0.25, 0.5, 0.75])
    middles, widths = (cuts[:-1] + cuts[1:]) / 2, np.diff(cuts)
    cells = np.stack(np.meshgrid(*[middles] * costs.shape[1], indexing="ij"), -1)
    volumes = np.stack(np.meshgrid(*[widths] * costs.shape[1], indexing="ij"), -1).prod(-1)
    cells = cells.reshape(-1, costs.shape[1])
    inside = (cells[:, None, :] > costs[None, :, :]).all(-1).any(-1)
    assert hypervolume(costs, reference) == pytest.approx(float(volumes.ravel()[inside].sum()))


def test_hypervolume_of_a_sphere_in_three_and_four_dimensions() -> None:
    rng = np.random.default_rng(0)
    for m, points in ((3, 60), (4, 25)):
        costs = 1.0 - np.abs(rng.standard_normal((points, m)))
        reference = np.ones(m)
        low = costs.min(axis=0)
        drawn = low + (reference - low) * rng.random((40_000, m))
        share = (drawn[:, None, :] >= costs[None, :, :]).all(-1).any(-1).mean()
        expected = share * float(np.prod(reference - low))
        assert hypervolume(costs, reference) == pytest.approx(expected, rel=0.02)


def test_what_is_beyond_the_reference_adds_nothing() -> None:
    reference = np.array([1.0, 1.0])
    assert hypervolume(np.array([[0.5, 0.5]]), reference) == 0.25
    assert hypervolume(np.array([[0.5, 0.5], [0.1, 1.5]]), reference) == 0.25
    assert hypervolume(np.empty((0, 2)), reference) == 0.0


def test_every_end_of_the_front_counts_from_the_reference_point() -> None:
    ends = np.array([[0.0, 5.0], [1.0, 3.0], [4.0, 1.0]])
    reference = reference_point(ends)
    assert reference.tolist() == pytest.approx([4.4, 5.4])
    for left_out in range(3):
        assert hypervolume(np.delete(ends, left_out, axis=0), reference) < hypervolume(
            ends, reference
        )
    assert (reference_point(np.array([[2.0, 3.0]])) > [2.0, 3.0]).all()


def test_the_knee_is_the_balanced_point_of_a_bent_front() -> None:
    costs = np.array([[0.0, 100.0], [1.0, 20.0], [5.0, 10.0], [20.0, 0.0], [6.0, 90.0]])
    assert knee(costs) == 1
    assert knee(costs * [1000.0, 0.01]) == 1
    assert knee(np.array([[3.0, 3.0], [1.0, 1.0]])) == 1
