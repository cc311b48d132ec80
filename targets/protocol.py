"""What agent and server say to each other: versioned messages, as frozen records and as JSON.

The agent asks, the server answers; nothing is ever pushed. All paths are under /api/v1:

| request                  | body         | answers                                      |
|--------------------------|--------------|----------------------------------------------|
| POST /agents/register    | Registration | 200 Welcome; 409 held by another; 426 old    |
| POST /agents/heartbeat   | Heartbeat    | 200 Directive; 409 superseded                |
| POST /agents/work        | WorkRequest  | 200 Assignment; 204 + Retry-After            |
| POST /trials/{id}/state  | StateReport  | 200 Directive; 409 stale epoch               |
| POST /trials/{id}/result | TrialResult  | 200 Receipt; being late is never an error    |
| POST /agents/events      | EventReport  | 201                                          |

Writes carry an `Idempotency-Key` header; sent again, they are answered again and stored once.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from targets.errors import ProtocolError

PROTOCOL_VERSION = 1
OLDEST_SERVED_VERSION = 1

BASELINE_ARM = "baseline"
CANDIDATE_ARM = "candidate"

MAXIMUM_INTEGER = 2**63 - 1  # what both SQL engines can hold
MAXIMUM_DEPTH = 32

M = typing.TypeVar("M", bound="Message")


class Message:
    """Base of all messages: `to_json` and a checking `from_json`."""

    def to_json(self) -> dict[str, Any]:
        """JSON-able; floats that JSON cannot carry (NaN, infinities) become null."""
        result = _to_json(self)
        assert isinstance(result, dict)  # noqa: S101 - a dataclass becomes a dict
        return result

    @classmethod
    def from_json(cls, data: object) -> Self:
        """Read and check a message; unknown fields of a newer peer are ignored.

        Raises:
            ProtocolError: a field is missing or of the wrong type; says which.
        """
        return _read_message(cls, data, cls.__name__)


@dataclass(frozen=True, kw_only=True)
class Registration(Message):
    """An agent presents itself. `instance` is kept on its disk; `incarnation` is new at each
    start; `safe` is the configuration that any failure puts back; `description` is
    `Description.to_dict()`."""

    protocol: int
    agent_version: str
    target: str
    instance: str
    incarnation: str
    host: str
    description: dict[str, Any]
    safe: dict[str, Any]
    in_force: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Welcome(Message):
    """The server takes the agent: its lease on the target, and how often to be heard."""

    protocol: int
    agent: int
    target: int
    lease_seconds: float
    heartbeat_seconds: float
    server_time: str


@dataclass(frozen=True, kw_only=True)
class Heartbeat(Message):
    """A sign of life; renews the agent's lease and, when it holds one, the trial's."""

    instance: str
    incarnation: str
    trial: int | None = None
    epoch: int | None = None
    in_force: dict[str, Any] | None = None
    host_metrics: dict[str, float | None] = field(default_factory=dict)
    spooled: int = 0
    dropped: int = 0


@dataclass(frozen=True, kw_only=True)
class Directive(Message):
    """What the server wants of the agent now: `continue`, or `abandon` the trial it holds
    (cancelled, or taken back: put the safe configuration back and ask for work again)."""

    action: str = "continue"
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class WorkRequest(Message):
    """May I have something to do? While a trial is leased to this instance it is given again."""

    instance: str
    incarnation: str


@dataclass(frozen=True, kw_only=True)
class Arm(Message):
    """One configuration of an assignment, by name."""

    name: str
    configuration: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Assignment(Message):
    """One trial leased: which windows to measure, in which order, under which configurations.

    `task`: `trial` (windows on the candidate), `confirm` (blocks of baseline and candidate,
    e.g. A B B A), `references` (the adapter's reference lines) or `promote` (make the candidate
    the safe configuration; no window). `sequence` names an arm per window. `fidelity` is how long
    each is, as a share of a full one.
    """

    session: int
    trial: int
    number: int
    epoch: int
    task: str
    arms: tuple[Arm, ...]
    sequence: tuple[str, ...]
    seed: int
    lease_seconds: float
    timeout_seconds: float
    block: int = 0
    fidelity: float = 1.0

    def window_seed(self, position: int) -> int:
        """The seed of the window at this position of the sequence.

        Windows of a trial do fresh work each, or their spread would not show the noise; the two
        windows of a confirmation's pair do the same work, so that only the arm differs.
        """
        return self.seed + (position // 2 if self.task == "confirm" else position)


@dataclass(frozen=True, kw_only=True)
class StateReport(Message):
    """The trial moves on: `applying` or `measuring`."""

    instance: str
    incarnation: str
    epoch: int
    state: str


@dataclass(frozen=True, kw_only=True)
class WindowReport(Message):
    """One window as measured. `contamination` is what else the host did meanwhile:
    foreign_cpu (cores), steal, memory pressure, disk."""

    arm: str
    block: int
    position: int
    purpose: str
    started_at: str
    seconds: float
    objectives: dict[str, float]
    metrics: dict[str, float | None] = field(default_factory=dict)
    contamination: dict[str, float | None] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Line(Message):
    """A reference line."""

    name: str
    value: float
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class TrialResult(Message):
    """How a trial ended: completed with its windows, or failed with a kind and why.

    `in_force` is the candidate as read back; None where nothing was applied.
    """

    instance: str
    epoch: int
    state: str
    in_force: dict[str, Any] | None = None
    windows: tuple[WindowReport, ...] = ()
    lines: tuple[Line, ...] = ()
    failure: str | None = None
    message: str = ""
    seconds: float = 0.0
    restarted: bool = False
    measured_at: str = ""


@dataclass(frozen=True, kw_only=True)
class Receipt(Message):
    """The result is stored; `late` when its epoch was old, so that it did not count."""

    late: bool = False
    duplicate: bool = False


@dataclass(frozen=True, kw_only=True)
class EventReport(Message):
    """Something the agent did or saw that belongs in the audit log.

    Kinds: `agent-started`, `agent-stopped`, `restored`, `restore-failed`, `knob-changed-outside`
    (ends the target's session as stood-down), `watchdog-restarted`, `spool-dropped`,
    `message-refused`, `promoted`. `agent-stopped` gives up the lease on the target, if the
    `incarnation` that stopped still holds it.
    """

    instance: str
    kind: str
    message: str
    occurred_at: str
    session: int | None = None
    trial: int | None = None
    details: dict[str, Any] = field(default_factory=dict)
    incarnation: str = ""


def _to_json(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, datetime):
        return value.isoformat()
    return value


def _read_message(cls: type[M], data: object, where: str) -> M:
    if not isinstance(data, Mapping):
        raise ProtocolError(f"{where}: want an object, got {type(data).__name__}")
    hints = typing.get_type_hints(cls)
    fields: dict[str, Any] = {}
    for item in dataclasses.fields(cls):  # type: ignore[arg-type]
        if item.name in data:
            fields[item.name] = _read(hints[item.name], data[item.name], f"{where}.{item.name}")
        elif item.default is dataclasses.MISSING and item.default_factory is dataclasses.MISSING:
            raise ProtocolError(f"{where}: field {item.name} is missing")
    return cls(**fields)


def _read(hint: Any, value: object, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    wrong = ProtocolError(f"{where}: {type(value).__name__} does not fit {hint}")
    if hint is Any:
        return _read_plain(value, where)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        return _read(next(arg for arg in args if arg is not type(None)), value, where)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise wrong
        return tuple(_read(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise wrong
        return {
            _read_text(key, where): _read(args[1], item, f"{where}[{key!r}]")
            for key, item in value.items()
        }
    if isinstance(hint, type) and issubclass(hint, Message):
        return _read_message(hint, value, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(_read_plain(value, where))
    if not isinstance(value, hint) or isinstance(value, bool) != (hint is bool):
        raise wrong
    return _read_plain(value, where)


def _read_plain(value: object, where: str, depth: int = 0) -> Any:
    """Any JSON value; refuses what a database cannot keep, or JSON not carry on."""
    if depth > MAXIMUM_DEPTH:
        raise ProtocolError(f"{where}: nested deeper than {MAXIMUM_DEPTH}")
    match value:
        case None | bool():
            return value
        case int():
            if abs(value) > MAXIMUM_INTEGER:
                raise ProtocolError(f"{where}: a whole number has more than 64 bits")
            return value
        case float():
            if not math.isfinite(value):
                raise ProtocolError(f"{where}: {value} is not finite")
            return value
        case str():
            return _read_text(value, where)
        case list() | tuple():
            return [_read_plain(item, f"{where}[{i}]", depth + 1) for i, item in enumerate(value)]
        case Mapping():
            return {
                _read_text(key, where): _read_plain(item, f"{where}[{key!r}]", depth + 1)
                for key, item in value.items()
            }
    raise ProtocolError(f"{where}: {type(value).__name__} is no JSON value")


def _read_text(value: object, where: str) -> str:
    """PostgreSQL keeps no NUL in a text, and UTF-8 has no lone surrogates."""
    text = str(value)
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise ProtocolError(f"{where}: {text!r} holds NUL or a lone surrogate")
    return text
