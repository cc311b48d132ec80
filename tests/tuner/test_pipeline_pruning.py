"""Metric pruning: what says nothing goes, what moves together is told once."""

from __future__ import annotations

import json
import math
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.tuner.anything import READINGS
from tuner.pipeline import Pruning, prune, prune_windows
from tuner.pipeline.simulated_workloads import WorkloadFamily, WorkloadTraits

# A number that is none would be told to people, and refused by the knowledge base.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")


def moved_by(factors: int, each: int, *, windows: int, seed: int = 0) -> dict[str, list[float]]:
    """Metrics that follow one hidden factor each, in groups, with 5 % noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(windows, factors))
    result = {}
    for factor in range(factors):
        for place in range(each):
            slope = (-1.0) ** place * (0.5 + place)
            noise = 0.05 * rng.normal(size=windows)
            result[f"f{factor}m{place}"] = np.exp(3.0 + slope * hidden[:, factor] + noise).tolist()
    return result


@pytest.mark.parametrize("factors", [2, 3, 5])
def test_metrics_of_one_factor_are_one_cluster(factors: int) -> None:
    pruning = prune(moved_by(factors, 6, windows=60))
    assert pruning.factors == factors
    groups = {frozenset(name[:2] for name in one.members) for one in pruning.clusters}
    assert groups == {frozenset({f"f{factor}"}) for factor in range(factors)}
    assert len(pruning.clusters) == factors


def test_a_metric_and_its_opposite_tell_the_same() -> None:
    metrics = moved_by(2, 3, windows=60)
    metrics["miss"] = [1.0 / value for value in metrics["f0m0"]]
    [cluster] = [one for one in prune(metrics).clusters if "miss" in one.members]
    assert "f0m0" in cluster.members


def test_what_says_nothing_is_dropped_with_its_reason() -> None:
    metrics = moved_by(2, 3, windows=20)
    metrics["version"] = [16.0] * 20
    metrics["broken"] = [math.nan] * 15 + [1.0, 2.0, 3.0, 4.0, 5.0]
    pruning = prune(metrics)
    assert pruning.dropped["version"] == "constant at 16"
    assert pruning.dropped["broken"] == "read in 5 of 20 windows only"
    assert not {"version", "broken"} & set(pruning.representatives)


def test_every_metric_is_dropped_or_stands_in_one_cluster() -> None:
    rng = np.random.default_rng(3)
    family = WorkloadFamily.drawn(WorkloadTraits(metrics=90, constants=4), rng)
    windows = [window for of in family.known(rng).values() for window in of]
    pruning = prune_windows(windows)
    members = [name for one in pruning.clusters for name in one.members]
    assert sorted([*members, *pruning.dropped]) == sorted(metric.name for metric in family.metrics)
    assert len(pruning.dropped) == 4
    assert all(one.representative in one.members for one in pruning.clusters)
    assert family.traits.factors - 1 <= len(pruning.clusters) < 45
    assert f"{len(pruning.clusters)} of 90 metrics" in pruning.reason


def test_the_same_seed_gives_the_same_whatever_the_order() -> None:
    metrics = moved_by(3, 5, windows=40)
    backwards = dict(reversed(metrics.items()))
    assert prune(metrics, seed=5) == prune(backwards, seed=5)


def test_too_few_windows_keep_everything_that_varies() -> None:
    pruning = prune({"a": [1.0, 2.0], "b": [1.0, 3.0], "c": [1.0, 1.0]})
    assert pruning.representatives == ("a", "b")
    assert set(pruning.dropped) == {"c"}


def test_metrics_that_have_nothing_in_common_are_all_kept() -> None:
    rng = np.random.default_rng(4)
    pruning = prune({f"m{place}": rng.lognormal(size=50).tolist() for place in range(6)})
    assert len(pruning.representatives) == 6
    assert "none is known to move with another" in pruning.reason


def test_a_duplicate_among_few_is_told_from_the_others() -> None:
    rng = np.random.default_rng(5)
    metrics = {"a": rng.lognormal(size=30), "b": rng.lognormal(size=30)}
    pruning = prune(
        {name: value.tolist() for name, value in (metrics | {"c": metrics["a"] * 7}).items()}
    )
    assert {one.members for one in pruning.clusters} == {("a", "c"), ("b",)}


@settings(max_examples=30, deadline=None)
@given(
    table=st.integers(0, 12).flatmap(
        lambda windows: st.dictionaries(
            st.sampled_from("abcdef"), st.lists(READINGS, min_size=windows, max_size=windows)
        )
    )
)
@example(table={"a": [sys.float_info.max, -sys.float_info.max] * 4, "b": [5e-324, 0.0] * 4})
@example(table={"a": [1.0, 1.0, 1.0, 1.0, 1.0, 1e-320, -1e-320], "b": [1e308] * 6 + [1e-308]})
def test_whatever_is_read_there_is_a_pruning(table: dict[str, list[float]]) -> None:
    pruning = prune(table)
    members = [name for one in pruning.clusters for name in one.members]
    assert sorted([*members, *pruning.dropped]) == sorted(table)
    json.dumps(pruning.to_dict(), allow_nan=False)


def test_nothing_in_nothing_out() -> None:
    assert prune({}).representatives == ()


def test_windows_of_different_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[2, 3\]"):
        prune({"a": [1.0, 2.0], "b": [1.0, 2.0, 3.0]})


def test_it_survives_json() -> None:
    metrics = moved_by(2, 4, windows=30) | {"c": [1.0] * 30}
    pruning = prune(metrics)
    assert Pruning.from_dict(json.loads(json.dumps(pruning.to_dict()))) == pruning
