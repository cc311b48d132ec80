"""Host names: which ones the server answers to, and which mean this machine."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A name or IPv4 address, or an IPv6 address in brackets; then perhaps a port.
_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)


def host_name(header: str | None) -> str:
    """The name in a Host header, in lower case and without port; empty when it is none."""
    found = _HOST.fullmatch(header or "")
    return found[1].lower().rstrip(".") if found else ""


def is_one_of(header: str | None, names: Iterable[str]) -> bool:
    """Whether the Host header is one of the names; `.example.org` stands for all below it."""
    name = host_name(header)
    return bool(name) and any(
        name.endswith(known) if known.startswith(".") else name == known
        for known in (known.lower() for known in names)
    )
