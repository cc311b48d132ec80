"""Expressions over knobs, held against many configurations at once.

What an expression means, `targets.expressions` says, for one configuration at a time. Here numpy
computes the same for whole columns, in floats, as long as every number on the way is one that a
float holds exactly as an integer would. A configuration for which that is in doubt (a number beyond
2**53, a division by zero), and every one where the expression does something rarer than arithmetic
and comparisons, is left to `Expression`; so the answers are the same in all cases.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from targets.errors import InvalidExpression
from targets.expressions import Expression
from targets.knobs import Value

EXACT = float(2**53)
"""Integers below are exact as floats, and none above is rounded to less."""

Mask = NDArray[np.bool_]
"""(n,) bool."""

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
}
_WORDS = {"true": True, "false": False}


class Table(Protocol):
    """Many configurations, read knob by knob."""

    def __len__(self) -> int: ...

    def column(self, name: str) -> NDArray[Any]:
        """(n,), or () where all have the same: a knob's values, as `vector_of` gives them."""

    def values(self, name: str, places: NDArray[np.int_]) -> list[Value]:
        """A knob's values in some of the configurations, each in its own form."""


def vector_of(values: Sequence[Value]) -> NDArray[Any]:
    """(n,): float64 where every value is a number or a boolean; else the values as objects."""
    if not any(isinstance(value, str) for value in values):
        try:
            return np.array(values, float)
        except OverflowError:
            pass  # an integer that no float holds
    vector = np.empty(len(values), object)
    vector[:] = values
    return vector


class Rule:
    """One expression that holds, or does not, for each configuration of a table.

    Raises:
        InvalidExpression: the text does not parse.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.expression = Expression.parse(text)
        self._tree = ast.parse(text.strip(), mode="eval").body

    def holds(self, table: Table) -> Mask:
        """(n,): where it is true; where it cannot be evaluated it does not hold."""
        evaluation = _Evaluation(table)
        try:
            with np.errstate(all="ignore"):
                holds = np.array(np.broadcast_to(evaluation.truth(self._tree), len(table)))
            doubtful = np.flatnonzero(evaluation.doubtful)
        except _BeyondNumpy:
            holds, doubtful = np.zeros(len(table), bool), np.arange(len(table))
        if len(doubtful):
            holds[doubtful] = self._one_by_one(table, doubtful)
        return holds

    def _one_by_one(self, table: Table, places: NDArray[np.int_]) -> list[bool]:
        """The same for some configurations, each combination of values looked at once."""
        names = sorted(self.expression.names)
        columns = [table.values(name, places) for name in names]
        combinations = list(zip(*columns, strict=True)) or [()] * len(places)
        verdicts = {
            one: self.holds_for(dict(zip(names, one, strict=True)))
            for one in dict.fromkeys(combinations)
        }
        return [verdicts[one] for one in combinations]

    def holds_for(self, configuration: Mapping[str, Value]) -> bool:
        """The same for one configuration."""
        try:
            return self.expression.holds(configuration)
        except InvalidExpression:
            return False


class _BeyondNumpy(Exception):
    """The expression, or a type of value it meets, is not for numpy."""


class _Evaluation:
    """One walk over an expression's tree; `doubtful` marks what the walk may have got wrong."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.doubtful: Mask = np.zeros(len(table), bool)

    def truth(self, node: ast.expr) -> NDArray[Any]:
        """Whether a part is true, as `and`, `or` and `not` see it."""
        match node:
            case ast.BoolOp(op=ast.And(), values=operands):
                return np.asarray(_fold(np.logical_and, [self.truth(one) for one in operands]))
            case ast.BoolOp(values=operands):
                return np.asarray(_fold(np.logical_or, [self.truth(one) for one in operands]))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return ~self.truth(operand)
        return self.value(node).astype(bool)

    def value(self, node: ast.expr) -> NDArray[Any]:
        """A part's values: bool, float64, or objects."""
        match node:
            case ast.Constant(value=bool(value)):
                return np.array(value)
            case ast.Constant(value=str(value)):
                return np.array(value, object)
            case ast.Constant(value=int(value) | float(value)):
                return self._trusted(np.array(_float(value)))
            case ast.Name(id=name):
                return self._named(name)
            case ast.UnaryOp(op=ast.Not()):
                return self.truth(node)
            case ast.UnaryOp(op=sign, operand=operand):
                number = self._number(operand)
                return -number if isinstance(sign, ast.USub) else number
            case ast.BinOp(left=left, op=op, right=right):
                one, other = self._number(left), self._number(right)
                return self._trusted(_BINARY[type(op)](one, other))
            case ast.Compare(left=left, ops=ops, comparators=rest):
                return self._compared(left, ops, rest)
            case ast.Call(func=ast.Name(id=function), args=arguments):
                return self._called(function, arguments)
        # A tuple, or an `and` or `or` whose operand, not whose truth, is asked for.
        raise _BeyondNumpy

    def _named(self, name: str) -> NDArray[Any]:
        if name in _WORDS:
            return np.array(_WORDS[name])
        column = self._table.column(name)
        return column if column.dtype == object else self._trusted(column)

    def _trusted(self, numbers: Any) -> NDArray[Any]:
        """The numbers, those that need not be exact marked as doubtful."""
        self.doubtful |= ~(np.abs(numbers) < EXACT)
        return np.asarray(numbers)

    def _number(self, node: ast.expr) -> NDArray[Any]:
        return self._numeric(self.value(node))

    def _numeric(self, value: NDArray[Any]) -> NDArray[Any]:
        """As numbers; NaN, which is doubtful, for what is none."""
        if value.dtype != object:
            return value.astype(float)
        numbers = np.array(list(map(_float, value.ravel().tolist())), float)
        return self._trusted(numbers.reshape(value.shape))

    def _compared(self, left: ast.expr, ops: list[ast.cmpop], rest: list[ast.expr]) -> NDArray[Any]:
        links = []
        for op, right in zip(ops, rest, strict=True):
            match op, right:
                case ast.In() | ast.NotIn(), ast.Tuple(elts=elements) | ast.List(elts=elements):
                    one = self.value(left)
                    among = [self._compare(ast.Eq, one, self.value(other)) for other in elements]
                    found = _fold(np.logical_or, among) if among else np.array(False)
                    links.append(found if isinstance(op, ast.In) else ~found)
                case ast.In() | ast.NotIn(), _:
                    raise _BeyondNumpy
                case _:
                    links.append(self._compare(type(op), self.value(left), self.value(right)))
            left = right
        return _fold(np.logical_and, links)

    def _compare(self, op: type[ast.cmpop], one: NDArray[Any], other: NDArray[Any]) -> NDArray[Any]:
        if object in (one.dtype, other.dtype):
            if op in (ast.Eq, ast.NotEq):
                one, other = one.astype(object), other.astype(object)
            else:
                one, other = self._numeric(one), self._numeric(other)
        return np.asarray(_COMPARE[op](one, other)).astype(bool)

    def _called(self, function: str, arguments: list[ast.expr]) -> NDArray[Any]:
        if function == "abs" and len(arguments) == 1:
            return np.asarray(np.abs(self._number(arguments[0])))
        if function in ("min", "max") and len(arguments) > 1:
            extreme = np.minimum if function == "min" else np.maximum
            return _fold(extreme, [self._number(argument) for argument in arguments])
        raise _BeyondNumpy


def _fold(function: Callable[[Any, Any], Any], parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    result = parts[0]
    for part in parts[1:]:
        result = np.asarray(function(result, part))
    return result


def _float(value: Value) -> float:
    """NaN for a text, and for an integer that no float holds."""
    try:
        return math.nan if isinstance(value, str) else float(value)
    except OverflowError:
        return math.nan
