"""Encoding configurations and back: exact, canonical, special values given their share."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.errors import InvalidKnob
from targets.knobs import Knob, KnobType, Scale, Special
from targets.space import Constraint, KnobSpace
from tuner.axes import MAXIMUM_STEPS, SPECIAL_SHARE, ColumnKind
from tuner.rehearsal import PROBLEMS
from tuner.space import SpaceEncoder


def integer(name: str, low: int, high: int, default: int, **fields: object) -> Knob:
    return Knob(name=name, type=KnobType.INTEGER, low=low, high=high, default=default, **fields)


@st.composite
def number_knobs(draw: st.DrawFn) -> Knob:
    log = draw(st.booleans())
    whole = draw(st.booleans())
    low = draw(st.integers(1 if log else -(10**9), 10**6))
    high = low + draw(st.integers(1, 10**12))
    special = draw(st.lists(st.sampled_from([-1, 0, low, high]), max_size=3, unique=True))
    return Knob(
        name="n",
        type=KnobType.INTEGER if whole else KnobType.REAL,
        low=low,
        high=high,
        default=draw(st.integers(low, high)),
        scale=Scale.LOG if log else Scale.LINEAR,
        special=tuple(Special(value=value, meaning="special") for value in special),
    )


@given(number_knobs(), st.floats(0.0, 1.0))
@settings(max_examples=400, deadline=None)
def test_what_decodes_encodes_to_itself(knob: Knob, position: float) -> None:
    encoder = SpaceEncoder(KnobSpace((knob,)))
    configuration = encoder.decode([position])
    assert knob.check(configuration["n"]) == configuration["n"]
    assert encoder.decode(encoder.encode(configuration)) == configuration


@given(number_knobs())
@settings(max_examples=200, deadline=None)
def test_default_and_special_values_survive_exactly(knob: Knob) -> None:
    encoder = SpaceEncoder(KnobSpace((knob,)))
    for value in (knob.default, *knob.special_values):
        assert encoder.decode(encoder.encode({"n": value})) == {"n": value}


@given(st.integers(1, MAXIMUM_STEPS - 1), st.sampled_from(Scale), st.data())
@settings(max_examples=100, deadline=None)
def test_every_integer_of_a_narrow_range_survives(
    span: int, scale: Scale, data: st.DataObject
) -> None:
    low = data.draw(st.integers(1, 10**6))
    encoder = SpaceEncoder(KnobSpace((integer("n", low, low + span, low, scale=scale),)))
    value = data.draw(st.integers(low, low + span))
    assert encoder.decode(encoder.encode({"n": value})) == {"n": value}


@pytest.mark.parametrize("name", sorted(PROBLEMS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_whole_rows_round_trip(name: str, data: st.DataObject) -> None:
    problem = PROBLEMS[name]()
    encoder = SpaceEncoder(problem.space, problem.pins)
    point = data.draw(
        st.lists(st.floats(0, 1), min_size=encoder.n_columns, max_size=encoder.n_columns)
    )
    [row] = encoder.from_unit(np.array([point]))
    configuration = encoder.decode(row)
    assert encoder.decode(encoder.encode(configuration)) == configuration
    assert encoder.canonical(configuration) == configuration
    assert encoder.keeps_pins(configuration)


def test_special_values_have_a_fifth_of_the_axis() -> None:
    knob = integer(
        "n",
        1,
        10**9,
        5,
        special=(Special(value=0, meaning="off"), Special(value=-1, meaning="all")),
    )
    encoder = SpaceEncoder(KnobSpace((knob,)))
    drawn = Counter(
        encoder.decode([position])["n"] for position in np.linspace(0, 1, 1000, endpoint=False)
    )
    assert drawn[0] == drawn[-1] == 1000 * SPECIAL_SHARE / 2


def test_a_special_value_in_the_range_is_one_value() -> None:
    knob = Knob(
        name="r",
        type=KnobType.REAL,
        low=0.0,
        high=1.0,
        default=0.5,
        special=(Special(value=0, meaning="off"),),
    )
    encoder = SpaceEncoder(KnobSpace((knob,)))
    lowest_of_range, special = encoder.decode([SPECIAL_SHARE]), encoder.decode([0.0])
    assert lowest_of_range == special
    assert encoder.key(lowest_of_range) == encoder.key(special)
    assert repr(lowest_of_range["r"]) == repr(special["r"]) == "0"
    one, same = encoder.row_keys(np.array([[SPECIAL_SHARE], [0.0]]))
    assert one == same


def test_log_scales_give_each_decade_its_share() -> None:
    encoder = SpaceEncoder(KnobSpace((integer("n", 1, 10**6, 1, scale=Scale.LOG),)))
    thousand, million = encoder.encode({"n": 10**3})[0], encoder.encode({"n": 10**6})[0]
    assert thousand == pytest.approx(0.5, abs=0.01)
    assert million == pytest.approx(1.0, abs=0.01)


def test_wide_integers_are_bucketised_and_keep_their_ends() -> None:
    encoder = SpaceEncoder(KnobSpace((integer("n", 0, 10**9, 123_456_789),)))
    values = {encoder.decode([place])["n"] for place in np.linspace(0, 1, 5 * MAXIMUM_STEPS)}
    assert len(values) == MAXIMUM_STEPS
    assert {0, 10**9, 123_456_789} <= values


def test_levels_are_apart_and_typed() -> None:
    knob = Knob(name="c", type=KnobType.CATEGORICAL, levels=(1, "1", "on", 2.5), default="on")
    encoder = SpaceEncoder(KnobSpace((knob, Knob(name="b", type=KnobType.BOOLEAN, default=False))))
    assert [column.kind for column in encoder.columns] == [ColumnKind.CATEGORICAL] * 2
    assert [encoder.encode({"c": level, "b": True}).tolist() for level in knob.levels] == [
        [0.0, 1.0],
        [1.0, 1.0],
        [2.0, 1.0],
        [3.0, 1.0],
    ]
    assert encoder.decode([1, 0]) == {"c": "1", "b": False}
    assert encoder.one_hot(np.array([[2.0, 1.0]])).tolist() == [[0, 0, 1, 0, 0, 1]]
    with pytest.raises(InvalidKnob, match="none of its levels"):
        encoder.encode({"c": "off", "b": True})


def test_numbers_outside_their_range_are_taken_as_its_end() -> None:
    encoder = SpaceEncoder(KnobSpace((integer("n", 0, 9, 0),)))
    assert encoder.encode({"n": 50}).tolist() == encoder.encode({"n": 9}).tolist()


def test_inactive_knobs_stand_at_their_default_two_deep() -> None:
    problem = PROBLEMS["conditional"]()
    encoder = SpaceEncoder(problem.space)
    raw = {"policy": "lru", "small": 0.5, "ghost": True, "ghosts": 7, "buckets": 50}
    assert encoder.canonical(raw) == {
        "policy": "lru",
        "small": 0.1,
        "ghost": False,
        "ghosts": 100,
        "buckets": 50,
    }
    assert encoder.key(raw) == encoder.key({**raw, "small": 0.9, "ghosts": 9})
    assert encoder.key(raw) != encoder.key({**raw, "policy": "arc"})


def test_pins_leave_no_column_and_are_put_back() -> None:
    problem = PROBLEMS["pinned"]()
    encoder = SpaceEncoder(problem.space, problem.pins)
    assert not {column.knob for column in encoder.columns} & problem.pins.keys()
    assert problem.pins.items() <= encoder.decode(np.full(encoder.n_columns, 0.4)).items()
    baseline = problem.space.default()
    assert not encoder.keeps_pins(baseline)
    assert encoder.key(baseline) != encoder.key(encoder.pinned(baseline))


@pytest.mark.parametrize(("pins", "says"), [({"x": 1}, "no knob"), ({"mode": "z"}, "levels")])
def test_pins_are_checked(pins: dict[str, object], says: str) -> None:
    with pytest.raises(InvalidKnob, match=says):
        SpaceEncoder(PROBLEMS["mixed"]().space, pins)


def test_values_come_in_their_knobs_own_form() -> None:
    knobs = (
        integer("n", 0, 9, 0, special=(Special(value=-1, meaning="all"),)),
        Knob(name="r", type=KnobType.REAL, low=0.0, high=9.0, default=1.0),
        Knob(name="b", type=KnobType.BOOLEAN, default=False),
    )
    encoder = SpaceEncoder(KnobSpace(knobs))
    told, meant = {"n": -1.0, "r": 3, "b": 1}, {"n": -1, "r": 3.0, "b": True}
    assert encoder.canonical(told) == meant
    assert encoder.key(told) == encoder.key(meant)
    assert encoder.table([told]).tuples() == [(-1, 3.0, True)]
    # What is not of the domain was measured all the same, and stays as it is.
    assert encoder.canonical({"n": "much", "r": 50, "b": False})["n"] == "much"


@pytest.mark.parametrize(("value", "says"), [("z", "none of its levels"), (512.5, "levels")])
def test_what_is_no_level_cannot_be_encoded(value: object, says: str) -> None:
    encoder = SpaceEncoder(PROBLEMS["mixed"]().space)
    with pytest.raises(InvalidKnob, match=says):
        encoder.encode({**encoder.space.default(), "page": value})
    with pytest.raises(InvalidKnob, match="no value for knob page"):
        encoder.encode_many([{"cache": 1, "ratio": 0.0, "mode": "a"}])


def test_many_are_encoded_and_decoded_as_one_is() -> None:
    encoder = SpaceEncoder(PROBLEMS["conditional"]().space)
    rows = encoder.from_unit(np.random.default_rng(0).random((50, encoder.n_columns)))
    many = encoder.decode_many(rows)
    assert [encoder.decode(row) for row in rows.tolist()] == many
    assert (encoder.encode_many(many) == [encoder.encode(one) for one in many]).all()
    assert encoder.decode_many(rows[:0]) == []
    assert encoder.encode_many([]).shape == (0, encoder.n_columns)


def test_rows_of_the_same_configuration_have_the_same_key() -> None:
    encoder = SpaceEncoder(PROBLEMS["conditional"]().space)
    lru = encoder.encode({**encoder.space.default(), "policy": "lru"})
    ghosts = list(encoder.axes).index("ghosts")
    other = lru.copy()
    other[ghosts] = 0.9  # which does not act under this policy
    arc = encoder.encode({**encoder.space.default(), "policy": "arc"})
    one, same, different = encoder.row_keys(np.array([lru, other, arc]))
    assert one == same != different
    assert (encoder.canonical_rows(other[None, :]) == lru).all()


def test_reals_are_short_decimals_on_any_scale() -> None:
    for low, high, scale in ((0.0, 1.0, "linear"), (1e-30, 1e30, "log"), (-2e9, 7e9, "linear")):
        knob = Knob(name="r", type=KnobType.REAL, low=low, high=high, default=high, scale=scale)
        encoder = SpaceEncoder(KnobSpace((knob,)))
        rows = np.random.default_rng(1).random((200, 1))
        for one in encoder.decode_many(rows):
            digits = f"{one['r']:.17g}"
            assert float(f"{one['r']:.8e}") == one["r"] or low <= 0, digits
            assert len(repr(abs(one["r"])).partition("e")[0].replace(".", "")) <= 12


def test_knobs_with_one_value_have_no_column() -> None:
    space = KnobSpace(
        (
            integer("n", 4, 4, 4),
            Knob(name="c", type=KnobType.CATEGORICAL, levels=("only",), default="only"),
            integer("s", 4, 4, 4, special=(Special(value=0, meaning="off"),)),
        )
    )
    encoder = SpaceEncoder(space)
    assert [column.knob for column in encoder.columns] == ["s"]
    assert encoder.size() == 2
    assert encoder.decode([1]) == {"n": 4, "c": "only", "s": 0}


def test_size_counts_what_conditions_and_constraints_leave() -> None:
    assert SpaceEncoder(PROBLEMS["tiny"]().space).size() == 9
    assert SpaceEncoder(PROBLEMS["tiny"]().space, {"c": True}).size() == 3
    assert math.isinf(SpaceEncoder(PROBLEMS["mixed"]().space).size())
    gated = KnobSpace(
        (
            Knob(name="on", type=KnobType.BOOLEAN, default=False),
            integer("n", 1, 10, 1, active_when="on"),
        ),
        (Constraint(expression="n <= 5"),),
    )
    assert SpaceEncoder(gated).size() == 1 + 5


def test_a_constraint_that_cannot_be_evaluated_is_broken() -> None:
    space = KnobSpace(
        (integer("a", 0, 3, 1), integer("b", 0, 3, 1)), (Constraint(expression="a / b < 2"),)
    )
    encoder = SpaceEncoder(space)
    assert encoder.broken({"a": 1, "b": 0}) == ["a / b < 2"]
    assert {(one["a"], one["b"]) for one in encoder.listed} == {
        (a, b) for a in range(4) for b in range(1, 4) if a / b < 2
    }
