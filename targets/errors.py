"""What can go wrong with a target, drawn once.

```
LontraError
├── InvalidKnob            a knob or a catalogue is declared wrongly (file, knob, rule)
├── InvalidSetting         an adapter's setting is unknown or out of its range
├── InvalidExpression      a dependency expression does not parse, or names an unknown knob
├── UnknownAdapter         no adapter of that name is installed
├── BrokenAdapter          an adapter is installed but cannot be loaded
├── MissingExtra           an optional dependency is not installed; says which extra to install
├── ProtocolError          a message from the other side does not have the agreed form
├── StaleEpoch             an act carries an older fencing epoch than one already seen
├── AgentRefused           the server refuses this agent (another one holds the target, or too old)
└── TrialFailure           a trial cannot be completed; its `kind` is one of `FailureKind`
    ├── Rejected           the configuration is invalid; nothing was changed
    ├── ApplyFailed        the target refused or did not take up the configuration
    ├── TargetDown         the target does not answer its health check
    ├── WorkloadFailed     the workload ended with an error or a wrong result
    ├── TimedOut           apply or measure outlived its limit
    ├── GuardrailBroken    a watched limit was passed; says which and at what value
    ├── HarnessFailed      Lontra's own fault: says nothing about the configuration
    └── Cancelled          a person or a policy ended the trial
```
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class FailureKind(StrEnum):
    """Why a trial failed. Only the configuration's own fault counts against the configuration."""

    REJECTED = "rejected"
    APPLY_FAILED = "apply-failed"
    TARGET_DOWN = "target-down"
    WORKLOAD_FAILED = "workload-failed"
    TIMED_OUT = "timed-out"
    GUARDRAIL = "guardrail"
    HARNESS_FAILED = "harness-failed"
    CANCELLED = "cancelled"

    @property
    def blames_configuration(self) -> bool:
        """Whether recommenders should learn from this failure to keep away."""
        return self not in (FailureKind.HARNESS_FAILED, FailureKind.CANCELLED)


class LontraError(Exception):
    """Everything Lontra raises on purpose; its text is fit to show a user."""


class InvalidKnob(LontraError):
    """A knob or a catalogue is declared wrongly."""


class InvalidSetting(LontraError):
    """An adapter's setting is unknown, of the wrong type or out of its range."""


class InvalidExpression(LontraError):
    """A dependency expression does not parse, or names something that is no knob."""


class UnknownAdapter(LontraError):
    """No adapter of that name is installed."""


class BrokenAdapter(LontraError):
    """An adapter is installed but cannot be loaded."""


class MissingExtra(LontraError):
    """An optional dependency is not installed: what needs it, the package, and the extra."""

    def __init__(self, needed_for: str, module: str, extra: str) -> None:
        super().__init__(needed_for, module, extra)

    def __str__(self) -> str:
        needed_for, module, extra = self.args
        return (
            f"{needed_for} needs the Python package {module}, which is not installed: "
            f"pip install 'lontra[{extra}]'"
        )


class ProtocolError(LontraError):
    """A message from the other side does not have the agreed form."""


class StaleEpoch(LontraError):
    """An act carries an older fencing epoch than one already seen; it must not be carried out."""


class AgentRefused(LontraError):
    """The server refuses this agent; asking again at once will not help."""


class TrialFailure(LontraError):
    """A trial cannot be completed. Subclasses fix the kind."""

    kind: ClassVar[FailureKind] = FailureKind.HARNESS_FAILED


class Rejected(TrialFailure):
    """The configuration is invalid; nothing was changed."""

    kind = FailureKind.REJECTED


class ApplyFailed(TrialFailure):
    """The target refused the configuration, or another one is in force after setting it."""

    kind = FailureKind.APPLY_FAILED


class TargetDown(TrialFailure):
    """The target does not answer its health check."""

    kind = FailureKind.TARGET_DOWN


class WorkloadFailed(TrialFailure):
    """The workload ended with an error, or its result is wrong."""

    kind = FailureKind.WORKLOAD_FAILED


class TimedOut(TrialFailure):
    """Applying or measuring outlived its limit."""

    kind = FailureKind.TIMED_OUT


class GuardrailBroken(TrialFailure):
    """A watched limit was passed; the text says which and at what value."""

    kind = FailureKind.GUARDRAIL


class HarnessFailed(TrialFailure):
    """Lontra's own fault; it says nothing about the configuration."""

    kind = FailureKind.HARNESS_FAILED


class Cancelled(TrialFailure):
    """A person or a policy ended the trial."""

    kind = FailureKind.CANCELLED
