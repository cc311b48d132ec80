"""Hypothesis strategies for any space and any history, as far as the contracts allow them."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
from hypothesis import strategies as st

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType, Scale, Special, Value
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.rules import Rule
from tuner.space import SpaceEncoder

VALUES = st.one_of(
    st.floats(-1e300, 1e300, allow_nan=False),
    st.sampled_from([0.0, 1.0, -1.0, 42.0, 1e300, -1e300, 1e-300, 5e-324]),
    st.floats(0.5, 2.0),
)
LARGEST = sys.float_info.max
EXTREMES = (
    0.0,
    -0.0,
    1.0,
    1e18,
    1e308,
    -1e308,
    LARGEST,
    -LARGEST,
    1e-308,
    -1e-308,
    5e-324,
    -5e-324,
)
READINGS = st.one_of(
    st.floats(),
    st.floats(0.0, 1e9),
    st.sampled_from((*EXTREMES, math.nan, math.inf, -math.inf)),
)
"""What a metric may be read as."""
LEVELS = ("a", "b", "c", "1", 1, 2.5, "on", 7)


@st.composite
def knobs(draw: st.DrawFn, name: str, *, active_when: str = "") -> Knob:
    """One knob of any type."""
    kind = draw(st.sampled_from(KnobType))
    fields: dict[str, Any] = {"name": name, "type": kind, "active_when": active_when}
    special = draw(st.lists(st.sampled_from([-1, 0, "auto"]), max_size=2, unique=True))
    if kind is KnobType.BOOLEAN:
        return Knob(**fields, default=draw(st.booleans()))
    if kind in (KnobType.CATEGORICAL, KnobType.ORDINAL):
        levels = draw(st.lists(st.sampled_from(LEVELS), min_size=1, max_size=5, unique=True))
        return Knob(**fields, levels=tuple(levels), default=draw(st.sampled_from(levels)))
    log = draw(st.booleans())
    low = draw(st.integers(1, 1000) if log else st.integers(-1000, 1000))
    high = low + draw(st.sampled_from([0, 1, 3, 60, 9_999, 10**6, 10**12]))
    default: float = draw(st.integers(low, high))
    if kind is KnobType.REAL and draw(st.booleans()):
        default = low + (high - low) / 3
    return Knob(
        **fields,
        low=low,
        high=high,
        scale=Scale.LOG if log else Scale.LINEAR,
        default=default,
        special=tuple(Special(value=value, meaning="special") for value in special),
    )


@st.composite
def spaces(draw: st.DrawFn, *, most: int = 8) -> KnobSpace:
    """Mixed knobs, some active only under others, up to two deep, and rules between them.

    Most rules hold for the default, so that most spaces are feasible.
    """
    size = draw(st.integers(2, most))
    made: list[Knob] = []
    depth: dict[str, int] = {}
    for place in range(size):
        above = [one for one in made if depth[one.name] < 2]
        under = draw(st.sampled_from([None, None, None, *above[-3:]]))
        knob = draw(knobs(f"k{place}", active_when=_condition(draw, under) if under else ""))
        depth[knob.name] = depth[under.name] + 1 if under else 0
        made.append(knob)
    texts = [_rule(draw, made) for _ in range(draw(st.integers(0, 2)))]
    plain = KnobSpace(tuple(made))
    default = SpaceEncoder(plain).canonical(plain.default())
    rules = [
        rule
        for text in texts
        for rule in (text, f"not ({text})")
        if Rule(rule).holds_for(default) or draw(st.integers(0, 19)) == 19
    ]
    return KnobSpace(plain.knobs, tuple(Constraint(expression=rule) for rule in rules))


def _condition(draw: st.DrawFn, knob: Knob) -> str:
    if knob.is_number:
        return f"{knob.name} >= {draw(st.integers(-10, 70))}"
    level = draw(st.sampled_from(knob.levels))
    if isinstance(level, bool):
        return knob.name if level else f"not {knob.name}"
    return f"{knob.name} {draw(st.sampled_from(['==', '!=']))} {level!r}"


def _rule(draw: st.DrawFn, among: list[Knob]) -> str:
    one, other = draw(st.sampled_from(among)).name, draw(st.sampled_from(among)).name
    bound = draw(st.integers(1, 10**6))
    return draw(
        st.sampled_from(
            [
                f"{one} <= {other} or {other} == 'auto'",
                f"{one} + 2 * {other} < {bound}",
                f"not ({one} == 1 and {other} != 7)",
                f"{one} * {other} <= {bound} * {bound}",
                f"{one} / {other} < {bound}",
                f"{one} % 3 != 1 or {other} // 2 > -5",
                f"max({one}, {other}, 2) > min({bound}, 1)",
                f"{one} in (0, 1, 'a', {bound})",
                f"{bound} < {other} <= {one}",
            ]
        )
    )


@st.composite
def problems(draw: st.DrawFn, *, most: int = 8) -> Problem:
    """A problem on such a space, sometimes with pins and a limit."""
    space = draw(spaces(most=most))
    default = space.default()
    pinned = draw(st.lists(st.sampled_from(list(default)), max_size=2, unique=True))
    limits = (Limit(name="memory", direction=Direction.MINIMISE, bound=0.7),)
    return Problem(
        space=space,
        objectives=(
            Objective(
                name="cost",
                direction=draw(st.sampled_from(Direction)),
                deterministic=draw(st.booleans()),
            ),
        ),
        pins={name: default[name] for name in pinned},
        limits=draw(st.sampled_from([(), limits])),
        budget=draw(st.sampled_from([0, 5, 100])),
        least_fidelity=draw(st.sampled_from([1.0, 0.2, 0.0])),
    )


@st.composite
def configurations(draw: st.DrawFn, problem: Problem) -> dict[str, Value]:
    """One that somebody may have measured: in the space or off its pins, rules and domains."""
    encoder = SpaceEncoder(problem.space, problem.pins)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    [configuration] = encoder.decode_many(encoder.from_unit(rng.random((1, encoder.n_columns))))
    way = draw(st.sampled_from(["plain", "plain", "plain", "default", "form", "off"]))
    if way == "default":
        return problem.space.default()
    name = draw(st.sampled_from([knob.name for knob in problem.space]))
    value = configuration[name]
    if way == "form" and type(value) is int:
        configuration[name] = float(value)
    elif way == "off":
        configuration[name] = draw(st.sampled_from([10**15, -0.5, "strange", 1 / 7, True]))
    return configuration


@st.composite
def observations(draw: st.DrawFn, problem: Problem) -> list[Observation]:
    """What was seen: failures, repeats, several windows, short ones, extreme and equal values."""
    size = draw(st.sampled_from([18, 12, 4, 1, 0]))
    known = draw(st.lists(configurations(problem), min_size=size, max_size=size))
    equal = draw(st.one_of(st.none(), st.none(), VALUES))
    ordinary = draw(st.booleans())
    lengths = draw(st.sampled_from([(1.0,), (1.0, 1 / 3, 1 / 9), (1 / 9, 0.5)]))
    told = []
    for number in range(len(known) + draw(st.integers(0, len(known) // 2))):
        configuration = known[number % len(known)]
        fidelity = draw(st.sampled_from(lengths))
        if draw(st.integers(0, 4)) == 0:
            failure = draw(st.sampled_from(FailureKind))
            told.append(
                Observation(
                    configuration=configuration, failure=failure, number=number, fidelity=fidelity
                )
            )
            continue
        values = st.floats(0.5, 2.0) if ordinary else VALUES
        windows = draw(st.lists(values, min_size=1, max_size=3))
        told.append(
            Observation(
                configuration=configuration,
                values={"cost": tuple(windows) if equal is None else (equal,)},
                metrics={"memory": draw(st.sampled_from([0.1, 0.9, float("nan")]))},
                number=number,
                fidelity=fidelity,
            )
        )
    return told


@st.composite
def sessions(
    draw: st.DrawFn, *, most: int = 8
) -> tuple[Problem, list[Observation], list[Configuration]]:
    """A problem, what was told of it, and what is in flight."""
    problem = draw(problems(most=most))
    told = draw(observations(problem))
    pending = draw(st.lists(configurations(problem), max_size=3))
    return problem, told, list(pending)
