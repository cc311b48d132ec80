"""Knobs: normal forms, refusals, and round trips over JSON for any knob that can be declared."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.errors import InvalidKnob
from targets.knobs import Effect, Knob, KnobType, Risk, Scale, Scope, Special

NAMES = st.from_regex(r"[a-z][a-z0-9_.-]{0,12}", fullmatch=True)
FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)
VALUES = st.one_of(st.booleans(), st.integers(-(10**6), 10**6), FINITE, st.text(max_size=8))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def knobs(draw: st.DrawFn, name: st.SearchStrategy[str] = NAMES) -> Knob:
    """Any knob that can be declared."""
    fields: dict[str, Any] = {"type": draw(st.sampled_from(KnobType))}
    if fields["type"] in (KnobType.INTEGER, KnobType.REAL):
        numbers = st.integers(-(2**60), 2**60) if fields["type"] is KnobType.INTEGER else FINITE
        low, high = sorted((draw(numbers), draw(numbers)))
        fields |= {"low": low, "high": high, "default": draw(st.sampled_from([low, high]))}
        fields["scale"] = draw(st.sampled_from(Scale)) if low > 0 else Scale.LINEAR
    elif fields["type"] is KnobType.BOOLEAN:
        fields["default"] = draw(st.booleans())
    else:
        fields["levels"] = tuple(draw(st.lists(VALUES, min_size=1, max_size=5, unique=True)))
        fields["default"] = draw(st.sampled_from(fields["levels"]))
    special = draw(st.lists(VALUES, max_size=2, unique=True))
    return Knob(
        name=draw(name),
        special=tuple(Special(value=value, meaning="own") for value in special),
        unit=draw(st.sampled_from(["", "KiB", "pages of 8 KiB"])),
        effect=draw(st.sampled_from(Effect)),
        scope=draw(st.sampled_from(Scope)),
        risk=draw(st.sampled_from(Risk)),
        help=draw(st.text(max_size=10)),
        **fields,
    )


@given(knobs())
def test_any_knob_survives_json(knob: Knob) -> None:
    carried = json.loads(json.dumps(knob.to_dict(), allow_nan=False))
    assert Knob.from_dict(carried) == knob
    assert Knob.from_dict(carried).to_dict() == knob.to_dict()


@given(knobs(), VALUES)
def test_check_is_idempotent_and_keeps_the_value(knob: Knob, value: object) -> None:
    try:
        checked = knob.check(value)
    except InvalidKnob as error:
        assert knob.name in str(error)
        return
    assert checked == value
    assert knob.check(checked) == checked
    assert type(knob.check(checked)) is type(checked)
    if knob.is_number and checked not in knob.special_values:
        assert knob.low <= checked <= knob.high


@given(st.dictionaries(st.sampled_from([*Knob.__dataclass_fields__, "other"]), JSON))
def test_no_data_raises_anything_but_invalid_knob(data: dict[str, Any]) -> None:
    with contextlib.suppress(InvalidKnob):
        Knob.from_dict({**integer().to_dict(), **data})


@given(JSON)
def test_no_json_raises_anything_but_invalid_knob(data: Any) -> None:
    with pytest.raises(InvalidKnob):
        Knob.from_dict(data)


def integer(**fields: Any) -> Knob:
    plain = {"name": "k", "type": KnobType.INTEGER, "low": 1, "high": 9, "default": 3}
    return Knob(**{**plain, **fields})


@pytest.mark.parametrize(
    ("value", "form"),
    [(3, 3), (3.0, 3), (-1, -1)],
)
def test_normal_form_of_an_integer(value: object, form: object) -> None:
    checked = integer(special=(Special(value=-1, meaning="automatic"),)).check(value)
    assert (checked, type(checked)) == (form, type(form))


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        (0, "outside 1..9 KiB"),
        (10**400, "finite"),
        (2.5, "no whole number"),
        (True, "no number"),
        ("3", "no number"),
        (None, "a value is true, false, a finite number or a text"),
        (math.nan, "finite"),
        (math.inf, "finite"),
        ([3], "a value is"),
    ],
)
def test_refusal_says_the_rule(value: object, rule: str) -> None:
    with pytest.raises(InvalidKnob, match=rule) as refused:
        integer(unit="KiB").check(value)
    assert "knob k=" in str(refused.value)


def test_true_one_and_its_text_are_three_values() -> None:
    knob = Knob(name="k", type=KnobType.CATEGORICAL, levels=("1", 1), default="1")
    assert knob.check(1) == 1
    assert knob.check("1") == "1"
    with pytest.raises(InvalidKnob):
        knob.check(True)


def test_default_takes_its_normal_form() -> None:
    knob = Knob(name="k", type=KnobType.REAL, low=0, high=2, default=1)
    assert type(knob.default) is float


@pytest.mark.parametrize(
    "fields",
    [
        {"name": ""},
        {"name": " blank in front"},
        {"name": "blank behind "},
        {"name": "bell\a"},
        {"low": 10},
        {"low": None},
        {"high": math.inf},
        {"low": 0.5},
        {"low": 0, "scale": Scale.LOG},
        {"default": 10},
        {"levels": (1, 2)},
        {"type": KnobType.BOOLEAN},
        {"type": KnobType.CATEGORICAL, "low": None, "high": None},
        {"type": KnobType.CATEGORICAL, "low": None, "high": None, "levels": (3, 3)},
        {"special": (Special(value=math.nan, meaning="odd"),)},
    ],
)
def test_wrong_declarations_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidKnob):
        integer(**fields)
