"""What a starting agent owes for the trial in which the one before it died."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from targets.agent.liaison import Liaison
from targets.errors import FailureKind
from targets.protocol import TrialResult

GIVE_UP_AFTER = 3
"""Deaths in one trial after which it is not tried again: once may be anybody's kill, three times
is the configuration's doing (it exhausts the memory, it stops the machine)."""


def settle_interrupted(
    left: Mapping[str, Any], liaison: Liaison, *, instance: str, at: str
) -> dict[str, Any] | None:
    """Tell what the watchdog did meanwhile, and settle the trial that was under way.

    The server gives it again to this instance, so by default nothing is owed. A trial that hung
    until the watchdog ended the agent, or that saw several deaths, gets its result here: else it
    would be given again without end.

    Args:
        left: what the watchdog found (`targets.agent.watchdog`).
        at: when this agent started.

    Returns:
        The `died_in` to journal: the trial, and how many agents died in it so far.
    """
    restored, killed = left["restored"], left["killed"]
    if restored is not None and restored["by"] != "agent":
        liaison.event(
            "restored",
            f"the safe configuration was put back by the {restored['by']}: {restored['reason']}",
            trial=restored["trial"],
            details={"in_force": restored["in_force"]},
            occurred_at=restored["at"],
        )
    if left["closed"]:
        return None
    before = left["opened"].get("died_in")
    if left["working"] is None:
        return dict(before) if before else None
    trial, epoch = left["working"]
    times = 1 + (before["times"] if before and before["trial"] == trial else 0)
    if killed is not None and killed["hung"]:
        kind, message = FailureKind.TIMED_OUT, f"the watchdog ended the agent: {killed['reason']}"
    elif times >= GIVE_UP_AFTER:
        kind = FailureKind.HARNESS_FAILED
        message = f"the agent died {times} times in this trial: it is not tried again"
    else:
        return {"trial": trial, "epoch": epoch, "times": times}
    liaison.result(
        trial,
        TrialResult(
            instance=instance,
            epoch=epoch,
            state="failed",
            failure=kind.value,
            message=message,
            measured_at=at,
        ),
    )
    return None
