"""Expressions: Python's meaning, nothing but the grammar, and no way to take the machine down."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from targets.errors import InvalidExpression
from targets.expressions import MAXIMUM_DEPTH, MAXIMUM_LENGTH, Expression

VALUES = {"size": 7, "share": 0.25, "mode": "wal", "sync": True}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("size * 2 <= 14", True),
        ("mode == 'wal' and size > 10", False),
        ("mode in ('wal', 'delete')", True),
        ("mode not in ['off']", True),
        ("1 < size < 8 < size", False),
        ("not sync or share >= 0.5", False),
        ("max(size, 3) - min(share, 1)", 6.75),
        ("abs(-size) // 2 % 2", 1),
        ("(2 and size) + 1", 8),
        ("sync == true and not false", True),
        ("sync and mode", "wal"),
        ("  size  ", 7),
    ],
)
def test_means_what_python_means(text: str, value: object) -> None:
    assert Expression.parse(text).evaluate(VALUES) == value


def test_names_are_the_knobs_it_reads() -> None:
    parsed = Expression.parse("max(size, 2) > share and true in (sync, mode == 'x')")
    assert parsed.names == {"size", "share", "sync", "mode"}


def test_decided_operand_hides_those_behind_it() -> None:
    assert Expression.parse("size == 0 or 10 / size > 1").holds({"size": 0})
    assert not Expression.parse("size and 10 / size > 1").holds({"size": 0})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "size =",
        "size = 3",
        "size; size",
        "size ** 9",
        "size << 9",
        "~size",
        "size is 3",
        "__import__('os')",
        "open('x')",
        "size.bit_length()",
        "mode[0]",
        "(lambda: 1)()",
        "[x for x in mode]",
        "{1: 2}",
        "{1}",
        "f'{size}'",
        "b'x'",
        "1j",
        "None",
        "...",
        "max()",
        "max(*mode)",
        "max(size, key=abs)",
        "size if sync else 3",
        "(x := 3)",
        "eval('1')",
        "\x00",
        "\ud800",
        "(" * 500 + ")" * 500,
        "-" * 900 + "1",
        "x" + ".a" * 490,
        "not " * (MAXIMUM_DEPTH + 1) + "sync",
        "1" * (MAXIMUM_LENGTH + 1),
    ],
)
def test_nothing_else_parses(text: str) -> None:
    with pytest.raises(InvalidExpression):
        Expression.parse(text)


def test_refusal_shows_the_offending_part() -> None:
    with pytest.raises(InvalidExpression, match=r"'size \*\* 2' is not allowed"):
        Expression.parse("1 + size ** 2")


@settings(max_examples=500)
@given(st.text(max_size=60))
@example("a" + "+a" * 400)
def test_parse_raises_nothing_but_invalid_expression(text: str) -> None:
    with contextlib.suppress(InvalidExpression):
        Expression.parse(text)


TOKENS = [*VALUES, *"+-*/%()[]<=>.:,@~{}10", "**", "//", "==", "!=", "<=", "max(", "abs("]
TOKENS += ["in", "not", "and", "or", "'a'", "2.5", "1e308", "true", "lambda", "if", "else", "None"]


@settings(max_examples=500)
@given(st.lists(st.sampled_from(TOKENS), max_size=25))
def test_near_misses_raise_nothing_else_either(tokens: list[str]) -> None:
    with contextlib.suppress(InvalidExpression):
        Expression.parse(" ".join(tokens)).evaluate(VALUES)


NUMBERS = st.sampled_from(["size", "share", "sync", "0", "3", "2.5", "1e300"])


def compound(smaller: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    def pair(operators: str) -> st.SearchStrategy[str]:
        return st.builds("({} {} {})".format, smaller, st.sampled_from(operators.split()), smaller)

    return st.one_of(
        pair("+ - * / // %"),
        pair("== != < <= > >= and or"),
        st.builds("(not {})".format, smaller),
        st.builds("(-{})".format, smaller),
        st.builds("max({}, {})".format, smaller, smaller),
        st.builds("abs({})".format, smaller),
        st.builds("({} in ({}, {}))".format, smaller, smaller, smaller),
        st.builds("({} < {} <= {})".format, smaller, smaller, smaller),
    )


@settings(max_examples=500)
@given(st.recursive(NUMBERS, compound, max_leaves=12))
def test_equals_pythons_own_answer(text: str) -> None:
    try:
        expected = eval(text, {"__builtins__": {}, "max": max, "abs": abs}, VALUES)
    except (ArithmeticError, ValueError):
        with pytest.raises(InvalidExpression):
            Expression.parse(text).evaluate(VALUES)
        return
    answer = Expression.parse(text).evaluate(VALUES)
    assert answer == expected or (answer != answer and expected != expected)


@pytest.mark.parametrize(
    "text",
    [
        "size / 0",
        "missing > 1",
        "mode < 3",
        "size in 5",
        "-mode",
        "max(3)",
        "abs(mode)",
        "mode + 'x'",
        "'a' * 1000000000",
        "1000000000 * 'a'",
        "'%999999999d' % 1",
        "(1, 2) * 1000000000",
    ],
)
def test_operands_that_do_not_fit_are_told(text: str) -> None:
    with pytest.raises(InvalidExpression):
        Expression.parse(text).evaluate(VALUES)


def test_products_of_huge_numbers_end_at_once() -> None:
    huge = Expression.parse("*".join(["size"] * 30))
    started = time.monotonic()
    with pytest.raises(InvalidExpression, match="bits"):
        huge.evaluate({"size": 10**300})
    assert time.monotonic() - started < 1
