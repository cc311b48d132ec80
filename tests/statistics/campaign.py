"""Are the verdicts true? Sessions with and without a gain to find, counted.

    python tests/statistics/campaign.py                       # 1,000 without, 300 with a gain
    python tests/statistics/campaign.py --flat 40 --gain 20   # a first look
    python tests/statistics/campaign.py --out counted.jsonl   # goes on where it was broken off

Each session runs through the real API, worker and agent on a simulated target whose truth is
known, with noise and slow drift, on a clock that only windows move. Counted are

- sessions on systems where nothing makes a difference that report a gain all the same;
- sessions on systems with a gain that find and confirm one;
- how often the stated 95 % interval holds the true ratio, and how wide it is beside that of
  Student's t, had the number of pairs been fixed beforehand;
- by how much claimed gains exceed the truth.

Prints a line for each criterion; exit status 1 when one is not met.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # its modules, however it is started

import numpy as np
from counting import PAIRS, TRIALS, Outcome, count
from scipy import stats
from systems import DRIFT, GAIN, GAIN_SHARE, NOISE, System, flat, with_gain

from tuner.benchmark.intervals import over_seeds

PER_SYSTEM = 10
"""Sessions on one system, against one agent."""

FALSE_GAINS, FOUND, COVERED = 0.03, 0.85, 0.94
WIDEST, OVERSTATED = 1.5, 0.03


@dataclass(frozen=True)
class Criterion:
    """One line of the answer."""

    what: str
    figure: str
    wanted: str
    met: bool

    def __str__(self) -> str:
        word = "met" if self.met else "MISSED"
        return f"{word:6} {self.what}: {self.figure}; wanted: {self.wanted}"


def criteria(outcomes: Sequence[Outcome]) -> list[Criterion]:
    """What the sessions say of the promises."""
    still = [one for one in outcomes if one.system.headroom == 1.0]
    gaining = [one for one in outcomes if one.system.headroom > 1.0]
    result = [_ended(outcomes)]
    if still:
        false = sum(one.claims_gain for one in still)
        result.append(
            Criterion(
                "sessions without a gain that report one",
                _share(false, len(still)),
                f"at most {FALSE_GAINS:.0%}",
                false <= FALSE_GAINS * len(still),
            )
        )
    if gaining:
        found = sum(one.claims_gain and one.truth > 1.0 for one in gaining)
        result.append(
            Criterion(
                "sessions with a gain that find and confirm one",
                _share(found, len(gaining)),
                f"at least {FOUND:.0%}",
                found >= FOUND * len(gaining),
            )
        )
    covers = [one.covers for one in outcomes if one.covers is not None]
    result.append(
        Criterion(
            "stated 95 % intervals that hold the true ratio",
            _share(sum(covers), len(covers)),
            f"at least {COVERED:.0%}",
            sum(covers) >= COVERED * len(covers),
        )
    )
    widths = [one.width for one in outcomes if one.width is not None]
    result.append(
        Criterion(
            "their width by that of a fixed number's interval",
            f"{np.mean(widths):.2f} on average, {max(widths):.2f} at most",
            f"at most {WIDEST}",
            max(widths) <= WIDEST,
        )
    )
    over = [one.ratio / one.truth - 1 for one in outcomes if one.claims_gain and one.ratio]
    if over:
        mean = over_seeds(np.array(over))
        result.append(
            Criterion(
                "claimed gains above the truth",
                f"{mean:+.2%}, n {len(over)}",
                f"at most {OVERSTATED:.0%} on average",
                mean.value <= OVERSTATED,
            )
        )
    return result


def _ended(outcomes: Sequence[Outcome]) -> Criterion:
    finished = sum(one.state == "finished" for one in outcomes)
    return Criterion(
        "sessions that came to their end",
        f"{finished} of {len(outcomes)}",
        "all",
        finished == len(outcomes),
    )


def _share(part: int, whole: int) -> str:
    """With its 95 % interval (Clopper and Pearson)."""
    exact = stats.binomtest(part, whole).proportion_ci(0.95)
    return f"{part} of {whole}, {part / whole:.1%} ({exact.low:.1%} to {exact.high:.1%})"


def kept(path: Path | None) -> list[Outcome]:
    """What an earlier run left there; a line that was broken off does not count."""
    if path is None or not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    read = [json.loads(line) for line in lines]
    return [Outcome(**{**one, "system": System(**one["system"])}) for one in read]


def be_quiet() -> None:
    """In a process of its own: every trial would be told else."""
    logging.disable(logging.WARNING)


def batches(args: argparse.Namespace) -> Iterable[tuple[System, range]]:
    """Each system with the seeds of its sessions."""
    for make, wanted in ((flat, args.flat), (with_gain, args.gain)):
        for first in range(0, wanted, PER_SYSTEM):
            number = args.seed * 100_000 + first
            yield make(number), range(number, number + min(PER_SYSTEM, wanted - first))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--flat", type=int, default=1_000, help="sessions without a gain (1000)")
    parser.add_argument("--gain", type=int, default=300, help="sessions with one (300)")
    parser.add_argument("--seed", type=int, default=1, help="other systems, other dice (1)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (all cores)")
    parser.add_argument("--out", type=Path, help="keeps a JSON line for each session")
    args = parser.parse_args()
    print(
        f"{args.flat} sessions without a gain, {args.gain} with {GAIN - 1:.0%} or more on "
        f"{GAIN_SHARE:.0%} or more of the space; noise {NOISE:.0%}, drift {DRIFT:.0%}, "
        f"{TRIALS} trials, up to {PAIRS} pairs",
        flush=True,
    )
    outcomes = kept(args.out)
    known = {(one.system, one.seed) for one in outcomes}
    with ProcessPoolExecutor(args.jobs, initializer=be_quiet) as pool:
        running = [
            pool.submit(count, system, seeds)
            for system, seeds in batches(args)
            if not known.issuperset((system, seed) for seed in seeds)
        ]
        for done, future in enumerate(as_completed(running), 1):
            counted = future.result()
            outcomes += counted
            if args.out:
                lines = (f"{json.dumps(asdict(one))}\n" for one in counted)
                with args.out.open("a") as file:
                    file.writelines(lines)
            print(f"  {len(outcomes)} sessions, {done} of {len(running)} systems", flush=True)
    found = criteria(outcomes)
    print(*found, sep="\n")
    return 0 if all(one.met for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
