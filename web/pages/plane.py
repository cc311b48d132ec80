"""A session's trials in the plane of its first two objectives, as a drawing beside the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from web.pages.wording import number

WIDTH, HEIGHT = 640.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 92.0, 20.0, 16.0, 60.0
ROOM = 0.06
"""Of an axis' range, left free at both ends."""

Report = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One trial. `kind`: incumbent, front, baseline, beyond (a limit) or trial."""

    x: float
    y: float
    kind: str
    words: str


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One objective: its name with unit, its ends as written, and where limits on it lie."""

    title: str
    low: str
    high: str
    limits: tuple[tuple[float, str], ...]


@dataclass(frozen=True, kw_only=True)
class Plane:
    """The marks, those in front last; `line` joins the front's points."""

    across: Axis
    up: Axis
    marks: tuple[Mark, ...]
    line: str


@dataclass(frozen=True)
class _Scale:
    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 1)


def plane(report: Report) -> Plane | None:
    """The drawing; None with one objective, or while nothing was measured in a full window."""
    trials = [one for one in report["trials"] if one["measured"] and one["fidelity"] == 1.0]
    if report["front"] is None or not trials:
        return None
    first, second = report["objectives"][:2]
    across = _scale(report, trials, first, (LEFT, WIDTH - RIGHT))
    up = _scale(report, trials, second, (HEIGHT - BOTTOM, TOP))
    points = {point["trial"]: point for point in report["front"]["points"]}
    marks = [
        _mark(trial, points.get(trial["number"]), (first, second), (across, up)) for trial in trials
    ]
    order = ("trial", "beyond", "baseline", "front", "incumbent")
    marks.sort(key=lambda mark: order.index(mark.kind))
    corners = sorted(
        (across.place(point["values"][first["name"]]), up.place(point["values"][second["name"]]))
        for point in points.values()
    )
    return Plane(
        across=_axis(report, first, across),
        up=_axis(report, second, up),
        marks=tuple(marks),
        line=" ".join(f"{x},{y}" for x, y in corners) if len(corners) > 1 else "",
    )


def _scale(
    report: Report, trials: Sequence[Report], objective: Report, ends: tuple[float, float]
) -> _Scale:
    name = objective["name"]
    values = [trial["measured"][name] for trial in trials]
    values += [point["values"][name] for point in report["front"]["points"]]
    # A limit beyond all that was measured is left out: it would press that together.
    low, high = min(values), max(values)
    room = ROOM * (high - low or abs(high) or 1.0)
    return _Scale(low - room, high + room, *ends)


def _axis(report: Report, objective: Report, scale: _Scale) -> Axis:
    return Axis(
        title=" ".join(filter(None, [objective["name"], objective["unit"]])),
        low=number(scale.low),
        high=number(scale.high),
        limits=tuple(
            (scale.place(limit["bound"]), limit["text"])
            for limit in report["limits"]
            if limit["name"] == objective["name"]
            and limit["bound"] is not None
            and scale.low <= limit["bound"] <= scale.high
        ),
    )


def _mark(
    trial: Report,
    point: Report | None,
    objectives: tuple[Report, Report],
    scales: tuple[_Scale, _Scale],
) -> Mark:
    values = point["values"] if point else trial["measured"]
    x, y = (
        scale.place(values[objective["name"]])
        for scale, objective in zip(scales, objectives, strict=True)
    )
    told = ", ".join(
        f"{objective['name']} {number(values[objective['name']])} {objective['unit']}".rstrip()
        for objective in objectives
    )
    words = f"Trial {trial['number']}: {told}"
    if trial["breaks"]:
        words += f"; beyond {', '.join(trial['breaks'])}"
    return Mark(x=x, y=y, kind=_kind(trial, point), words=words)


def _kind(trial: Report, point: Report | None) -> str:
    if point is not None and point["is_incumbent"]:
        return "incumbent"
    if point is not None:
        return "front"
    if trial["kind"] == "baseline":
        return "baseline"
    return "beyond" if trial["breaks"] else "trial"
