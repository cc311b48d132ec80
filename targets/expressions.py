"""Expressions over knobs, for dependencies: a small safe parser, never `eval`.

Grammar, with Python's meaning and precedence:

    values          knob names, numbers, quoted texts, true, false, (a, b, ...)
    arithmetic      + - * / // %, of numbers only; no powers
    comparisons     == != < <= > >=, also chained; in, not in
    logic           and, or, not
    functions       min(), max(), abs()

>>> Expression.parse("journal_mode == 'wal' and cache * 2 <= 100").holds(
...     {"journal_mode": "wal", "cache": 50})
True
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from targets.errors import InvalidExpression
from targets.knobs import Value

# Long enough for any dependency written by a person, short enough to parse in no time.
MAXIMUM_LENGTH = 1_000
MAXIMUM_DEPTH = 40
# Beyond what a float can hold; products of long literals would otherwise grow without end.
MAXIMUM_BITS = 1_024

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, items: item in items,
    ast.NotIn: lambda item, items: item not in items,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"min": min, "max": max, "abs": abs}
_WORDS: dict[str, bool] = {"true": True, "false": False}


@dataclass(frozen=True)
class Expression:
    """A parsed expression: `names` are the knobs it reads."""

    text: str
    names: frozenset[str]
    _tree: ast.expr

    @classmethod
    def parse(cls, text: str) -> Expression:
        """Parse, accepting nothing but the grammar above.

        Raises:
            InvalidExpression: it does not parse, or uses something outside the grammar.
        """
        if len(text) > MAXIMUM_LENGTH:
            raise InvalidExpression(
                f"expression of {len(text)} characters: at most {MAXIMUM_LENGTH} are allowed"
            )
        source = text.strip()
        try:
            tree = ast.parse(source, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise InvalidExpression(f"expression {text!r} does not parse: {error}") from error
        names: set[str] = set()
        _validate(tree, source, names, depth=0)
        return cls(text, frozenset(names), tree)

    def evaluate(self, configuration: Mapping[str, Value]) -> Any:
        """The expression's value.

        Raises:
            InvalidExpression: a name is missing, or the operands do not fit the operator.
        """
        try:
            return _evaluate(self._tree, configuration)
        except KeyError as error:
            raise InvalidExpression(f"expression {self.text!r}: no value for {error}") from error
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            raise InvalidExpression(f"expression {self.text!r}: {error}") from error

    def holds(self, configuration: Mapping[str, Value]) -> bool:
        """Whether the expression is true; raises as `evaluate`."""
        return bool(self.evaluate(configuration))


def _validate(node: ast.expr, text: str, names: set[str], *, depth: int) -> None:
    if depth > MAXIMUM_DEPTH:
        raise InvalidExpression(f"expression {text!r} is nested deeper than {MAXIMUM_DEPTH}")
    match node:
        case ast.Constant(value=bool() | int() | float() | str()):
            return
        case ast.Name(id=name):
            if name not in _WORDS:
                names.add(name)
            return
        case ast.BoolOp(values=operands):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.UAdd(), operand=operand):
            operands = [operand]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            operands = [left, right]
        case ast.Compare(left=left, ops=ops, comparators=rest) if all(
            type(op) in _COMPARE for op in ops
        ):
            operands = [left, *rest]
        case ast.Call(func=ast.Name(id=function), args=arguments, keywords=[]) if (
            function in _FUNCTIONS and arguments
        ):
            operands = list(arguments)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            operands = list(elements)
        case _:
            raise InvalidExpression(
                f"expression {text!r}: {ast.get_source_segment(text, node)!r} is not allowed; use "
                "knob names, numbers, texts, + - * / // %, comparisons, and/or/not, "
                "min(), max(), abs()"
            )
    for operand in operands:
        _validate(operand, text, names, depth=depth + 1)


def _evaluate(node: ast.expr, values: Mapping[str, Value]) -> Any:
    match node:
        case ast.Constant(value=value):
            return value
        case ast.Name(id=name):
            return _WORDS[name] if name in _WORDS else values[name]
        case ast.BoolOp(op=connective, values=operands):
            return _connect(connective, operands, values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _evaluate(operand, values)
        case ast.UnaryOp(op=sign, operand=operand):
            number = _number(_evaluate(operand, values))
            return -number if isinstance(sign, ast.USub) else +number
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _number(_evaluate(left, values)), _number(_evaluate(right, values))
            return _number(_BINARY[type(op)](one, other))
        case ast.Compare(left=left, ops=ops, comparators=rest):
            return _compare(_evaluate(left, values), ops, rest, values)
        case ast.Call(func=ast.Name(id=function), args=arguments):
            return _FUNCTIONS[function](*(_evaluate(argument, values) for argument in arguments))
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return tuple(_evaluate(element, values) for element in elements)
    raise InvalidExpression(f"cannot evaluate {ast.dump(node)}")  # _validate lets none here


def _connect(op: ast.boolop, operands: list[ast.expr], values: Mapping[str, Value]) -> Any:
    """Python's `and` and `or`: the operand that decides, those behind it not evaluated."""
    result: Any = None
    for operand in operands:
        result = _evaluate(operand, values)
        if bool(result) is isinstance(op, ast.Or):
            break
    return result


def _compare(
    one: Any, ops: list[ast.cmpop], rest: list[ast.expr], values: Mapping[str, Value]
) -> bool:
    for op, comparator in zip(ops, rest, strict=True):
        other = _evaluate(comparator, values)
        if not _COMPARE[type(op)](one, other):
            return False
        one = other
    return True


def _number(value: Any) -> int | float:
    """The value, when it is a number of sensible size: `'a' * 10**9` or `'%9999999999d' % 1` would
    take all memory, and a product of huge integers all time."""
    if not isinstance(value, int | float):
        raise TypeError(f"arithmetic is for numbers, not for {value!r}")
    if isinstance(value, int) and value.bit_length() > MAXIMUM_BITS:
        raise OverflowError(f"a number has more than {MAXIMUM_BITS} bits")
    return value
