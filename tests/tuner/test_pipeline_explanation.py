"""Explanations name the planted causes, never an inert knob, and say from what evidence."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.knobs import Configuration, Knob, KnobType
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace
from tests.tuner.anything import READINGS
from tuner.pipeline import Certainty, Explanation, explain
from tuner.pipeline.simulated_knobs import KnobFamily, KnobTraits
from tuner.recommenders.base import Observation, Problem
from tuner.space import SpaceEncoder

# A number that is none would be told to people, and refused by the knowledge base.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

LATENCY = Objective(name="p99", direction=Direction.MINIMISE, unit="ms")
KNOBS = (
    Knob(name="cache", type=KnobType.INTEGER, low=0, high=100, default=10),
    Knob(name="mode", type=KnobType.CATEGORICAL, levels=("slow", "fast"), default="slow"),
    Knob(name="idle", type=KnobType.REAL, low=0.0, high=1.0, default=0.0),
    Knob(name="lazy", type=KnobType.REAL, low=0.0, high=1.0, default=0.0),
)
PROBLEM = Problem(space=KnobSpace(KNOBS), objectives=(LATENCY,))
BASELINE = {"cache": 10, "mode": "slow", "idle": 0.0, "lazy": 0.0}
CHOSEN = {"cache": 90, "mode": "fast", "idle": 0.9, "lazy": 0.0}


def latency(one: Configuration) -> float:
    return 100.0 * math.exp(-0.005 * one["cache"] - 0.2 * (one["mode"] == "fast"))


def trials(
    count: int = 60, *, noise: float = 0.03, problem: Problem = PROBLEM
) -> list[Observation]:
    rng = np.random.default_rng(0)
    encoder = SpaceEncoder(problem.space)
    drawn = encoder.decode_many(encoder.from_unit(rng.random((count, encoder.n_columns))))
    return [
        Observation(configuration=one, values={"p99": (latency(one) * rng.lognormal(0.0, noise),)})
        for one in (BASELINE, CHOSEN, *drawn)
        if not encoder.broken(one)
    ]


def test_it_tells_what_each_changed_knob_gives() -> None:
    explanation = explain(PROBLEM, trials(), CHOSEN, BASELINE)
    assert explanation.causes == ("cache", "mode")
    by_name = {one.knob: one for one in explanation.contributions}
    assert set(by_name) == {"cache", "mode", "idle"}
    for knob, gain in {"cache": 0.4, "mode": 0.2, "idle": 0.0}.items():
        assert by_name[knob].gain.low <= gain <= by_name[knob].gain.high
    assert by_name["idle"].certainty is Certainty.NO_DIFFERENCE
    assert explanation.expected.low < 0.6 < explanation.expected.high
    assert explanation.measured is not None
    assert explanation.measured.low < 0.6 < explanation.measured.high
    total = sum(one.gain.value for one in explanation.contributions)
    assert total == pytest.approx(explanation.expected.value, abs=0.02)


def test_it_says_so_in_plain_words() -> None:
    explanation = explain(PROBLEM, trials(), CHOSEN, BASELINE)
    assert "for sure because of: cache +" in explanation.text
    assert "changed without making a difference: idle" in explanation.text
    assert "measured against the baseline: +" in explanation.text
    [cache] = [one for one in explanation.contributions if one.knob == "cache"]
    assert cache.text.startswith("cache: 10 -> 90: +")
    assert "trials varied it" in cache.text


def test_what_makes_no_difference_may_be_set_back() -> None:
    explanation = explain(PROBLEM, trials(), CHOSEN, BASELINE)
    assert explanation.unused == ("idle",)
    assert explanation.simplified == {**CHOSEN, "idle": 0.0}


def test_what_a_constraint_needs_is_not_set_back() -> None:
    rule = Constraint(expression="idle >= 0.5 or cache < 50")
    problem = replace(PROBLEM, space=KnobSpace(KNOBS, (rule,)))
    explanation = explain(problem, trials(120, problem=problem), CHOSEN, BASELINE)
    assert explanation.unused == ("idle",)
    assert explanation.simplified is None


def test_a_change_for_the_worse_is_told_as_one() -> None:
    explanation = explain(PROBLEM, trials(), BASELINE, CHOSEN)
    assert explanation.expected.high < 0.0
    assert all(one.gain.value < 0 for one in explanation.contributions if one.is_cause)


def test_evidence_counts_what_was_measured() -> None:
    told = trials(20)
    alone = {**BASELINE, "cache": 90}
    told.append(Observation(configuration=alone, values={"p99": (latency(alone),)}))
    explanation = explain(PROBLEM, told, CHOSEN, BASELINE)
    [cache] = [one for one in explanation.contributions if one.knob == "cache"]
    assert cache.evidence.alone == 1
    assert "once by itself" in cache.text
    assert cache.evidence.varied >= 20
    kept = [one for one in told if one.configuration["mode"] == "slow"]
    blind = explain(PROBLEM, kept, CHOSEN, BASELINE)
    [mode] = [one for one in blind.contributions if one.knob == "mode"]
    assert mode.evidence.near == 0
    assert "by the model only" in mode.text
    assert not mode.is_cause


def test_too_little_was_measured_to_name_a_cause() -> None:
    explanation = explain(PROBLEM, trials(3), CHOSEN, BASELINE)
    assert explanation.causes == ()
    assert explanation.unused == ()
    assert "no cause can be named" in explanation.text
    assert all(one.gain.low <= 0.0 <= one.gain.high for one in explanation.contributions)


def test_noise_explains_nothing() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        told = [replace(one, values={"p99": (rng.lognormal(0.0, 0.1),)}) for one in trials(40)]
        explanation = explain(PROBLEM, told, CHOSEN, BASELINE)
        assert explanation.causes == ()
        assert all(one.gain.low <= 0.0 <= one.gain.high for one in explanation.contributions)


@pytest.mark.parametrize("values", [(), (7.0,), (0.0,), (1e300, 1e-300), (-1e300, 1e300)])
def test_whatever_was_measured_there_is_an_explanation(values: tuple[float, ...]) -> None:
    told = [
        replace(one, values={"p99": (values[place % len(values)],)})
        for place, one in enumerate(trials(20))
        if values
    ]
    explanation = explain(PROBLEM, told, CHOSEN, BASELINE)
    assert explanation.causes == ()
    data = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert Explanation.from_dict(data) == explanation


def test_nothing_changed_needs_no_explanation() -> None:
    explanation = explain(PROBLEM, trials(), BASELINE, BASELINE)
    assert explanation.contributions == ()
    assert "nothing is changed" in explanation.text


def test_an_objective_without_percentages_is_told_in_its_unit() -> None:
    told = [replace(one, values={"p99": (50.0 - one.configuration["cache"],)}) for one in trials()]
    explanation = explain(PROBLEM, told, CHOSEN, BASELINE)
    assert not explanation.relative
    assert explanation.causes == ("cache",)
    assert explanation.contributions[0].gain.value == pytest.approx(80.0, rel=0.05)
    assert "%" not in explanation.contributions[0].text


def test_planted_causes_are_named_and_never_an_inert_knob() -> None:
    rng = np.random.default_rng(6)
    named = planted = blamed = wrong = 0
    for _ in range(8):
        one = KnobFamily.drawn(replace(KnobTraits.drawn(rng), knobs=16, decisive=4, trials=80), rng)
        baseline, rows = one.problem.space.default(), one.draw(100, rng)
        best = one.encoder.decode(rows[int((one.truth(rows) * one.sign).argmax())])
        gains = one.gains(baseline, best)
        explanation = explain(one.problem, one.trials(rng), best, baseline)
        large = {knob for knob, gain in gains.items() if abs(gain) >= 0.1}
        planted += len(large)
        named += len(large & set(explanation.causes))
        blamed += len(set(explanation.causes) - set(one.decisive))
        for part in explanation.contributions:
            if part.is_cause:
                wrong += part.gain.value * gains[part.knob] <= 0
    assert blamed == 0
    assert wrong == 0
    assert named >= 0.8 * planted


def test_it_survives_json() -> None:
    explanation = explain(PROBLEM, trials(), CHOSEN, BASELINE)
    data = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert Explanation.from_dict(data) == explanation


def test_gains_without_percentages_are_in_the_objectives_unit_however_large() -> None:
    def told(factor: float) -> Explanation:
        seen = [
            replace(one, values={"p99": tuple(factor * (v - 100.0) for v in one.values["p99"])})
            for one in trials()
        ]
        return explain(PROBLEM, seen, CHOSEN, BASELINE)

    ordinary, huge, tiny = told(1.0), told(2.0**900), told(2.0**-900)
    assert not ordinary.relative and ordinary.causes == huge.causes == tiny.causes != ()
    for one, other, least in zip(
        ordinary.contributions, huge.contributions, tiny.contributions, strict=True
    ):
        assert other.gain.value == pytest.approx(one.gain.value * 2.0**900)
        assert least.gain.low == pytest.approx(one.gain.low * 2.0**-900)
    assert "inf" not in told(1e306).text


@settings(max_examples=12, deadline=None)
@given(st.lists(READINGS.filter(math.isfinite), min_size=8, max_size=20), st.booleans())
def test_any_values_that_were_measured_are_explained(values: list[float], repeats: bool) -> None:
    seen = [
        replace(one, values={"p99": (value, value) if repeats else (value,)})
        for one, value in zip(trials(20), values, strict=False)
    ]
    explanation = explain(PROBLEM, seen, CHOSEN, seen[0].configuration)
    for one in (explanation.expected, *(part.gain for part in explanation.contributions)):
        assert one.low <= one.value <= one.high
    json.dumps(explanation.to_dict(), allow_nan=False)
