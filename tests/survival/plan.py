"""What the campaign does to whom, and when: the list of its runs."""

from __future__ import annotations

import itertools
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass

AGENT, WATCHDOG, WORKER, SERVER = "agent", "watchdog", "worker", "server"
ROLES = (AGENT, WATCHDOG, WORKER, SERVER)
RANDOM = "random"

TRIAL_RECORDS = ("intent", "set", "read-back", "measured", "finished")
"""The records of every trial, in order."""

LEASE_SECONDS = 32.0
"""Longer than the server leases a trial (30 s): after it, the trial has another epoch."""


@dataclass(frozen=True)
class Blow:
    """One signal to one process."""

    victim: str
    signal: signal.Signals

    def __str__(self) -> str:
        return f"{self.victim} {'kill -9' if self.signal == signal.SIGKILL else 'stop'}"


@dataclass(frozen=True, kw_only=True)
class Run:
    """Blows struck at once, as soon as a record newly appears in the journal.

    Attributes:
        at: the record's kind, or `random`: some time within a trial.
        after: what is done to have that record written: the agent is started anew (`start`), told
            to end (`end`), or killed or stopped in the middle of a trial.
        restart_seconds: where nothing is left running that could put the safe configuration back,
            the agent is started again after this time.
        resume_seconds: what was stopped goes on after this time, before anything is restarted.
    """

    blows: tuple[Blow, ...]
    at: str
    after: str = ""
    restart_seconds: float = 0.0
    resume_seconds: float | None = None

    @property
    def promotes(self) -> bool:
        """Whether the session must come to a promotion."""
        return self.at in ("promoting", "promoted")

    @property
    def when(self) -> str:
        """The moment, in words."""
        parts = [self.at]
        if self.after:
            parts.append(f"after {self.after}")
        if self.restart_seconds:
            parts.append(f"restarted {self.restart_seconds:g} s later")
        if self.resume_seconds is not None:
            parts.append(f"resumed {self.resume_seconds:g} s later")
        return ", ".join(parts)

    def struck(self, *victims: str) -> bool:
        """Whether one of them is among the victims."""
        return any(blow.victim in victims for blow in self.blows)

    def __str__(self) -> str:
        return f"{' + '.join(map(str, self.blows))} at {self.when}"


def kill(*victims: str) -> tuple[Blow, ...]:
    return tuple(Blow(victim, signal.SIGKILL) for victim in victims)


def stop(*victims: str) -> tuple[Blow, ...]:
    return tuple(Blow(victim, signal.SIGSTOP) for victim in victims)


SHORT = (
    Run(blows=kill(AGENT), at="set"),
    Run(blows=stop(AGENT), at="measured"),
    Run(blows=kill(WATCHDOG), at="read-back"),
    Run(blows=kill(AGENT, WATCHDOG), at="intent"),
    Run(blows=kill(AGENT, WATCHDOG, WORKER, SERVER), at="set"),
    Run(blows=kill(SERVER), at="finished"),
    Run(blows=stop(WATCHDOG) + kill(AGENT), at="set"),
)
"""The short form: each kind of victim once, each way back once."""


def campaign(count: int, rng: random.Random) -> list[Run]:
    """`count` runs: the systematic ones, those at records that are rarely written first, then
    others at random moments."""
    systematic = [*_rare(), *_trials()]
    runs = systematic[:count]
    return runs + list(itertools.islice(_at_random(rng), count - len(runs)))


def _trials() -> Iterator[Run]:
    """Each combination of victims at each record of a trial."""
    combinations = (
        kill(AGENT),
        stop(AGENT),
        kill(WATCHDOG),
        stop(WATCHDOG),
        kill(AGENT, WATCHDOG),
        stop(AGENT) + kill(WATCHDOG),
    )
    for at, blows in itertools.product(TRIAL_RECORDS, combinations):
        yield Run(blows=blows, at=at)
    for at, blows in zip(
        itertools.cycle(TRIAL_RECORDS),
        (
            kill(SERVER),
            kill(WORKER),
            stop(SERVER),
            stop(WORKER),
            kill(AGENT, SERVER),
            kill(WATCHDOG, SERVER),
            kill(SERVER, WORKER),
            stop(AGENT) + kill(SERVER),
            kill(AGENT, WATCHDOG, WORKER, SERVER),
            stop(AGENT, WATCHDOG, WORKER, SERVER),
        ),
    ):
        yield Run(blows=blows, at=at)


def _rare() -> Iterator[Run]:
    """At the records of a start, an end, a recovery and a promotion; and long absences."""
    yield Run(blows=kill(AGENT, WATCHDOG), at="set", restart_seconds=5.0)
    yield Run(blows=stop(AGENT, WATCHDOG), at="set", resume_seconds=LEASE_SECONDS)
    yield Run(blows=stop(AGENT) + kill(WATCHDOG), at="set", resume_seconds=LEASE_SECONDS)
    yield Run(blows=stop(AGENT, WATCHDOG), at="measured", resume_seconds=1.0)
    for blows in (kill(AGENT), kill(WATCHDOG), kill(AGENT, WATCHDOG)):
        yield Run(blows=blows, at="opened", after="start")
    for blows in (kill(AGENT), kill(WATCHDOG)):
        yield Run(blows=blows, at="restored", after="end")
        yield Run(blows=blows, at="closed", after="end")
    yield Run(blows=kill(WATCHDOG), at="restored", after="kill")
    yield Run(blows=kill(WATCHDOG), at="killed", after="stop")
    yield Run(blows=stop(WATCHDOG), at="killed", after="stop")
    for at in ("promoting", "promoted"):
        for blows in (kill(AGENT), kill(AGENT, WATCHDOG), stop(AGENT)):
            yield Run(blows=blows, at=at)


def _at_random(rng: random.Random) -> Iterator[Run]:
    while True:
        victims = rng.sample(ROLES, rng.choice((1, 1, 2, 3, 4)))
        blows = tuple(
            Blow(victim, rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGSTOP)))
            for victim in victims
        )
        yield Run(blows=blows, at=RANDOM, restart_seconds=rng.choice((0.0, 3.0)))
