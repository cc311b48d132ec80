"""Tree-structured Parzen estimators, by Optuna: densities of the good and of the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from targets.expressions import Expression
from targets.knobs import Configuration, Value
from targets.settings import Setting
from tuner.axes import ColumnKind
from tuner.history import History
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.wording import moves
from tuner.sampling import neighbours, repair, sample
from tuner.space import Column, SpaceEncoder

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.distributions import BaseDistribution
    from optuna.trial import TrialState

ASKS = 5
"""How often the sampler is asked before a neighbour of what it wanted is taken; on small spaces
it keeps coming back to what was tried."""


class TreeParzenRecommender(SequentialRecommender):
    """Optuna's multivariate, grouped TPE on an in-memory study rebuilt at every call."""

    name = "tpe"
    summary = "Optuna's tree-structured Parzen estimator: quick, at home with conditional knobs"
    source = "Bergstra et al., NeurIPS 2011; Watanabe, arXiv 2304.11127; Optuna"
    settings_declared = (
        Setting(
            name="candidates",
            default=24,
            low=1,
            high=1000,
            help="samples of the good density compared at each suggestion",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        configuration, why = self._new(history, rng)
        return Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLOIT,
            lane=self.name,
            reason=f"Parzen estimator: {why}. {moves(history, configuration)}",
        )

    def _new(self, history: History, rng: np.random.Generator) -> tuple[Configuration, str]:
        """A configuration not seen before, and why this one."""
        encoder = history.encoder
        wanted: dict[str, Value] | None = None
        with _quiet():
            study = self._study(history, rng)
            for _ in range(ASKS):
                drawn = repair(encoder, _ask(study, encoder), rng)
                if drawn is not None and encoder.key(drawn) not in history.seen:
                    return drawn, "likelier among the good configurations than among the rest"
                wanted = drawn or wanted
        near = [] if wanted is None else history.unseen(neighbours(encoder, wanted))
        if near:
            return near[rng.integers(len(near))], "what it wants was tried, so a neighbour of it"
        [drawn] = sample(encoder, 1, rng, avoid=history.seen)
        return drawn, "all it wants was tried, so a random configuration"

    def _study(self, history: History, rng: np.random.Generator) -> Study:
        """Everything known as a study.

        A failed or unacceptable trial is told as pruned without a value, which Optuna ranks below
        every completed one; trials told as failed it would not look at. Configurations in flight
        are running trials, which its constant liar takes for poor ones.
        """
        optuna = _optuna()
        study: Study = optuna.create_study(
            direction="minimize",
            sampler=optuna.samplers.TPESampler(
                multivariate=True,
                group=True,
                constant_liar=True,
                n_startup_trials=0,
                n_ei_candidates=int(self.options["candidates"]),
                seed=int(rng.integers(2**31)),
            ),
        )
        states = optuna.trial.TrialState
        told: list[tuple[Configuration, TrialState, float | None]] = [
            (one, states.RUNNING, None) for one in history.pending
        ]
        told += [(one.configuration, states.PRUNED, None) for one in history.failed]
        for one, cost in zip(history.measured, history.costs, strict=True):
            if one.acceptable:
                told.append((one.configuration, states.COMPLETE, float(cost)))
            else:
                told.append((one.configuration, states.PRUNED, None))
        distributions = {column.knob: _distribution(column) for column in history.encoder.columns}
        for configuration, state, value in told:
            parameters = _parameters(history.encoder, configuration)
            kept = {name: distributions[name] for name in parameters}
            study.add_trial(
                optuna.create_trial(state=state, value=value, params=parameters, distributions=kept)
            )
        return study


def _ask(study: Study, encoder: SpaceEncoder) -> dict[str, Value]:
    """Ask for the knobs one by one, a conditional one only where it is active."""
    trial = study.ask()
    values = {**encoder.space.default(), **encoder.fixed}
    for column in _by_dependence(encoder):
        if encoder.space.is_active(column.knob, values):
            position = _draw(trial, column)
            values[column.knob] = encoder.axes[column.knob].value(position)
    return encoder.pinned(values)


def _by_dependence(encoder: SpaceEncoder) -> list[Column]:
    """The columns, each after those that decide whether it is active."""

    def depth(name: str, above: tuple[str, ...] = ()) -> int:
        condition = encoder.space[name].active_when
        if not condition or name in above:
            return 0
        return 1 + max(depth(other, (*above, name)) for other in Expression.parse(condition).names)

    return sorted(encoder.columns, key=lambda column: depth(column.knob))


def _distribution(column: Column) -> BaseDistribution:
    from optuna import distributions

    if column.kind is ColumnKind.CATEGORICAL:
        return distributions.CategoricalDistribution(tuple(range(int(column.count))))
    if column.even:
        return distributions.IntDistribution(0, int(column.count) - 1)
    return distributions.FloatDistribution(0.0, 1.0)


def _draw(trial: Trial, column: Column) -> float:
    """A position on the column, as the sampler wants it."""
    if column.kind is ColumnKind.CATEGORICAL:
        return float(trial.suggest_categorical(column.knob, tuple(range(int(column.count)))))
    if column.even:
        return (trial.suggest_int(column.knob, 0, int(column.count) - 1) + 0.5) / column.count
    return trial.suggest_float(column.knob, 0.0, 1.0)


def _parameters(encoder: SpaceEncoder, configuration: Configuration) -> dict[str, int | float]:
    """The active free knobs, in the sampler's terms."""
    parameters: dict[str, int | float] = {}
    for column, position in zip(encoder.columns, encoder.encode(configuration), strict=True):
        if not encoder.space.is_active(column.knob, configuration):
            continue
        if column.kind is ColumnKind.CATEGORICAL:
            parameters[column.knob] = int(position)
        elif column.even:
            parameters[column.knob] = min(int(position * column.count), int(column.count) - 1)
        else:
            parameters[column.knob] = float(position)
    return parameters


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtra("recommender tpe", "optuna", "server") from error
    return optuna


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's line for every study and its warning that `group` is experimental."""
    optuna = _optuna()
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
