"""Estimates as small drawings in a table: an interval, its value, and where 0 is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

WIDTH = 200.0
PADDING = 6.0
# An interval of no length is still to be seen.
LEAST_LENGTH = 2.0


@dataclass(frozen=True, kw_only=True)
class Bar:
    """Horizontal places, in the drawing's own unit."""

    low: float
    length: float
    value: float
    zero: float


def share_bars(shares: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Shares with their intervals, from 0 to 1."""
    return _bars(shares, 0.0, 1.0)


def gain_bars(gains: Sequence[Mapping[str, Any]]) -> list[Bar]:
    """Gains with their intervals, all to one scale, which holds 0."""
    ends = [gain[end] for gain in gains for end in ("low", "high")]
    return _bars(gains, min([0.0, *ends]), max([0.0, *ends]))


def _bars(estimates: Sequence[Mapping[str, Any]], left: float, right: float) -> list[Bar]:
    span = (right - left) or 1.0

    def place(value: float) -> float:
        return round(PADDING + (value - left) / span * (WIDTH - 2 * PADDING), 1)

    return [
        Bar(
            low=place(one["low"]),
            length=max(LEAST_LENGTH, round(place(one["high"]) - place(one["low"]), 1)),
            value=place(one["value"]),
            zero=place(0.0),
        )
        for one in estimates
    ]
