"""The front door: command line and one-machine ring. Composes the floors, decides nothing."""

from __future__ import annotations

from importlib import metadata

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """`lontra.__version__`, read from the installed distribution when asked for."""
    if name == "__version__":
        return metadata.version("lontra")
    raise AttributeError(name)
