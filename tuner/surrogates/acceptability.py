"""How likely a configuration is to be measured at all, and within its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from tuner.history import History
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Vector
from tuner.surrogates.constraints import LimitModel

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

TREES = 40

LEAST = 0.02
"""No configuration is ruled out for good: the model may be wrong."""


@dataclass(frozen=True)
class Acceptability:
    """The chance that a configuration neither fails nor breaks a limit.

    Of failing, a random forest that tries every knob at every split, for what fails is mostly cut
    off by one knob at one value: on such a cliff, seen from a dozen trials, it was the sharpest of
    four kinds of trees. Of breaking a limit, a model of what it bounds; the forest where that is
    not known. Multiplying expected improvement by this chance is the constrained improvement of
    Schonlau, Welch and Jones, 1998.
    """

    encoder: SpaceEncoder
    trees: RandomForestClassifier | None
    limits: tuple[LimitModel, ...] = ()

    @classmethod
    def fit(cls, history: History, *, seed: int) -> Acceptability:
        """From what failed and what did not, and how near to its limits it came; certain of
        everything while nothing ever failed and there are no limits.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        fitted = [LimitModel.fit(history, place) for place in range(len(history.problem.limits))]
        limits = tuple(model for model in fitted if model is not None)
        bad = history.encoder.encode_many([one.configuration for one in history.failed])
        kept = history.acceptable | history.explained([model.place for model in limits])
        labels = np.concatenate((kept, np.zeros(len(bad), bool)))
        if labels.all():
            return cls(history.encoder, None, limits)
        try:
            from sklearn.ensemble import RandomForestClassifier
        except ImportError as error:
            raise MissingExtra("learning from failures", "sklearn", "server") from error
        trees = RandomForestClassifier(n_estimators=TREES, max_features=None, random_state=seed)
        trees.fit(history.encoder.one_hot(np.vstack((history.rows, bad))), labels)
        return cls(history.encoder, trees, limits)

    def chance(self, rows: Rows) -> Vector:
        """(m,): the chance at `rows`, never below `LEAST`."""
        return np.asarray(np.maximum(self._working(rows) * np.exp(self._keeping(rows)), LEAST))

    def log_chance(self, rows: Rows) -> Vector:
        """(m,): its logarithm, which also tells apart the hopeless: by how far beyond their limits
        they are."""
        return np.asarray(np.log(self._working(rows)) + self._keeping(rows))

    def _working(self, rows: Rows) -> Vector:
        """(m,): the forest's word, never below `LEAST`."""
        if self.trees is None:
            return np.ones(len(rows))
        # Classes are sorted; where nothing ever worked there is none but False.
        votes = self.trees.predict_proba(self.encoder.one_hot(rows))
        good = votes[:, 1] if votes.shape[1] == 2 else np.zeros(len(rows))
        return np.asarray(np.maximum(good, LEAST))

    def _keeping(self, rows: Rows) -> Vector:
        """(m,): the logarithm of the chance that every modelled limit is kept."""
        kept = [one.log_chance(rows) for one in self.limits]
        return np.asarray(np.sum(kept, axis=0)) if kept else np.zeros(len(rows))
