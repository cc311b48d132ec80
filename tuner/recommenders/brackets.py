"""Hyperband's arithmetic: window lengths, and how many configurations begin at each.

The brackets of Hyperband (Li et al., JMLR 18(185), 2018, Algorithm 1) differ in how short the
windows are that a configuration begins in: many in the shortest, few in full ones, for about the
same time. Where short windows mislead, the brackets that begin in long ones still find the best.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9


@dataclass(frozen=True)
class Ladder:
    """The rungs: shares of a full window's length, the shortest first, the last one 1.

    Each is `eta` times the one before; one in `eta` configurations of a rung moves up.
    """

    eta: int
    rungs: tuple[float, ...]

    @classmethod
    def of(cls, eta: int, *, least: float) -> Ladder:
        """The rungs from `least` (above 0, at most 1) on."""
        steps = math.floor(math.log(1.0 / least, eta) + ROUNDING)
        # A rung that rounding puts just below the least is the least.
        return cls(eta, tuple(max(least, float(eta) ** -step) for step in range(steps, -1, -1)))

    @property
    def beginning(self) -> NDArray[np.float64]:
        """(n_rungs,): the share of new configurations that begin at each rung."""
        last = len(self.rungs) - 1
        counts = [
            math.ceil((last + 1) / (last - rung + 1) * self.eta ** (last - rung))
            for rung in range(last + 1)
        ]
        shares = np.array(counts, float)
        return np.asarray(shares / shares.sum())
