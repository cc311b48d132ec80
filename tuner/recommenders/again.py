"""When measuring a configuration again is worth more than a new one.

Under noise the best value is a lucky one as often as not. What a measurement is worth is by how
much it is expected to better the posterior mean of the configuration that would then be named: the
knowledge gradient (Frazier, Powell and Dayanik, INFORMS Journal on Computing 2009), taken for each
configuration by itself. It is the same for a new configuration and for one more window of a known
one, so the two can be held against each other.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
from scipy.special import ndtr

from tuner.errors import InfeasibleSpace
from tuner.history import History, Outcome
from tuner.recommenders.base import Expectation, Suggestion, SuggestionKind
from tuner.recommenders.search import INTERVAL_SDS
from tuner.sampling import checked
from tuner.surrogates.base import Predictor, Vector

LANE = "again"

PROBE_AT = 12
"""With this many configurations measured and nothing known of the noise, one is measured twice."""

SMALLEST_BUDGET = 15
"""A smaller budget has nothing to spare for a probe."""


TELLING_DIGITS = 6
"""Values of fewer significant digits coincide by chance."""

MOST_REPEATS = 0.15
"""The share of all windows that may go to repeats. Taken one at a time, what a new configuration
teaches about its surroundings is not counted, and repeats would take over: without this bound 60 %
were repeats, and the answer at 50 trials was worse."""


def probe(history: History) -> Suggestion | None:
    """Measure the best configuration a second time, once, to learn whether repeats agree."""
    budget = history.problem.budget
    known = history.noise.degrees or history.noise.sd == 0.0 or _coincide(history)
    if known or len(history.measured) < PROBE_AT or 0 < budget < SMALLEST_BUDGET:
        return None
    best = history.best
    if best is None or history.pending or not suggestible(history, best):
        return None
    return Suggestion(
        configuration=best.configuration,
        kind=SuggestionKind.RE_MEASURE,
        lane=LANE,
        reason="Measured again on purpose: nothing was measured twice yet, and how far repeats "
        "scatter decides how much of a difference is to be believed.",
    )


def suggestible(history: History, outcome: Outcome) -> bool:
    """Whether a configuration may be suggested: what was found may stand outside the domain or
    break a constraint."""
    try:
        checked(history.encoder, outcome.configuration)
    except InfeasibleSpace:
        return False
    return True


def _coincide(history: History) -> bool:
    """Whether two configurations, that act alike, gave the same value to its last of many digits:
    where measurements scatter that does not happen."""
    values = [value for one in history.measured for value in one.values]
    return any(
        times > 1 and len(f"{value:.10e}".partition("e")[0].rstrip("0")) > TELLING_DIGITS
        for value, times in Counter(values).items()
    )


def race(history: History, model: Predictor, new: Suggestion) -> Suggestion | None:
    """Measure the incumbent or a challenger again, where that is worth more than `new`.

    Args:
        model: of the cost, fitted to the history.
        new: what would be tried instead.
    """
    eligible = np.flatnonzero(history.acceptable)
    rows = history.rows[eligible]
    mean, sd = model.predict(rows)
    worth = again_worth(mean, sd, history.noise.sd)
    place = int(worth.argmax())
    row = history.encoder.encode_many([dict(new.configuration)])
    [new_mean], [new_sd] = model.predict(row)
    [promise] = gradient(np.array([new_mean - mean.min()]), np.array([new_sd]), history.noise.sd)
    if promise >= worth[place]:
        return None
    chosen = history.measured[int(eligible[place])]
    if not suggestible(history, chosen):
        return None
    best = int(mean.argmin())
    role = "The incumbent" if place == best else "A challenger of the incumbent"
    windows = len(chosen.values)
    ends = [history.scale.value(mean[place] + sign * INTERVAL_SDS * sd[place]) for sign in (-1, 1)]
    return Suggestion(
        configuration=chosen.configuration,
        kind=SuggestionKind.RE_MEASURE,
        lane=LANE,
        reason=f"{role}, seen in {windows} window{'s' if windows != 1 else ''} so far, measured "
        f"again on purpose: repeats scatter by {history.noise.sd:.1%}, and to know which of the "
        "best is better is worth more now than a new configuration.",
        expected=Expectation(
            value=history.scale.value(float(mean[place])), low=min(ends), high=max(ends)
        ),
    )


def may_race(history: History) -> bool:
    """Whether repeats are known to scatter, and are still a small part of all windows."""
    noisy = history.noise.sd > 0.0 and history.noise.degrees > 0
    if not noisy or np.count_nonzero(history.acceptable) < 2 or history.pending:
        return False
    windows = float(history.counts.sum())
    return windows - len(history.measured) < MOST_REPEATS * windows


def again_worth(mean: Vector, sd: Vector, noise_sd: float) -> Vector:
    """(n,): what one more window of each configuration is worth, in cost."""
    order = np.argsort(mean)
    best, second = mean[order[0]], mean[order[1]]
    behind = mean - best
    # One more window of the best can only cost it its place: to the second.
    behind[order[0]] = second - best
    return gradient(behind, sd, noise_sd)


def gradient(behind: Vector, sd: Vector, noise_sd: float) -> Vector:
    """(n,): by how much a window is expected to better what is named.

    Args:
        behind: (n,) how far the posterior mean is behind the one to beat; below 0 is ahead.
        sd: (n,) the posterior standard deviation.
        noise_sd: one window's.
    """
    change = np.maximum(sd**2 / np.sqrt(sd**2 + noise_sd**2), 1e-12)
    z = -behind / change
    density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    return np.asarray(change * (z * ndtr(z) + density))
