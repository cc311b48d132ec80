"""Configurations to try, drawn without a model: uniform samples, designs, neighbours.

Configurations that leave here are canonical (`tuner.space`) and keep constraints and pins.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection

import numpy as np
from scipy.spatial.distance import pdist

from targets.errors import Rejected
from targets.knobs import Configuration, Value
from tuner.errors import InfeasibleSpace, SpaceExhausted
from tuner.space import Rows, SpaceEncoder

REJECTION_ROUNDS = 4
"""Rounds of plain rejection before draws are repaired; what it gives is exactly uniform."""

REPAIR_STEPS = 100
"""Changes of one knob before a repair is given up."""

REPAIR_TRIES = 8
"""Values tried for the knob that a repair changes."""

DRAWS_IN_VAIN = 50
"""Draws in a row that gave nothing new before a large space is given up."""

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
    """Up to `count` feasible configurations, uniform over the axes, each new and distinct.

    Fewer, but at least one, where there are no more. Draws that break a constraint are drawn
    again; where that is in vain, a small space is listed, and in a large one draws are repaired.

    Args:
        avoid: keys (`SpaceEncoder.key`) not to give again.

    Raises:
        SpaceExhausted: every feasible configuration is to be avoided.
        InfeasibleSpace: none keeps constraints and pins; says which ones block.
    """
    found: dict[str, dict[str, Value]] = {}
    broken: Counter[str] = Counter()
    for _ in range(REJECTION_ROUNDS):
        for configuration in _draw(encoder, count, rng):
            rules = encoder.broken(configuration)
            broken.update(rules)
            if not rules and (key := encoder.key(configuration)) not in avoid:
                found.setdefault(key, configuration)
        if len(found) >= count:
            return list(found.values())[:count]
    if encoder.listable:
        return _from_list(encoder, count, rng, avoid=avoid, broken=broken)
    return _repaired(encoder, count, rng, avoid=avoid, found=found, broken=broken)


def _draw(encoder: SpaceEncoder, count: int, rng: np.random.Generator) -> list[dict[str, Value]]:
    return encoder.decode_many(encoder.from_unit(rng.random((count, encoder.n_columns))))


def _from_list(
    encoder: SpaceEncoder,
    count: int,
    rng: np.random.Generator,
    *,
    avoid: Collection[str],
    broken: Counter[str],
) -> list[dict[str, Value]]:
    if not encoder.listed:
        raise InfeasibleSpace(_blocked(encoder, broken))
    new = [one for one in encoder.listed if encoder.key(one) not in avoid]
    if not new:
        raise SpaceExhausted(
            f"all {len(encoder.listed)} configurations that keep constraints and pins were tried"
        )
    return [new[place] for place in rng.permutation(len(new))[:count]]


def _repaired(
    encoder: SpaceEncoder,
    count: int,
    rng: np.random.Generator,
    *,
    avoid: Collection[str],
    found: dict[str, dict[str, Value]],
    broken: Counter[str],
) -> list[dict[str, Value]]:
    in_vain = 0
    feasible = False
    while len(found) < count and in_vain < DRAWS_IN_VAIN:
        in_vain += 1
        [drawn] = _draw(encoder, 1, rng)
        configuration = repair(encoder, drawn, rng)
        if configuration is None:
            continue
        feasible = True
        key = encoder.key(configuration)
        if key not in avoid and key not in found:
            found[key] = configuration
            in_vain = 0
    if found:
        return list(found.values())
    if feasible:
        raise SpaceExhausted(f"{DRAWS_IN_VAIN} draws gave no configuration that was not tried")
    raise InfeasibleSpace(_blocked(encoder, broken))


def _blocked(encoder: SpaceEncoder, broken: Counter[str]) -> str:
    rules = "; ".join(f"{rule} ({times} times)" for rule, times in broken.most_common(3))
    pins = ", ".join(f"{name}={value}" for name, value in encoder.pins.items()) or "none"
    return (
        f"no configuration keeps the constraints with these pins: {pins}. Broken most often: "
        f"{rules}. Loosen a constraint or a pin."
    )


def repair(
    encoder: SpaceEncoder, configuration: Configuration, rng: np.random.Generator
) -> dict[str, Value] | None:
    """A feasible configuration near a given one; None when none was found.

    As WalkSAT does (Selman, Kautz and Cohen, AAAI 1994): pick a broken constraint, then a knob
    that can mend it, and give that the value, of a few drawn, that leaves least broken.
    """
    current = encoder.pinned(configuration)
    for _ in range(REPAIR_STEPS):
        broken = encoder.broken(current)
        if not broken:
            return current
        levers = encoder.levers(broken[rng.integers(len(broken))])
        if not levers:
            return None
        name = levers[rng.integers(len(levers))]
        axis = encoder.axes[name]
        values = [axis.value(axis.from_unit(share)) for share in rng.random(REPAIR_TRIES)]
        tries = [encoder.canonical({**current, name: value}) for value in values]
        current = min(tries, key=lambda one: len(encoder.broken(one)))
    return None


def neighbours(encoder: SpaceEncoder, configuration: Configuration) -> list[dict[str, Value]]:
    """The feasible configurations that differ by one step of one knob, each once.

    Switching a knob may activate others; they start at their default.
    """
    origin = encoder.pinned(configuration)
    found = {encoder.key(origin): origin}
    for name, axis in encoder.axes.items():
        for value in axis.neighbours(origin[name]):
            other = encoder.canonical({**origin, name: value})
            key = encoder.key(other)
            if key not in found and not encoder.broken(other):
                found[key] = other
    return list(found.values())[1:]


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
    # From the start to the next power of two: the sequence's own unit.
    return encoder.from_unit(sequence.random_base2(index.bit_length())[[index]])
