"""Reports and progress in words, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 100
Report = Mapping[str, Any]


def number(value: float | None) -> str:
    """A measured value in at most five significant digits, readable at a glance."""
    if value is None:
        return "-"
    if value == 0 or 0.001 <= abs(value) < 100_000:
        digits = f"{value:.5g}"
        return digits if "e" not in digits else f"{value:.0f}"
    return f"{value:.4e}"


def trial_line(trial: Mapping[str, Any], report: Report) -> str:
    """One finished trial: its value, how it compares with the baseline, and why it was tried."""
    total = report["budget"]["trials"]
    head = f"trial {trial['number']:>3} of {total}"
    if trial["state"] == "failed":
        return f"{head}  FAILED {trial['failure']}: {_shorten(trial['message'], 70)}"
    unit = report["objective"]["unit"]
    ratio = improvement(report, trial["value"])
    times = f"{ratio:6.2f}x" if ratio is not None else "       "
    return f"{head}  {number(trial['value']):>9} {unit}  {times}  {_shorten(trial['reason'], 60)}"


def improvement(report: Report, value: float | None) -> float | None:
    """How many times better a value is than the baseline; None where either is missing."""
    base = report["baseline"]["value"]
    if not value or not base:
        return None
    ratio: float = value / base if report["objective"]["direction"] == "max" else base / value
    return ratio


def report_text(report: Report) -> str:
    """The whole report as a reader wants it: the answer first, then what it rests on."""
    return "\n".join([*_answer(report), *_changes(report), *_lines(report), *_evidence(report)])


def _answer(report: Report) -> list[str]:
    objective = report["objective"]
    direction = "more is better" if objective["direction"] == "max" else "less is better"
    lines = [
        "",
        f"Session {report['session']}: {report['target']}, objective {objective['name']} "
        f"({objective['unit']}, {direction})",
    ]
    confirmation = report["confirmation"]
    words = confirmation["words"] if confirmation else f"{report['state']}: {report['reason']}"
    lines += ["", *textwrap.wrap(words, WIDTH)]
    if confirmation and confirmation.get("incumbent_value") is not None:
        lines.append(
            f"In those windows: baseline {number(confirmation['baseline_value'])}, "
            f"incumbent {number(confirmation['incumbent_value'])} {objective['unit']}."
        )
    return [*lines, ""]


def _changes(report: Report) -> list[str]:
    incumbent = report["incumbent"]
    if incumbent is None:
        return ["No configuration but the baseline was measured.", ""]
    title = (
        "Recommended configuration (what changes):"
        if report["recommended"] == incumbent["configuration"]
        else "Best configuration tried (not confirmed better; what it changes):"
    )
    rows = [
        (change["knob"], f"{change['from']} -> {change['to']}", change["unit"], change["effect"])
        for change in incumbent["changes"]
    ]
    return [title, *_table(rows), ""]


def _lines(report: Report) -> list[str]:
    lines = report["reference_lines"]
    if not lines:
        return []
    unit = report["objective"]["unit"]
    rows = [
        (line["name"], f"{number(line['value'])} {unit}", line.get("note", "")) for line in lines
    ]
    return ["Reference lines:", *_table(rows), ""]


def _evidence(report: Report) -> list[str]:
    unit = report["objective"]["unit"]
    trials = report["trials"]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    base = report["baseline"]["value"]
    best = report["incumbent"]["value"] if report["incumbent"] else None
    lines = [
        f"While searching: baseline {number(base)}, incumbent {number(best)} {unit} "
        "(not paired: the windows above are what compares them).",
        f"{max(0, len(trials) - 1)} trials by {report['recommender']}, seed {report['seed']}; "
        f"{len(failed)} failed.",
    ]
    lines += [
        f"  trial {trial['number']} {trial['failure']}: {_shorten(trial['message'], 80)}"
        for trial in failed[:5]
    ]
    return lines


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return ["  nothing"]
    widths = [max(len(str(row[i])) for row in rows) for i in range(len(rows[0]))]
    return [
        "  " + "  ".join(str(cell).ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _shorten(text: str, width: int) -> str:
    return textwrap.shorten(text or "", width, placeholder=" ...")
