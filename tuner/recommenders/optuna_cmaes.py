"""Covariance matrix adaptation, by Optuna and cmaes: a Gaussian that walks towards the better.

CMA-ES knows real coordinates only, so every column is given some (see `_Coordinates`), and its
state would be a pickle, which is not to be kept in a database. Instead what was told is replayed
at every call, generation by generation, as if the strategy had asked for it. Points it did not ask
for, those of the start and those that were repaired, enter in the same way (Hansen, Injecting
external solutions into CMA-ES, 2011).
"""

from __future__ import annotations

import importlib.util
import zlib
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from targets.knobs import Configuration, Value
from targets.settings import Setting
from tuner.axes import ColumnKind
from tuner.history import History, Outcome
from tuner.recommenders.base import Suggestion, SuggestionKind
from tuner.recommenders.optuna_study import new_one, optuna_of, quiet
from tuner.recommenders.sequential import SequentialRecommender, State
from tuner.recommenders.start import propose_start
from tuner.recommenders.wording import moves
from tuner.space import Column, SpaceEncoder

if TYPE_CHECKING:
    from optuna import Study, Trial

REPLAYED = 300
"""The latest so many configurations are replayed, at about a millisecond each."""


class CovarianceRecommender(SequentialRecommender):
    """Optuna's CMA-ES on an in-memory study into which the history is replayed at every call."""

    name = "optuna-cmaes"
    summary = "Optuna's CMA-ES: for real-valued knobs that act together, and hundreds of trials"
    source = "Hansen, arXiv 1604.00772; Nomura and Shibata, cmaes, arXiv 2402.01373; Optuna"
    heeds_limits = True
    settings_declared = (
        Setting(
            name="population",
            default=0,
            low=0,
            high=1000,
            help="trials in a generation; 0 and 1 leave it to the number of knobs (4 + 3 ln n)",
        ),
    )

    def propose(
        self, history: History, state: State, rng: np.random.Generator
    ) -> tuple[Suggestion, State]:
        return propose_start(history, state, rng) or (self.search(history, rng), state)

    def search(self, history: History, rng: np.random.Generator) -> Suggestion:
        """A suggestion once there is something to learn from."""
        optuna = optuna_of(self.name)
        coordinates = _Coordinates(history.encoder)
        with quiet(optuna):
            study = self._study(optuna, history, coordinates, rng)
            configuration, why = new_one(
                history,
                lambda: coordinates.ask(study.ask()),
                rng,
                because="drawn from a Gaussian that leans to where the better ones were",
            )
        return Suggestion(
            configuration=configuration,
            kind=SuggestionKind.EXPLOIT,
            lane=self.name,
            reason=f"CMA-ES: {why}. {moves(history, configuration)}",
        )

    def _study(
        self,
        optuna: ModuleType,
        history: History,
        coordinates: _Coordinates,
        rng: np.random.Generator,
    ) -> Study:
        """A study that was told the acceptable outcomes; the strategy has no place for others."""
        if importlib.util.find_spec("cmaes") is None:
            raise MissingExtra(f"recommender {self.name}", "cmaes", "server")
        from tuner.recommenders.optuna_replay import ReplayingCmaEsSampler

        told = [
            (one, float(cost))
            for one, cost in zip(history.measured, history.costs, strict=True)
            if one.acceptable
        ][-REPLAYED:]
        population = int(self.options["population"])
        study: Study = optuna.create_study(
            direction="minimize",
            sampler=ReplayingCmaEsSampler(
                coordinates.names,
                [coordinates.of(one) for one, _ in told],
                population=population if population > 1 else None,
                seed=int(rng.integers(2**31)),
            ),
        )
        for _, cost in told:
            trial = study.ask()
            coordinates.draw(trial)
            study.tell(trial, cost)
        return study


class _Coordinates:
    """Real coordinates for every column, each in 0..1.

    An ordered column and one of two levels have one; a column of more levels has one a level, of
    which the greatest wins. A value of a discrete knob owns a stretch of its coordinate, and is
    told as a place in that stretch: were it always the same place, a strategy without margins
    would take its own roundings for certainty and stand still (Hamano et al., GECCO 2022).
    """

    def __init__(self, encoder: SpaceEncoder) -> None:
        self._encoder = encoder

    @property
    def names(self) -> list[str]:
        """All coordinates."""
        return [name for column in self._encoder.columns for name in _names(column)]

    def of(self, outcome: Outcome) -> dict[str, float]:
        """What is told of an outcome; always the same for the same configuration."""
        rng = np.random.default_rng(zlib.crc32(outcome.key.encode()))
        told: dict[str, float] = {}
        row = self._encoder.encode(outcome.configuration).tolist()
        for column, position in zip(self._encoder.columns, row, strict=True):
            names = _names(column)
            within = rng.random(len(names))
            if column.kind is ColumnKind.ORDERED:
                stretch = 1.0 / column.count if column.even else 0.0
                places = np.array([position]) + stretch * (within - 0.5)
            elif len(names) == 1:
                places = (position + within) / 2.0
            else:
                places = (np.eye(len(names))[int(position)] + within) / 2.0
            told |= dict(zip(names, np.clip(places, 0.0, 1.0).tolist(), strict=True))
        return told

    def draw(self, trial: Trial) -> dict[str, list[float]]:
        """The strategy's coordinates for every knob."""
        return {
            column.knob: [trial.suggest_float(name, 0.0, 1.0) for name in _names(column)]
            for column in self._encoder.columns
        }

    def ask(self, trial: Trial) -> dict[str, Value]:
        """The configuration the strategy wants; it may break constraints."""
        values: Configuration = {**self._encoder.space.default(), **self._encoder.fixed}
        drawn = {
            column.knob: self._encoder.axes[column.knob].value(_position(column, places))
            for column, places in zip(self._encoder.columns, self.draw(trial).values(), strict=True)
        }
        return self._encoder.pinned({**values, **drawn})


def _names(column: Column) -> list[str]:
    """The column's coordinates."""
    if column.kind is ColumnKind.ORDERED or column.count == 2:
        return [column.knob]
    return [f"{column.knob}={level}" for level in range(int(column.count))]


def _position(column: Column, places: list[float]) -> float:
    if column.kind is ColumnKind.ORDERED:
        return places[0]
    return float(np.argmax(places)) if len(places) > 1 else float(places[0] >= 0.5)
