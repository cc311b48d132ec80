"""A session's course: trial by trial the objective, the best so far, and why each was tried.

From a report (`tuner.report`) alone: the chart and its table twin are the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from targets.metrics import Objective


@dataclass(frozen=True)
class Difference:
    """A knob whose value in force is not the one that was asked for."""

    knob: str
    asked: Any
    in_force: Any


@dataclass(frozen=True, kw_only=True)
class Step:
    """One search trial in its session's course.

    `best` is the best value of this and all earlier trials; `ratio` this trial's value against
    the baseline's (above 1: better); `record` whether it set a new best. What was measured in less
    than a full window (`fidelity` below 1) has no ratio and sets no record; nor does what broke a
    limit, which `breaks` lists.
    """

    number: int
    state: str
    value: float | None
    best: float | None
    ratio: float | None
    record: bool
    failure: str | None
    message: str
    kind: str
    lane: str
    reason: str
    seconds: float
    fidelity: float
    breaks: tuple[str, ...]
    configuration: Mapping[str, Any]
    adjusted: tuple[Difference, ...]

    @property
    def is_baseline(self) -> bool:
        """Whether it measured where the session began."""
        return self.kind == "baseline"


@dataclass(frozen=True, kw_only=True)
class Course:
    """All steps, and what they are compared with."""

    objective: Objective
    baseline: float | None
    steps: tuple[Step, ...]

    @property
    def leader(self) -> Step | None:
        """The step with the best value within the limits that is not the baseline's; None when
        none beat it."""
        records = [step for step in self.steps if step.record and not step.is_baseline]
        return records[-1] if records else None

    @property
    def failures(self) -> tuple[Step, ...]:
        """The trials that failed."""
        return tuple(step for step in self.steps if step.failure)

    def chart(self, reference_lines: list[Mapping[str, Any]]) -> dict[str, Any]:
        """What the chart draws, JSON-able."""
        return {
            "objective": self.objective.name,
            "unit": self.objective.unit,
            "baseline": self.baseline,
            "lines": [{"name": line["name"], "value": line["value"]} for line in reference_lines],
            "steps": [
                {
                    "number": step.number,
                    "value": step.value,
                    "best": step.best,
                    "fidelity": step.fidelity,
                    "breaks": step.breaks,
                    "kind": step.kind,
                    "failure": step.failure,
                    "reason": step.reason,
                }
                for step in self.steps
                if step.value is not None or step.failure
            ],
        }


def course(report: Mapping[str, Any]) -> Course:
    """The course that a report tells."""
    objective = Objective.from_dict(report["objective"])
    baseline = report["baseline"]["value"]
    best: float | None = None
    steps: list[Step] = []
    for trial in report["trials"]:
        value = trial["value"] if trial["state"] == "completed" else None
        full = value if trial["fidelity"] == 1.0 else None
        kept = None if trial["breaks"] else full
        record = kept is not None and (best is None or objective.better(kept, best))
        best = kept if record else best
        ratio = None if full is None else _ratio(objective, full, baseline)
        steps.append(_step(trial, value=value, best=best, ratio=ratio, record=record))
    return Course(objective=objective, baseline=baseline, steps=tuple(steps))


def _ratio(objective: Objective, value: float, baseline: float | None) -> float | None:
    """Only positive values have a ratio."""
    if baseline is None or baseline <= 0 or value <= 0:
        return None
    return objective.ratio(value, baseline)


def _step(
    trial: Mapping[str, Any],
    *,
    value: float | None,
    best: float | None,
    ratio: float | None,
    record: bool,
) -> Step:
    return Step(
        number=trial["number"],
        state=trial["state"],
        value=value,
        best=best,
        ratio=ratio,
        record=record,
        failure=trial["failure"],
        message=trial["message"],
        kind=trial["kind"] or "",
        lane=trial["lane"] or "",
        reason=trial["reason"],
        seconds=trial["seconds"],
        fidelity=trial["fidelity"],
        breaks=tuple(trial["breaks"]),
        configuration=trial["configuration"],
        adjusted=adjusted(trial),
    )


def adjusted(trial: Mapping[str, Any]) -> tuple[Difference, ...]:
    """The knobs that the target took up otherwise than asked."""
    in_force = trial["in_force"] or {}
    return tuple(
        Difference(knob, asked, in_force[knob])
        for knob, asked in trial["configuration"].items()
        if knob in in_force and in_force[knob] != asked
    )
