"""Trials: how far an agent has come, what it measured, and what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import marshmallow as ma
from marshmallow import fields

from knowledge_base.errors import Conflict
from knowledge_base.records import Finished, NewEvent, NewWindow, Scope, Session, Trial, TrialState
from targets.errors import FailureKind, StaleEpoch
from targets.metrics import MetricVector
from targets.protocol import Directive, Receipt, StateReport, TrialResult, WindowReport
from tuner.service import SAFE_KEY
from tuner.view import PROMOTE_TASK
from web.api.answers import TrialSchema, WindowSchema, window_answer
from web.api.fields import as_measured, parse_moment
from web.api.messages import message_schema, schema_of
from web.api.operation import Answer, caller, operation
from web.auth import actor_of, require_own
from web.errors import Problem
from web.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint(
    "trials", __name__, url_prefix="/api/v1/trials", description="Configurations tried"
)


class WindowList(ma.Schema):
    """A trial's windows, late ones too."""

    items = fields.List(fields.Nested(WindowSchema), required=True)


@operation(
    blueprint,
    "/<id:trial_id>/state",
    method="POST",
    scope=Scope.AGENT,
    body=message_schema(StateReport),
    answer=Answer(schema_of(Directive)),
    problems=("stale-epoch",),
    repeatable=True,
)
def report_state(message: StateReport, trial_id: int) -> Directive:
    """The trial in hand moves on: `applying` or `measuring`."""
    _, session = _own_trial(trial_id)
    if session.state.ended:
        raise StaleEpoch(f"session {session.id} is {session.state}: {session.reason}")
    services().store.trials.set_state(
        trial_id,
        instance=message.instance,
        epoch=message.epoch,
        state=TrialState(message.state),
    )
    return Directive()


@operation(
    blueprint,
    "/<id:trial_id>/result",
    method="POST",
    scope=Scope.AGENT,
    body=message_schema(TrialResult),
    answer=Answer(schema_of(Receipt)),
    problems=("never-granted",),
)
def report_result(message: TrialResult, trial_id: int) -> Receipt:
    """How a trial ended, with its windows. Being late is no error: the receipt says so.

    A completed result that lacks windows of its plan, or in any of them an objective of the session
    or what its limits bound, is kept whole and stored as `harness-failed`: no measurement is lost,
    none counts by half.
    """
    trial, session = _own_trial(trial_id)
    windows = _windows(trial_id, session, message)
    failure, fault = _judged(message, windows, trial, session)
    try:
        finished = services().store.trials.finish(
            trial_id,
            instance=message.instance,
            epoch=message.epoch,
            state=TrialState.COMPLETED if failure is None else TrialState.FAILED,
            in_force=message.in_force,
            failure=failure,
            message="; ".join(text for text in (message.message, fault) if text),
            seconds=message.seconds,
            restarted=message.restarted,
            lines=[line.to_json() for line in message.lines],
            windows=windows,
        )
    except Conflict as error:
        raise Problem("never-granted", str(error)) from error
    if not finished.duplicate:
        _follow_up(finished, session)
    return Receipt(late=finished.late, duplicate=finished.duplicate)


@operation(blueprint, "/<id:trial_id>", scope=Scope.VIEWER, answer=Answer(TrialSchema))
def get_trial(trial_id: int) -> Trial:
    """One trial."""
    return services().store.trials.get(trial_id)


@operation(blueprint, "/<id:trial_id>/windows", scope=Scope.VIEWER, answer=Answer(WindowList))
def list_windows(trial_id: int) -> dict[str, Any]:
    """Everything measured in one trial, late windows too."""
    store = services().store
    store.trials.get(trial_id)
    return {"items": [window_answer(window) for window in store.windows.of_trial(trial_id)]}


def _own_trial(trial_id: int) -> tuple[Trial, Session]:
    """The trial and its session, which belong to the token's target."""
    trial = services().store.trials.get(trial_id)
    session = services().store.sessions.get(trial.session_id)
    require_own(caller(), session.target_id, subject=f"trial {trial_id}")
    return trial, session


def _judged(
    message: TrialResult, windows: Sequence[NewWindow], trial: Trial, session: Session
) -> tuple[str | None, str]:
    """How the trial failed (None: it did not), and what the server found wrong, in words."""
    if message.failure or message.state == TrialState.FAILED:
        return message.failure or FailureKind.HARNESS_FAILED, ""
    ordered = sorted(windows, key=lambda window: window.position)
    planned = list(trial.sequence)
    for name in dict.fromkeys(one["name"] for one in (*session.objectives, *session.limits)):
        measured = [window.arm for window in ordered if name in window.objectives]
        if measured != planned:
            return FailureKind.HARNESS_FAILED, (
                f"reported as completed, but {name} was measured in {len(measured)} of "
                f"{len(planned)} planned windows ({', '.join(measured)})"
                f"; read were: {', '.join(_read(windows))}"
            )
    return None, ""


def _read(windows: Sequence[NewWindow]) -> list[str]:
    """The names of all that the windows tell."""
    return sorted({name for one in windows for name in (*one.objectives, *one.metrics.as_dict())})


def _windows(trial_id: int, session: Session, message: TrialResult) -> list[NewWindow]:
    return [
        NewWindow(
            trial_id=trial_id,
            epoch=message.epoch,
            arm=window.arm,
            block=window.block,
            position=window.position,
            purpose=window.purpose,
            started_at=parse_moment(window.started_at),
            seconds=window.seconds,
            objectives={**_limited(session, window), **window.objectives},
            metrics=MetricVector.of(as_measured(window.metrics)),
            contamination=window.contamination,
            details=window.details,
        )
        for window in message.windows
    ]


def _limited(session: Session, window: WindowReport) -> dict[str, float]:
    """The metrics that the session's limits bound. They are kept with the objectives, by which a
    session is judged ever after: other metrics are given up by retention."""
    names = {limit["name"] for limit in session.limits}
    read = MetricVector.of(as_measured(window.metrics)).as_dict()
    return {name: value for name, value in read.items() if name in names}


def _follow_up(finished: Finished, session: Session) -> None:
    """Note a late result; keep a promoted configuration as the target's safe one."""
    store, trial = services().store, finished.trial
    if finished.late:
        store.events.add(
            NewEvent(
                actor=actor_of(caller()),
                kind="result-late",
                message=f"a result of trial {trial.number} came after the trial was taken back: "
                "its windows are kept and do not count",
                occurred_at=services().clock.now(),
                target_id=session.target_id,
                session_id=session.id,
                trial_id=trial.id,
            )
        )
    elif trial.task == PROMOTE_TASK and trial.state is TrialState.COMPLETED:
        target = store.targets.get(session.target_id)
        safe = dict(trial.in_force or trial.configuration)
        store.targets.describe(target.name, {**target.description, SAFE_KEY: safe})
