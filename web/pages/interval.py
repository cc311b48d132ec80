"""The confirmation's interval as a drawing: where it lies beside 1 and the margin around it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

WIDTH = 640.0
PADDING = 24.0
# The scale shows at least this much on either side of 1.
LEAST_SPAN = 1.02


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Horizontal places, in the drawing's own unit, of what it shows; the scale is logarithmic."""

    low: float
    high: float
    ratio: float
    one: float
    margin_low: float
    margin_high: float


def interval(confirmation: Mapping[str, Any] | None, *, margin: float) -> Interval | None:
    """Where to draw a confirmation; None when it has no interval."""
    if confirmation is None or confirmation["ci95"] is None:
        return None
    low, high = confirmation["ci95"]
    shown = (low, high, 1 / (1 + margin), 1 + margin)
    left, right = min(*shown, 1 / LEAST_SPAN), max(*shown, LEAST_SPAN)

    def place(ratio: float) -> float:
        share = math.log(ratio / left) / math.log(right / left)
        return round(PADDING + share * (WIDTH - 2 * PADDING), 1)

    return Interval(
        low=place(low),
        high=place(high),
        ratio=place(confirmation["ratio"]),
        one=place(1.0),
        margin_low=place(1 / (1 + margin)),
        margin_high=place(1 + margin),
    )
