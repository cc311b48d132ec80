"""When a confirmation may be looked at, and how sure it has to be then.

Who looks at growing data again and again with an ordinary 95 % interval finds a gain that is not
there in far more than 5 % of cases (Armitage, McPherson and Rowe, J. R. Stat. Soc. A 132, 1969). A
group-sequential design names its looks beforehand and asks more at each, so that all of them
together err that seldom; how much more at early looks than at late ones is Wang and Tsiatis'
choice (Biometrics 43, 1987). Such an interval holds the truth at every look at once (repeated
confidence intervals: Jennison and Turnbull, J. R. Stat. Soc. B 51, 1989), so it stays true whatever
made the session stop there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

ERROR = 0.042
"""Over all looks together, two-sided. The interval is called one of 95 %: the rest is kept back for
few pairs, of which a look's Student's t makes somewhat too much (0.001 to 0.002 in simulations),
and for noise that is not quite independent."""

SHAPE = 0.4
"""Wang and Tsiatis' delta: at 0.5 each look asks the same (Pocock), which finds less in the end; at
0 the first asks so much that it is in vain (O'Brien and Fleming). With 0.4, and up to 60 pairs, no
interval is over 1.5 times as wide as that of a number fixed beforehand."""

GROWTH = 1.7
"""Each look has about so many times the pairs of the one before."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(64)
"""The quadrature between two limits; twice as many nodes change the tails by less than 1e-9."""


@dataclass(frozen=True)
class Looks:
    """The looks of one confirmation.

    `pairs`: how many pairs there are at each, rising. `tails`: the two-sided tail probability of
    Student's t that the interval of each leaves out.
    """

    pairs: tuple[int, ...]
    tails: tuple[float, ...]

    @classmethod
    def plan(cls, most: int, *, least: int, step: int = 1) -> Looks:
        """From `least` pairs to `most`, in whole steps of `step` pairs.

        Raises:
            ValueError: `least` is not between 2 and `most`.
        """
        if not 2 <= least <= most:
            raise ValueError(f"least={least} pairs of most={most}: give 2 <= least <= most")
        pairs = [least]
        while pairs[-1] < most:
            wanted = max(pairs[-1] + step, round(pairs[-1] * GROWTH / step) * step)
            # A look shortly before the last would cost certainty and spare little.
            pairs.append(most if wanted * math.sqrt(GROWTH) > most else wanted)
        return cls(tuple(pairs), _tails(pairs))

    def reached(self, pairs: int) -> int:
        """How many of so many pairs may be looked at: those of the last look; 0 before the first.

        More than the last look's are none of its business: the design ends there.
        """
        return max((look for look in self.pairs if look <= pairs), default=0)

    def after(self, pairs: int) -> int | None:
        """The pairs of the next look after so many; None when all were made."""
        return next((look for look in self.pairs if look > pairs), None)

    def quantile(self, look: int) -> float:
        """How many standard errors to either side the interval of the look of so many pairs
        reaches. Raises ValueError when that is no look."""
        return float(stats.t.isf(self.tails[self.pairs.index(look)] / 2, look - 1))


def _tails(pairs: Sequence[int]) -> tuple[float, ...]:
    shares = np.array([(look / pairs[-1]) ** (SHAPE - 0.5) for look in pairs])
    least = float(stats.norm.isf(ERROR / 2))
    limit = (
        least
        if len(pairs) == 1
        # Each look by itself errs less than all together: Bonferroni is enough.
        else optimize.brentq(
            lambda limit: _error(pairs, limit * shares) - ERROR,
            least / shares[0],
            float(stats.norm.isf(ERROR / 2 / len(pairs))),
            xtol=1e-7,
        )
    )
    return tuple((2 * stats.norm.sf(limit * shares)).tolist())


def _error(pairs: Sequence[int], limits: Sequence[float]) -> float:
    """The probability that the standardised sum of normal values without effect leaves its limits
    at one of the looks: its density within them is integrated look after look."""
    scores = limits[0] * _NODES
    mass = limits[0] * _WEIGHTS * _density(scores)
    for (before, now), limit in zip(pairwise(pairs), limits[1:], strict=True):
        share = before / now
        # The score now is sqrt(share) times the one before plus sqrt(1 - share) times news.
        news = limit * _NODES[:, None] - math.sqrt(share) * scores
        spread = math.sqrt(1 - share)
        density = _density(news / spread) @ mass / spread
        scores, mass = limit * _NODES, limit * _WEIGHTS * density
    return 1.0 - float(mass.sum())


def _density(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard normal's; scipy's checks take ten times as long."""
    return np.exp(-0.5 * scores**2) / math.sqrt(2 * math.pi)
