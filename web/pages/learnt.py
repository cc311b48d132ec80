"""What was learnt in a session, arranged for its page; and where there is nothing, what will come.

From a report (`tuner.report`) alone: the same as the API tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowledge_base.records import Session, SessionPhase
from tuner.studying import FIRST_RANKING
from web.pages.bars import Bar, gain_bars, share_bars

SHOWN_WORKLOADS = 8

ENDED = "None: the session ended with nothing to tell it from, or no worker has run since."
"""A worker makes up for what is missing of sessions that people ended."""

Drawn = Sequence[tuple[Mapping[str, Any], Bar]]


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What was learnt, for the eye: `causes` and `knobs` with their bars.

    `no_explanation`, `no_ranking`, `no_mapping` and `no_history` are said where there is none.
    """

    lanes: Sequence[Mapping[str, Any]]
    explanation: Mapping[str, Any] | None
    causes: Drawn
    ranking: Mapping[str, Any] | None
    knobs: Drawn
    mapping: Mapping[str, Any] | None
    workloads: Sequence[Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]
    no_explanation: str
    no_ranking: str
    no_mapping: str
    no_history: str


def learnt(session: Session, knowledge: Mapping[str, Any]) -> Learnt:
    """Arrange a report's `knowledge`."""
    explanation, ranking = knowledge["explanation"], knowledge["ranking"]
    causes = explanation["contributions"] if explanation else []
    # Where nothing can be told of any change, the explanation says so in words.
    causes = causes if any(one["gain"]["value"] for one in causes) else []
    knobs = ranking["knobs"] if ranking else []
    # Where nothing can be told of any knob the reason says so, and bars from 0 to 1 say nothing.
    knobs = knobs if any(one["share"]["value"] > 0.0 for one in knobs) else []
    return Learnt(
        lanes=knowledge["lanes"],
        explanation=explanation,
        causes=list(zip(causes, gain_bars([one["gain"] for one in causes]), strict=True)),
        ranking=ranking,
        knobs=list(zip(knobs, share_bars([one["share"] for one in knobs]), strict=True)),
        mapping=knowledge["mapping"],
        workloads=_workloads(knowledge["mapping"]),
        history=knowledge["history"],
        no_explanation=_no_explanation(session),
        no_ranking=_no_ranking(session),
        no_mapping=_no_mapping(session),
        no_history=_no_history(session),
    )


def _workloads(mapping: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The likeliest known workloads with the sessions that recorded them."""
    if mapping is None:
        return []
    return [
        {**match, "sessions": mapping["known"][match["workload"]]["sessions"]}
        for match in mapping["matches"][:SHOWN_WORKLOADS]
    ]


def _no_explanation(session: Session) -> str:
    if session.state.ended:
        return ENDED
    return "Comes together with the ranking of the knobs, for the configuration that leads then."


def _no_ranking(session: Session) -> str:
    if session.state.ended:
        return ENDED
    return (
        f"Comes once {FIRST_RANKING} trials have ended; then again whenever there are a third "
        "more, and when the search ends."
    )


def _no_mapping(session: Session) -> str:
    if session.state.ended:
        return "Not compared: the baseline was not measured, or its windows came without metrics."
    return "Compared with the known ones once the baseline is measured, as far as it has metrics."


def _no_history(session: Session) -> str:
    wanted = session.budget.get("use_history")
    if wanted is None:
        return "Not used: the session was started before sessions learnt from each other."
    if not wanted:
        return "Not used, as was asked when the session was started."
    if session.phase is SessionPhase.BASELINE:
        return "Chosen once the baseline is measured, before the first suggestion."
    return (
        "None fits: no other session of this kind of target measured enough for the same "
        "objective over knobs that can be compared."
    )
