"""Contestants: what the benchmark runs, our recommenders and other people's optimizers alike.

A contestant is written `auto`, or `auto:option=value:option=value` for a recommender with options,
or `auto:deterministic` for one that is told that a configuration always gives the same value; a
peer is written `peer:optuna-tpe-mv`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from targets.errors import FailureKind
from tuner import Optimizer, space_from_params
from tuner.benchmark.errors import UnknownName
from tuner.benchmark.tables import Point, Table
from tuner.recommenders.base import SuggestionKind

PEER_PREFIX = "peer:"
DETERMINISTIC = "deterministic"


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of another table: some of its rows. `values`: NaN where one failed."""

    table: Table
    points: np.ndarray
    values: np.ndarray

    def history(self) -> dict[str, Any]:
        """The form that `tuner.Optimizer` takes."""
        return {
            "task": self.table.name,
            "params": self.table.params,
            "observations": [
                (self.table.configuration(point), None if math.isnan(value) else float(value))
                for point, value in zip(self.points, self.values, strict=True)
            ],
        }


@dataclass(frozen=True, kw_only=True)
class Brief:
    """What a contestant is told before it begins.

    `budget` is for peers that want to know it; our recommenders are not told. `noisy`: the same
    configuration gives another value each time.
    """

    table: Table
    seed: int
    budget: int
    noisy: bool
    sources: tuple[Source, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One suggestion; `lane` and `kind` say where it comes from, where that is known."""

    point: Point
    lane: str = ""
    kind: str = ""


class Contestant(ABC):
    """One optimizer in one run: asked and told by turns."""

    @abstractmethod
    def ask(self) -> Asked:
        """The next point to evaluate.

        Raises:
            SpaceExhausted: it has nothing left to try.
            PeerFailed: a peer's own error.
        """

    @abstractmethod
    def tell(self, asked: Asked, value: float | None) -> None:
        """What the asked point gave, in the table's unit; None where it failed."""

    @abstractmethod
    def named(self) -> Point | None:
        """The point it would name as the best now; None before it can name any."""

    @property
    def seconds_elsewhere(self) -> float:
        """CPU seconds it has used in other processes than this."""
        return 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027 - not every contestant has to do it
        """End what was started; most have nothing to end."""


class RecommenderContestant(Contestant):
    """One of the installed recommenders, through `tuner.Optimizer` as anybody embeds it."""

    def __init__(
        self, brief: Brief, name: str, *, options: Mapping[str, object], deterministic: bool
    ) -> None:
        self._table = brief.table
        self._optimizer = Optimizer(
            space_from_params(brief.table.params),
            name,
            direction=str(brief.table.direction),
            seed=brief.seed,
            history=[source.history() for source in brief.sources],
            deterministic=deterministic,
            least_fidelity=1.0,  # of shorter windows a table knows nothing
            options=options,
        )

    def ask(self) -> Asked:
        point = self._table.point(self._optimizer.ask())
        suggestion = self._optimizer.last_suggestion
        if suggestion is None:
            return Asked(point=point)
        return Asked(point=point, lane=suggestion.lane, kind=str(suggestion.kind))

    def tell(self, asked: Asked, value: float | None) -> None:
        self._optimizer.tell(
            self._table.configuration(asked.point),
            value,
            failure=FailureKind.WORKLOAD_FAILED if value is None else None,
        )

    def named(self) -> Point | None:
        estimate = self._optimizer.recommend()
        return None if estimate is None else self._table.point(estimate.configuration)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A contestant by name, as it is written on the command line and in results."""

    name: str
    peer: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    deterministic: bool = False
    python: str = ""
    """The interpreter a peer runs under, where it needs an environment of its own."""

    @property
    def label(self) -> str:
        """How it is called in results."""
        if self.peer:
            return f"{PEER_PREFIX}{self.name}"
        told = [DETERMINISTIC] if self.deterministic else []
        options = [f"{key}={value}" for key, value in self.options.items()]
        return ":".join([self.name, *told, *options])

    @classmethod
    def recommender(cls, text: str) -> Entry:
        """Read `name`, with `:option=value` and `:deterministic` after it.

        Raises:
            UnknownName: an option has no value.
        """
        name, *rest = text.split(":")
        pairs = [option.partition("=") for option in rest if option != DETERMINISTIC]
        for key, equals, _ in pairs:
            if not (key and equals):
                raise UnknownName(f"recommender {text!r}: options are written {name}:option=value")
        return cls(
            name=name,
            options={key: value for key, _, value in pairs},
            deterministic=DETERMINISTIC in rest,
        )

    def enter(self, brief: Brief) -> Contestant:
        """Make the contestant.

        Raises:
            UnknownName, UnknownRecommender: no such peer or recommender.
            MissingExtra: the peer's package is not installed.
            InvalidSetting: an option is unknown or wrong.
        """
        if self.peer:
            from tuner.benchmark.peers import enter_peer

            return enter_peer(self.name, brief, python=self.python)
        return RecommenderContestant(
            brief, self.name, options=self.options, deterministic=self.deterministic
        )


def revisits(asked: Sequence[Asked]) -> int:
    """How many suggestions say themselves that they measure again."""
    return sum(one.kind == SuggestionKind.RE_MEASURE for one in asked)
