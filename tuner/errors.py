"""What can go wrong while deciding.

```
LontraError
├── UnknownRecommender   no recommender of that name is installed
├── BrokenRecommender    a recommender is installed but cannot be loaded
├── SpaceExhausted       every configuration of a finite space was tried
├── InfeasibleSpace      no configuration keeps the constraints and pins
└── InvalidSession       a session's request does not make sense for its target
```
"""

from __future__ import annotations

from targets.errors import LontraError


class UnknownRecommender(LontraError):
    """No recommender of that name is installed."""


class BrokenRecommender(LontraError):
    """A recommender is installed but cannot be loaded."""


class SpaceExhausted(LontraError):
    """Every configuration of a finite space was tried: there is nothing left to suggest."""


class InfeasibleSpace(LontraError):
    """No configuration could be found that keeps the constraints and the pins."""


class InvalidSession(LontraError):
    """A session's request does not make sense for its target."""
