"""What is known, for a terminal: a line for every session, and all that was learnt in one."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knowledge_base.records import Session
from lontra.estimates import drawn, gain_text, share_text
from lontra.text import WIDTH, past_words, table
from tuner.pipeline.attribution import Evidence
from tuner.studying import FIRST_RANKING

KNOBS_SHOWN = 20
_HEADINGS = (
    "#", "target", "kind", "workload", "objective", "state", "trials", "against the baseline",
    "foremost knobs",
)  # fmt: skip
Known = Mapping[str, Any]


def history_text(tasks: Sequence[Known], total: int) -> str:
    """Sessions as a table, newest first."""
    lines = table([_HEADINGS, *map(_row, tasks)])
    if total > len(tasks):
        lines.append(f"  and {total - len(tasks)} more (--limit)")
    return "\n".join(lines)


def knowledge_text(known: Known, session: Session, *, target: str) -> str:
    """All that was learnt in one session.

    Args:
        known: as `SessionKnowledge.to_dict` has it.
        session: the session itself.
        target: its target's name.
    """
    objective = f"objective {session.objective['name']}"
    title = f"Session {session.id}: {target}, {objective}, {session.state}"
    sections = (_ranking, _explanation, _lanes, _workload, _metrics, _past)
    return "\n".join([title, *(line for told in sections for line in ("", *told(known, session)))])


def _row(task: Known) -> tuple[str, ...]:
    failed = f" ({task['failures']} failed)" if task["failures"] else ""
    return (
        str(task["session"]),
        task["target"],
        task["kind"] or "-",
        task["workload"],
        task["objective"],
        task["state"],
        f"{task['trials']}{failed}",
        _gain(task["gain"]),
        ", ".join(task["top_knobs"]) or "-",
    )


def _gain(gain: Known | None) -> str:
    if gain is None:
        return "-"
    interval = f" ({gain['ci95'][0]:.2f} to {gain['ci95'][1]:.2f})" if gain["ci95"] else ""
    return f"{gain['ratio']:.2f}x{interval} {gain['verdict']}"


def _ranking(known: Known, session: Session) -> Iterator[str]:
    ranking = known["ranking"]
    yield "Which knobs matter (share of the objective's variance, 0 to 100 %, 95 % intervals):"
    if ranking is None:
        yield _missing(session, f"comes once {FIRST_RANKING} trials have ended")
        return
    knobs = ranking["knobs"]
    if any(one["share"]["value"] > 0.0 for one in knobs):
        shown = [
            (
                one["knob"],
                drawn(one["share"], left=0.0, right=1.0),
                share_text(one["share"]),
                one["verdict"],
            )
            for one in knobs[:KNOBS_SHOWN]
        ]
        yield from table(shown)
        if len(knobs) > KNOBS_SHOWN:
            yield f"  and {len(knobs) - KNOBS_SHOWN} more (--json)"
    yield from _wrapped(ranking["reason"])


def _explanation(known: Known, session: Session) -> Iterator[str]:
    explanation = known["explanation"]
    if explanation is None:
        yield "What each change is expected to give:"
        yield _missing(session, "comes with the ranking, for the configuration that leads then")
        return
    relative, causes = explanation["relative"], explanation["contributions"]
    yield f"What each change of trial {explanation['trial']} is expected to give (above 0: better):"
    ends = [one["gain"][end] for one in causes for end in ("low", "high")]
    left, right = min([0.0, *ends]), max([0.0, *ends])
    rows = [
        (
            one["knob"],
            f"{one['old']} -> {one['new']}",
            drawn(one["gain"], left=left, right=right),
            gain_text(one["gain"], relative=relative, unit=session.objective["unit"]),
            one["certainty"],
        )
        for one in causes
    ]
    if any(one["gain"]["value"] for one in causes):  # else nothing is told of any change
        for row, one in zip(table(rows), causes, strict=True):
            yield row
            yield f"      {Evidence(**one['evidence'])}"
    yield from _wrapped(explanation["text"])


def _lanes(known: Known, session: Session) -> Iterator[str]:
    yield "Who suggested (a turn is won when its trial beats everything before):"
    rows = [
        (lane["lane"], str(lane["trials"]), str(lane["wins"]), f"{100 * lane['share']:.0f} %")
        for lane in known["lanes"]
    ]
    if not rows:
        yield _missing(session, "comes with the first trial after the baseline")
        return
    yield from table([("lane", "turns", "won", "share of turns"), *rows])


def _workload(known: Known, session: Session) -> Iterator[str]:
    yield "Which workload this is:"
    if known["mapping"] is None:
        yield _missing(session, "comes once the baseline is measured, as far as it has metrics")
        return
    yield from _wrapped(known["mapping"]["reason"])


def _metrics(known: Known, session: Session) -> Iterator[str]:
    pruning = known["pruning"]
    yield "Metrics that say something of their own, on targets of this kind:"
    if pruning is None:
        yield _missing(session, "comes when the search ends")
        return
    yield from _wrapped(pruning["reason"])
    for cluster in pruning["clusters"]:
        others = [name for name in cluster["members"] if name != cluster["representative"]]
        stands = f" (stands for {', '.join(others)})" if others else ""
        yield from _wrapped(f"{cluster['representative']}{stands}")
    for metric, why in pruning["dropped"].items():
        yield from _wrapped(f"left out: {metric}, {why}")


def _past(known: Known, session: Session) -> Iterator[str]:
    yield past_words(known["history"], session.budget)
    for past in known["history"]:
        yield (
            f"  session {past['session']} of {past['target']}, workload {past['workload']}: "
            f"{past['used']} of its {past['trials']} trials"
        )


def _missing(session: Session, when: str) -> str:
    """What is said where nothing was computed yet."""
    if session.state.ended:
        return "  none: the session ended with nothing to tell it from, or no worker has run since"
    return f"  none yet: it {when}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
