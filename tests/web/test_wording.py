"""How the pages write numbers, values and lengths of time; where the interval is drawn."""

from __future__ import annotations

from typing import Any

import pytest

from web.pages.interval import PADDING, WIDTH, interval
from web.pages.progress import course
from web.pages.wording import duration, knob_value, number, times


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (12345.67, "12,346"),
        (345.678, "345.7"),
        (1.0, "1.000"),
        (0.00123, "0.001230"),
        (-42.0, "-42.00"),
        (0.0, "0"),
        (1.2e12, "1.2e+12"),
        (3e-9, "3e-09"),
        (float("nan"), "–"),
        (None, "–"),
    ],
)
def test_numbers(value: float | None, written: str) -> None:
    assert number(value) == written


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "on"), (False, "off"), (65536, "65,536"), (0.5, "0.5"), ("lru", "lru"), (None, "–")],
)
def test_knob_values(value: Any, written: str) -> None:
    assert knob_value(value) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.45, "0.45 s"), (45, "45 s"), (185, "3 min 5 s"), (7800, "2 h 10 min"), (86400, "1 d"),
     (273_600, "3 d 4 h"), (None, "–")],
)  # fmt: skip
def test_durations(seconds: float | None, written: str) -> None:
    assert duration(seconds) == written


@pytest.mark.parametrize(
    ("ratio", "written"), [(1.974, "1.97×"), (23.44, "23.4×"), (112.4, "112×"), (None, "–")]
)
def test_ratios(ratio: float | None, written: str) -> None:
    assert times(ratio) == written


@pytest.mark.parametrize("ci95", [[1.954, 1.994], [0.5, 0.7], [0.999, 1.001], [0.9, 1.3]])
def test_an_interval_is_drawn_in_order_and_within_its_frame(ci95: list[float]) -> None:
    ratio = sum(ci95) / 2
    drawn = interval({"ci95": ci95, "ratio": ratio}, margin=0.02)
    assert drawn is not None
    assert drawn.low <= drawn.ratio <= drawn.high
    assert drawn.margin_low < drawn.one < drawn.margin_high
    assert (drawn.low < drawn.one) == (ci95[0] < 1)
    places = [drawn.low, drawn.high, drawn.margin_low, drawn.margin_high]
    assert min(places) == pytest.approx(PADDING)
    assert max(places) == pytest.approx(WIDTH - PADDING)


def test_no_interval_no_drawing() -> None:
    assert interval(None, margin=0.02) is None
    assert interval({"ci95": None, "ratio": 1.2}, margin=0.02) is None


def report(direction: str, *values: float | None) -> dict[str, Any]:
    trials = [
        {
            "number": n, "state": "failed" if value is None else "completed", "value": value,
            "failure": "timed-out" if value is None else None, "message": "", "seconds": 1.0,
            "kind": "explore" if n else "baseline", "lane": "", "reason": "",
            "configuration": {"a": n}, "in_force": None, "fidelity": 1.0, "breaks": [],
        }
        for n, value in enumerate(values)
    ]  # fmt: skip
    objective = {"name": "o", "direction": direction, "unit": "", "deterministic": False}
    return {"objective": objective, "baseline": {"value": values[0]}, "trials": trials}


def test_the_best_so_far_follows_the_objectives_direction() -> None:
    less = course(report("min", 10.0, 12.0, None, 5.0, 5.0))
    assert [step.best for step in less.steps] == [10.0, 10.0, 10.0, 5.0, 5.0]
    assert [step.record for step in less.steps] == [True, False, False, True, False]
    assert [step.ratio for step in less.steps] == [1.0, pytest.approx(10 / 12), None, 2.0, 2.0]
    assert less.leader is not None
    assert less.leader.number == 3
    more = course(report("max", 10.0, 12.0, 5.0))
    assert [step.best for step in more.steps] == [10.0, 12.0, 12.0]


def test_nothing_leads_while_nothing_beats_the_baseline() -> None:
    assert course(report("max", 10.0, 9.0)).leader is None


def test_what_breaks_a_limit_leads_nothing() -> None:
    told = report("max", 10.0, 900.0, 9.0)
    told["trials"][0]["breaks"] = told["trials"][1]["breaks"] = ["p99<=20 ms"]
    seen = course(told)
    assert [step.best for step in seen.steps] == [None, None, 9.0]
    assert seen.leader is not None
    assert seen.leader.number == 2


def test_what_a_short_window_shows_is_no_record() -> None:
    told = report("max", 10.0, 900.0, 12.0)
    told["trials"][1]["fidelity"] = 0.1
    seen = course(told)
    assert [step.best for step in seen.steps] == [10.0, 10.0, 12.0]
    assert [step.ratio for step in seen.steps] == [1.0, None, pytest.approx(1.2)]
    assert seen.leader is not None
    assert seen.leader.number == 2
