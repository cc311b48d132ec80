"""Reports and progress in words, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

WIDTH = 100
CELL_WIDTH = 40
FAILURES_SHOWN = 5
Report = Mapping[str, Any]


def number(value: float | None) -> str:
    """A measured value in five significant digits, or whole with its thousands apart."""
    if value is None:
        return "-"
    if value == 0 or 0.001 <= abs(value) < 99_999.5:
        return f"{value:.5g}"
    return f"{value:,.0f}" if 1 <= abs(value) < 1e15 else f"{value:.4e}"


def duration(seconds: float) -> str:
    """About how long, in the unit that people would say it in."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def trial_line(trial: Mapping[str, Any], report: Report) -> str:
    """One finished trial: its value, how it compares with the baseline, and why it was tried."""
    total = report["budget"]["trials"]
    head = f"trial {trial['number']:>3} of {total}"
    if trial["state"] == "failed":
        return f"{head}  FAILED {trial['failure']}: {_shorten(trial['message'], 70)}"
    ratio = improvement(report, trial["value"])
    times = f"{ratio:6.2f}x" if ratio is not None else "       "
    value = f"{number(trial['value']):>9} {report['objective']['unit']}".rstrip()
    return f"{head}  {value}  {times}  {_shorten(trial['reason'], 60)}"


def improvement(report: Report, value: float | None) -> float | None:
    """How many times better a value is than the baseline; None where there is no ratio."""
    base = report["baseline"]["value"]
    if value is None or base is None or min(value, base) <= 0:
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
        f"({', '.join(filter(None, [objective['unit'], direction]))})",
    ]
    confirmation = report["confirmation"]
    lines += ["", *textwrap.wrap(_outcome(report), WIDTH)]
    if confirmation and confirmation.get("incumbent_value") is not None:
        lines.append(
            f"In those windows: baseline {number(confirmation['baseline_value'])}, "
            f"incumbent {_with_unit(confirmation['incumbent_value'], objective)}."
        )
    return [*lines, ""]


def _outcome(report: Report) -> str:
    """How it ended. A finished session's reason is its verdict, and what became of a promotion."""
    if report["state"] == "finished" and report["reason"]:
        return str(report["reason"])
    said = [f"Session {report['state']}: {report['reason'] or 'no reason given'}"]
    if report["confirmation"]:
        said.append(report["confirmation"]["words"])
    return " - ".join(said)


def _with_unit(value: float | None, objective: Mapping[str, Any]) -> str:
    return f"{number(value)} {objective['unit']}".rstrip()


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
    rows = [
        (line["name"], _with_unit(line["value"], report["objective"]), line.get("note", ""))
        for line in lines
    ]
    return ["Reference lines:", *_table(rows), ""]


def _evidence(report: Report) -> list[str]:
    trials = report["trials"]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    base = report["baseline"]["value"]
    best = report["incumbent"]["value"] if report["incumbent"] else None
    lines = [
        f"While searching: baseline {number(base)}, "
        f"incumbent {_with_unit(best, report['objective'])} "
        "(not paired: the windows above are what compares them).",
        f"{max(0, len(trials) - 1)} trials by {report['recommender']}, seed {report['seed']}; "
        f"{len(failed)} failed.",
    ]
    lines += [
        f"  trial {trial['number']} {trial['failure']}: {_shorten(trial['message'], 80)}"
        for trial in failed[:FAILURES_SHOWN]
    ]
    if len(failed) > FAILURES_SHOWN:
        lines.append(
            f"  and {len(failed) - FAILURES_SHOWN} more (lontra report {report['session']} --json)"
        )
    return lines


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their columns in line; a cell that is longer than most pushes its own row alone."""
    if not rows:
        return ["  nothing"]
    widths = [
        max((len(cell) for cell in column if len(cell) <= CELL_WIDTH), default=0)
        for column in zip(*rows, strict=True)
    ]
    return [
        "  " + "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _shorten(text: str, width: int) -> str:
    """In one line of that width; cut anywhere, for a path or a statement may be all one word."""
    line = " ".join((text or "").split())
    return line if len(line) <= width else f"{line[: width - 4].rstrip()} ..."
