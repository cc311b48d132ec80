"""Every policy and every knob that the cache-policy target offers does something of its own."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from pathlib import Path

import pytest

from targets.adapter import Purpose
from targets.cache_policy.adapter import CachePolicyAdapter
from targets.cache_policy.policies import POLICIES, admission_part, cache_part
from targets.cache_policy.traces import Parts, trace_of
from targets.cache_policy.worker import Replay, inspect, replay
from targets.knobs import Value
from targets.space import KnobSpace

TRACES = ("zipf", "loop", "phases")
REQUESTS = 20_000

Misses = tuple[int, ...]


class Bench:
    """Replays configurations on several traces, all in one process beside this one."""

    def __init__(self, workdir: Path, pool: Executor) -> None:
        self._pool = pool
        adapter = CachePolicyAdapter({}, workdir)
        self.space: KnobSpace = adapter.describe().space
        self._seen: dict[str, Misses] = {}
        self._orders = []
        for name in TRACES:
            settings = {**adapter.settings, "trace": name, "requests": REQUESTS}
            trace = trace_of(settings, workdir)
            found = inspect(trace, unseen_share=0.4)
            warm, counted = Parts.of(found.requests, unseen_share=0.4).replayed(Purpose.SEARCH)
            self._orders.append((trace, found.objects, found.objects // 5, warm, counted))

    def misses(self, **values: Value) -> Misses:
        configuration = {**self.space.default(), **values}
        key = self.space.key(configuration)
        if key not in self._seen:
            orders = [
                Replay(
                    trace=trace,
                    cache=cache_part(configuration, capacity=capacity),
                    admission=admission_part(configuration),
                    capacity=capacity,
                    objects=objects,
                    warm=warm,
                    counted=counted,
                )
                for trace, objects, capacity, warm, counted in self._orders
            ]
            self._seen[key] = tuple(outcome.misses for outcome in self._pool.map(replay, orders))
        return self._seen[key]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    # A process of its own: what crashes there is a failed test, not the end of the run.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield Bench(tmp_path_factory.mktemp("traces"), pool)


def test_the_catalogue_offers_the_policies_that_can_be_made(bench: Bench) -> None:
    assert set(bench.space["policy"].levels) == set(POLICIES)


def test_no_policy_is_another_in_disguise(bench: Bench) -> None:
    outcomes = {policy: bench.misses(policy=policy) for policy in POLICIES}
    assert len(set(outcomes.values())) == len(POLICIES), outcomes


def test_policies_that_fall_back_to_lru_are_not_offered() -> None:
    classes = {policy.cls for policy in POLICIES.values()}
    assert not classes & {"LRB", "ThreeLCache", "GLCache", "ClockPro", "Belady", "BeladySize"}


@pytest.mark.parametrize(
    ("knob", "rest"),
    [
        ("newcomer_share", {"policy": "s3-fifo"}),
        ("newcomer_share", {"policy": "2q"}),
        ("newcomer_share", {"policy": "w-tinylfu"}),
        ("ghost_ratio", {"policy": "s3-fifo"}),
        ("ghost_ratio", {"policy": "2q"}),
        ("ghost_ratio", {"policy": "mq"}),
        ("lifetime", {"policy": "mq"}),
    ],
)
def test_every_level_of_a_parameter_acts(bench: Bench, knob: str, rest: dict[str, Value]) -> None:
    outcomes = {level: bench.misses(**rest, **{knob: level}) for level in bench.space[knob].levels}
    assert len(set(outcomes.values())) == len(outcomes), outcomes


@pytest.mark.parametrize("policy", list(POLICIES))
def test_every_admission_acts_on_every_policy(bench: Bench, policy: str) -> None:
    outcomes = [
        bench.misses(policy=policy, admission="all"),
        bench.misses(policy=policy, admission="second-request"),
        bench.misses(policy=policy, admission="coin", admission_probability=0.25),
        bench.misses(policy=policy, admission="coin", admission_probability=0.5),
    ]
    assert len(set(outcomes)) == len(outcomes), outcomes


def test_knobs_are_active_where_a_policy_takes_them(bench: Bench) -> None:
    for name, policy in POLICIES.items():
        taken = {*policy.parameters.values(), *policy.cache_sizes.values()}
        configuration = {**bench.space.default(), "policy": name}
        active = {
            knob.name for knob in bench.space if bench.space.is_active(knob.name, configuration)
        }
        assert active - {"policy", "admission"} == taken, name
