"""Reports and progress as a reader of a terminal meets them."""

from __future__ import annotations

from typing import Any

import pytest

from lontra.estimates import number
from lontra.text import WIDTH, duration, improvement, past_words, report_text, trial_line

LONG = "because " + "x" * 400


def trial(**changes: Any) -> dict[str, Any]:
    return {
        "number": 1, "state": "completed", "failure": None, "message": "", "value": 250_000.4,
        "fidelity": 1.0, "reason": "Point 1.", "breaks": [], "measured": {"speed": 250_000.4},
    } | changes  # fmt: skip


def report(**changes: Any) -> dict[str, Any]:
    return {
        "session": 7,
        "state": "finished",
        "reason": "Better: 2.000 times the baseline. Promoted.",
        "target": "db",
        "objective": {"name": "speed", "direction": "max", "unit": "1/s"},
        "objectives": [{"name": "speed", "direction": "max", "unit": "1/s"}],
        "limits": [],
        "measurement": {"words": "6 windows scatter."},
        "front": None,
        "least_breaking": None,
        "baseline": {"value": 125_000.2, "configuration": {"file": "a"}},
        "incumbent": {
            "trial": 1,
            "value": 250_000.4,
            "configuration": {"file": "b"},
            "changes": [
                {"knob": "file", "from": "a", "to": "b" * 200, "unit": "", "effect": "online"},
                {"knob": "cache", "from": 1, "to": 2, "unit": "MiB", "effect": "restart"},
            ],
        },
        "recommended": {"file": "b"},
        "confirmation": {
            "words": "Better: 2.000 times the baseline.",
            "verdict": "better",
            "baseline_value": 125_000.2,
            "incumbent_value": 250_000.4,
        },
        "reference_lines": [],
        "trials": [trial()],
        "budget": {"trials": 40},
        "knowledge": {"ranking": None, "explanation": None, "history": []},
        "recommender": "auto",
        "seed": 1,
    } | changes


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.0, "0"), (1.0, "1"), (336.0912, "336.09"), (99_999.4, "99999"),
        (99_999.9, "100,000"), (1_234_567.8, "1,234,568"), (-250_000.0, "-250,000"),
        (0.00001234, "1.2340e-05"), (1e20, "1.0000e+20"),
    ],
)  # fmt: skip
def test_numbers_are_read_at_a_glance(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(7.4, "7 s"), (119, "119 s"), (600, "10 min"), (9_000, "2.5 h")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(("value", "base"), [(0.0, 1.0), (1.0, 0.0), (-2.0, -1.0), (None, 1.0)])
def test_no_ratio_is_made_up(value: float | None, base: float) -> None:
    assert improvement(report(baseline={"value": base}), value) is None


def test_a_short_window_is_said_and_compared_with_nothing() -> None:
    short, full = trial(fidelity=0.1), trial(number=2)
    told = report(trials=[short, full])
    line = trial_line(short, told)
    assert line.startswith("trial   1, 10% of a window")
    assert "2.00x" not in line
    # The budget counts full windows: of how many trials this is one, nobody knows.
    assert trial_line(full, told).startswith("trial   2  ")
    assert "2.00x" in trial_line(full, told)


def test_a_word_of_any_length_is_cut_not_dropped() -> None:
    line = trial_line(trial(reason=LONG), report())
    assert "because xxx" in line and line.endswith(" ...") and len(line) <= WIDTH + 20
    failed = trial_line(trial(state="failed", failure="timed-out", message=LONG), report())
    assert "timed-out: because xxx" in failed and failed.endswith(" ...")


def test_a_long_value_is_whole_and_pushes_no_other_row() -> None:
    text = report_text(report())
    assert "b" * 200 in text
    [other] = [line for line in text.splitlines() if line.startswith("  cache")]
    assert len(other) < 40


def test_the_fate_of_a_promotion_is_told() -> None:
    assert "Promoted." in report_text(report())


def test_an_ended_session_says_why_though_pairs_were_measured() -> None:
    text = report_text(report(state="stood-down", reason="timeout was 5, is 6"))
    assert "stood-down" in text and "timeout was 5, is 6" in text


def test_an_objective_without_a_unit_leaves_no_hole() -> None:
    text = report_text(report(objective={"name": "misses", "direction": "min", "unit": ""}))
    assert "misses (less is better)" in text
    assert " ." not in text and "  (not paired" not in text


def test_failures_beyond_the_first_are_counted() -> None:
    failed = [
        trial(number=n, state="failed", failure="timed-out", message="m", value=None)
        for n in range(9)
    ]
    text = report_text(report(trials=failed))
    assert "9 failed" in text and "and 4 more" in text and "trial 4" in text


CAUSE = {
    "knob": "cache", "old": 1, "new": 2, "certainty": "likely",
    "gain": {"value": 0.365, "low": 0.08, "high": 0.688},
}  # fmt: skip
IMPORTANCE = {"knob": "cache", "share": {"value": 0.4, "low": 0.1, "high": 0.6}}


def learnt(**changes: Any) -> dict[str, Any]:
    explanation = {"trial": 1, "relative": True, "contributions": [CAUSE]}
    return {"ranking": None, "explanation": explanation, "history": []} | changes


def test_a_change_is_told_with_what_it_is_expected_to_give() -> None:
    text = report_text(report(knowledge=learnt()))
    assert "(what changes and is expected to give)" in text
    [line] = [line for line in text.splitlines() if line.startswith("  cache")]
    assert line.endswith("+44 % (+8 to +99 %), likely")


def test_no_change_is_explained_by_another_trials_explanation() -> None:
    other = learnt()["explanation"] | {"trial": 9}
    text = report_text(report(knowledge=learnt(explanation=other)))
    assert "+44 %" not in text and "(what changes):" in text


def test_the_knobs_that_matter_are_named_or_why_none_is() -> None:
    matters, undecided = ({**IMPORTANCE, "verdict": v} for v in ("matters", "undecided"))
    ranking = {"knobs": [matters, undecided], "reason": "nothing can be told: too little"}
    text = report_text(report(knowledge=learnt(ranking=ranking)))
    assert "cache 40 % (10 to 60 %); undecided: 1 of 2." in text
    none = report_text(report(knowledge=learnt(ranking={**ranking, "knobs": [undecided]})))
    assert "Knobs that matter: nothing can be told: too little." in none


def test_past_sessions_are_counted_and_named() -> None:
    past = [{"session": n, "target": "db", "used": 20} for n in (4, 2)]
    assert past_words(past, {}) == "Learnt from 40 trials of 2 past sessions: 4 (db), 2 (db)."
    assert "none fits" in past_words([], {"use_history": True})
    assert "started without" in past_words([], {"use_history": False})
    assert "started without" in past_words([], {}), "as sessions were before"


LIMIT = {"name": "p99", "text": "p99<=20 ms", "unit": "ms"}


def reading(value: float, *, kept: bool) -> dict[str, Any]:
    return {"value": value, "ci95": [value - 1, value + 1], "kept": kept}


def test_a_trial_beyond_a_limit_says_so_with_what_was_measured() -> None:
    beyond = trial(breaks=["p99<=20 ms"], measured={"speed": 250_000.4, "p99": 31.0})
    line = trial_line(beyond, report(trials=[beyond], limits=[LIMIT]))
    assert "BREAKS p99<=20 ms with 31 ms" in line


def test_limits_are_told_beside_what_baseline_and_incumbent_have() -> None:
    limit = LIMIT | {"baseline": reading(31, kept=False), "incumbent": reading(18, kept=True)}
    text = report_text(report(limits=[limit | {"factor": None}]))
    assert "baseline 31 ms (30 to 32), BROKEN" in text
    assert "incumbent 18 ms (17 to 19)\n" in text


def test_where_nothing_keeps_the_limits_the_nearest_is_told() -> None:
    nearest = trial(
        number=4,
        breaks=["p99<=20 ms"],
        measured={"speed": 9.0, "p99": 21.5},
        configuration={"cache": 3},
    )
    limit = LIMIT | {"baseline": reading(31, kept=False), "incumbent": None}
    text = report_text(report(incumbent=None, least_breaking=nearest, limits=[limit]))
    assert "Trial 4 breaks the limits the least (p99<=20 ms with 21.5 ms): cache=3" in text


def test_the_front_of_several_objectives_is_a_table() -> None:
    objectives = [
        {"name": "speed", "direction": "max", "unit": "1/s"},
        {"name": "cost", "direction": "min", "unit": "EUR"},
    ]
    points = [
        {"trial": 3, "values": {"speed": 9.0, "cost": 4.0}, "windows": 1,
         "is_incumbent": True, "is_baseline": False},
        {"trial": 0, "values": {"speed": 5.0, "cost": 1.0}, "windows": 3,
         "is_incumbent": False, "is_baseline": True},
    ]  # fmt: skip
    told = trial(measured={"speed": 250_000.4, "cost": 4.0})
    front = {"points": points, "hypervolume": 1.5, "reference": {}}
    full = report(objectives=objectives, front=front, trials=[told])
    lines = report_text(full).splitlines()
    assert "  trial 3  9 1/s  4 EUR  incumbent" in lines
    assert "  trial 0  5 1/s  1 EUR  baseline" in lines
    assert any("beside it cost" in line for line in lines)
    assert "250,000 1/s, 4 EUR" in trial_line(told, full)
    empty = report_text(full | {"front": front | {"points": [], "hypervolume": None}})
    assert "nothing within the limits was measured for every objective" in empty


def test_the_noise_study_is_told_once_there_is_one() -> None:
    assert "6 windows scatter." in report_text(report())
    assert "windows scatter" not in report_text(report(measurement=None))
