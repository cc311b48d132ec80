"""How a score becomes a probability, learnt on the known workloads themselves.

Windows held out are mapped with their own workload among the known ones and without it (Platt,
1999, on leave-one-out scores).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize

from tuner.pipeline.arrays import Array
from tuner.pipeline.coordinates import Windows
from tuner.pipeline.fingerprint import Fingerprint, Yardstick
from tuner.pipeline.weighing import weigh

PRIOR_OFFSET = (-1.0, 1.0)
PRIOR_LOG_SLOPE = (np.log(0.4), 0.7)
"""Mean and standard deviation of what turns scores into log odds, before any example. A score
adds up what every metric says as if it spoke for itself; a slope below 1 takes that back."""

OPPONENTS = 3
"""Other workloads, the most similar in shape, of which the likeliest is an example of none."""

MAXIMUM_EXAMPLES = 24
"""Known workloads that are held out to learn from; a few dozen settle two numbers."""


def calibrate(
    yardstick: Yardstick, known: Mapping[str, Windows], rng: np.random.Generator
) -> tuple[float, float]:
    """Offset and slope from scores to log odds, as examples and the prior have them.

    Each known workload of two windows or more is cut in two; one part is mapped to the other (an
    example of the same workload). And each is mapped to the nearest of the others (of none).
    """
    names = list(known)
    prints = {name: yardstick.fingerprint(windows) for name, windows in known.items()}
    same: list[float] = []
    none: list[float] = []
    for name in rng.permutation(names)[:MAXIMUM_EXAMPLES].tolist():
        order = rng.permutation(len(known[name]))
        parts = np.array_split(order, 2) if len(order) > 1 else [order]
        windows, *rest = ([known[name][place] for place in part] for part in parts)
        target = yardstick.fingerprint(windows)
        own = [yardstick.fingerprint(part) for part in rest]
        others = _nearest(yardstick, target, [one for key, one in prints.items() if key != name])
        scores = weigh(yardstick.seen(windows), target, [*own, *others]).scores
        same += scores[: len(own)].tolist()
        if others:
            none.append(float(scores[len(own) :].max()))
    return _fit(np.array(same), np.array(none))


def _nearest(
    yardstick: Yardstick, target: Fingerprint, known: Sequence[Fingerprint]
) -> list[Fingerprint]:
    """The few that may score highest, by the middle difference in shape."""
    shape = target.shape(yardstick)
    apart = [
        float(_median(np.abs(shape - one.shape(yardstick)) / yardstick.between)) for one in known
    ]
    return [known[place] for place in np.argsort(apart, kind="stable")[:OPPONENTS]]


def _median(values: Array) -> float:
    """Of what is known of them; infinite where nothing is."""
    seen = values[np.isfinite(values)]
    return float(np.median(seen)) if len(seen) else np.inf


def _fit(same: Array, none: Array) -> tuple[float, float]:
    scores = np.concatenate((same, none))
    signs = np.concatenate((np.ones(len(same)), -np.ones(len(none))))

    def loss(parameters: Array) -> float:
        offset, log_slope = parameters
        margin = signs * (offset + np.exp(log_slope) * scores)
        prior = ((offset - PRIOR_OFFSET[0]) / PRIOR_OFFSET[1]) ** 2
        prior += ((log_slope - PRIOR_LOG_SLOPE[0]) / PRIOR_LOG_SLOPE[1]) ** 2
        return float(np.logaddexp(0.0, -margin).sum() + 0.5 * prior)

    found = minimize(loss, [PRIOR_OFFSET[0], PRIOR_LOG_SLOPE[0]], method="Nelder-Mead")
    return float(found.x[0]), float(np.exp(found.x[1]))
