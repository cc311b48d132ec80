"""What can go wrong in a benchmark.

```
LontraError
├── InvalidTable     a recorded table is not in the agreed form (file, column, value, rule)
├── InvalidResults   a file of results is not one that `lontra bench replay` wrote
├── UnknownName      a peer, a table or a reference was asked for that is not there
└── PeerFailed       a peer broke off: its own error, or its process ended
```
"""

from __future__ import annotations

from targets.errors import LontraError


class InvalidTable(LontraError):
    """A recorded table is not in the agreed form; the text names file, column, value and rule."""


class InvalidResults(LontraError):
    """A file is not one of results; the text names the line."""


class UnknownName(LontraError):
    """A peer, a table or a reference was asked for that is not there."""


class PeerFailed(LontraError):
    """A peer broke off in the middle of a run."""
