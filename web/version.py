"""Which Lontra this is."""

from __future__ import annotations

from importlib import metadata


def lontra_version() -> str:
    """The installed version; "0" when run from a source tree that was never installed."""
    try:
        return metadata.version("lontra")
    except metadata.PackageNotFoundError:
        return "0"
