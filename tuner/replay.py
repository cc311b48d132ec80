"""Replaying a session from its record: would the same suggestions be made again?

Every search trial stores the numbers of the trials it was based on, the recommender's options
and state, and the session its seed; so each suggestion can be computed again exactly as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from knowledge_base.records import Trial
from tuner.recommenders.base import SuggestionKind
from tuner.suggesting import answer, job
from tuner.view import SessionView


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One suggestion computed again."""

    number: int
    same: bool
    stored: dict[str, object]
    computed: dict[str, object]


def replay(view: SessionView) -> list[Replayed]:
    """Compute every suggestion of the session again, from what was known when it was made."""
    return [_again(view, trial) for trial in view.search_trials]


def _again(view: SessionView, trial: Trial) -> Replayed:
    remeasure = trial.suggestion.get("lane") == "finalists" and (
        trial.suggestion.get("kind") == SuggestionKind.RE_MEASURE
    )
    computed = answer(job(view.as_seen_by(trial), remeasure=remeasure)).suggestion.configuration
    return Replayed(
        number=trial.number,
        same=dict(computed) == dict(trial.configuration),
        stored=dict(trial.configuration),
        computed=dict(computed),
    )
