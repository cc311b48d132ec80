"""How values are written on the pages: numbers, knob values, times, states, in words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from flask import Flask
from markupsafe import Markup, escape

from knowledge_base.records import SessionPhase, SessionState, TrialState
from tuner.pipeline.attribution import Evidence
from web.services import services

NOTHING = "–"

_BACKTICKS = re.compile(r"`([^`]+)`")

_STATES: Mapping[str, str] = {
    SessionState.RUNNING: "running",
    SessionState.PAUSED: "paused",
    SessionState.FINISHED: "finished",
    SessionState.CANCELLED: "cancelled",
    SessionState.STOOD_DOWN: "stood down",
    SessionState.FAILED: "failed",
    TrialState.SUGGESTED: "waiting",
    TrialState.LEASED: "handed out",
    TrialState.APPLYING: "applying",
    TrialState.MEASURING: "measuring",
    TrialState.COMPLETED: "measured",
}

PHASES: Mapping[SessionPhase, str] = {
    SessionPhase.BASELINE: "Baseline",
    SessionPhase.SEARCH: "Search",
    SessionPhase.CONFIRM: "Confirm",
    SessionPhase.REFERENCES: "References",
    SessionPhase.PROMOTE: "Promote",
    SessionPhase.DONE: "Done",
}


def number(value: float | None) -> str:
    """Four significant digits, thousands apart: 12,346 · 345.7 · 0.001230 · 1.2e+09."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 9 or size < -5:
        return f"{value:.3g}"
    return f"{value:,.{max(0, 3 - size)}f}"


def knob_value(value: Any) -> str:
    """A knob's value as its owner would write it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    return str(value)


def times(ratio: float | None) -> str:
    """A ratio, to the hundredth while that means something: 1.97× · 23.4× · 112×."""
    if ratio is None:
        return NOTHING
    return f"{ratio:.{2 if ratio < 10 else 1 if ratio < 100 else 0}f}×"


def duration(seconds: float | None) -> str:
    """A length of time with its two largest units: 45 s · 3 min 5 s · 2 h 10 min · 3 d 4 h."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{seconds:.2g} s"
    left = timedelta(seconds=round(seconds))
    hours, rest = divmod(left.seconds, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [(left.days, "d"), (hours, "h"), (minutes, "min"), (secs, "s")]
    first = next((i for i, (amount, _) in enumerate(parts) if amount), 3)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount)


def ago(moment: datetime | None) -> str:
    """How long ago, as a person would say it."""
    if moment is None:
        return "never"
    seconds = (services().clock.now() - moment).total_seconds()
    if seconds < 5:
        return "just now"
    if seconds < 60:
        return f"{seconds:.0f} s ago"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min ago"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.0f} h ago"
    return f"{seconds / 86400:.0f} days ago"


def state(value: str) -> str:
    """A session's or trial's state in words."""
    return _STATES.get(value, str(value).replace("-", " "))


def better_is(direction: str) -> str:
    """Which way an objective improves."""
    return "more is better" if direction == "max" else "less is better"


def domain(knob: Mapping[str, Any]) -> str:
    """The values a knob takes: 1 … 64, log · off, on · fifo, lru."""
    special = [f"{knob_value(item['value'])} ({item['meaning']})" for item in knob["special"]]
    if knob["low"] is not None:
        low, high = (_end(knob, end) for end in (knob["low"], knob["high"]))
        scale = ", log scale" if knob["scale"] == "log" else ""
        return "; ".join([f"{low} … {high}{scale}", *special])
    return "; ".join([", ".join(knob_value(level) for level in knob["levels"]), *special])


def share(value: float) -> str:
    """A share or probability in whole per cent; never 0 % or 100 % of what is not."""
    if 0 < value < 0.01:
        return "under 1 %"
    if 0.99 < value < 1:
        return "over 99 %"
    return f"{100 * value:.0f} %"


def gain(value: float, *, relative: bool, unit: str = "") -> str:
    """What a change gives, above 0 for the better: +44 % of a logarithm's gain, else in a unit."""
    if relative:
        percent = 100 * math.expm1(value)
        return f"{percent:+.1e} %" if percent >= 1e6 else f"{round(percent) + 0:+,} %"
    return f"{'+' if value >= 0 else ''}{number(value)} {unit}".rstrip()


def gain_range(gains: Mapping[str, float], *, relative: bool, unit: str = "") -> str:
    """A gain's interval, its unit said once."""
    low = gain(gains["low"], relative=relative).removesuffix(" %")
    return f"{low} to {gain(gains['high'], relative=relative, unit=unit)}"


def evidence(found: Mapping[str, int]) -> str:
    """What was measured of one change."""
    return str(Evidence(**found))


def sentence(text: str) -> str:
    """A reason as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}"


def at(text: str) -> datetime:
    """The moment that an ISO 8601 text names."""
    return datetime.fromisoformat(text)


def ordinal(value: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 22nd."""
    ending = (
        "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    )
    return f"{value}{ending}"


def coded(text: str) -> Markup:
    """Prose with its `backticks` as code, everything else escaped."""
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 # escaped


def _end(knob: Mapping[str, Any], end: float) -> str:
    return knob_value(int(end) if knob["type"] == "integer" else end)


def register_wording(app: Flask) -> None:
    """Make these available to the templates as filters."""
    filters: tuple[Callable[..., object], ...] = (
        number, knob_value, times, duration, ago, state, better_is, domain, coded,
        share, gain, gain_range, evidence, sentence, at, ordinal,
    )  # fmt: skip
    for function in filters:
        app.add_template_filter(function, function.__name__)
