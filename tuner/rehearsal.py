"""Problems to try a recommender on, with answers that cost nothing: for tests and documentation.

Each is a space of a kind that gives recommenders trouble. `rehearse` answers as a target would:
a smooth bowl, steps at categories, noise where the objective has any, and a part that fails.
"""

from __future__ import annotations

import math

import numpy as np

from targets.errors import FailureKind
from targets.knobs import Configuration, Knob, KnobType, Scale, Special
from targets.metrics import Direction, Objective
from targets.space import Constraint, KnobSpace
from tuner.axes import ColumnKind
from tuner.recommenders.base import Limit, Observation, Problem
from tuner.space import SpaceEncoder

THROUGHPUT = Objective(name="throughput", direction=Direction.MAXIMISE, unit="ops/s")
LATENCY = Objective(name="latency", direction=Direction.MINIMISE, unit="ms", deterministic=True)

NOISE_SD = 0.05
"""Scatter of one full window's logarithm, where the objective is not deterministic."""

FAILS_ABOVE = 0.85
"""The first ordered column fails above this place."""

OPTIMUM = 0.6
"""Where every ordered column is best; a categorical one at its last level."""


def mixed() -> Problem:
    """Every kind of knob, special values, a rule between two knobs, and a limit."""
    knobs = (
        Knob(
            name="cache",
            type=KnobType.INTEGER,
            low=1,
            high=1 << 34,
            scale=Scale.LOG,
            default=1 << 21,
            unit="bytes",
            special=(Special(value=0, meaning="off"), Special(value=-1, meaning="automatic")),
        ),
        Knob(name="ratio", type=KnobType.REAL, low=-1.0, high=3.0, default=1 / 3),
        Knob(name="mode", type=KnobType.CATEGORICAL, levels=("a", "b", "c"), default="a"),
        Knob(name="page", type=KnobType.ORDINAL, levels=(512, 4096, 65536), default=4096),
        Knob(name="sync", type=KnobType.BOOLEAN, default=True),
        Knob(name="least", type=KnobType.INTEGER, low=1, high=64, default=4),
        Knob(name="most", type=KnobType.INTEGER, low=1, high=64, default=16, scale=Scale.LOG),
    )
    return Problem(
        space=KnobSpace(knobs, (Constraint(expression="least <= most"),)),
        objectives=(THROUGHPUT,),
        limits=(Limit(name="memory", direction=Direction.MINIMISE, bound=0.7),),
        budget=12,
        least_fidelity=0.1,
    )


def conditional() -> Problem:
    """Knobs that act only under others, two deep, and a rule that reads one of them."""
    knobs = (
        Knob(name="policy", type=KnobType.CATEGORICAL, levels=("lru", "s3", "arc"), default="lru"),
        Knob(
            name="small",
            type=KnobType.REAL,
            low=0.01,
            high=0.9,
            default=0.1,
            active_when="policy == 's3'",
        ),
        Knob(
            name="ghost", type=KnobType.BOOLEAN, default=False, active_when="policy in ('s3','arc')"
        ),
        Knob(
            name="ghosts",
            type=KnobType.INTEGER,
            low=1,
            high=1000,
            default=100,
            scale=Scale.LOG,
            active_when="ghost and policy != 'lru'",
        ),
        Knob(name="buckets", type=KnobType.INTEGER, low=1, high=1000, default=100),
    )
    rules = (Constraint(expression="ghosts <= 2 * buckets", reason="ghosts live in the buckets"),)
    return Problem(space=KnobSpace(knobs, rules), objectives=(LATENCY,), budget=12)


def pinned() -> Problem:
    """The mixed problem with three knobs fixed by their owner, one off its search grid."""
    problem = mixed()
    return Problem(
        space=problem.space,
        objectives=problem.objectives,
        pins={"cache": 123_456_789, "mode": "b", "least": 32},
        budget=12,
    )


def tiny() -> Problem:
    """Nine configurations in all: of 12 combinations, three break a rule."""
    knobs = (
        Knob(name="a", type=KnobType.INTEGER, low=0, high=2, default=0),
        Knob(name="b", type=KnobType.ORDINAL, levels=(1, 2), default=1),
        Knob(name="c", type=KnobType.BOOLEAN, default=False),
    )
    rules = (Constraint(expression="not (c and b == 2)"),)
    return Problem(space=KnobSpace(knobs, rules), objectives=(LATENCY,), least_fidelity=0.3)


def wide() -> Problem:
    """Sixty knobs, as a database has."""
    kinds = (
        {"type": KnobType.INTEGER, "low": 1, "high": 1 << 30, "default": 4096, "scale": Scale.LOG},
        {"type": KnobType.REAL, "low": 0.0, "high": 1.0, "default": 0.5},
        {"type": KnobType.BOOLEAN, "default": False},
        {"type": KnobType.CATEGORICAL, "levels": ("x", "y", "z"), "default": "x"},
    )
    knobs = tuple(Knob(name=f"k{place}", **kinds[place % 4]) for place in range(60))
    return Problem(space=KnobSpace(knobs), objectives=(THROUGHPUT,), budget=12)


PROBLEMS = {
    "mixed": mixed,
    "conditional": conditional,
    "pinned": pinned,
    "tiny": tiny,
    "wide": wide,
}


def loss(problem: Problem, configuration: Configuration) -> float:
    """How far from its optimum a configuration is: 0 is best; the first knobs count most."""
    encoder = SpaceEncoder(problem.space, problem.pins)
    total = 0.0
    weight = 2.0
    for column, position in zip(encoder.columns, encoder.encode(configuration), strict=True):
        if column.kind is ColumnKind.CATEGORICAL:
            total += weight * float(position != column.count - 1)
        else:
            total += weight * float(position - OPTIMUM) ** 2
        weight = max(0.2, weight * 0.7)
    return total


def rehearse(
    problem: Problem,
    configuration: Configuration,
    rng: np.random.Generator,
    *,
    number: int = -1,
    fidelity: float = 1.0,
) -> Observation:
    """What a target would answer: one window of that length, or a failure."""
    encoder = SpaceEncoder(problem.space, problem.pins)
    row = encoder.encode(configuration)
    ordered = row[encoder.levels == 0]
    if len(ordered) and ordered[0] > FAILS_ABOVE:
        return Observation(
            configuration=configuration,
            failure=FailureKind.WORKLOAD_FAILED,
            number=number,
            fidelity=fidelity,
        )
    objective = problem.objective
    sign = 1.0 if objective.direction is Direction.MINIMISE else -1.0
    scatter = 0.0 if objective.deterministic else NOISE_SD / math.sqrt(fidelity)
    noise = scatter * rng.standard_normal()
    value = 100.0 * math.exp(sign * loss(problem, configuration) + noise)
    memory = float(ordered.mean()) if len(ordered) else 0.0
    return Observation(
        configuration=configuration,
        values={objective.name: (value,)},
        metrics={"memory": memory},
        number=number,
        fidelity=fidelity,
    )
