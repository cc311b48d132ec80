"""The Python face: spaces from plain data, ask, tell, recommend, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from targets.errors import InvalidKnob
from targets.knobs import KnobType, Scale, Value
from tuner import Optimizer, SuggestionKind, space_from_params

PARAMS: list[dict[str, Any]] = [
    {"name": "policy", "type": "categorical", "values": ["lru", "fifo", "arc"]},
    {"name": "block", "type": "ordinal", "values": [4, 8, 16, 32, 64]},
    {"name": "threads", "type": "int", "low": 1, "high": 64, "log": True},
    {"name": "ratio", "type": "float", "low": 0.0, "high": 1.0},
]


def seconds(configuration: Mapping[str, Value]) -> float:
    """3 at the best: arc, block 16, 8 threads, ratio 0.3."""
    return math.exp(
        math.log(3.0)
        + 0.5 * (configuration["policy"] != "arc")
        + 0.2 * abs(math.log2(float(configuration["block"]) / 16))
        + 0.3 * abs(math.log2(float(configuration["threads"]) / 8))
        + 2.0 * (float(configuration["ratio"]) - 0.3) ** 2
    )


def searched(
    trials: int, value: Callable[[Mapping[str, Value]], float] = seconds, **options: Any
) -> Optimizer:
    optimizer = Optimizer(space_from_params(PARAMS), **options)
    for _ in range(trials):
        configuration = optimizer.ask()
        optimizer.tell(configuration, value(configuration))
    return optimizer


def past(sign: float = 1.0, *, params: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """60 random observations of the same system, or of one where everything is the other way."""
    params = params or PARAMS
    space, rng = space_from_params(params), np.random.default_rng(5)
    drawn = [
        {
            "policy": str(rng.choice(["lru", "fifo", "arc"])),
            "block": int(rng.choice(params[1]["values"])),
            "threads": int(rng.integers(1, 65)),
            "ratio": float(rng.random()),
        }
        for _ in range(60)
    ]
    assert all(name in space for name in drawn[0])
    return {
        "task": "before",
        "params": params,
        "observations": [
            *((one, 10.0 * seconds(one) ** sign) for one in drawn[:55]),
            *((one, None) for one in drawn[55:]),
        ],
    }


class TestSpace:
    def test_each_type_becomes_a_knob(self) -> None:
        space = space_from_params(PARAMS)
        assert [knob.type for knob in space] == [
            KnobType.CATEGORICAL, KnobType.ORDINAL, KnobType.INTEGER, KnobType.REAL,
        ]  # fmt: skip
        assert space["threads"].scale is Scale.LOG and space["threads"].default == 8
        assert space["block"].levels == (4, 8, 16, 32, 64)

    @pytest.mark.parametrize(
        ("param", "says"),
        [
            ({"type": "int", "low": 0, "high": 1}, "has no name"),
            ({"name": "a", "type": "complex"}, "param a: type='complex' is none of"),
            ({"name": "a", "type": "float", "low": 0}, "param a: float needs numbers"),
            ({"name": "a", "type": "ordinal"}, "param a: ordinal needs values"),
            ("threads", "param 0: 'threads' is no object"),
        ],
    )
    def test_what_is_none_is_refused_by_name(self, param: Any, says: str) -> None:
        with pytest.raises(InvalidKnob, match=says):
            space_from_params([param])

    @pytest.mark.parametrize("params", [[], "threads", {"name": "threads"}])
    def test_params_that_are_no_list_of_knobs_are_refused(self, params: Any) -> None:
        with pytest.raises(InvalidKnob, match="describe no knob"):
            space_from_params(params)

    def test_a_name_may_have_blanks_inside_and_a_range_may_be_all_there_is(self) -> None:
        optimizer = Optimizer(
            space_from_params([{"name": "max gain", "type": "float", "low": -1e308, "high": 7e307}])
        )
        for value in range(9):
            optimizer.tell(optimizer.ask(), value)
        assert optimizer.ask().keys() == {"max gain"}


class TestAskAndTell:
    def test_it_finds_a_good_configuration_and_says_what_to_expect(self) -> None:
        best = searched(40).recommend()
        assert best is not None
        assert best.low <= best.value <= best.high
        assert seconds(best.configuration) < 3.6

    def test_the_higher_is_better_when_told_so(self) -> None:
        best = searched(40, lambda one: 1.0 / seconds(one), direction="max").recommend()
        assert best is not None and seconds(best.configuration) < 3.9

    def test_the_same_seed_and_answers_give_the_same(self) -> None:
        one, other = searched(14, seed=3), searched(14, seed=3)
        assert [told.configuration for told in one.observations] == [
            told.configuration for told in other.observations
        ]

    def test_what_was_never_asked_can_be_told(self) -> None:
        optimizer = searched(8)
        ideal = {"policy": "arc", "block": np.int64(16), "threads": 8, "ratio": 0.3}
        optimizer.tell(ideal, np.float64(3.0))
        best = optimizer.recommend()
        assert best is not None and best.configuration == ideal

    def test_failures_are_learnt_from_and_never_named(self) -> None:
        def tell(optimizer: Optimizer, configuration: dict[str, Value]) -> bool:
            failed = configuration["policy"] == "arc"
            if failed:
                optimizer.tell(configuration, failure="timed-out")
            else:
                optimizer.tell(configuration, seconds(configuration))
            return failed

        optimizer = Optimizer(space_from_params(PARAMS))
        failures = [tell(optimizer, optimizer.ask()) for _ in range(40)]
        # By chance 10 would be.
        assert sum(failures[10:]) <= 4
        best = optimizer.recommend()
        assert best is not None and best.configuration["policy"] != "arc"

    @pytest.mark.parametrize(
        ("value", "failure", "says"),
        [
            (None, None, "takes a value"),
            (math.nan, None, "not finite"),
            (math.inf, None, "not finite"),
            (None, "tired", "failure='tired' is none of"),
            (3.0, "timed-out", "not both"),
            ("3", None, "'3' is no number"),
            (True, None, "True is no number"),
        ],
    )
    def test_nonsense_is_refused_and_leaves_nothing_behind(
        self, value: Any, failure: str | None, says: str
    ) -> None:
        optimizer = Optimizer(space_from_params(PARAMS))
        configuration = optimizer.ask()
        with pytest.raises((TypeError, ValueError), match=says):
            optimizer.tell(configuration, value, failure=failure)
        assert optimizer.observations == [] and optimizer.pending == [configuration]

    @pytest.mark.parametrize("seed", [None, "1", -1, 0.5])
    def test_a_seed_that_is_none_is_refused(self, seed: Any) -> None:
        with pytest.raises(ValueError, match="seed="):
            Optimizer(space_from_params(PARAMS), seed=seed)

    def test_a_configuration_is_complete_and_in_its_domain(self) -> None:
        optimizer = Optimizer(space_from_params(PARAMS))
        with pytest.raises(InvalidKnob, match="size: no such knob, policy: missing"):
            optimizer.tell({"block": 4, "threads": 1, "ratio": 0.0, "size": 1}, 1.0)
        with pytest.raises(InvalidKnob, match="block"):
            optimizer.tell({"policy": "lru", "block": 5, "threads": 1, "ratio": 0.0}, 1.0)

    def test_several_at_once_differ(self) -> None:
        asked = searched(8).ask_many(5)
        assert len({tuple(one.values()) for one in asked}) == 5


class TestRepeats:
    def test_nothing_is_repeated_but_one_probe_where_repeats_agree(self) -> None:
        optimizer = Optimizer(space_from_params(PARAMS))
        kinds = []
        for _ in range(40):
            configuration = optimizer.ask()
            assert optimizer.last_suggestion is not None
            kinds.append(optimizer.last_suggestion.kind)
            optimizer.tell(configuration, seconds(configuration))
        assert kinds.count(SuggestionKind.RE_MEASURE) == 1
        asked = [tuple(told.configuration.values()) for told in optimizer.observations]
        assert len(set(asked)) == 39

    def test_a_deterministic_objective_needs_no_probe(self) -> None:
        optimizer = searched(30, deterministic=True)
        asked = [tuple(told.configuration.values()) for told in optimizer.observations]
        assert len(set(asked)) == 30

    def test_under_noise_the_best_are_measured_again(self) -> None:
        rng = np.random.default_rng(2)
        optimizer = searched(40, lambda one: seconds(one) * math.exp(0.2 * rng.standard_normal()))
        asked = [tuple(told.configuration.values()) for told in optimizer.observations]
        assert 3 <= 40 - len(set(asked)) <= 8


class TestHistory:
    def test_it_gives_a_good_first_trial(self) -> None:
        first = searched(1, history=[past()])
        assert first.last_suggestion is not None
        assert first.last_suggestion.kind is SuggestionKind.WARM_START
        assert "before" in first.last_suggestion.reason
        [told] = first.observations
        assert told.values["objective"][0] < min(
            searched(1, seed=seed).observations[0].values["objective"][0] for seed in range(5)
        )

    def test_a_misleading_one_does_little_harm(self) -> None:
        def best(history: list[dict[str, Any]], seed: int) -> float:
            named = searched(25, history=history, seed=seed).recommend()
            assert named is not None
            return math.log(named.value / 3.0)

        cold = np.mean([best([], seed) for seed in range(4)])
        misled = np.mean([best([past(-1.0)], seed) for seed in range(4)])
        assert misled < cold + 0.15

    def test_spaces_that_differ_are_matched_knob_by_knob(self) -> None:
        other = [
            PARAMS[0],
            {**PARAMS[1], "values": [8, 16, 32, 128]},
            {"name": "extra", "type": "float", "low": 0, "high": 1},
            *PARAMS[2:],
        ]
        history = past(params=[one for one in other if one["name"] != "extra"])
        history = {
            **history,
            "params": other,
            "observations": [
                ({**one, "extra": 0.5}, value) for one, value in history["observations"]
            ],
        }

        def best(known: list[dict[str, Any]], seed: int) -> float:
            told = searched(8, history=known, seed=seed).observations
            return min(one.values["objective"][0] for one in told)

        warm, cold = (
            np.mean([best(known, seed) for seed in range(3)]) for known in ([history], [])
        )
        assert warm < 0.75 * cold

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ({"task": "t", "params": PARAMS}, "history t: observations is missing"),
            ({"task": "t", "params": PARAMS, "observations": [({}, 1.0)]}, "observation 0"),
            ({"task": "t", "params": PARAMS, "observations": [3]}, "observation 0"),
            (
                {
                    "task": "t",
                    "params": PARAMS[3:],
                    "observations": [({"ratio": 0.5}, 1.0), ({"ratio": 0.1}, math.nan)],
                },
                "history t, observation 1: .*=nan is not finite",
            ),
        ],
    )
    def test_a_wrong_one_is_refused(self, given: dict[str, Any], says: str) -> None:
        with pytest.raises(ValueError, match=says):
            Optimizer(space_from_params(PARAMS), history=[given])
