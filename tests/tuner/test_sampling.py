"""Drawing configurations without a model: feasible, new, spread."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targets.knobs import Knob, KnobType, Special
from targets.space import Constraint, KnobSpace
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.rehearsal import PROBLEMS
from tuner.rows import RowSet
from tuner.sampling import (
    checked,
    latin_hypercube,
    neighbour_rows,
    neighbours,
    repair,
    sample,
    sample_rows,
    sobol,
)
from tuner.space import SpaceEncoder


def numbers(*names: str, high: int = 1000) -> tuple[Knob, ...]:
    return tuple(
        Knob(name=name, type=KnobType.INTEGER, low=0, high=high, default=0) for name in names
    )


def encoder_of(name: str) -> SpaceEncoder:
    problem = PROBLEMS[name]()
    return SpaceEncoder(problem.space, problem.pins)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=15, deadline=None)
def test_samples_are_feasible_and_distinct(name: str, seed: int) -> None:
    encoder = encoder_of(name)
    drawn = sample(encoder, 9, np.random.default_rng(seed))
    for configuration in drawn:
        assert checked(encoder, configuration) == configuration
    assert len({encoder.space.key(one) for one in drawn}) == len(drawn) == 9


def test_what_is_avoided_does_not_come() -> None:
    encoder = encoder_of("tiny")
    rng = np.random.default_rng(0)
    given_so_far: set[str] = set()
    for _ in range(9):
        [one] = sample(encoder, 1, rng, avoid=given_so_far)
        given_so_far.add(encoder.key(one))
    assert len(given_so_far) == 9
    with pytest.raises(SpaceExhausted, match="all 9 configurations"):
        sample(encoder, 1, rng, avoid=given_so_far)


def test_levels_come_equally_often() -> None:
    encoder = encoder_of("wide")
    drawn = Counter(one["k3"] for one in sample(encoder, 600, np.random.default_rng(1)))
    assert all(150 < drawn[level] < 250 for level in ("x", "y", "z"))


def test_tight_constraints_are_met_by_repair() -> None:
    space = KnobSpace(
        numbers("a", "b", "c"),
        (Constraint(expression="a + b + c == 1500"), Constraint(expression="a < b and b < c")),
    )
    encoder = SpaceEncoder(space)
    drawn = sample(encoder, 5, np.random.default_rng(2))
    assert len(drawn) == 5
    assert all(not space.broken(one) for one in drawn)


def test_a_constraint_on_an_inactive_knob_is_mended_by_what_switches_it() -> None:
    space = KnobSpace(
        (
            Knob(name="on", type=KnobType.BOOLEAN, default=False),
            Knob(name="n", type=KnobType.REAL, low=0.0, high=1.0, default=0.0, active_when="on"),
        ),
        (Constraint(expression="n > 0.5"),),
    )
    encoder = SpaceEncoder(space)
    mended = repair(encoder, space.default(), np.random.default_rng(3))
    assert mended is not None
    assert mended["on"] is True
    assert not space.broken(mended)


def test_repaired_samples_are_distinct_and_spread() -> None:
    space = KnobSpace(
        numbers("a", "b", "c", "d"),
        (Constraint(expression="a + b == 1000"), Constraint(expression="c * 50 <= d")),
    )
    encoder = SpaceEncoder(space)
    rows = sample_rows(encoder, 200, np.random.default_rng(3))
    drawn = encoder.decode_many(rows)
    assert len({tuple(one.values()) for one in drawn}) == 200
    assert not any(space.broken(one) for one in drawn)
    assert len({one["a"] for one in drawn}) > 5
    assert len({one["d"] // 100 for one in drawn}) > 7


def test_the_default_is_found_where_nothing_else_is_feasible() -> None:
    names = [f"k{place}" for place in range(12)]
    rules = tuple(Constraint(expression=f"{one} == 0") for one in names)
    encoder = SpaceEncoder(KnobSpace(numbers(*names), rules))
    [only] = sample(encoder, 3, np.random.default_rng(0))
    assert only == encoder.space.default()
    with pytest.raises(SpaceExhausted):
        sample(encoder, 1, np.random.default_rng(0), avoid={encoder.key(only)})


def test_a_set_of_rows_tells_configurations_apart() -> None:
    encoder = encoder_of("mixed")
    rows = sample_rows(encoder, 20, np.random.default_rng(0))
    known = RowSet(encoder)
    known.add(rows[:5])
    assert known.holds(rows).tolist() == [True] * 5 + [False] * 15
    assert known.fresh(np.vstack((rows, rows))).tolist() == [False] * 5 + [True] * 15 + [False] * 20
    other = known.copy()
    other.add(rows)
    assert (len(known), len(other), len(known.joined(other))) == (5, 20, 20)
    assert not known.holds(sample_rows(encoder, 50, np.random.default_rng(1), avoid=known)).any()


def test_neighbours_as_rows_are_the_neighbours() -> None:
    encoder = encoder_of("conditional")
    for origin in sample(encoder, 10, np.random.default_rng(2)):
        rows = neighbour_rows(encoder, encoder.encode(origin))
        assert encoder.decode_many(rows) == neighbours(encoder, origin)
        known = RowSet(encoder)
        known.add(rows[:3])
        assert len(neighbour_rows(encoder, encoder.encode(origin), avoid=known)) == len(rows) - 3


def test_wide_spaces_are_sampled_too() -> None:
    knobs = numbers(*(f"k{place}" for place in range(200)))
    rules = tuple(Constraint(expression=f"k{place} <= k{place + 1}") for place in range(0, 20, 2))
    encoder = SpaceEncoder(KnobSpace(knobs, rules))
    drawn = sample(encoder, 30, np.random.default_rng(0))
    assert len(drawn) == 30
    assert all(checked(encoder, one) == one for one in drawn)
    assert len(neighbours(encoder, drawn[0])) > 900


def test_an_infeasible_space_says_what_blocks() -> None:
    space = KnobSpace(numbers("a", "b"), (Constraint(expression="a + b > 1500"),))
    with pytest.raises(InfeasibleSpace, match=r"a=3.*a \+ b > 1500"):
        sample(SpaceEncoder(space, {"a": 3}), 1, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("moved", "says"),
    [({"mode": "a"}, "pinned knobs: mode"), ({"most": 1}, "least <= most"), ({"page": 5}, "page")],
)
def test_the_last_gate_names_what_is_wrong(moved: dict[str, object], says: str) -> None:
    encoder = encoder_of("pinned")
    good = sample(encoder, 1, np.random.default_rng(0))[0]
    with pytest.raises(InfeasibleSpace, match=says):
        checked(encoder, {**good, **moved})


def test_neighbours_change_one_knob_each() -> None:
    encoder = encoder_of("mixed")
    origin = encoder.space.default()
    near = neighbours(encoder, origin)
    changed = Counter(name for one in near for name in encoder.space.differences(origin, one))
    assert all(len(encoder.space.differences(origin, one)) == 1 for one in near)
    assert set(changed) == {knob.name for knob in encoder.space}
    assert {one["mode"] for one in near} == {"a", "b", "c"}
    assert {0, -1} <= {one["cache"] for one in near}


def test_neighbours_of_a_special_value_lead_back_into_the_range() -> None:
    knob = Knob(
        name="n",
        type=KnobType.INTEGER,
        low=1,
        high=100,
        default=10,
        special=(Special(value=0, meaning="off"),),
    )
    near = {one["n"] for one in neighbours(SpaceEncoder(KnobSpace((knob,))), {"n": 0})}
    assert {1, 100} <= near
    assert 0 not in near


def test_neighbours_reach_every_feasible_configuration() -> None:
    encoder = encoder_of("tiny")
    reached = {encoder.key(encoder.space.default()): encoder.space.default()}
    frontier = list(reached.values())
    while frontier:
        for one in neighbours(encoder, frontier.pop()):
            if encoder.key(one) not in reached:
                reached[encoder.key(one)] = one
                frontier.append(one)
    assert len(reached) == encoder.size()


def test_a_latin_hypercube_covers_every_stratum_and_level() -> None:
    encoder = encoder_of("wide")
    rows = latin_hypercube(encoder, 6, np.random.default_rng(4))
    ordered = rows[:, encoder.levels == 0]
    assert (np.sort((ordered * 6).astype(int), axis=0) == np.arange(6)[:, None]).all()
    assert (np.bincount(rows[:, 3].astype(int)) == 2).all()


def test_sobol_points_are_a_sequence_set_by_their_seed() -> None:
    encoder = encoder_of("wide")
    points = np.vstack([sobol(encoder, index, seed=5) for index in range(8)])
    again = np.vstack([sobol(encoder, index, seed=5) for index in range(8)])
    other = sobol(encoder, 0, seed=6)
    assert (points == again).all()
    assert (points[0] != other).any()
    # Each half of each axis holds half the points of a power of two.
    assert ((points[:, encoder.levels == 0] < 0.5).sum(axis=0) == 4).all()
