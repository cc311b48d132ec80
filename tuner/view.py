"""One session as the tuner sees it: record, space and results, turned into observations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from knowledge_base.records import Session, Trial, TrialState, Window
from knowledge_base.store import Store
from targets.errors import FailureKind, Rejected
from targets.knobs import Configuration
from targets.metrics import Objective
from targets.protocol import CANDIDATE_ARM
from targets.space import KnobSpace
from tuner.recommenders.base import Observation, PastTask, Problem, SuggestionKind

SEARCH_TASK = "trial"
CONFIRM_TASK = "confirm"
REFERENCES_TASK = "references"
PROMOTE_TASK = "promote"


@dataclass(frozen=True)
class SessionView:
    """A session with everything known of it at one moment; immutable, no SQL behind it.

    `past` is what the recommender may learn of other sessions (`tuner.past`); whoever asks a
    recommender puts it in.
    """

    session: Session
    space: KnobSpace
    trials: tuple[Trial, ...]
    windows: tuple[Window, ...]
    window_seconds: float
    past: tuple[PastTask, ...] = ()

    @classmethod
    def load(cls, store: Store, session: Session, *, metrics: bool = True) -> SessionView:
        """Read the session's trials and windows.

        Args:
            metrics: False leaves the windows' metrics unread, which are nearly all there is to
                read; the observations then have none.
        """
        return cls(
            session,
            store.targets.space(session.space_id),
            tuple(store.trials.all(session.id)),
            tuple(store.windows.of_session(session.id, metrics=metrics)),
            float(store.targets.get(session.target_id).description["window_seconds"]),
        )

    def as_seen_by(self, trial: Trial) -> SessionView:
        """The view that `trial` was planned on: only the trials it was based on."""
        numbers = set(trial.based_on)
        trials = tuple(other for other in self.trials if other.number in numbers)
        kept = {other.id for other in trials}
        windows = tuple(window for window in self.windows if window.trial_id in kept)
        return replace(self, trials=trials, windows=windows)

    @cached_property
    def objective(self) -> Objective:
        """What the session improves."""
        return Objective.from_dict(self.session.objective)

    @cached_property
    def problem(self) -> Problem:
        """What the recommender is asked to solve."""
        return Problem(
            space=self.space,
            objectives=(self.objective,),
            pins=dict(self.session.pins),
            budget=int(self.session.budget["trials"]),
            history=self.past,
            least_fidelity=float(self.session.budget.get("least_fidelity", 1.0)),
        )

    @cached_property
    def _windows_by_trial(self) -> dict[int, list[Window]]:
        grouped: dict[int, list[Window]] = {}
        for window in self.windows:
            if not window.late:
                grouped.setdefault(window.trial_id, []).append(window)
        return grouped

    def values(self, trial: Trial, arm: str = CANDIDATE_ARM) -> tuple[float, ...]:
        """The objective's values of the trial's counted windows on one arm, in order."""
        windows = sorted(self._windows_by_trial.get(trial.id, ()), key=lambda w: w.position)
        return tuple(w.objectives[self.objective.name] for w in windows if w.arm == arm)

    def value(self, trial: Trial) -> float | None:
        """The trial's objective: the mean of its windows; None when it has none."""
        values = self.values(trial)
        return math.fsum(values) / len(values) if values else None

    def of_task(self, task: str) -> list[Trial]:
        """The trials of one task, in order."""
        return [trial for trial in self.trials if trial.task == task]

    @property
    def open_trials(self) -> list[Trial]:
        """The trials without a result."""
        return [trial for trial in self.trials if not trial.state.ended]

    @property
    def next_number(self) -> int:
        """The number of the next trial, counting every task."""
        return max((trial.number for trial in self.trials), default=-1) + 1

    @property
    def ended_numbers(self) -> tuple[int, ...]:
        """The numbers of the trials whose results are in: what a plan is based on."""
        return tuple(trial.number for trial in self.trials if trial.state.ended)

    @cached_property
    def baseline_trial(self) -> Trial | None:
        """The completed baseline trial; None until there is one."""
        for trial in self.of_task(SEARCH_TASK):
            if is_baseline(trial) and trial.state is TrialState.COMPLETED:
                return trial
        return None

    @cached_property
    def search_trials(self) -> list[Trial]:
        """The search trials, the baseline not counted."""
        return [trial for trial in self.of_task(SEARCH_TASK) if not is_baseline(trial)]

    @cached_property
    def spent(self) -> float:
        """How much of the trial budget is used: ended trials that count against it, those with
        shorter windows by their share of a full one.

        A trial that failed by no fault of its configuration says nothing and is not charged.
        """
        counted = (
            trial.fidelity
            for trial in self.search_trials
            if trial.state.ended and not spares_budget(trial)
        )
        return round(math.fsum(counted), 9)

    @cached_property
    def observations(self) -> tuple[Observation, ...]:
        """What the search has learnt, in trial order, the baseline first."""
        return tuple(
            observation
            for trial in self.of_task(SEARCH_TASK)
            if (observation := self._observation(trial)) is not None
        )

    def _observation(self, trial: Trial) -> Observation | None:
        if trial.state is TrialState.FAILED:
            failure = FailureKind(trial.failure or FailureKind.HARNESS_FAILED)
            if not failure.blames_configuration:
                return None
            return Observation(
                configuration=trial.configuration,
                failure=failure,
                number=trial.number,
                fidelity=trial.fidelity,
            )
        values = self.values(trial)
        if trial.state is not TrialState.COMPLETED or not values:
            return None
        return Observation(
            configuration=self.acting(trial),
            values={self.objective.name: values},
            metrics=_mean_metrics(self._windows_by_trial.get(trial.id, ())),
            number=trial.number,
            fidelity=trial.fidelity,
        )

    def acting(self, trial: Trial) -> Configuration:
        """What was measured: the configuration in force where the target rounded or clamped."""
        if trial.in_force is None:
            return trial.configuration
        try:
            return self.space.check(trial.in_force)
        except Rejected:
            return trial.configuration

    @cached_property
    def not_again(self) -> tuple[Configuration, ...]:
        """Configurations in flight, and those asked for that the target took up differently."""
        asked = [trial.configuration for trial in self.of_task(SEARCH_TASK) if self._blocks(trial)]
        return tuple(asked)

    def _blocks(self, trial: Trial) -> bool:
        if not trial.state.ended:
            return True
        if trial.state is not TrialState.COMPLETED:
            return False
        return self.space.key(self.acting(trial)) != self.space.key(trial.configuration)

    @property
    def recommender_state(self) -> Mapping[str, Any]:
        """What the recommender returned with its last suggestion; `{}` at first."""
        for trial in reversed(self.search_trials):
            if trial.recommender_state:
                return trial.recommender_state
        return {}


def is_baseline(trial: Trial) -> bool:
    """Whether the trial measures the configuration the session began with."""
    return trial.suggestion.get("kind") == SuggestionKind.BASELINE


def spares_budget(trial: Trial) -> bool:
    """Whether the trial failed by no fault of its configuration."""
    return (
        trial.state is TrialState.FAILED
        and trial.failure is not None
        and not FailureKind(trial.failure).blames_configuration
    )


def _mean_metrics(windows: Iterable[Window] | Sequence[Window]) -> dict[str, float]:
    sums: dict[str, list[float]] = {}
    for window in windows:
        for name, value in window.metrics.as_dict().items():
            sums.setdefault(name, []).append(value)
    return {name: math.fsum(values) / len(values) for name, values in sums.items()}
