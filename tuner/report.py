"""The report of a session: what was tried, what won, and how sure that is. JSON-able data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, geometric_mean
from typing import Any

from knowledge_base.records import Target, Trial, TrialState
from targets.metrics import Objective
from targets.protocol import BASELINE_ARM, CANDIDATE_ARM
from targets.space import KnobSpace
from tuner.fronts import front_of
from tuner.keeping import Reading
from tuner.learning import SessionKnowledge
from tuner.limits import SessionLimit
from tuner.measuring import noise_study, planned_looks
from tuner.naming import (
    confirmation,
    confirmed,
    incumbent_trial,
    least_breaking,
    recommended,
)
from tuner.view import CONFIRM_TASK, REFERENCES_TASK, SEARCH_TASK, SessionView


def report(view: SessionView, target: Target, knowledge: SessionKnowledge) -> dict[str, Any]:
    """Everything a reader needs to judge the session, its failures included.

    `confirmation` is null until paired windows were measured or the session ended without any.
    `incumbent` is null while nothing but the baseline was measured, and where nothing can be named.
    `recommended` is what to run: the incumbent when it is confirmed better within the limits, or
    keeps one that the baseline breaks; else the baseline. `front` is null with one objective.
    `knowledge` is what the pipeline made of it.
    """
    session = view.session
    best = incumbent_trial(view)
    verdict = dict(session.verdict) or _running_verdict(view)
    nearest = least_breaking(view)
    return {
        "session": session.id,
        "state": str(session.state),
        "phase": str(session.phase),
        "reason": session.reason,
        "target": target.name,
        "kind": target.kind,
        "objective": _objective(view.objective),
        "objectives": [_objective(objective) for objective in view.objectives],
        "limits": [_limit(view, limit, best) for limit in view.limits],
        "workload": dict(session.workload),
        "baseline": {
            "configuration": dict(session.baseline),
            "value": view.value(view.baseline_trial) if view.baseline_trial else None,
        },
        "measurement": _measurement(view),
        "incumbent": None if best is None else _incumbent(view, best),
        "least_breaking": None if nearest is None else _trial(view, nearest),
        "front": front_of(view, best) if len(view.objectives) > 1 else None,
        "confirmation": _confirmation(view, verdict) if verdict else None,
        "recommended": dict(best.configuration if best and recommended(view) else session.baseline),
        "reference_lines": [
            dict(line) for trial in view.of_task(REFERENCES_TASK) for line in trial.lines
        ],
        "trials": [_trial(view, trial) for trial in view.of_task(SEARCH_TASK)],
        "confirmation_blocks": _blocks(view),
        "knowledge": _knowledge(knowledge),
        "recommender": session.recommender,
        "recommender_options": dict(session.recommender_options),
        "seed": session.seed,
        "budget": dict(session.budget),
        "pins": dict(session.pins),
        "versions": dict(session.versions),
        "hardware": dict(target.description.get("hardware", {})),
        "created_at": session.created_at.isoformat(),
        "finished_at": session.finished_at.isoformat() if session.finished_at else None,
    }


def _confirmation(view: SessionView, verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict with both arms' values; one from before there were limits has none."""
    told = {"limits": [], **verdict, "recommended": recommended(view)}
    return {**told, **_arm_values(view)}


def _objective(objective: Objective) -> dict[str, Any]:
    told = objective.to_dict()
    return {key: told[key] for key in ("name", "direction", "unit", "deterministic")}


def _limit(view: SessionView, limit: SessionLimit, best: Trial | None) -> dict[str, Any]:
    """A limit beside what the baseline and the incumbent have: in the paired windows, once there
    are any, else while searching."""
    paired = confirmed(view).counted
    first = [view.baseline_trial] if view.baseline_trial else []
    searched = _measured_alike(view, best) if best else []

    def told(trials: Sequence[Trial], arm: str) -> dict[str, Any] | None:
        values = [value for trial in trials for value in view.values(trial, arm, limit.name)]
        reading = Reading.of(limit, values)
        return None if reading is None else reading.to_dict()

    return {
        **limit.to_dict(),
        "text": limit.text,
        "baseline": told(paired, BASELINE_ARM) or told(first, CANDIDATE_ARM),
        "incumbent": told(paired, CANDIDATE_ARM) or told(searched, CANDIDATE_ARM),
    }


def _knowledge(known: SessionKnowledge) -> dict[str, Any]:
    """What was learnt, with `why` for each knob that the explained configuration changes."""
    told = known.to_dict()
    causes = (known.explanation or {}).get("contributions", ())
    return {
        **{key: told[key] for key in ("lanes", "ranking", "mapping", "explanation", "history")},
        "why": {one["knob"]: one["text"] for one in causes},
    }


def _running_verdict(view: SessionView) -> dict[str, Any]:
    so_far = confirmation(view)
    return so_far.to_dict() if so_far.pairs else {}


def _arm_values(view: SessionView) -> dict[str, float | None]:
    """Both arms' means over the paired windows: the absolute side of the ratio. Geometric, as the
    ratio's is, unless a value is zero or below."""
    trials = confirmed(view).counted
    arms = (("baseline_value", BASELINE_ARM), ("incumbent_value", CANDIDATE_ARM))
    return {
        name: _mean([value for trial in trials for value in view.values(trial, arm)])
        for name, arm in arms
    }


def _mean(values: Sequence[float]) -> float | None:
    if not values:
        return None
    return geometric_mean(values) if min(values) > 0 else fmean(values)


def _incumbent(view: SessionView, best: Trial) -> dict[str, Any]:
    """The incumbent with the mean of all its full search windows and what it changes."""
    values = [value for trial in _measured_alike(view, best) for value in view.values(trial)]
    return {
        "trial": best.number,
        "configuration": dict(best.configuration),
        "value": sum(values) / len(values) if values else None,
        "windows": len(values),
        "changes": changes(view.space, view.session.baseline, best.configuration),
        "reason": best.suggestion.get("reason", ""),
    }


def _measured_alike(view: SessionView, best: Trial) -> list[Trial]:
    """The search trials in which its configuration was measured in full windows."""
    key = view.space.key(best.configuration)
    return [
        trial
        for trial in view.search_trials
        if trial.state is TrialState.COMPLETED
        and trial.fidelity == 1.0
        and view.space.key(trial.configuration) == key
    ]


def changes(space: KnobSpace, old: Any, new: Any) -> list[dict[str, Any]]:
    """Knob by knob what a configuration changes, with how the change takes effect.

    Knobs that have no effect under the new configuration are left out.
    """
    return [
        {
            "knob": name,
            "from": before,
            "to": after,
            "unit": space[name].unit,
            "effect": str(space[name].effect),
            "scope": str(space[name].scope),
            "help": space[name].help,
        }
        for name, (before, after) in space.differences(old, new).items()
        if space.is_active(name, new)
    ]


def _trial(view: SessionView, trial: Trial) -> dict[str, Any]:
    done = trial.state is TrialState.COMPLETED
    return {
        "number": trial.number,
        "state": str(trial.state),
        "failure": trial.failure,
        "message": trial.message,
        "configuration": dict(trial.configuration),
        "in_force": None if trial.in_force is None else dict(trial.in_force),
        "value": view.value(trial) if done else None,
        "measured": {name: view.value(trial, name) for name in view.judged_by} if done else {},
        "breaks": [limit.text for limit in view.broken_by(trial)] if done else [],
        "values": list(view.values(trial)),
        "seconds": trial.seconds,
        "fidelity": trial.fidelity,
        "kind": trial.suggestion.get("kind"),
        "lane": trial.suggestion.get("lane"),
        "reason": trial.suggestion.get("reason", ""),
        "expected": trial.suggestion.get("expected"),
    }


def _measurement(view: SessionView) -> dict[str, Any] | None:
    """The noise study and the plan of the confirmation; None before the baseline was measured."""
    study = noise_study(view)
    if study is None:
        return None
    return {
        **study.to_dict(),
        "looks": list(planned_looks(view).pairs),
        "words": study.words(),
    }


def _blocks(view: SessionView) -> list[dict[str, Any]]:
    again = confirmed(view).again
    return [
        {**_block(view, trial), "again": again.get(trial.number, "")}
        for trial in view.of_task(CONFIRM_TASK)
    ]


def _block(view: SessionView, trial: Trial) -> dict[str, Any]:
    windows = sorted(
        (w for w in view.windows if w.trial_id == trial.id and not w.late),
        key=lambda window: window.position,
    )
    return {
        "number": trial.number,
        "state": str(trial.state),
        "failure": trial.failure,
        "message": trial.message,
        "windows": [
            {
                "arm": window.arm,
                "value": window.objectives[view.objective.name],
                "seconds": window.seconds,
                "foreign_cpu": window.contamination.get("foreign_cpu"),
            }
            for window in windows
        ],
    }
