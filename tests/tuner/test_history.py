"""What was observed, grouped: nothing lost, nothing mixed up, and cheap to ask again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from targets.errors import FailureKind, InvalidKnob
from targets.knobs import Configuration
from targets.metrics import Direction
from tuner.history import CostScale, History, HistoryMemo
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.rehearsal import PROBLEMS, mixed, rehearse
from tuner.sampling import sample, sample_rows
from tuner.space import SpaceEncoder


def told(problem: Problem, count: int, seed: int = 0) -> list[Observation]:
    rng = np.random.default_rng(seed)
    drawn = sample(SpaceEncoder(problem.space, problem.pins), count, rng)
    return [rehearse(problem, one, rng, number=place) for place, one in enumerate(drawn)]


def measured(configuration: Configuration, *values: float, number: int = 0) -> Observation:
    return Observation(configuration=configuration, values={"throughput": values}, number=number)


def test_what_acts_the_same_is_one_outcome() -> None:
    problem = PROBLEMS["conditional"]()
    lru = {**problem.space.default(), "policy": "lru"}
    arc = {**lru, "policy": "arc"}
    observations = [
        Observation(configuration=lru, values={"latency": (1.0, 2.0)}, number=0),
        Observation(configuration=arc, failure=FailureKind.TIMED_OUT, number=1),
        Observation(configuration={**lru, "ghosts": 7.0}, values={"latency": (3.0,)}, number=2),
        Observation(configuration=arc, failure=FailureKind.HARNESS_FAILED, number=3),
    ]
    one, other = History.of(problem, observations).outcomes
    assert (one.values, one.numbers, one.configuration["ghosts"]) == ((1.0, 2.0, 3.0), (0, 2), 100)
    assert (other.failures, other.numbers, other.acceptable) == (1, (1, 3), False)


def test_limits_are_held_against_windows_and_metrics() -> None:
    limit = Limit(name="memory", direction=Direction.MINIMISE, bound=0.7)
    problem = replace(mixed(), limits=(limit,))
    over, under, unknown, windows = told(problem, 30)[:4]
    observations = [
        replace(over, failure=None, metrics={"memory": 0.9}),
        replace(under, failure=None, metrics={"memory": 0.7}),
        replace(unknown, failure=None, metrics={"memory": float("nan")}),
        replace(windows, values={"memory": (0.7, 0.8)}, metrics={"memory": 0.1}),
    ]
    outcomes = History.of(problem, observations).outcomes
    assert [one.over_limit for one in outcomes] == [True, False, False, True]


def test_what_has_no_row_is_kept_but_not_modelled() -> None:
    problem = mixed()
    default = problem.space.default()
    strange = {**default, "page": 1234}
    beyond = default | {"ratio": 99.0}
    observations = [measured(strange, 1.0), measured(default, 2.0), measured(beyond, 3.0)]
    history = History.of(problem, observations, pending=[strange])
    assert len(history.outcomes) == 3
    assert [one.values for one in history.measured] == [(2.0,), (3.0,)]
    assert history.uninformative_rows.shape == (0, history.encoder.n_columns)
    assert history.encoder.key(strange) in history.seen
    # What lies beyond the range has the nearest end's row, but the end itself was not seen.
    end = history.encoder.encode(default | {"ratio": 3.0})
    assert (history.rows[1] == end).all()
    assert not history.seen_rows.holds(end[None, :]).any()
    assert history.repeatable.tolist() == [True, False]
    assert history.seen_rows.holds(history.encoder.encode_many([default])).all()


def test_a_lacking_knob_is_named() -> None:
    with pytest.raises(InvalidKnob, match="no value for knob ratio"):
        History.of(mixed(), [measured({"cache": 0}, 1.0)])


def test_what_is_in_flight_is_seen_and_costs_nothing_again() -> None:
    problem = mixed()
    history = History.of(problem, told(problem, 20))
    new = sample_rows(history.encoder, 2, np.random.default_rng(5), avoid=history.seen_rows)
    configurations = history.encoder.decode_many(new)
    ranking, rows = history.ranking, history.rows
    later = history.with_pending(configurations[0])
    assert later.ranking is ranking and later.rows is rows
    assert later.seen_rows.holds(new).tolist() == [True, False]
    assert history.seen_rows.holds(new).tolist() == [False, False]
    assert later.unseen(configurations) == configurations[1:]
    assert len(later.uninformative_rows) == len(history.uninformative_rows) + 1


def test_costs_are_means_on_one_axis() -> None:
    problem = mixed()
    drawn = sample(SpaceEncoder(problem.space), 3, np.random.default_rng(0))
    values = [(100.0,), (10.0, 1000.0), (50.0, 50.0, 50.0)]
    history = History.of(problem, [measured(c, *v) for c, v in zip(drawn, values, strict=True)])
    assert history.costs.tolist() == pytest.approx([-np.log(100.0)] * 2 + [-np.log(50.0)])
    assert [history.costs_of(one).mean() for one in history.outcomes] == pytest.approx(
        history.outcome_costs.tolist()
    )
    assert history.noise.degrees == 3


@pytest.mark.parametrize(
    "values", [(1e300, -1e300, 3e299), (1e-290, 0.0, -3e-291), (5.0, 0.0, -2.0)]
)
def test_extreme_values_have_ordinary_costs(values: tuple[float, ...]) -> None:
    scale = CostScale.of(np.array(values), Direction.MAXIMISE)
    costs = [scale.cost(value) for value in values]
    assert [scale.value(cost) for cost in costs] == list(values)
    assert np.isfinite(np.square(costs)).all() and max(map(abs, costs)) >= 1.0
    assert scale.gain(costs[2], costs[0]) == pytest.approx(
        (values[2] - values[0]) / abs(values[0]), rel=1e-12
    )
    assert np.isfinite(scale.value(-1e200)) and np.isfinite(scale.value(1e200))


class TestMemo:
    def test_only_what_is_new_is_looked_at(self) -> None:
        problem = mixed()
        observations = told(problem, 12)
        memo = HistoryMemo()
        before = History.of(problem, observations[:10], memo=memo)
        after = History.of(problem, observations, memo=memo)
        assert after.encoder is before.encoder
        assert all(a is b for a, b in zip(after.outcomes, before.outcomes, strict=False))
        assert (len(before.outcomes), len(after.outcomes)) == (10, 12)
        assert len(before.seen_rows) == 10 and len(after.seen_rows) == 12

    def test_equal_observations_read_again_count_as_known(self) -> None:
        problem = mixed()
        memo = HistoryMemo()
        before = History.of(problem, told(problem, 8), memo=memo)
        again = History.of(replace(problem, budget=99), told(problem, 8), memo=memo)
        assert again.encoder is before.encoder
        assert again.outcomes == before.outcomes

    @pytest.mark.parametrize("change", ["value", "fewer", "pins", "limits"])
    def test_anything_else_begins_anew(self, change: str) -> None:
        problem = mixed()
        observations = told(problem, 8)
        memo = HistoryMemo()
        History.of(problem, observations, memo=memo)
        match change:
            case "value":
                observations[3] = replace(
                    observations[3], failure=None, values={"throughput": (7.0,)}
                )
            case "fewer":
                observations = observations[:5]
            case "pins":
                problem = replace(problem, pins={"mode": "b"})
            case _:
                problem = replace(problem, limits=())
        now = History.of(problem, observations, memo=memo)
        fresh = History.of(problem, observations)
        assert now.outcomes == fresh.outcomes
        assert [one.key for one in now.measured] == [one.key for one in fresh.measured]

    def test_a_refused_observation_leaves_it_as_it_was(self) -> None:
        problem = mixed()
        observations = told(problem, 6)
        memo = HistoryMemo()
        History.of(problem, observations, memo=memo)
        for bad in (measured(problem.space.default(), float("nan")), measured({}, 1.0)):
            with pytest.raises((ValueError, InvalidKnob)):
                History.of(problem, [*observations, bad], memo=memo)
        more = [*observations, *told(problem, 3, seed=9)]
        assert History.of(problem, more, memo=memo).outcomes == History.of(problem, more).outcomes
