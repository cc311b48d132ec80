"""What a journal means: what is safe, whether something else may be in force, and since which
trial."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from targets.agent.journal import Kind, Reading, Record

EPOCHS_KEPT = 256
"""Trials whose highest epoch is remembered. A server leases one trial at a time to an agent, so
anything above a few is generous."""


@dataclass(frozen=True)
class Standing:
    """Where the journal leaves the target.

    Attributes:
        opened: the last `opened` record's fields: adapter, settings, workdir, cwd.
        snapshot: what to put back, as `{"configuration": ..., "data": ...}`.
        by_apply: put it back by `apply`, not `restore`: the snapshot is older than a value that
            a person set and that is to be kept.
        dirty: something else than the snapshot may be in force.
        epochs: trial -> the highest epoch seen.
        working: the (trial, epoch) that was under way, until its result was on disk.
        session: the session of the last trial.
        killed: the `killed` record's fields, when the watchdog ended the last agent.
        restored: the last `restored` record's fields since `opened`.
        closed: the agent ended in order.
    """

    opened: Mapping[str, Any] | None = None
    snapshot: Mapping[str, Any] | None = None
    by_apply: bool = False
    dirty: bool = False
    epochs: Mapping[int, int] = field(default_factory=dict)
    working: tuple[int, int] | None = None
    session: int | None = None
    killed: Mapping[str, Any] | None = None
    restored: Mapping[str, Any] | None = None
    closed: bool = False

    @classmethod
    def of(cls, reading: Reading) -> Standing:
        """Fold a journal. Damage makes it dirty: the record that cannot be read may have been an
        intent."""
        standing = cls().after_all(reading.records)
        return replace(standing, dirty=True) if reading.damage else standing

    def after_all(self, records: Iterable[Record]) -> Standing:
        """The standing after these records."""
        standing = self
        for record in records:
            standing = standing.after(record)
        return standing

    def after(self, record: Record) -> Standing:
        """The standing after one more record."""
        fields = record.fields
        match record.kind:
            case Kind.OPENED:
                return Standing(
                    opened={name: fields[name] for name in fields if name != "snapshot"},
                    snapshot=fields["snapshot"],
                    session=fields.get("session", self.session),
                    epochs=_newest({**self.epochs, **_read_epochs(fields.get("epochs", {}))}),
                )
            case Kind.TAKEN:
                return replace(self._seen(fields), session=fields["session"])
            case Kind.INTENT | Kind.PROMOTING:
                return replace(self._seen(fields), dirty=True)
            case Kind.FINISHED:
                return replace(self, working=None)
            case Kind.KILLED:
                return replace(self, killed=fields)
            case Kind.RESTORED:
                return replace(self, dirty=False, restored={**fields, "at": record.at})
            case Kind.PROMOTED | Kind.ADOPTED:
                return replace(self, dirty=False, by_apply=False, snapshot=fields["snapshot"])
            case Kind.ADOPTING:
                kept = {"configuration": fields["configuration"], "data": {}}
                return replace(self, dirty=True, by_apply=True, snapshot=kept)
            case Kind.CLOSED:
                return replace(self, dirty=False, working=None, closed=True)
            case _:
                return self

    def _seen(self, fields: Mapping[str, Any]) -> Standing:
        """The standing with this trial under way at this epoch."""
        trial, epoch = fields["trial"], fields["epoch"]
        highest = max(epoch, self.epochs.get(trial, 0))
        return replace(
            self, working=(trial, epoch), epochs=_newest({**self.epochs, trial: highest})
        )

    def stale(self, trial: int, epoch: int) -> bool:
        """Whether a newer epoch of this trial was seen."""
        return epoch < self.epochs.get(trial, 0)

    @property
    def settled(self) -> bool:
        """Whether nothing is under way and the safe configuration is in force."""
        return self.opened is not None and not self.dirty and self.working is None

    def compacted(self) -> dict[str, Any]:
        """The fields of one `opened` record that stands for all so far; only when `settled`."""
        return {
            **(self.opened or {}),
            "snapshot": self.snapshot,
            "session": self.session,
            "epochs": {str(trial): epoch for trial, epoch in self.epochs.items()},
        }


def _read_epochs(data: Mapping[str, int]) -> dict[int, int]:
    return {int(trial): epoch for trial, epoch in data.items()}


def _newest(epochs: Mapping[int, int]) -> dict[int, int]:
    return {trial: epochs[trial] for trial in sorted(epochs)[-EPOCHS_KEPT:]}
