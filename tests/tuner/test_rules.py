"""Expressions over columns say what expressions over configurations say."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.errors import InvalidExpression
from targets.knobs import Knob, KnobType, Value
from tuner.rules import Rule
from tuner.tables import OwnForm, ValueTable

FORMS = {
    name: OwnForm(Knob(name=name, type=KnobType.CATEGORICAL, levels=(0,), default=0))
    for name in ("a", "b", "c")
}
"""The form of no value is changed: every kind is to be met."""

VALUES = (0, 1, -7, 3.5, True, False, "", "x", "auto", 2**53, 2**53 + 1, 10**400, 1e308)

TEXTS = (
    "a <= b < c", "a == b", "a != b or c", "not a", "not (a and b) or c", "a + b * c > 2",
    "a / b < c", "b != 0 and a / b < 1", "a // 2 == c", "a % 3 == 1", "-a < +b", "a - b == c",
    "a in (1, 'x', 3.5)", "a not in (b, c)", "a in 'xyz'", "(a, b) == (1, 0)", "min(a, b) < c",
    "max(a, b, 3) == a", "abs(a) > 3", "min((a, b)) == 1", "(a or b) == c", "(a > b) + (b > c) < 2",
    "a == 'auto' or a * 2 <= 100", "a * b == 9007199254740993", "a < 'y'", "a + 'x' == b",
    "true and a", "a == false", "1 < 2", "a * 1e308 > 10", f"a < {10**400}", "(a and b) + 1 > c",
)  # fmt: skip


def table(rows: list[tuple[Value, ...]]) -> ValueTable:
    return ValueTable.of(FORMS, [dict(zip(FORMS, row, strict=True)) for row in rows])


@pytest.mark.parametrize("text", TEXTS)
def test_columns_answer_as_configurations_do(text: str) -> None:
    rule = Rule(text)
    rows = list(itertools.product(VALUES, repeat=3))
    expected = [rule.holds_for(dict(zip(FORMS, row, strict=True))) for row in rows]
    assert rule.holds(table(rows)).tolist() == expected
    # Columns of numbers alone go another way than mixed ones.
    plain = [row for row in rows if not any(isinstance(value, str) for value in row)]
    expected = [rule.holds_for(dict(zip(FORMS, row, strict=True))) for row in plain]
    assert rule.holds(table(plain)).tolist() == expected


NUMBERS = st.one_of(
    st.integers(-20, 20), st.integers(-(2**60), 2**60), st.floats(-1e6, 1e6), st.floats()
)


@given(
    text=st.sampled_from(["a * b <= c * c", "a + b == c", "a % b < c", "a // b != c - 1"]),
    rows=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS), min_size=1, max_size=20),
)
@settings(max_examples=200, deadline=None)
def test_arithmetic_is_exact(text: str, rows: list[tuple[Value, ...]]) -> None:
    rule = Rule(text)
    expected = [rule.holds_for(dict(zip(FORMS, row, strict=True))) for row in rows]
    assert rule.holds(table(rows)).tolist() == expected


def test_what_does_not_parse_is_refused() -> None:
    with pytest.raises(InvalidExpression):
        Rule("__import__('os')")


def test_an_empty_table_has_no_answers() -> None:
    assert Rule("a < b").holds(table([])).shape == (0,)
    assert np.array(Rule("1 < 2").holds(table([(1, 2, 3)]))).tolist() == [True]
