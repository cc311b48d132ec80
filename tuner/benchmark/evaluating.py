"""One run: a contestant on a table with one seed, and everything that is said of it."""

from __future__ import annotations

import math
import time
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

import numpy as np

from tuner.benchmark.contestants import Asked, Brief, Entry, Source, revisits
from tuner.benchmark.scoring import Scoring
from tuner.benchmark.snapping import Snapper
from tuner.benchmark.tables import Point, Table
from tuner.errors import SpaceExhausted

NAMED_UP_TO = 10
NAMED_EVERY = 5
"""With noise a contestant is asked what it names after each of the first evaluations and then
after every fifth: naming may cost as much as suggesting. In between the last answer stands."""

_NOISE, _HISTORY = 1, 2
"""Streams of randomness within one seed."""


class Mislead(StrEnum):
    """Whether the history holds a source that says the opposite of the truth."""

    NO = "no"
    ADD = "add"
    ONLY = "only"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The rules of a benchmark, the same for every contestant.

    `noise`: standard deviation of the logarithm of the factor each evaluation is multiplied with.
    `history`: rows known of each source.
    """

    budget: int
    noise: float = 0.0
    history: int = 0
    mislead: Mislead = Mislead.NO


@dataclass(frozen=True, kw_only=True)
class Job:
    """One run to be made; `sources` are the tables its history is drawn from."""

    table: Table
    entry: Entry
    seed: int
    setting: Setting
    sources: tuple[Table, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Run:
    """What one run gave.

    `regrets`: one an evaluation, of the best true value so far; with noise, of the true value of
    the configuration that was named. It stays level when the contestant had nothing more to try,
    after `evaluations`. `repeated_rows` were answered by a row seen before, of which
    `repeated_points` are the very same suggestion again and `remeasured` said so. Milliseconds are
    medians over suggestions, telling included: `ms_cpu` of CPU time, `ms_wall` of the clock.
    `lanes` counts suggestions by `lane/kind`.
    """

    task: str
    family: str
    complete: bool
    contestant: str
    seed: int
    setting: Setting
    regrets: tuple[float, ...]
    evaluations: int
    repeated_rows: int
    repeated_points: int
    remeasured: int
    failures: int
    ms_cpu: float
    ms_wall: float
    lanes: Mapping[str, int]


def evaluate(job: Job) -> Run:
    """Make the run. The same job gives the same run, but for the milliseconds.

    Raises:
        As `Entry.enter` and `Contestant.ask`; InvalidTable where the table cannot be scored.
    """
    table, setting = job.table, job.setting
    snapper, scoring = Snapper(table), Scoring.of(table)
    answers = _Answers(table, snapper, noise=setting.noise, rng=_rng(job, _NOISE))
    brief = Brief(
        table=table,
        seed=job.seed,
        budget=setting.budget,
        noisy=setting.noise > 0,
        sources=_sources(job),
    )
    asked: list[Asked] = []
    regrets: list[float] = []
    times: list[tuple[float, float]] = []
    with job.entry.enter(brief) as contestant:
        for number in range(1, setting.budget + 1):
            clock = _Stopwatch(contestant.seconds_elsewhere)
            try:
                suggestion = contestant.ask()
            except SpaceExhausted:
                if setting.noise:
                    regrets.append(_regret(scoring, snapper, contestant.named()))
                break
            clock.pause(contestant.seconds_elsewhere)
            value = answers.of(suggestion)
            clock.resume(contestant.seconds_elsewhere)
            contestant.tell(suggestion, value)
            times.append(clock.stop(contestant.seconds_elsewhere))
            asked.append(suggestion)
            if not setting.noise:
                regrets.append(_best(scoring, answers.rows))
            elif number <= NAMED_UP_TO or number % NAMED_EVERY == 0 or number == setting.budget:
                regrets.append(_regret(scoring, snapper, contestant.named()))
            else:
                regrets.append(regrets[-1])
    left = setting.budget - len(regrets)
    return Run(
        task=table.name,
        family=table.family,
        complete=table.complete,
        contestant=job.entry.label,
        seed=job.seed,
        setting=setting,
        regrets=(*regrets, *([regrets[-1] if regrets else scoring.worst] * left)),
        evaluations=len(asked),
        repeated_rows=len(asked) - len(set(answers.rows)),
        repeated_points=len(asked) - len({one.point.tobytes() for one in asked}),
        remeasured=revisits(asked),
        failures=answers.failures,
        ms_cpu=1000 * median(cpu for cpu, _ in times) if times else 0.0,
        ms_wall=1000 * median(wall for _, wall in times) if times else 0.0,
        lanes=Counter(f"{one.lane}/{one.kind}" for one in asked if one.lane),
    )


class _Answers:
    """What the recorded system says to each suggestion."""

    def __init__(
        self, table: Table, snapper: Snapper, *, noise: float, rng: np.random.Generator
    ) -> None:
        self._table, self._snapper, self._noise, self._rng = table, snapper, noise, rng
        self.rows: list[int] = []
        self.failures = 0

    def of(self, asked: Asked) -> float | None:
        factor = math.exp(self._noise * self._rng.standard_normal())
        row = self._snapper.row(asked.point)
        self.rows.append(row)
        value = float(self._table.values[row])
        if math.isnan(value):
            self.failures += 1
            return None
        return value * factor


def _best(scoring: Scoring, rows: Sequence[int]) -> float:
    """The least regret among rows tried; the worst row's while all of them failed."""
    found = scoring.regrets[list(rows)]
    return scoring.worst if np.isnan(found).all() else float(np.nanmin(found))


def _regret(scoring: Scoring, snapper: Snapper, named: Point | None) -> float:
    """The regret of a named point; the worst row's where none was named or it is one that fails."""
    regret = math.nan if named is None else float(scoring.regrets[snapper.row(named)])
    return scoring.worst if math.isnan(regret) else regret


def _sources(job: Job) -> tuple[Source, ...]:
    """Some rows of each source, drawn by the seed and the same for every contestant."""
    if not job.setting.history:
        return ()
    rng = _rng(job, _HISTORY)
    sources = []
    for table in job.sources:
        drawn = rng.choice(len(table), min(job.setting.history, len(table)), replace=False)
        sources.append(Source(table=table, points=table.rows[drawn], values=table.values[drawn]))
    wrong = [Source(table=one.table, points=one.points, values=-one.values) for one in sources]
    if job.setting.mislead is Mislead.ONLY:
        return tuple(wrong)
    return (*sources, *wrong[:1]) if job.setting.mislead is Mislead.ADD else tuple(sources)


def _rng(job: Job, stream: int) -> np.random.Generator:
    return np.random.default_rng([zlib.crc32(job.table.name.encode()), job.seed, stream])


class _Stopwatch:
    """CPU and clock time spent in a contestant, its other processes included."""

    def __init__(self, elsewhere: float) -> None:
        self._cpu = self._wall = 0.0
        self.resume(elsewhere)

    def resume(self, elsewhere: float) -> None:
        self._from = (time.process_time() + elsewhere, time.perf_counter())

    def pause(self, elsewhere: float) -> None:
        cpu, wall = self._from
        self._cpu += time.process_time() + elsewhere - cpu
        self._wall += time.perf_counter() - wall

    def stop(self, elsewhere: float) -> tuple[float, float]:
        """Pause, and answer seconds of CPU and of the clock."""
        self.pause(elsewhere)
        return self._cpu, self._wall
