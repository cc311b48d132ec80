"""Small histories to test with: a described target, an agent that holds it, a session, trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from knowledge_base.records import (
    Agent,
    Finished,
    NewSession,
    NewTrial,
    NewWindow,
    Session,
    Target,
    Trial,
    TrialState,
)
from knowledge_base.store import Store
from targets.metrics import MetricVector

AGENT = "agent-1"
START = "start-1"
LEASE_SECONDS = 30.0
MEASURED_AT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
BASELINE = {"cache_size": 2000, "journal": "delete"}
METRICS = {"reads": 12.5, "lock_waits": 0.1}


def description(*, cache_max: int = 2**40, read_unit: str = "pages/s") -> dict[str, Any]:
    """What an adapter would say of a small target (`Description.to_dict()`)."""
    return {
        "kind": "simulated",
        "version": "1.0",
        "hardware": {"cpus": 2.0, "memory_bytes": 2**33},
        "space": {
            "knobs": [
                {
                    "name": "cache_size",
                    "type": "integer",
                    "default": 2000,
                    "low": 0,
                    "high": cache_max,
                },
                {
                    "name": "journal",
                    "type": "categorical",
                    "default": "delete",
                    "levels": ["delete", "wal"],
                },
            ],
        },
        "metrics": [
            {"name": "reads", "kind": "counter", "unit": read_unit, "help": ""},
            {"name": "lock_waits", "kind": "counter", "unit": "1/s", "help": ""},
        ],
        "objectives": [
            {
                "name": "throughput",
                "direction": "max",
                "unit": "1/s",
                "deterministic": False,
                "help": "",
            }
        ],
        "workload": {"name": "mixed", "parameters": {"read_share": 0.8}},
        "window_seconds": 1.0,
        "settings": {},
    }


def described(store: Store, name: str = "orders-db") -> Target:
    """A target as described by its agent."""
    return store.targets.describe(name, description())


def registered(
    store: Store, target: Target, *, instance: str = AGENT, incarnation: str = START
) -> Agent:
    """An agent that holds the target."""
    return store.agents.register(
        target_id=target.id,
        instance=instance,
        incarnation=incarnation,
        version="0.1.0",
        protocol=1,
        host="db-host/boot-1",
        in_force=BASELINE,
        lease_seconds=LEASE_SECONDS,
    )


def new_session(target: Target, **changes: Any) -> NewSession:
    """What is fixed when a session on the target begins."""
    return NewSession(
        **{
            "target_id": target.id,
            "objective": {"name": "throughput", "direction": "max", "unit": "1/s"},
            "workload": {"name": "mixed", "parameters": {"read_share": 0.8}},
            "recommender": "random",
            "seed": 7,
            "budget": {"trials": 10},
            "baseline": BASELINE,
            **changes,
        }
    )


def started(store: Store, target: Target, **changes: Any) -> Session:
    """A running session."""
    return store.sessions.create(new_session(target, **changes))


def new_trial(session: Session, number: int = 0, **changes: Any) -> NewTrial:
    """A trial to put into the session's queue."""
    return NewTrial(
        **{
            "session_id": session.id,
            "number": number,
            "task": "trial",
            "configuration": {"cache_size": 4000 + number, "journal": "wal"},
            "sequence": ("candidate",),
            "seed": number,
            **changes,
        }
    )


def leased(
    store: Store, target: Target, *, instance: str = AGENT, incarnation: str = START
) -> Trial | None:
    """The trial that the agent is given when it asks."""
    return store.trials.lease_next(
        target.id, instance=instance, incarnation=incarnation, lease_seconds=LEASE_SECONDS
    )


def taken(store: Store, target: Target) -> Trial:
    """As `leased`, where there is a trial to be had."""
    trial = leased(store, target)
    if trial is None:
        raise LookupError(f"no trial waits for target {target.name}")
    return trial


def new_window(trial: Trial, position: int = 0, **changes: Any) -> NewWindow:
    """A window of the trial's current grant."""
    return NewWindow(
        **{
            "trial_id": trial.id,
            "epoch": trial.epoch,
            "arm": "candidate",
            "block": 0,
            "position": position,
            "purpose": "search",
            "started_at": MEASURED_AT,
            "seconds": 1.0,
            "objectives": {"throughput": 1234.5},
            "metrics": MetricVector.of(METRICS),
            **changes,
        }
    )


def finished(
    store: Store,
    trial: Trial,
    *,
    instance: str = AGENT,
    windows: Sequence[NewWindow] | None = None,
    failure: str | None = None,
    in_force: Mapping[str, Any] | None = None,
    message: str = "",
) -> Finished:
    """Send the trial's result: completed with one window, unless told otherwise."""
    return store.trials.finish(
        trial.id,
        instance=instance,
        epoch=trial.epoch,
        state=TrialState.COMPLETED if failure is None else TrialState.FAILED,
        in_force=trial.configuration if in_force is None else in_force,
        failure=failure,
        message=message,
        seconds=1.5,
        restarted=False,
        lines=(),
        windows=[new_window(trial)] if windows is None else windows,
    )
