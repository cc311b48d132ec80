"""One session as the tuner sees it: record, space and results, turned into observations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any

from knowledge_base.records import Session, Trial, TrialState, Window
from knowledge_base.store import Store
from targets.errors import FailureKind, Rejected
from targets.knobs import Configuration
from targets.metrics import Objective
from targets.protocol import CANDIDATE_ARM
from targets.space import KnobSpace
from tuner.limits import SessionLimit
from tuner.recommenders.base import Observation, PastTask, Problem, SuggestionKind

SEARCH_TASK = "trial"
CONFIRM_TASK = "confirm"
REFERENCES_TASK = "references"
PROMOTE_TASK = "promote"


@dataclass(frozen=True)
class SessionView:
    """A session with everything known of it at one moment; immutable, no SQL behind it.

    `cores` is how many the target's machine has. `past` is what the recommender may learn of other
    sessions, and `context` what this one's workload looks like (`tuner.past`); whoever asks a
    recommender puts them in.
    """

    session: Session
    space: KnobSpace
    trials: tuple[Trial, ...]
    windows: tuple[Window, ...]
    window_seconds: float
    cores: float = 1.0
    past: tuple[PastTask, ...] = ()
    context: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, store: Store, session: Session, *, metrics: bool = True) -> SessionView:
        """Read the session's trials and windows.

        Args:
            metrics: False leaves the windows' metrics unread, which are nearly all there is to
                read; the observations then have none.
        """
        described = store.targets.get(session.target_id).description
        return cls(
            session,
            store.targets.space(session.space_id),
            tuple(store.trials.all(session.id)),
            tuple(store.windows.of_session(session.id, metrics=metrics)),
            window_seconds=float(described["window_seconds"]),
            cores=float(described.get("hardware", {}).get("cpus", 1.0)),
        )

    def as_seen_by(self, trial: Trial) -> SessionView:
        """The view that `trial` was planned on: only the trials it was based on."""
        numbers = set(trial.based_on)
        trials = tuple(other for other in self.trials if other.number in numbers)
        kept = {other.id for other in trials}
        windows = tuple(window for window in self.windows if window.trial_id in kept)
        return replace(self, trials=trials, windows=windows)

    @cached_property
    def objectives(self) -> tuple[Objective, ...]:
        """What the session improves, the one that is confirmed first."""
        return tuple(map(Objective.from_dict, self.session.objectives))

    @property
    def objective(self) -> Objective:
        """The first objective."""
        return self.objectives[0]

    @cached_property
    def limits(self) -> tuple[SessionLimit, ...]:
        """What is to be kept meanwhile."""
        return tuple(map(SessionLimit.from_dict, self.session.limits))

    @cached_property
    def judged_by(self) -> tuple[str, ...]:
        """What every window must tell: the objectives, and what the limits bound."""
        named = [one.name for one in self.objectives] + [one.name for one in self.limits]
        return tuple(dict.fromkeys(named))

    @property
    def deterministic(self) -> bool:
        """Whether all that the session is judged by comes out the same again; of a limited metric
        that is not known."""
        exact = {one.name for one in self.objectives if one.deterministic}
        return exact.issuperset(self.judged_by)

    @cached_property
    def problem(self) -> Problem:
        """What the recommender is asked to solve."""
        return Problem(
            space=self.space,
            objectives=self.objectives,
            pins=dict(self.session.pins),
            limits=tuple(chain.from_iterable(limit.problems for limit in self.limits)),
            budget=int(self.session.budget["trials"]),
            context=self.context,
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

    def values(
        self, trial: Trial, arm: str = CANDIDATE_ARM, name: str | None = None
    ) -> tuple[float, ...]:
        """The values of the trial's counted windows on one arm, in order.

        Args:
            name: of what the session is judged by; the first objective where not given.
        """
        wanted = name or self.objective.name
        return tuple(
            w.objectives[wanted]
            for w in self.windows_of(trial)
            if w.arm == arm and wanted in w.objectives
        )

    def windows_of(self, trial: Trial) -> list[Window]:
        """The trial's windows that are not late, in the order they were measured."""
        return sorted(self._windows_by_trial.get(trial.id, ()), key=lambda w: w.position)

    def value(self, trial: Trial, name: str | None = None) -> float | None:
        """The mean of the trial's windows; None when it has none."""
        values = self.values(trial, name=name)
        return math.fsum(values) / len(values) if values else None

    def broken_by(self, trial: Trial) -> tuple[SessionLimit, ...]:
        """The limits that the trial's windows broke, by their mean."""
        means = ((limit, self.value(trial, limit.name)) for limit in self.limits)
        return tuple(limit for limit, mean in means if mean is not None and limit.broken_by(mean))

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
            values={name: self.values(trial, name=name) for name in self.judged_by},
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
    # Shares are added up, for a sum of the largest floats is none.
    return {name: math.fsum(v / len(values) for v in values) for name, values in sums.items()}
