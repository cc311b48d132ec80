"""OtterTune's knob ranking: the Lasso path, over functions of single knobs and of pairs.

Van Aken et al. (SIGMOD 2017, section 5) rank knobs by the order in which they enter the path as its
penalty falls (Hesterberg et al., Statistics Surveys 2008). Here the path also predicts: at the
penalty that predicts unseen trials best, refitted to resamples, it is one of the models that the
data choose from.
"""

from __future__ import annotations

import itertools
import warnings

import numpy as np

from tuner.pipeline.arrays import Array
from tuner.pipeline.basis import Basis
from tuner.pipeline.draws import Fitted, Trials
from tuner.pipeline.linear import LinearDraws, Terms
from tuner.space import SpaceEncoder

RESAMPLES = 24
"""Bootstrap samples that the path is refitted to."""

PAIRED = 7
"""Pairs are formed of so many columns that enter first."""

PENALTIES = 30
"""Places along the path that are compared, evenly by the penalty's logarithm."""

LEAST_PENALTY = 1e-3
"""Of the penalty at which the first function enters: below, nothing is gained but time lost."""

WORDS = "a Lasso over single knobs and pairs of them"


def fit_lasso(encoder: SpaceEncoder, trials: Trials, rng: np.random.Generator) -> Fitted:
    """Refits to resamples, and predictions of each trial by fits that lack it."""
    alone = Terms(Basis.of(encoder))
    first = entering_order(alone, trials)[:PAIRED]
    terms = Terms(alone.basis, tuple(itertools.combinations(sorted(first), 2)))
    features, scales = terms.features(trials.rows), _scales(terms)
    scaled = features * scales
    penalties = _penalties(scaled, trials)
    unseen = np.zeros((PENALTIES, len(trials.targets)))
    for training in trials.training_sets():
        intercepts, coefficients = _path(scaled, trials, training * trials.weights, penalties)
        held = intercepts[:, None] + coefficients @ scaled[~training].T
        unseen[:, ~training] = held
    losses = np.stack([trials.losses(predictions) for predictions in unseen])
    best = int(losses.sum(axis=1).argmin())
    predicted = np.zeros(len(trials.targets))
    for training in trials.training_sets():
        # The penalty is chosen without the trials whose prediction is to be judged.
        predicted[~training] = unseen[losses[:, training].sum(axis=1).argmin(), ~training]
    count = len(trials.targets)
    fits = []
    for _ in range(RESAMPLES):
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        intercepts, coefficients = _path(
            scaled, trials, times * trials.weights, penalties[: best + 1]
        )
        fits.append((intercepts[-1], coefficients[-1] * scales))
    draws = LinearDraws(
        "lasso",
        WORDS,
        terms,
        np.array([intercept for intercept, _ in fits]),
        np.array([coefficients for _, coefficients in fits]),
    )
    return Fitted(draws, predicted)


def entering_order(terms: Terms, trials: Trials) -> list[int]:
    """Columns in the order in which they enter the path, OtterTune's ranking.

    Columns that never enter are missing.
    """
    scaled = terms.features(trials.rows) * _scales(terms)
    _, coefficients = _path(scaled, trials, trials.weights, _penalties(scaled, trials))
    entered: dict[int, int] = {}
    for columns, part in terms.parts():
        steps = np.flatnonzero(np.any(coefficients[:, part] != 0.0, axis=1))
        for column in columns:
            if len(steps):
                entered[column] = min(int(steps[0]), entered.get(column, PENALTIES))
    size = {
        columns[0]: float((coefficients[-1, part] ** 2).sum())
        for columns, part in terms.parts()
        if len(columns) == 1
    }
    return sorted(entered, key=lambda column: (entered[column], -size[column]))


def _scales(terms: Terms) -> Array:
    """(n_functions,): rough functions count for less, so that they enter late."""
    return np.asarray(np.sqrt(np.concatenate([np.zeros(0), *terms.weights()])))


def _penalties(scaled: Array, trials: Trials) -> Array:
    """(PENALTIES,), falling from where the first function enters."""
    centred = scaled - np.average(scaled, axis=0, weights=trials.weights)
    pull = np.abs(centred.T @ (trials.weights * trials.targets)) / trials.weights.sum()
    top = max(float(pull.max(initial=0.0)), 1e-12)
    return np.asarray(top * np.geomspace(1.0, LEAST_PENALTY, PENALTIES))


def _path(scaled: Array, trials: Trials, weights: Array, penalties: Array) -> tuple[Array, Array]:
    """(n,) intercepts and (n, n_functions) coefficients at falling penalties."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import lasso_path

    used = weights > 0
    root = np.sqrt(weights[used] / weights.mean())
    centre = np.average(scaled[used], axis=0, weights=weights[used])
    middle = float(np.average(trials.targets[used], weights=weights[used]))
    with warnings.catch_warnings():
        # The last digits of a coefficient make no difference to what is read off the path.
        warnings.simplefilter("ignore", ConvergenceWarning)
        _, coefficients, _ = lasso_path(
            (scaled[used] - centre) * root[:, None],
            (trials.targets[used] - middle) * root,
            alphas=penalties,
            max_iter=200,
            tol=1e-3,
        )
    return middle - centre @ coefficients, np.asarray(coefficients.T)
