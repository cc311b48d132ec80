"""The survival campaign: kills and stops the parts of a real ring, and looks what becomes of it.

    python tests/survival/campaign.py --runs 66 --seed 1
    python tests/survival/campaign.py --short
    python tests/survival/campaign.py --only "watchdog kill -9 at set"

A session tunes a real daemon by its configuration file. Each run strikes some of agent, watchdog,
worker and server when a chosen record appears in the journal. Then, by the word of the inspector,
a program of its own:

- the daemon runs in a safe configuration within 15 s of what is left running or, where nothing is
  left that could see to it, of the agent's restart;
- an agent or a watchdog that was stopped, and goes on after the recovery, changes nothing.

And by the word of the API, for every session: it came to its end; its trials are numbered 0..N
without a gap or a double, each has ended, and each window of its plan counts once.

Prints a line a run; exit status 1 when anything was not so.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

sys.path.insert(0, str(Path(__file__).parent))  # its modules, however it is started

from plan import SHORT, Run, campaign
from ring import Gone, Ring
from sessions import Sessions
from striking import Striker

SAFE_SECONDS = 15.0
"""What is promised."""

TRIALS, SHORT_TRIALS = 12, 3
"""Search trials of a session; its confirmation, which is struck as well, has 24 windows more."""

HEAD = ("run", "victims", "at", "safe after", "trials", "verdict")
LINE = "{:>3}  {:46}  {:42}  {:>10}  {:>6}  {}"


@dataclass(frozen=True)
class Outcome:
    """One line of the table. `trials` is how many of the session had ended by then."""

    run: int
    victims: str
    at: str
    safe_after_seconds: float | None
    trials: int | None
    faults: tuple[str, ...]

    def __str__(self) -> str:
        seconds, trials = self.safe_after_seconds, self.trials
        return LINE.format(
            self.run,
            self.victims,
            self.at,
            "never" if seconds is None else f"{seconds:.1f} s",
            "?" if trials is None else trials,
            "; ".join(self.faults) or "ok",
        )


class Campaign:
    """Runs one after another on one ring, which is taken down when this is left."""

    def __init__(self, folder: Path, rng: random.Random, *, trials: int) -> None:
        self._ring = Ring(folder)
        self._sessions = Sessions(self._ring, rng, trials=trials)
        self._striker = Striker(self._ring, self._sessions, rng)

    def __enter__(self) -> Self:
        try:
            self._ring.start()
            self._striker.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._striker.end()
        self._ring.close()

    def carry_out(self, number: int, run: Run) -> Outcome:
        """One run; whatever goes wrong is among its faults."""
        faults: list[str] = []
        seconds: float | None = None
        trials: int | None = None
        try:
            faults += self._striker.prepare(run)
            struck_at, stopped = self._striker.strike(run)
            seconds = self._striker.see_safe(run, struck_at)
            faults += self._striker.bring_back(stopped)
            trials = self._sessions.trials_ended
            faults += self._sessions.take_faults()
        except (Gone, OSError) as error:
            faults.append(f"{type(error).__name__}: {error}")
        if seconds is not None and seconds > SAFE_SECONDS:
            faults.append(f"not within {SAFE_SECONDS:g} s")
        faults += self._striker.take_faults()
        victims = " + ".join(map(str, run.blows))
        return Outcome(number, victims, run.when, seconds, trials, tuple(faults))

    @property
    def sessions_counted(self) -> int:
        """How many sessions have ended and were looked through, trial by trial."""
        return self._sessions.counted

    def finish(self) -> list[str]:
        """Let the last session come to its end; what is wrong with it."""
        try:
            self._sessions.await_end()
            return [*self._sessions.take_faults(), *self._striker.take_faults()]
        except (Gone, OSError) as error:
            return [f"{type(error).__name__}: {error}"]


def main() -> int:
    """The command line; answers the exit status."""
    args = _parser().parse_args()
    # A test runner that ends this program must not leave a ring behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rng = random.Random(args.seed)
    runs = [run for run in (SHORT if args.short else campaign(args.runs, rng))
            if args.only in str(run)]  # fmt: skip
    folder = Path(tempfile.mkdtemp(prefix="lontra-survival-"))
    outcomes: list[Outcome] = []
    began = time.monotonic()
    print(LINE.format(*HEAD), flush=True)
    try:
        with Campaign(folder, rng, trials=SHORT_TRIALS if args.short else TRIALS) as struck:
            for number, run in enumerate(runs, 1):
                outcomes.append(struck.carry_out(number, run))
                print(outcomes[-1], flush=True)
            last = struck.finish()
            sessions = struck.sessions_counted
    finally:
        if not args.keep:
            shutil.rmtree(folder, ignore_errors=True)
    for fault in last:
        print(f"at the end: {fault}")
    failed = sum(bool(outcome.faults) for outcome in outcomes) + bool(last)
    longest = max((outcome.safe_after_seconds or 0.0 for outcome in outcomes), default=0.0)
    print(
        f"{len(outcomes)} runs, {failed} failed, safe after {longest:.1f} s at the latest; "
        f"{sessions} sessions counted through; {time.monotonic() - began:.0f} s"
    )
    if args.json:
        table = {"sessions": sessions, "runs": [asdict(outcome) for outcome in outcomes]}
        args.json.write_text(json.dumps(table, indent=1))
    return 1 if failed or not outcomes else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=66, help="how many, random ones at the end")
    parser.add_argument("--short", action="store_true", help="a few runs, of each sort one")
    parser.add_argument("--only", default="", help="only runs whose line has this text")
    parser.add_argument("--seed", type=int, default=1, help="for what is left to chance")
    parser.add_argument("--json", type=Path, help="write the table there as well")
    parser.add_argument("--keep", action="store_true", help="leave logs and data behind")
    return parser


if __name__ == "__main__":
    sys.exit(main())
