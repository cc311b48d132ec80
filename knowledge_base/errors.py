"""What can go wrong with the knowledge base.

```
LontraError
├── NotFound            no such target, session, trial or token
├── Conflict            somebody else changed it first, or the name is taken
├── Held                another holder's lease is still live
├── InvalidRecord       a value that cannot be kept exactly (NaN, a time without zone); says where
├── InvalidDatabase     the URL names no database that can be used; says why
├── Unavailable         the database cannot be reached, is locked or full; later it may do
├── SchemaMismatch      the database has another schema version; says the command to run
└── ImportRefused       a history cannot be imported; names the line
```
"""

from __future__ import annotations

from targets.errors import LontraError


class NotFound(LontraError):
    """No such target, session, trial or token."""


class Conflict(LontraError):
    """Somebody else changed it first, or the name is taken."""


class Held(LontraError):
    """Another holder's lease on the resource is still live."""


class InvalidRecord(LontraError):
    """A record holds a value that cannot be kept exactly, or contradicts itself."""


class InvalidDatabase(LontraError):
    """The URL names no database that can be used."""


class Unavailable(LontraError):
    """The database cannot be reached, is locked for too long, or full; later it may do."""


class SchemaMismatch(LontraError):
    """The database has another schema version than this program; says the command to run."""


class ImportRefused(LontraError):
    """A history cannot be imported; nothing was changed."""
