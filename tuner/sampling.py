"""Configurations to try, drawn without a model: uniform samples, designs, neighbours.

Configurations that leave here are canonical (`tuner.space`) and keep constraints and pins.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import pdist

from targets.errors import Rejected
from targets.knobs import Configuration, Value
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.repair import repair, repaired_rows
from tuner.rows import NamedRowSet, RowSet
from tuner.space import Rows, SpaceEncoder

__all__ = [
    "checked",
    "latin_hypercube",
    "neighbour_rows",
    "neighbours",
    "repair",
    "sample",
    "sample_rows",
    "sobol",
]

REJECTION_ROUNDS = 5
"""Rounds of plain rejection, each twice as large as the one before, before draws are repaired;
what it gives is exactly uniform."""

TELLING = 256
"""So many draws tell what share of them is worth having ..."""

LEAST_SHARE = 0.05
"""... and with less of them, drawing again is in vain."""

LEAST_DRAWN = 32
"""Rows drawn at once, however few are wanted: as quick as one."""

MOST_DRAWN = 4_096
"""Rows drawn at once, unless more are wanted."""

MOST_REPAIRED = 64
"""Rows repaired; what is missing then is walked to from these."""

LEAST_ANCHORS = 8
"""Repaired rows to walk from, however few are wanted."""

WALK_STEPS = 10
"""Steps of such a walk, each of one knob."""

ROUNDS_IN_VAIN = 3
"""Walks in a row that gave nothing new before a large space is given up."""

LARGEST_LAST_RESORT = 100_000
"""A finite space of up to this many combinations is listed before it is given up."""

DESIGNS_COMPARED = 20
"""Latin hypercubes drawn, of which the one that spreads best is kept."""


def checked(encoder: SpaceEncoder, configuration: Configuration) -> dict[str, Value]:
    """The last gate before a configuration is suggested: nothing infeasible passes.

    Raises:
        InfeasibleSpace: it breaks a domain, a constraint or a pin; says which.
    """
    try:
        result = encoder.space.check(configuration)
    except Rejected as error:
        raise InfeasibleSpace(f"a suggestion is not feasible: {error}") from error
    if not encoder.keeps_pins(result):
        moved = [name for name, value in encoder.pins.items() if result[name] != value]
        raise InfeasibleSpace(f"a suggestion moves pinned knobs: {', '.join(moved)}")
    return result


def sample(
    encoder: SpaceEncoder,
    count: int,
    rng: np.random.Generator,
    *,
    avoid: Collection[str] = frozenset(),
) -> list[dict[str, Value]]:
    """As `sample_rows`, for configurations.

    Args:
        avoid: keys (`SpaceEncoder.key`) not to give again.

    Raises:
        SpaceExhausted, InfeasibleSpace: as `sample_rows`.
    """
    known = NamedRowSet(encoder, avoid)
    return encoder.decode_many(sample_rows(encoder, count, rng, avoid=known))


def sample_rows(
    encoder: SpaceEncoder, count: int, rng: np.random.Generator, *, avoid: RowSet | None = None
) -> Rows:
    """(n, n_columns): up to `count` feasible canonical rows, each new and distinct.

    Uniform over the axes; fewer than `count`, but at least one, where there are no more. Draws that
    break a constraint are drawn again; where that is in vain, a small space is listed, and in a
    large one draws are repaired, and walked on from.

    Args:
        avoid: what not to give again.

    Raises:
        SpaceExhausted: every feasible configuration is to be avoided.
        InfeasibleSpace: none keeps constraints and pins; says which ones block.
    """
    harvest = _Harvest(encoder, count, avoid)
    size = max(count, LEAST_DRAWN)
    for _ in range(REJECTION_ROUNDS):
        harvest.take(_drawn(encoder, size, rng))
        if harvest.full:
            return harvest.rows
        if size >= TELLING and len(harvest.rows) < LEAST_SHARE * size:
            break
        size = min(2 * size, max(count, MOST_DRAWN))
    if encoder.listable:
        return harvest.completed(rng)
    anchors = _anchors(harvest, rng)
    harvest.take(anchors)
    in_vain = 0 if len(anchors) else ROUNDS_IN_VAIN
    while not harvest.full and in_vain < ROUNDS_IN_VAIN:
        walked = _walked(encoder, anchors, rng, count=max(harvest.missing, LEAST_DRAWN))
        in_vain = 0 if harvest.take(walked) else in_vain + 1
    if not len(harvest.rows) and encoder.combinations <= LARGEST_LAST_RESORT:
        return harvest.completed(rng)
    return harvest.gathered()


def _anchors(harvest: _Harvest, rng: np.random.Generator) -> Rows:
    """Feasible rows to walk from: what was found, draws that were repaired, and, of few feasible
    configurations the one that is known, the default."""
    encoder = harvest.encoder
    drawn = _drawn(encoder, MOST_REPAIRED, rng)
    enough = min(max(harvest.missing, LEAST_ANCHORS), MOST_REPAIRED)
    repaired = repaired_rows(encoder, drawn, rng, enough=enough)
    default = encoder.canonical_rows(encoder.encode_many([encoder.space.default()]))
    default = default[~encoder.breaches(default).any(axis=1)]
    return np.vstack((harvest.rows, repaired, default))


def _walked(encoder: SpaceEncoder, rows: Rows, rng: np.random.Generator, *, count: int) -> Rows:
    """(count, n_columns): feasible canonical rows some random steps from feasible ones.

    A step draws one knob anew, and is undone where that breaks a constraint: a Metropolis walk,
    which in the long run visits all that it reaches equally often.
    """
    current = rows[rng.integers(len(rows), size=count)]
    for _ in range(WALK_STEPS):
        moved = current.copy()
        columns = rng.integers(encoder.n_columns, size=count)
        lines = np.arange(count)
        moved[lines, columns] = _drawn(encoder, count, rng)[lines, columns]
        moved = encoder.canonical_rows(moved)
        good = ~encoder.breaches(moved).any(axis=1)
        current[good] = moved[good]
    return np.asarray(current)


def _drawn(encoder: SpaceEncoder, count: int, rng: np.random.Generator) -> Rows:
    return encoder.from_unit(rng.random((count, encoder.n_columns)))


class _Harvest:
    """Gathers feasible rows that are new and distinct, up to a number; counts what blocks."""

    def __init__(self, encoder: SpaceEncoder, count: int, avoid: RowSet | None) -> None:
        self.encoder = encoder
        self.count = count
        self.avoid = RowSet(encoder) if avoid is None else avoid.copy()
        self.rows = np.empty((0, encoder.n_columns))
        self.feasible = 0
        self.broken = np.zeros(len(encoder.rules), int)

    @property
    def missing(self) -> int:
        """How many more are wanted."""
        return self.count - len(self.rows)

    @property
    def full(self) -> bool:
        """Whether there are enough."""
        return not self.missing

    def take(self, rows: Rows) -> int:
        """Take what is feasible and new of some rows, as many as are missing; how many it was."""
        rows = self.encoder.settled(rows)
        broken = self.encoder.breaches(rows)
        self.broken += broken.sum(axis=0)
        return self._keep(self.encoder.snapped(rows[~broken.any(axis=1)]))

    def _keep(self, good: Rows) -> int:
        self.feasible += len(good)
        new = good[self.avoid.fresh(good, canonical=True)][: self.missing]
        self.avoid.add(new, canonical=True)
        self.rows = np.vstack((self.rows, new))
        return len(new)

    def completed(self, rng: np.random.Generator) -> Rows:
        """What there is with what is missing drawn from the list of all, of a finite space."""
        listed = self.encoder.listed_rows
        self._keep(listed[rng.permutation(len(listed))])
        if len(listed) and not len(self.rows):
            raise SpaceExhausted(
                f"all {len(listed)} configurations that keep constraints and pins were tried"
            )
        return self.gathered()

    def gathered(self) -> Rows:
        """What there is.

        Raises:
            SpaceExhausted, InfeasibleSpace: it is nothing.
        """
        if len(self.rows):
            return self.rows
        if self.feasible:
            raise SpaceExhausted(f"{self.feasible} draws gave no configuration that was not tried")
        raise InfeasibleSpace(self._blocked())

    def _blocked(self) -> str:
        texts = list(self.encoder.rules)
        worst = np.argsort(-self.broken, kind="stable")[:3].tolist()
        rules = "; ".join(f"{texts[place]} ({self.broken[place]} times)" for place in worst)
        pins = ", ".join(f"{name}={value}" for name, value in self.encoder.pins.items()) or "none"
        return (
            f"no configuration keeps the constraints with these pins: {pins}. Broken most often: "
            f"{rules}. Loosen a constraint or a pin."
        )


def neighbours(encoder: SpaceEncoder, configuration: Configuration) -> list[dict[str, Value]]:
    """The feasible configurations that differ by one step of one knob, each once.

    Switching a knob may activate others; they start at their default.
    """
    row = encoder.encode(encoder.pinned(configuration))
    return encoder.decode_many(neighbour_rows(encoder, row))


def neighbour_rows(
    encoder: SpaceEncoder,
    row: NDArray[np.float64],
    *,
    avoid: RowSet | None = None,
    columns: NDArray[np.bool_] | None = None,
) -> Rows:
    """(m, n_columns): the same, as canonical rows, for a configuration as a row.

    Args:
        avoid: what not to give.
        columns: (n_columns,) along which to step; None: all.
    """
    [origin] = encoder.canonical_rows(row[None, :])
    axes = list(encoder.axes.values())
    stepped = np.arange(len(axes)) if columns is None else np.flatnonzero(columns)
    steps = [axes[column].near(origin[column]) for column in stepped]
    moved = np.repeat(stepped, [len(near) for near in steps])
    rows = np.tile(origin, (len(moved), 1))
    if steps:
        rows[np.arange(len(moved)), moved] = np.concatenate(steps)
    rows = encoder.settled(rows)
    rows = rows[~encoder.breaches(rows).any(axis=1)]
    known = RowSet(encoder) if avoid is None else avoid.copy()
    known.add(origin[None, :], canonical=True)
    return np.asarray(rows[known.fresh(rows, canonical=True)])


def latin_hypercube(encoder: SpaceEncoder, count: int, rng: np.random.Generator) -> Rows:
    """(count, n_columns): every column's values spread evenly, of several designs the widest.

    McKay, Beckman and Conover, Technometrics 1979; the maximin choice is Johnson, Moore and
    Ylvisaker, 1990. With fewer points than levels, no level of a categorical knob comes twice.
    """
    designs = [_latin_hypercube(encoder, count, rng) for _ in range(DESIGNS_COMPARED)]
    if count < 2 or encoder.n_columns == 0:
        return designs[0]
    return max(designs, key=lambda rows: float(pdist(encoder.one_hot(rows)).min()))


def _latin_hypercube(encoder: SpaceEncoder, count: int, rng: np.random.Generator) -> Rows:
    strata = rng.permuted(np.tile(np.arange(count), (encoder.n_columns, 1)), axis=1).T
    points = (strata + rng.random((count, encoder.n_columns))) / count
    return encoder.from_unit(points)


def sobol(encoder: SpaceEncoder, index: int, *, seed: int) -> Rows:
    """(1, n_columns): point number `index` of the Sobol sequence scrambled by `seed`.

    Owen's scrambling, as `scipy.stats.qmc.Sobol` does it.
    """
    # Here, for importing scipy.stats takes longer than all the rest together.
    from scipy.stats import qmc

    if encoder.n_columns == 0:
        return np.empty((1, 0))
    sequence = qmc.Sobol(encoder.n_columns, scramble=True, rng=np.random.default_rng(seed))
    if index:
        sequence.fast_forward(index)
    return encoder.from_unit(sequence.random(1))
