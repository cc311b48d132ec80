"""How likely a configuration is to be measured at all, and within its limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from targets.errors import MissingExtra
from tuner.history import History
from tuner.space import Rows, SpaceEncoder
from tuner.surrogates.base import Vector

if TYPE_CHECKING:
    from sklearn.ensemble import RandomForestClassifier

TREES = 40

LEAST = 0.02
"""No configuration is ruled out for good: the model may be wrong."""


@dataclass(frozen=True)
class Acceptability:
    """The chance that a configuration neither fails nor breaks a limit.

    A random forest that tries every knob at every split, for what fails is mostly cut off by one
    knob at one value: on such a cliff, seen from a dozen trials, it was the sharpest of four
    kinds of trees. Multiplying expected improvement by this chance is the constrained improvement
    of Schonlau, Welch and Jones, 1998.
    """

    encoder: SpaceEncoder
    trees: RandomForestClassifier | None

    @classmethod
    def fit(cls, history: History, *, seed: int) -> Acceptability:
        """From what failed and what did not; certain of everything while nothing ever failed.

        Raises:
            MissingExtra: scikit-learn is not installed.
        """
        bad = history.encoder.encode_many([one.configuration for one in history.failed])
        labels = np.concatenate((history.acceptable, np.zeros(len(bad), bool)))
        if labels.all():
            return cls(history.encoder, None)
        try:
            from sklearn.ensemble import RandomForestClassifier
        except ImportError as error:
            raise MissingExtra("learning from failures", "sklearn", "server") from error
        trees = RandomForestClassifier(n_estimators=TREES, max_features=None, random_state=seed)
        trees.fit(history.encoder.one_hot(np.vstack((history.rows, bad))), labels)
        return cls(history.encoder, trees)

    def chance(self, rows: Rows) -> Vector:
        """(m,): the chance at `rows`, never below `LEAST`."""
        if self.trees is None:
            return np.ones(len(rows))
        # Classes are sorted; where nothing ever worked there is none but False.
        votes = self.trees.predict_proba(self.encoder.one_hot(rows))
        good = votes[:, 1] if votes.shape[1] == 2 else np.zeros(len(rows))
        return np.asarray(np.maximum(good, LEAST))
