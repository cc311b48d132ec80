"""Reports and progress in words, for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from lontra.estimates import gain_text, number, share_text

WIDTH = 100
CELL_WIDTH = 40
FAILURES_SHOWN = 5
Report = Mapping[str, Any]


def duration(seconds: float) -> str:
    """About how long, in the unit that people would say it in."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.1f} h"


def trial_line(trial: Mapping[str, Any], report: Report) -> str:
    """One finished trial: its value, how it compares with the baseline, and why it was tried.

    What a shorter window shows does not compare.
    """
    head = f"trial {trial['number']:>3}"
    if trial["fidelity"] < 1.0:
        head += f", {trial['fidelity']:.0%} of a window"
    elif all(other["fidelity"] == 1.0 for other in report["trials"]):
        head += f" of {report['budget']['trials']}"
    if trial["state"] == "failed":
        return f"{head}  FAILED {trial['failure']}: {_shorten(trial['message'], 70)}"
    ratio = improvement(report, trial["value"]) if trial["fidelity"] == 1.0 else None
    times = f"{ratio:6.2f}x" if ratio is not None else "       "
    value = f"{number(trial['value']):>9} {report['objective']['unit']}".rstrip()
    for objective in report["objectives"][1:]:
        value += f", {_with_unit(trial['measured'][objective['name']], objective)}"
    if trial["breaks"]:
        return f"{head}  {value}  {times}  BREAKS {_broken(trial, report)}"
    return f"{head}  {value}  {times}  {_shorten(trial['reason'], 60)}"


def _broken(trial: Mapping[str, Any], report: Report) -> str:
    """The limits that a trial broke, with what was measured."""
    return ", ".join(
        f"{limit['text']} with {_with_unit(trial['measured'][limit['name']], limit)}"
        for limit in report["limits"]
        if limit["text"] in trial["breaks"]
    )


def improvement(report: Report, value: float | None) -> float | None:
    """How many times better a value is than the baseline; None where there is no ratio."""
    base = report["baseline"]["value"]
    if value is None or base is None or min(value, base) <= 0:
        return None
    ratio: float = value / base if report["objective"]["direction"] == "max" else base / value
    return ratio


def report_text(report: Report) -> str:
    """The whole report as a reader wants it: the answer first, then what it rests on."""
    sections = (_answer, _limits, _changes, _front, _learnt, _lines, _evidence)
    return "\n".join(line for section in sections for line in section(report))


def _answer(report: Report) -> list[str]:
    objective = report["objective"]
    direction = "more is better" if objective["direction"] == "max" else "less is better"
    further = [one["name"] for one in report["objectives"][1:]]
    lines = [
        "",
        f"Session {report['session']}: {report['target']}, objective {objective['name']} "
        f"({', '.join(filter(None, [objective['unit'], direction]))})"
        + (f", beside it {' and '.join(further)}" if further else ""),
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


def _limits(report: Report) -> list[str]:
    """Each limit with what the baseline and the incumbent have."""
    rows = [
        (
            limit["text"],
            f"baseline {_kept(limit, 'baseline')}",
            f"incumbent {_kept(limit, 'incumbent')}" if report["incumbent"] else "",
        )
        for limit in report["limits"]
    ]
    return ["Limits:", *table(rows), ""] if rows else []


def _kept(limit: Mapping[str, Any], whose: str) -> str:
    reading = limit[whose]
    if reading is None:
        return "not measured"
    words = _with_unit(reading["value"], limit)
    if reading["ci95"]:
        words += f" ({number(reading['ci95'][0])} to {number(reading['ci95'][1])})"
    return words if reading["kept"] else f"{words}, BROKEN"


def _front(report: Report) -> list[str]:
    """What several objectives leave to choose from."""
    front = report["front"]
    if front is None:
        return []
    if not front["points"]:
        return ["Front: nothing within the limits was measured for every objective.", ""]
    objectives = report["objectives"]
    rows = [
        (
            f"trial {point['trial']}",
            *(_with_unit(point["values"][one["name"]], one) for one in objectives),
            "baseline" if point["is_baseline"] else "incumbent" if point["is_incumbent"] else "",
        )
        for point in front["points"]
    ]
    names = ", ".join(one["name"] for one in objectives)
    title = f"Front: none of these is beaten in all of {names}; hypervolume"
    return [f"{title} {number(front['hypervolume'])}.", *table(rows), ""]


def _changes(report: Report) -> list[str]:
    incumbent = report["incumbent"]
    nearest = report["least_breaking"]
    if incumbent is None and nearest is not None:
        trial = f"Trial {nearest['number']} breaks the limits the least"
        knobs = ", ".join(f"{knob}={value}" for knob, value in nearest["configuration"].items())
        return [*textwrap.wrap(f"{trial} ({_broken(nearest, report)}): {knobs}", WIDTH), ""]
    if incumbent is None and any(trial["value"] is not None for trial in report["trials"][1:]):
        return ["No configuration is named in the baseline's place.", ""]
    if incumbent is None:
        return ["No configuration but the baseline was measured.", ""]
    expected = _expected(report)
    what = "what changes" + (" and is expected to give" if expected else "")
    title = (
        f"Recommended configuration ({what}):"
        if report["recommended"] == incumbent["configuration"]
        else f"Best configuration tried (not confirmed better; {what}):"
    )
    rows = [
        (
            change["knob"],
            f"{change['from']} -> {change['to']}",
            change["unit"],
            change["effect"],
            expected.get(change["knob"], ""),
        )
        for change in incumbent["changes"]
    ]
    return [title, *table(rows), ""]


def _expected(report: Report) -> dict[str, str]:
    """Changed knob -> what the change is expected to give and how sure; nothing while what is
    explained is another trial's configuration."""
    explanation = report["knowledge"]["explanation"]
    if explanation is None or explanation["trial"] != report["incumbent"]["trial"]:
        return {}
    unit = report["objective"]["unit"]
    return {
        one["knob"]: f"{gain_text(one['gain'], relative=explanation['relative'], unit=unit)}, "
        f"{one['certainty']}"
        for one in explanation["contributions"]
    }


def _learnt(report: Report) -> list[str]:
    """Which knobs matter, and how many past sessions were learnt from."""
    lines = [
        *_mattering(report["knowledge"]["ranking"]),
        past_words(report["knowledge"]["history"], report["budget"]),
        f"All that was learnt: `lontra history {report['session']}`.",
    ]
    return [*(part for line in lines for part in textwrap.wrap(line, WIDTH)), ""]


def _mattering(ranking: Mapping[str, Any] | None) -> list[str]:
    if ranking is None:
        return []
    named = [
        f"{one['knob']} {share_text(one['share'])}"
        for one in ranking["knobs"]
        if one["verdict"] == "matters"
    ]
    if not named:
        return [f"Knobs that matter: {ranking['reason']}."]
    undecided = sum(one["verdict"] == "undecided" for one in ranking["knobs"])
    open_ones = f"; undecided: {undecided} of {len(ranking['knobs'])}" if undecided else ""
    return [f"Knobs that matter, by share of the variance: {', '.join(named)}{open_ones}."]


def past_words(past: Sequence[Mapping[str, Any]], budget: Mapping[str, Any]) -> str:
    """How many past sessions a session learnt from, and which."""
    if past:
        named = ", ".join(f"{one['session']} ({one['target']})" for one in past)
        trials = sum(one["used"] for one in past)
        sessions = f"{len(past)} past session{'s' if len(past) > 1 else ''}"
        return f"Learnt from {trials} trials of {sessions}: {named}."
    why = "none fits" if budget.get("use_history") else "it was started without"
    return f"Learnt from no past session: {why}."


def _lines(report: Report) -> list[str]:
    lines = report["reference_lines"]
    if not lines:
        return []
    rows = [
        (line["name"], _with_unit(line["value"], report["objective"]), line.get("note", ""))
        for line in lines
    ]
    return ["Reference lines:", *table(rows), ""]


def _evidence(report: Report) -> list[str]:
    trials = report["trials"]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    base = report["baseline"]["value"]
    best = report["incumbent"]["value"] if report["incumbent"] else None
    lines = textwrap.wrap(report["measurement"]["words"], WIDTH) if report["measurement"] else []
    lines += [
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


def table(rows: Sequence[Sequence[str]]) -> list[str]:
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
