"""Values, and shares and gains with their 95 % intervals: in words, and drawn in plain text."""

from __future__ import annotations

import math
from collections.abc import Mapping

DRAWN_WIDTH = 32

Estimate = Mapping[str, float]
"""`value`, `low` and `high`, as the pipeline's findings have them."""


def number(value: float | None) -> str:
    """A measured value in five significant digits, or whole with its thousands apart."""
    if value is None:
        return "-"
    if value == 0 or 0.001 <= abs(value) < 99_999.5:
        return f"{value:.5g}"
    return f"{value:,.0f}" if 1 <= abs(value) < 1e15 else f"{value:.4e}"


def share_text(estimate: Estimate) -> str:
    """A share of 1: 37 % (5 to 84 %); what is not 0 is never told as 0."""
    value, low, high = (_percent(estimate[part]) for part in ("value", "low", "high"))
    return f"{value} % ({low} to {high} %)"


def gain_text(estimate: Estimate, *, relative: bool, unit: str = "") -> str:
    """What a change gives, above 0 for the better: +44 % (+8 to +99 %).

    Args:
        relative: whether it is of the objective's logarithm; else it is in `unit`.
    """
    parts = [estimate[part] for part in ("value", "low", "high")]
    if relative:
        value, low, high = (_signed_percent(part) for part in parts)
        unit = "%"
    else:
        value, low, high = (f"{'+' if part >= 0 else ''}{number(part)}" for part in parts)
    end = f" {unit}" if unit else ""
    return f"{value}{end} ({low} to {high}{end})"


def _percent(share: float) -> str:
    return "<1" if 0.0 < share < 0.005 else f"{100 * share:.0f}"


def _signed_percent(gain: float) -> str:
    percent = 100 * math.expm1(gain)
    # `+ 0` makes of a minus zero a plain one.
    return f"{percent:+.1e}" if percent >= 1e6 else f"{round(percent) + 0:+,}"


def drawn(estimate: Estimate, *, left: float, right: float) -> str:
    """The interval on a scale from `left` to `right`: ....|--o-----.....

    `o` is the value, `|` is 0 where the interval does not cover it.
    """
    span = (right - left) or 1.0

    def place(value: float) -> int:
        return round((value - left) / span * (DRAWN_WIDTH - 1))

    cells = ["."] * DRAWN_WIDTH
    cells[place(0.0)] = "|"
    for cell in range(place(estimate["low"]), place(estimate["high"]) + 1):
        cells[cell] = "-"
    cells[place(estimate["value"])] = "o"
    return "".join(cells)
