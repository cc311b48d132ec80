"""What the measurements so far say: the incumbent, who else may be as good, and what is left.

`incumbent` names by the pessimistic bound of an estimate, so that one lucky window does not win
over a configuration that was measured five times; by the same token it prefers what keeps its
limits at the pessimistic end to what does so by a hair. `finalists` are worth measuring again
before a winner is named. `expected_further_gain` is for stopping when more search would not pay.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from threadpoolctl import threadpool_limits

from targets.errors import Rejected
from targets.knobs import Value
from targets.metrics import Direction
from tuner.aims import parts_of
from tuner.errors import SpaceExhausted
from tuner.history import CostScale, History, Outcome
from tuner.noise import shrink
from tuner.pareto import Costs, knee, nondominated
from tuner.recommenders.base import Observation, Problem
from tuner.recommenders.search import INTERVAL_SDS, candidates
from tuner.space import Rows
from tuner.surrogates.acceptability import Acceptability
from tuner.surrogates.base import Vector
from tuner.surrogates.fitting import fit_gaussian_process

CONFIDENCE = 0.95

BOUND_SDS = 1.645
"""One-sided 95 %: the configuration is better than its bound with that probability."""

LEAST_MEASURED = 5
"""Below this a model's word on what is left to gain is a guess."""

LEAST_MODELLED = 8
"""From this many measured configurations on, a model has its say in which is named."""

DRAWS = 128
"""Functions drawn from the posterior."""

CAUTION = 0.9
"""The share of draws that must not exceed the gain that is told."""

CANDIDATES = 200
"""Candidates drawn over the space, beside the neighbours of the best."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is believed of one configuration, in the objective's unit.

    `value` is the posterior mean, `bound` the pessimistic end of its one-sided 95 % interval,
    `low` to `high` its two-sided one,
    `windows` how many values it rests on, `numbers` the trials they came from.
    """

    configuration: dict[str, Value]
    value: float
    bound: float
    windows: int
    numbers: tuple[int, ...]
    reason: str
    low: float
    high: float
    values: Mapping[str, float] = field(default_factory=dict)
    """Each objective's posterior mean, by name, where there are several; the rest speaks of the
    first."""


def incumbent(
    problem: Problem, observations: Sequence[Observation], *, exclude: Collection[str] = ()
) -> Estimate | None:
    """The configuration with the best pessimistic bound; None when none was measured.

    A configuration that failed, broke a limit or moved a pin is not eligible; nor, where others
    keep the limits at the pessimistic end of what they bound, one that does so by its mean alone.
    Of several objectives it is the balanced one on the front (`tuner.pareto.knee`), whichever comes
    first: to put one above the others, set limits on these.

    Args:
        exclude: keys (`KnobSpace.key`) not to name, such as the baseline's.
    """
    if len(problem.objectives) > 1:
        found, bounds = _beside(problem, observations, exclude)
        return found[knee(bounds)] if found else None
    estimates = _named(History.of(problem, observations), exclude)
    better = problem.objective.better
    best: Estimate | None = None
    for estimate in estimates:
        if best is None or better(estimate.bound, best.bound):
            best = estimate
    return best


def front(
    problem: Problem,
    observations: Sequence[Observation],
    *,
    exclude: Collection[str] = (),
    modelled: bool = True,
) -> list[Estimate]:
    """The Pareto set: those that none of the others beats in one objective without being beaten in
    another, by their pessimistic bounds, the best in the first objective first.

    Eligible are the same as for `incumbent`, where they were measured for every objective. With one
    objective it is what is named.

    Args:
        exclude: keys (`KnobSpace.key`) to leave out.
        modelled: False to go by each one's own windows, under noise too: no model is fitted.
    """
    found, bounds = _beside(problem, observations, exclude, modelled=modelled)
    if not found:
        return []
    kept = np.flatnonzero(nondominated(bounds))
    return [found[place] for place in kept[np.lexsort(bounds[kept].T[::-1])].tolist()]


def _beside(
    problem: Problem,
    observations: Sequence[Observation],
    exclude: Collection[str],
    *,
    modelled: bool = True,
) -> tuple[list[Estimate], Costs]:
    """What is believed of each that is eligible, and (n, n_objectives) its bounds as costs."""
    parts = parts_of(History.of(problem, observations))
    named = [_named(part, exclude, modelled=modelled) for part in parts]
    beside = list(zip(*named, strict=True))
    bounds = [
        [part.scale.cost(one.bound) for part, one in zip(parts, ones, strict=True)]
        for ones in beside
    ]
    return [_joined(problem, ones) for ones in beside], np.array(bounds, float)


def _joined(problem: Problem, ones: Sequence[Estimate]) -> Estimate:
    if len(ones) == 1:
        return ones[0]
    named = list(zip(problem.objectives, ones, strict=True))
    words = [f"{aim.name} {one.reason}" for aim, one in named]
    return replace(
        ones[0],
        values={aim.name: one.value for aim, one in named},
        reason="; ".join(words),
    )


def finalists(
    problem: Problem,
    observations: Sequence[Observation],
    count: int,
    *,
    exclude: Collection[str] = (),
) -> list[Estimate]:
    """Up to `count` configurations worth measuring again, the best posterior mean first.

    By the mean, not by the bound: what was measured once must get its second chance, also where it
    is not sure that it keeps the limits. Of several objectives the first counts.
    """
    estimates = _estimates(History.of(problem, observations), exclude)
    sign = 1.0 if problem.objective.direction is Direction.MINIMISE else -1.0
    return sorted(estimates, key=lambda estimate: sign * estimate.value)[:count]


def expected_further_gain(problem: Problem, observations: Sequence[Observation]) -> float | None:
    """The relative gain (0.03 is 3 %) that searching on without an end may still bring.

    Functions are drawn from a Gaussian process's posterior over what was measured and a few
    hundred candidates, and in each the best candidate is compared with the best measured. The
    answer is what nine draws in ten do not exceed, for stopping early loses more than one more
    trial; Ishibashi et al. (AISTATS 2023) stop on the same regret. Not to be trusted early: on
    eight recorded tables, two seeds each, it was at least the true gain left in half of the cases
    at 10 to 15 random trials and in 81 % at 30 to 40; on a synthetic mixed landscape in 43, 12,
    25, 50 and 75 % at 10, 15, 20, 30 and 40. What lies in a corner of which the model has no
    inkling is not counted.

    The generator is seeded by the number of observations, so that a replayed session stops at the
    same trial.

    Returns:
        None while fewer than `LEAST_MEASURED` acceptable configurations are measured, or where no
        relative gain is defined; 0.0 when a finite space is exhausted.
    """
    history = History.of(problem, observations)
    if history.acceptable.sum() < LEAST_MEASURED:
        return None
    rng = np.random.default_rng(len(observations))
    try:
        pool = _unmeasured(history, rng)
    except SpaceExhausted:
        return 0.0
    model = fit_gaussian_process(history)
    known = history.rows[history.acceptable]
    draws = model.draw(np.vstack((known, pool)), DRAWS, rng)
    now, then = draws[:, : len(known)].min(axis=1), draws[:, len(known) :].min(axis=1)
    gains = [
        history.scale.gain(float(min(after, before)), float(before))
        for before, after in zip(now, then, strict=True)
    ]
    defined = [gain for gain in gains if gain is not None]
    return float(np.quantile(defined, CAUTION)) if len(defined) == len(gains) else None


def _unmeasured(history: History, rng: np.random.Generator) -> Rows:
    """(n, n_columns): candidates that are more likely to work than not.

    Raises:
        SpaceExhausted: there is none left.
    """
    rows = candidates(history, rng, count=CANDIDATES)
    acceptability = Acceptability.fit(history, seed=int(rng.integers(2**31)))
    likely = rows[acceptability.chance(rows) > 0.5]
    if not len(likely):
        raise SpaceExhausted("no candidate is left that is likely to work")
    return likely


def _named(history: History, exclude: Collection[str], *, modelled: bool = True) -> list[Estimate]:
    """What is believed of those that may be named, in the order first measured."""
    eligible = _eligible(history, exclude)
    keeping = eligible & _surely_kept(history)
    return _of(history, keeping if keeping.any() else eligible, modelled=modelled)


def _estimates(history: History, exclude: Collection[str]) -> list[Estimate]:
    """What is believed of every eligible configuration, in the order first measured."""
    return _of(history, _eligible(history, exclude))


def _of(history: History, chosen: NDArray[np.bool_], *, modelled: bool = True) -> list[Estimate]:
    if not chosen.any():
        return []
    means, sds = _believed(history, modelled=modelled)
    return [
        _estimate(history, history.measured[place], mean=float(means[place]), sd=float(sds[place]))
        for place in np.flatnonzero(chosen).tolist()
    ]


def _surely_kept(history: History) -> NDArray[np.bool_]:
    """(n,): which of the measured configurations keep every limit at the pessimistic end.

    That is one-sided 95 % of Student's t on each quantity's own axis, its scatter pooled over all
    configurations that have repeats; where none has, the mean is all there is to go by.
    """
    kept = np.ones(len(history.measured), bool)
    for place, limit in enumerate(history.problem.limits):
        windows = [np.array(one.limit_windows[place], float) for one in history.measured]
        scale = CostScale.of(np.concatenate([*windows, [limit.bound]]), limit.direction)
        costs = [scale.costs(values) for values in windows]
        repeated = [group for group in costs if len(group) > 1]
        degrees = sum(len(group) - 1 for group in repeated)
        margin = 0.0
        if degrees:
            squares = sum(float(((group - group.mean()) ** 2).sum()) for group in repeated)
            margin = float(stats.t.ppf(CONFIDENCE, degrees)) * float(np.sqrt(squares / degrees))
        bound = scale.cost(limit.bound)
        ends = [
            group.mean() + margin / len(group) ** 0.5 if len(group) else np.nan for group in costs
        ]
        kept &= np.array(ends, float) <= bound
    return kept


def _believed(history: History, *, modelled: bool) -> tuple[Vector, Vector]:
    """(n,), (n,): mean and standard deviation of every measured configuration's cost.

    Under noise that was seen, a model's: its neighbours vouch for a configuration, or do not.
    """
    noisy = history.noise.sd > 0.0 and history.noise.degrees > 0
    if not modelled or not noisy or len(history.measured) < LEAST_MODELLED:
        return shrink(history.costs, history.counts, history.noise)
    with threadpool_limits(1):
        return fit_gaussian_process(history).predict(history.rows)


def _eligible(history: History, exclude: Collection[str]) -> NDArray[np.bool_]:
    """(n,): which of the measured configurations are acceptable, not excluded, and may be applied.

    A baseline may have been found outside its owner's bounds.
    """
    space = history.problem.space

    def applicable(outcome: Outcome) -> bool:
        try:
            return space.key(outcome.configuration) not in exclude
        except Rejected:
            return False

    return np.array([one.acceptable and applicable(one) for one in history.measured], bool)


def _estimate(history: History, outcome: Outcome, *, mean: float, sd: float) -> Estimate:
    scale, unit = history.scale, history.problem.objective.unit
    windows = len(outcome.values)
    value, bound = scale.value(mean), scale.value(mean + BOUND_SDS * sd)
    ends = [scale.value(mean + sign * INTERVAL_SDS * sd) for sign in (-1, 1)]
    return Estimate(
        configuration=outcome.configuration,
        value=value,
        bound=bound,
        windows=windows,
        numbers=outcome.numbers,
        low=min(ends),
        high=max(ends),
        reason=f"{f'{value:.4g} {unit}'.rstrip()} over {windows} "
        f"window{'s' if windows != 1 else ''}, with 95 % confidence no worse than {bound:.4g} "
        f"(scatter of one window: {history.noise.source})",
    )
