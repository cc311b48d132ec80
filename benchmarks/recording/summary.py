"""From what was measured to one value a configuration, and how much it can be trusted.

The machine is a little faster one minute than the next, for every configuration alike. So a value
is divided by what the reference configuration showed about then, relative to its median over the
recording: the median of the two references before and the two after, in the same pass without an
interruption. Unless that makes the passes agree clearly better than before it is left undone:
references are noisy as well, and what slows them (a disk that others use) need not slow every
configuration. The value of a configuration is the median over its passes.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from recording.tape import Stretch, Tape

NEIGHBOURS = 2
WORTH = 0.9
"""Correct for drift when it lowers the noise to this share or less. In a recording of sqlite_write
it gained 4 % in the median over all configurations, while the fastest quarter, which never waits
for the disk as the reference does, got 29 % noisier."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """Configuration -> value, without those that failed; noise is the median over configurations
    of the standard deviation over passes relative to the mean, 0 with a single pass."""

    values: Mapping[int, float]
    noise: float
    noise_uncorrected: float
    drift_corrected: bool
    references: int


def summarise(tape: Tape, passes: int) -> Summary:
    """One value for each configuration on the tape that never failed, from the first passes."""
    raw, corrected = defaultdict(list), defaultdict(list)
    stretches = [stretch for stretch in tape.stretches if stretch.pass_number < passes]
    references = [value for stretch in stretches for _, value in stretch.references]
    level = statistics.median(references) if references else 1.0
    for stretch in stretches:
        for position, number, value in stretch.values:
            if number not in tape.failures:
                raw[number].append(value)
                corrected[number].append(value * level / _speed(stretch, position, level))
    before, after = noise(raw.values()), noise(corrected.values())
    better = after < WORTH * before
    return Summary(
        values={
            number: statistics.median(values)
            for number, values in (corrected if better else raw).items()
        },
        noise=after if better else before,
        noise_uncorrected=before,
        drift_corrected=better,
        references=len(references),
    )


def noise(measurements: Iterable[list[float]]) -> float:
    """The median coefficient of variation of those measured more than once; 0 if there are none."""
    ratios = [
        statistics.stdev(values) / abs(statistics.fmean(values))
        for values in measurements
        if len(values) > 1
    ]
    return statistics.median(ratios) if ratios else 0.0


def _speed(stretch: Stretch, position: int, level: float) -> float:
    """What the reference shows around a position."""
    before = [value for at, value in stretch.references if at < position][-NEIGHBOURS:]
    after = [value for at, value in stretch.references if at > position][:NEIGHBOURS]
    return statistics.median([*before, *after]) if before or after else level
