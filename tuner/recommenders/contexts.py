"""What is known of the workloads of this task and of past ones, as numbers to compare them by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tuner.recommenders.base import Observation, Problem

Contexts = NDArray[np.float64]
"""(n_tasks, n_features): a task a row, each feature of mean 0 and mean square 1."""


def with_contexts(problem: Problem, observations: Sequence[Observation]) -> Problem:
    """The problem with a context for every task that has none: the metrics of its first trial.

    That is the baseline's as a rule: the workload met by the configuration it was met with. Later
    trials' metrics tell of their configurations as much as of the workload.
    """
    return replace(
        problem,
        context=problem.context or _first_metrics(observations),
        history=tuple(
            replace(task, context=task.context or _first_metrics(task.observations))
            for task in problem.history
        ),
    )


def _first_metrics(observations: Sequence[Observation]) -> Mapping[str, float]:
    return next((one.metrics for one in observations if one.metrics), {})


def contexts_of(problem: Problem) -> Contexts:
    """This task's context and after it every past task's; (n, 0) where they tell nothing.

    Logarithms are taken of features that are positive everywhere. A feature that this task lacks,
    or that is the same in all, is left out; where a past task lacks one it is taken as average.
    """
    here = {name: value for name, value in problem.context.items() if math.isfinite(value)}
    all_tasks = [here, *(task.context for task in problem.history)]
    values = np.array([[task.get(name, math.nan) for name in here] for task in all_tasks], float)
    values[~np.isfinite(values)] = np.nan
    columns = [
        _standardised(column) for column in values.T if np.nanmax(column) > np.nanmin(column)
    ]
    return np.array(columns, float).reshape(len(columns), len(all_tasks)).T


def _standardised(column: NDArray[np.float64]) -> NDArray[np.float64]:
    known = np.isfinite(column)
    if (column[known] > 0.0).all():
        column = np.log(column)
    # In units of the largest first, for squares of the largest floats are none.
    column = column / np.abs(column[known]).max()
    off = column - column[known].mean()
    size = math.sqrt(float((off[known] ** 2).mean()))
    return np.where(known, off / size if size else 0.0, 0.0)


def shares_by_likeness(contexts: Contexts) -> NDArray[np.float64]:
    """(n_tasks - 1,): what each past task counts for this one, 1 in all: equally where contexts
    tell nothing, else less by the square of how far its workload is off."""
    if len(contexts) < 2:
        return np.empty(0)
    squares = ((contexts[1:] - contexts[0]) ** 2).sum(axis=1) / max(1, contexts.shape[1])
    likeness = np.exp(-0.5 * (squares - squares.min()))
    return np.asarray(likeness / likeness.sum())
