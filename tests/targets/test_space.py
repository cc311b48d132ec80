"""Knob spaces: whole configurations, the rules between knobs, and what makes two alike."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.errors import InvalidExpression, InvalidKnob, Rejected
from targets.knobs import Knob, KnobType
from targets.space import Constraint, KnobSpace
from targets.testing import random_value

SPACE = KnobSpace(
    (
        Knob(name="cache", type=KnobType.INTEGER, low=0, high=100, default=10),
        Knob(name="buffer", type=KnobType.INTEGER, low=0, high=100, default=10),
        Knob(name="prefetch", type=KnobType.BOOLEAN, default=False),
        Knob(name="depth", type=KnobType.REAL, low=0, high=8, default=1, active_when="prefetch"),
    ),
    (Constraint(expression="cache + buffer <= 100", reason="one memory"),),
)


def change(**values: Any) -> dict[str, Any]:
    return {**SPACE.default(), **values}


def test_check_completes_orders_and_normalises() -> None:
    given_ = {"depth": 2, "prefetch": True, "buffer": 3.0, "cache": 4}
    checked = SPACE.check(given_)
    assert list(checked) == ["cache", "buffer", "prefetch", "depth"]
    assert json.dumps(checked) == '{"cache": 4, "buffer": 3, "prefetch": true, "depth": 2.0}'


def test_refusal_lists_every_fault() -> None:
    with pytest.raises(Rejected) as refused:
        SPACE.check({"cache": 101, "prefetch": 1, "depth": 1, "other": 3})
    for fault in ("other: no such knob", "cache=101", "prefetch=1", "buffer has no value"):
        assert fault in str(refused.value)


def test_broken_constraint_says_why() -> None:
    with pytest.raises(Rejected, match=r"cache \+ buffer <= 100 does not hold \(one memory\)"):
        SPACE.check(change(cache=60, buffer=60))


def test_rule_that_cannot_be_evaluated_refuses_the_configuration() -> None:
    space = KnobSpace(SPACE.knobs, (Constraint(expression="10 / cache >= 1"),))
    assert space.check(change(cache=5))
    with pytest.raises(Rejected, match="division by zero"):
        space.check(change(cache=0))


def test_condition_that_cannot_be_evaluated_does_not_hold() -> None:
    condition = "10 / cache > 1"
    knob = Knob(name="x", type=KnobType.BOOLEAN, default=True, active_when=condition)
    space = KnobSpace((SPACE["cache"], knob))
    assert space.is_active("x", {"cache": 5, "x": True})
    assert not space.is_active("x", {"cache": 0, "x": True})


def test_key_leaves_out_what_has_no_effect() -> None:
    off = change(prefetch=False)
    assert SPACE.key(off) == SPACE.key({**off, "depth": 5})
    on = change(prefetch=True)
    assert SPACE.key(on) != SPACE.key({**on, "depth": 5})
    assert SPACE.key(on) == SPACE.key(dict(reversed({**on, "depth": 1}.items())))


def test_differences() -> None:
    assert SPACE.differences(change(cache=1), change(cache=2)) == {"cache": (1, 2)}


@pytest.mark.parametrize(
    ("knobs", "constraints", "error"),
    [
        ((SPACE["cache"], SPACE["cache"]), (), InvalidKnob),
        ((SPACE["cache"],), (Constraint(expression="cache < buffer"),), InvalidExpression),
        ((SPACE["cache"],), (Constraint(expression="cache <"),), InvalidExpression),
        ((SPACE["depth"],), (), InvalidExpression),
    ],
)
def test_wrong_spaces_are_refused(knobs: Any, constraints: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        KnobSpace(knobs, constraints)


def test_unknown_knob_lists_those_there_are() -> None:
    with pytest.raises(InvalidKnob, match="cache, buffer"):
        SPACE["cash"]


def test_space_survives_json_with_its_digest() -> None:
    carried = KnobSpace.from_dict(json.loads(json.dumps(SPACE.to_dict())))
    assert carried == SPACE
    assert carried.digest() == SPACE.digest()
    other = KnobSpace(SPACE.knobs)
    assert other.digest() != SPACE.digest()


@pytest.mark.parametrize(
    "data",
    [
        [],
        None,
        "x",
        {},
        {"knobs": 3},
        {"knobs": [3]},
        {"knobs": [], "constraints": [{"expresion": "1"}]},
        {"knobs": [], "constraints": [{"expression": 1}]},
        {"knobs": [], "constraints": 1},
    ],
)
def test_no_data_raises_anything_but_invalid_knob(data: Any) -> None:
    with pytest.raises(InvalidKnob):
        KnobSpace.from_dict(data)


@given(st.randoms(use_true_random=False))
def test_check_is_idempotent(rng: Any) -> None:
    configuration = {knob.name: random_value(knob, rng) for knob in SPACE}
    try:
        checked = SPACE.check(configuration)
    except Rejected:
        assert configuration["cache"] + configuration["buffer"] > 100
        return
    assert checked == configuration
    assert SPACE.check(checked) == checked
    assert SPACE.check(json.loads(json.dumps(checked))) == checked
