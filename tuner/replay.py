"""Replaying a session from its record: would the same suggestions be made again?

Every search trial stores the numbers of the trials it was based on, the recommender's options
and state, and the session its seed and which trials of which other sessions it was told of; so each
suggestion can be computed again exactly as it was.
"""

from __future__ import annotations

from dataclasses import dataclass

from knowledge_base.records import Session, Trial
from knowledge_base.store import Store
from targets.knobs import Configuration
from tuner.past import told
from tuner.recommenders.base import SuggestionKind
from tuner.suggesting import answer, job
from tuner.view import SessionView


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """One suggestion computed again."""

    number: int
    same: bool
    stored: Configuration
    computed: Configuration


def replay(store: Store, session: Session) -> list[Replayed]:
    """Compute every suggestion of the session again, from what was known when it was made."""
    view = told(store, session).to(SessionView.load(store, session))
    return [_again(view, trial) for trial in view.search_trials]


def _again(view: SessionView, trial: Trial) -> Replayed:
    remeasure = trial.suggestion.get("lane") == "finalists" and (
        trial.suggestion.get("kind") == SuggestionKind.RE_MEASURE
    )
    suggestion = answer(job(view.as_seen_by(trial), remeasure=remeasure)).suggestion
    computed, stored = dict(suggestion.configuration), dict(trial.configuration)
    return Replayed(
        number=trial.number,
        same=(computed, suggestion.fidelity) == (stored, trial.fidelity),
        stored=stored,
        computed=computed,
    )
