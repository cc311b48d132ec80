"""Workload mapping: the same mix is the same workload at any load, and a stranger is nobody."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.metrics import Metric, MetricKind
from tests.tuner.anything import READINGS
from tuner.pipeline import KnownWorkloads, WorkloadMapping, Yardstick, map_workload
from tuner.pipeline.simulated_workloads import STRANGER, Loads, WorkloadFamily, WorkloadTraits

# A number that is none would be told to people, and refused by the knowledge base.
pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

Window = dict[str, float]


def family(seed: int = 0, **traits: object) -> tuple[WorkloadFamily, np.random.Generator]:
    rng = np.random.default_rng(seed)
    return WorkloadFamily.drawn(replace(WorkloadTraits(metrics=50), **traits), rng), rng


@pytest.mark.parametrize("told", [True, False], ids=["kinds told", "kinds not told"])
def test_families_of_any_kind_are_mapped_and_strangers_are_nobody(told: bool) -> None:
    rng = np.random.default_rng(11)
    right = none = 0
    for _ in range(20):
        drawn = WorkloadTraits.drawn(rng)
        few = replace(drawn, metrics=min(drawn.metrics, 60), workloads=min(drawn.workloads, 8))
        one = WorkloadFamily.drawn(few, rng)
        known = KnownWorkloads.learn(one.known(rng), one.metrics if told else None)
        for workload in ("w0", STRANGER):
            load = float(np.exp(rng.uniform(math.log(0.25), math.log(10.0))))
            answer = known.map(one.observe(workload, [load] * 5, rng))
            right += answer.name == workload
            none += workload == STRANGER and answer.name is None
    assert right >= 17
    assert none >= 17


@pytest.mark.parametrize("rate", [0.25, 4.0, 10.0])
def test_values_below_zero_follow_the_load_too(rate: float) -> None:
    one, rng = family(seed=8, linear=1.0)
    known = KnownWorkloads.learn(one.known(rng), one.metrics)
    windows = one.observe("w5", [rate] * 5, rng)
    assert min(min(window.values()) for window in windows) < 0
    answer = known.map(windows)
    assert answer.name == "w5"
    assert answer.best is not None
    assert answer.best.load == pytest.approx(rate, rel=0.1)


def test_a_target_that_scatters_more_than_the_known_is_still_known() -> None:
    one, rng = family(seed=9, windows=1, noise=0.2)
    known = KnownWorkloads.learn(one.known(rng), one.metrics)
    answers = [known.map(one.observe(f"w{k}", [2.0] * 5, rng)).name for k in range(8)]
    assert sum(name == f"w{k}" for k, name in enumerate(answers)) >= 7


@pytest.mark.parametrize("load", [0.25, 1.0, 4.0])
def test_the_same_mix_at_another_load_is_the_same_workload(load: float) -> None:
    one, rng = family(nonlinear=0.2)
    answer = map_workload(one.observe("w3", [load] * 5, rng), one.known(rng), one.metrics)
    assert answer.name == "w3"
    assert answer.confidence > 0.9
    assert answer.best is not None
    assert answer.best.load == pytest.approx(load, rel=0.1)
    assert "w3" in answer.reason


def test_windows_of_one_observation_may_each_have_their_own_load() -> None:
    one, rng = family(seed=2)
    answer = map_workload(one.observe("w1", [0.3, 1.0, 3.5], rng), one.known(rng), one.metrics)
    assert answer.name == "w1"


def test_a_fingerprint_does_not_move_with_a_common_change_of_rate() -> None:
    one, rng = family()
    yardstick = Yardstick.learn(one.known(rng), one.metrics)
    [window] = one.observe("w2", [1.0], rng)
    counters = {m.name for m in one.metrics if m.kind is MetricKind.COUNTER}
    faster = {name: value * (4.0 if name in counters else 1.0) for name, value in window.items()}
    slow, fast = (yardstick.fingerprint([each]) for each in (window, faster))
    spread = np.median(np.abs(slow.shape(yardstick) - yardstick.reference))
    moved = np.median(np.abs(fast.shape(yardstick) - slow.shape(yardstick)))
    assert fast.load - slow.load == pytest.approx(math.log(4.0), rel=0.15)
    assert moved < 0.2 * spread


def test_how_metrics_answer_to_load_is_learnt_where_loads_vary() -> None:
    one, rng = family(nonlinear=0.4, loads=Loads.VARYING, windows=10)
    yardstick = Yardstick.learn(one.known(rng))
    place = {metric.name: number for number, metric in enumerate(one.metrics)}
    true = np.array([one.exponents[place[name]] for name in yardstick.names])
    limited = np.array([np.isfinite(one.ceilings[place[name]]) for name in yardstick.names])
    error = np.abs(yardstick.answers.mean - true)[~limited]
    assert np.median(error) < 0.05
    assert np.quantile(error, 0.9) < 0.2


def test_metrics_are_matched_by_name_and_may_be_missing() -> None:
    one, rng = family(seed=4)
    known = one.known(rng)
    names = [metric.name for metric in one.metrics]
    known["w0"] = [{name: w[name] for name in names[10:]} for w in known["w0"]]
    known["w1"] = [w | {"only_here": 3.0 + k} for k, w in enumerate(known["w1"])]
    windows = [
        {name: w[name] for name in names[:40]} | {"new": 1.0, names[0]: math.nan}
        for w in one.observe("w0", [2.0] * 5, rng)
    ]
    answer = map_workload(windows, known, one.metrics)
    assert answer.name == "w0"
    assert answer.matches[0].shared_metrics == 30


@pytest.mark.parametrize("workloads", [1, 2])
def test_few_known_workloads_are_enough(workloads: int) -> None:
    one, rng = family(seed=5, workloads=workloads)
    known = KnownWorkloads.learn(one.known(rng), one.metrics)
    assert known.map(one.observe("w0", [2.0] * 5, rng)).name == "w0"
    assert known.map(one.observe(STRANGER, [2.0] * 5, rng)).name is None


def test_a_saturated_utilisation_does_not_dominate() -> None:
    one, rng = family(seed=6)
    known = one.known(rng)
    for windows in known.values():
        for window in windows:
            window |= {f"busy{k}": 0.3 + 0.01 * rng.random() for k in range(8)}
    busy = [w | {f"busy{k}": 1.0 for k in range(8)} for w in one.observe("w4", [4.0] * 5, rng)]
    assert map_workload(busy, known, one.metrics).name == "w4"


def test_one_window_of_one_workload_is_enough_to_begin_with() -> None:
    one, rng = family(seed=10, workloads=1, windows=1)
    known = KnownWorkloads.learn(one.known(rng), one.metrics)
    assert known.map(one.observe("w0", [2.0] * 5, rng)).name == "w0"
    assert known.map(one.observe(STRANGER, [2.0] * 5, rng)).name is None


def test_two_metrics_tell_nothing() -> None:
    known = {"a": [{"x": 1.0, "y": 2.0}, {"x": 1.1, "y": 2.1}]}
    answer = map_workload([{"x": 1.0, "y": 2.0}], known)
    assert answer.name is None
    assert "nothing can be told" in answer.reason


def test_nobody_is_known_yet() -> None:
    answer = map_workload([{"a": 1.0}], {})
    assert answer.name is None
    assert answer.none_probability == 1.0
    assert answer.reason == "no workload is known yet"


def test_without_metrics_in_common_it_is_none_of_them() -> None:
    one, rng = family()
    answer = map_workload([{"other": 1.0}], one.known(rng))
    assert answer.name is None
    assert answer.none_probability == 1.0


def test_no_window_is_refused() -> None:
    one, rng = family()
    with pytest.raises(ValueError, match="at least one window"):
        map_workload([], one.known(rng))


def test_confidence_is_honest() -> None:
    rng = np.random.default_rng(21)
    sure, right = [], []
    for _ in range(15):
        traits = replace(WorkloadTraits.drawn(rng), factors=2, metrics=25, workloads=6)
        one = WorkloadFamily.drawn(traits, rng)
        known = KnownWorkloads.learn(one.known(rng), one.metrics)
        for workload in ("w0", "w1", STRANGER):
            answer = known.map(one.observe(workload, [2.0], rng))
            sure.append(answer.confidence)
            right.append((answer.name or STRANGER) == workload)
    assert np.mean(right) > 0.75
    assert abs(np.mean(sure) - np.mean(right)) < 0.12


def test_both_artefacts_survive_json() -> None:
    one, rng = family(seed=7)
    known = one.known(rng)
    known["w0"] = [{k: v for k, v in window.items() if k != "m1"} for window in known["w0"]]
    learnt = KnownWorkloads.learn(known, one.metrics)
    again = KnownWorkloads.from_dict(json.loads(json.dumps(learnt.to_dict(), allow_nan=False)))
    windows = one.observe("w2", [0.5] * 3, rng)
    answer = learnt.map(windows)
    assert again.map(windows) == answer
    assert WorkloadMapping.from_dict(json.loads(json.dumps(answer.to_dict()))) == answer
    assert sum(m.probability for m in answer.matches) + answer.none_probability == pytest.approx(1)


windows_of_any_kind = st.lists(
    st.dictionaries(st.sampled_from("abcdefg"), READINGS, max_size=7), min_size=1, max_size=4
)


@settings(max_examples=40, deadline=None)
@given(
    known=st.dictionaries(st.sampled_from("xyz"), windows_of_any_kind, max_size=3),
    target=windows_of_any_kind,
    told=st.booleans(),
)
def test_whatever_is_read_there_is_an_answer(
    known: dict[str, list[Window]], target: list[Window], told: bool
) -> None:
    metrics = [Metric(name=name, kind=MetricKind.COUNTER) for name in "abcd"] if told else None
    learnt = KnownWorkloads.learn(known, metrics)
    answer = learnt.map(target)
    total = sum(match.probability for match in answer.matches) + answer.none_probability
    assert total == pytest.approx(1.0)
    json.dumps([answer.to_dict(), learnt.to_dict()], allow_nan=False)
    json.dumps(learnt.fingerprint(target).to_dict(), allow_nan=False)
