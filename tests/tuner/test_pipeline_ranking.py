"""Knob ranking: decisive above inert, intervals that hold the truth, and silence where none is."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType, Scale, Special
from targets.metrics import Direction, Objective
from targets.space import KnobSpace
from tests.tuner.anything import READINGS
from tuner.pipeline import Effects, Ranking, Verdict, rank_knobs, ranking_of
from tuner.pipeline.simulated_knobs import KnobFamily, KnobTraits
from tuner.recommenders.base import Observation, Problem
from tuner.rehearsal import PROBLEMS, rehearse
from tuner.sampling import sample
from tuner.space import SpaceEncoder

# A number that is none would be told to people, and refused by the knowledge base.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

OPS = Objective(name="ops", direction=Direction.MAXIMISE)


def observed(configuration: Configuration, *values: float, **fields: object) -> Observation:
    return Observation(
        configuration=configuration, values={"ops": values} if values else {}, **fields
    )


def reals(count: int) -> KnobSpace:
    return KnobSpace(
        tuple(
            Knob(name=f"x{place}", type=KnobType.REAL, low=0.0, high=1.0, default=0.5)
            for place in range(count)
        )
    )


def drawn(space: KnobSpace, count: int, seed: int = 0) -> list[Configuration]:
    rng = np.random.default_rng(seed)
    encoder = SpaceEncoder(space)
    return encoder.decode_many(encoder.from_unit(rng.random((count, encoder.n_columns))))


def of_middle_size(traits: KnobTraits) -> KnobTraits:
    return replace(traits, knobs=16, decisive=4, trials=40 + traits.trials // 2)


def test_decisive_knobs_rank_above_inert_ones_and_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(5)
    above = pairs = held = decisive = falsely = 0
    for _ in range(10):
        one = KnobFamily.drawn(of_middle_size(KnobTraits.drawn(rng)), rng)
        ranking, truth = rank_knobs(one.problem, one.trials(rng)), one.shares(rng)
        for knob in one.decisive:
            share = ranking[knob].share
            held += share.low - 0.002 <= truth[knob] <= share.high + 0.002
            above += sum(ranking[knob].place < ranking[other].place for other in one.inert)
            pairs += len(one.inert)
            decisive += 1
        falsely += sum(ranking[knob].verdict is Verdict.MATTERS for knob in one.inert)
    assert above >= 0.95 * pairs
    assert held >= 0.88 * decisive
    assert falsely <= 1


def test_knobs_of_every_kind_are_found() -> None:
    knobs = (
        Knob(name="mode", type=KnobType.CATEGORICAL, levels=("a", "b", "c", "d"), default="a"),
        Knob(name="page", type=KnobType.ORDINAL, levels=(512, 4096, 65536), default=4096),
        Knob(name="cache", type=KnobType.INTEGER, low=1, high=1 << 30, default=64, scale=Scale.LOG),
        Knob(name="sync", type=KnobType.BOOLEAN, default=True),
        Knob(
            name="delay",
            type=KnobType.INTEGER,
            low=1,
            high=1000,
            default=10,
            special=(Special(value=0, meaning="off"),),
        ),
        *(Knob(name=f"i{k}", type=KnobType.REAL, low=0, high=1, default=0) for k in range(10)),
    )
    space = KnobSpace(knobs)
    rng = np.random.default_rng(1)
    told = []
    for one in drawn(space, 120):
        effect = 0.5 * (one["mode"] == "c") + 0.3 * (one["page"] == 65536) + 0.3 * one["sync"]
        effect += 0.02 * math.log2(one["cache"]) - 0.5 * (one["delay"] == 0)
        told.append(observed(one, 100.0 * math.exp(effect + 0.05 * rng.normal())))
    ranking = rank_knobs(Problem(space=space, objectives=(OPS,)), told)
    assert {"mode", "page", "cache", "sync", "delay"} == set(ranking.deciding)
    assert "sure to matter" in ranking.reason


def test_knobs_that_act_only_together_are_found() -> None:
    space = reals(8)
    rng = np.random.default_rng(2)
    told = [
        observed(one, math.exp((one["x1"] > 0.5) ^ (one["x4"] > 0.5)) * rng.lognormal(0, 0.05))
        for one in drawn(space, 200)
    ]
    ranking = rank_knobs(Problem(space=space, objectives=(OPS,)), told)
    assert {one.knob for one in ranking.knobs[:2]} == {"x1", "x4"}
    assert {"x1", "x4"} == set(ranking.deciding)
    assert ranking["x1"].share.high > 0.9


def test_a_hard_cliff_makes_the_data_choose_trees() -> None:
    space = reals(4)
    rng = np.random.default_rng(3)

    def value(one: Configuration) -> float:
        inside = all(abs(one[f"x{k}"] - 0.3) < 0.25 for k in range(3))
        return (10.0 if inside else 1.0) * rng.lognormal(0, 0.02)

    told = [observed(one, value(one)) for one in drawn(space, 400)]
    ranking = rank_knobs(Problem(space=space, objectives=(OPS,)), told)
    assert ranking.model == "forest"
    assert ranking.skills["forest"] > ranking.skills["sparse"] + 0.05
    assert ranking["x3"].place == 4
    assert ranking["x3"].share.low == 0.0


def test_noise_alone_leaves_everything_undecided() -> None:
    space = reals(10)
    silent = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        told = [observed(one, rng.lognormal(0, 0.1)) for one in drawn(space, 40, seed)]
        ranking = rank_knobs(Problem(space=space, objectives=(OPS,)), told)
        assert not ranking.deciding
        silent += "nothing can be told" in ranking.reason
        if "nothing can be told" in ranking.reason:
            assert {one.verdict for one in ranking.knobs} == {Verdict.UNDECIDED}
            assert all((one.share.low, one.share.high) == (0.0, 1.0) for one in ranking.knobs)
    assert silent >= 3


@pytest.mark.parametrize(
    ("count", "value", "words"),
    [(7, None, "it takes 8"), (20, 5.0, "all 20 trials gave the same value"), (0, None, "from 0")],
)
def test_it_says_why_nothing_can_be_told(count: int, value: float | None, words: str) -> None:
    told = [observed(one, value or 1.0 + one["x0"]) for one in drawn(reals(3), count)]
    ranking = rank_knobs(Problem(space=reals(3), objectives=(OPS,)), told)
    assert words in ranking.reason
    assert {one.verdict for one in ranking.knobs} == {Verdict.UNDECIDED}


def test_failures_are_left_out_and_pins_are_not_ranked() -> None:
    problem = Problem(space=reals(4), objectives=(OPS,), pins={"x3": 0.5})
    told = [
        observed({**one, "x3": 0.5}, 1.0 + one["x0"])
        if place % 5
        else observed({**one, "x3": 0.5}, failure=FailureKind.TIMED_OUT)
        for place, one in enumerate(drawn(reals(4), 50))
    ]
    ranking = rank_knobs(problem, told)
    assert (ranking.trials, ranking.failures) == (40, 10)
    assert ranking.knobs[0].knob == "x0"
    assert "x3" not in {one.knob for one in ranking.knobs}


def test_an_objective_below_zero_is_ranked_too() -> None:
    told = [observed(one, 10.0 * one["x2"] - 5.0) for one in drawn(reals(4), 40)]
    ranking = rank_knobs(Problem(space=reals(4), objectives=(OPS,)), told)
    assert ranking.deciding == ("x2",)
    assert ranking["x2"].share.low > 0.9


def test_the_lasso_path_is_told_beside() -> None:
    told = [observed(one, math.exp(3 * one["x1"] + one["x2"])) for one in drawn(reals(5), 60)]
    ranking = rank_knobs(Problem(space=reals(5), objectives=(OPS,)), told)
    assert (ranking["x1"].enters, ranking["x2"].enters) == (1, 2)


def test_the_same_seed_gives_the_same_and_it_survives_json() -> None:
    rng = np.random.default_rng(8)
    one = KnobFamily.drawn(KnobTraits(knobs=8, trials=30), rng)
    trials = one.trials(rng)
    ranking = rank_knobs(one.problem, trials, seed=3)
    assert ranking == rank_knobs(one.problem, trials, seed=3)
    assert Ranking.from_dict(json.loads(json.dumps(ranking.to_dict(), allow_nan=False))) == ranking


def test_many_knobs_and_many_trials_are_ranked() -> None:
    rng = np.random.default_rng(9)
    wide = KnobFamily.drawn(KnobTraits(knobs=100, trials=60), rng)
    assert set(rank_knobs(wide.problem, wide.trials(rng)).deciding) <= set(wide.decisive)
    long = KnobFamily.drawn(KnobTraits(knobs=6, decisive=3, trials=1600), rng)
    assert set(rank_knobs(long.problem, long.trials(rng)).deciding) == set(long.decisive)


@pytest.mark.parametrize("name", PROBLEMS)
def test_every_rehearsal_problem_is_ranked(name: str) -> None:
    problem = PROBLEMS[name]()
    rng = np.random.default_rng(4)
    told = [
        rehearse(problem, one, rng)
        for one in sample(SpaceEncoder(problem.space, problem.pins), 40, rng)
    ]
    ranking = ranking_of(Effects.fit(problem, told))
    free = [column.knob for column in SpaceEncoder(problem.space, problem.pins).columns]
    assert sorted(one.knob for one in ranking.knobs) == sorted(free)
    json.dumps(ranking.to_dict(), allow_nan=False)


@settings(max_examples=12, deadline=None)
@given(
    values=st.lists(st.one_of(st.none(), READINGS.filter(math.isfinite)), max_size=25),
    repeats=st.booleans(),
)
def test_whatever_was_told_there_is_a_ranking(values: list[float | None], repeats: bool) -> None:
    space = reals(3)
    configurations = drawn(space, 5 if repeats else 25) * 5
    told = [
        observed(one, failure=FailureKind.WORKLOAD_FAILED)
        if value is None
        else observed(one, value)
        for one, value in zip(configurations, values, strict=False)
    ]
    ranking = rank_knobs(Problem(space=space, objectives=(OPS,)), told)
    for one in ranking.knobs:
        assert 0.0 <= one.share.low <= one.share.value <= one.share.high <= 1.0
        assert one.place_low <= one.place <= one.place_high
    json.dumps(ranking.to_dict(), allow_nan=False)
