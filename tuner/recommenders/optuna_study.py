"""What the recommenders by Optuna share: its study, its terms for our columns, and its silence.

Only the sampler is Optuna's. A study is built anew at every call from what was told, for a
recommender keeps nothing in memory; what a sampler wants is repaired, and what was tried gives
way to a neighbour, for its samplers know no constraints and come back to the same points.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from targets.expressions import Expression
from targets.knobs import Configuration, Value
from tuner.axes import ColumnKind
from tuner.history import History
from tuner.recommenders.search import UNLIKELY
from tuner.repair import repair
from tuner.sampling import neighbours, sample
from tuner.space import Column, SpaceEncoder
from tuner.surrogates.acceptability import Acceptability

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.distributions import BaseDistribution

ASKS = 5
"""How often a sampler is asked before a neighbour of what it wanted is taken; on small spaces it
keeps coming back to what was tried."""

Parameters = dict[str, int | float]
"""A configuration in a sampler's terms."""


def optuna_of(recommender: str) -> ModuleType:
    """The library.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra(f"recommender {recommender}", "optuna", "server") from error
    return optuna


@contextmanager
def quiet(optuna: ModuleType) -> Iterator[None]:
    """Without Optuna's line for every study, and its warnings that arguments are experimental."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)


def new_one(
    history: History,
    ask: Callable[[], dict[str, Value]],
    rng: np.random.Generator,
    *,
    because: str,
) -> tuple[Configuration, str]:
    """A configuration not seen before that is not likely to fail, and why this one.

    Args:
        ask: gives the sampler's next wish, which may break constraints or repeat.
        because: why what it wishes is worth a trial.

    Raises:
        SpaceExhausted: everything was tried.
    """
    encoder = history.encoder
    acceptability = Acceptability.fit(history, seed=int(rng.integers(2**31)))
    wanted: dict[str, Value] | None = None
    risky: dict[str, Value] | None = None
    for _ in range(ASKS):
        drawn = repair(encoder, ask(), rng)
        if drawn is None:
            continue
        wanted = drawn
        if encoder.key(drawn) in history.seen:
            continue
        if acceptability.chance(encoder.encode_many([drawn]))[0] >= UNLIKELY:
            return drawn, because
        risky = drawn
    if risky is not None:
        return risky, f"{because}, although it probably fails"
    near = [] if wanted is None else history.unseen(neighbours(encoder, wanted))
    if near:
        return near[rng.integers(len(near))], "what it wants was tried, so a neighbour of it"
    [drawn] = sample(encoder, 1, rng, avoid=history.seen)
    return drawn, "all it wants was tried, so a random configuration"


def ask_for(trial: Trial, encoder: SpaceEncoder) -> dict[str, Value]:
    """Ask for the knobs one by one, a conditional one only where it is active."""
    values = {**encoder.space.default(), **encoder.fixed}
    for column in by_dependence(encoder):
        if encoder.space.is_active(column.knob, values):
            values[column.knob] = encoder.axes[column.knob].value(_draw(trial, column))
    return encoder.pinned(values)


def by_dependence(encoder: SpaceEncoder) -> list[Column]:
    """The columns, each after those that decide whether it is active."""

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        condition = encoder.space[name].active_when
        if not condition or name in above:
            return 0
        return 1 + max(depth(other, (*above, name)) for other in Expression.parse(condition).names)

    return sorted(encoder.columns, key=lambda column: depth(column.knob))


def distribution_of(column: Column) -> BaseDistribution:
    """What a column is to Optuna: levels by index, even places by number, others as they are."""
    from optuna import distributions

    if column.kind is ColumnKind.CATEGORICAL:
        return distributions.CategoricalDistribution(tuple(range(int(column.count))))
    if column.even:
        return distributions.IntDistribution(0, int(column.count) - 1)
    return distributions.FloatDistribution(0.0, 1.0)


def parameters_of(
    encoder: SpaceEncoder, configuration: Configuration, *, whole: bool = False
) -> Parameters:
    """The active free knobs, in the sampler's terms; all of them where `whole`.

    A knob whose value is none of its levels, as what is in flight may have it, is left out.
    """
    parameters: Parameters = {}
    [row] = encoder.places(encoder.table([configuration]))
    for column, position in zip(encoder.columns, row.tolist(), strict=True):
        if math.isnan(position):
            continue
        if not whole and not encoder.space.is_active(column.knob, configuration):
            continue
        if column.kind is ColumnKind.CATEGORICAL:
            parameters[column.knob] = int(position)
        elif column.even:
            parameters[column.knob] = min(int(position * column.count), int(column.count) - 1)
        else:
            parameters[column.knob] = float(position)
    return parameters


def _draw(trial: Trial, column: Column) -> float:
    """A position on the column, as the sampler wants it."""
    if column.kind is ColumnKind.CATEGORICAL:
        return float(trial.suggest_categorical(column.knob, tuple(range(int(column.count)))))
    if column.even:
        return (trial.suggest_int(column.knob, 0, int(column.count) - 1) + 0.5) / column.count
    return trial.suggest_float(column.knob, 0.0, 1.0)
