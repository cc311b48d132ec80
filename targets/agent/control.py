"""The only place from which the agent changes the target: every change is journalled first."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from targets.adapter import Adapter, Applied, Snapshot
from targets.agent.errors import Changes, RestoreFailed, StoodDown, WatchdogLost
from targets.agent.journal import Kind
from targets.agent.restore import check_in_force
from targets.agent.watch import Watch
from targets.errors import LontraError, Rejected, TargetDown
from targets.knobs import Configuration, Value
from targets.space import KnobSpace

RESTORE_SECONDS = 120.0
READ_SECONDS = 60.0
"""After which a look at the target is taken to hang, and the watchdog acts."""

logger = logging.getLogger(__name__)


class Control:
    """The target in the agent's hand.

    `in_force` is the configuration read back last, None while it is not known (an apply failed);
    `safe` is what any failure puts back. All but `peek` is for the main thread.
    """

    def __init__(self, adapter: Adapter, watch: Watch) -> None:
        self.adapter = adapter
        self._watch = watch
        self._changing = threading.Lock()
        self.description = adapter.describe()
        self.safe = adapter.snapshot()
        self.in_force: dict[str, Value] | None = dict(self.safe.configuration)
        self._asked: dict[str, Value] | None = None

    @property
    def space(self) -> KnobSpace:
        """The target's knobs."""
        return self.description.space

    @property
    def at_home(self) -> bool:
        """Whether the safe configuration is in force, as far as the agent knows."""
        return self.in_force == dict(self.safe.configuration)

    def open(self, opened: Mapping[str, Any]) -> None:
        """Journal what is in force as the safe configuration."""
        self._watch.record(Kind.OPENED, {**opened, "snapshot": _plain(self.safe)})

    def apply(
        self, configuration: Configuration, *, trial: int, epoch: int, limit_seconds: float
    ) -> Applied:
        """Put a configuration in force, unless it is; answers what was read back.

        Raises:
            StoodDown: somebody else changed a knob since the last look.
            StaleEpoch, JournalFailed, WatchdogLost: nothing was changed.
            TrialFailure: as the adapter raised it, or TargetDown when the target is not well; the
                safe configuration is to be put back.
        """
        checked = self.space.check(configuration)
        self.check_untouched()
        if self._has(checked):
            return Applied(in_force=self.in_force or checked)
        about = {"trial": trial, "epoch": epoch}
        with self._changing, self._phase("apply", limit_seconds):
            self._watch.record(Kind.INTENT, {**about, "configuration": checked})
            restarted = self._set(checked)
            self._watch.record(Kind.SET, about)
            in_force = self.adapter.read()
            self._watch.record(Kind.READ_BACK, {**about, "in_force": in_force})
            self._asked, self.in_force = checked, in_force
            self._check_healthy()
        return Applied(in_force=in_force, restarted=restarted)

    def promote(
        self, configuration: Configuration, *, trial: int, epoch: int, limit_seconds: float
    ) -> Applied:
        """Make a configuration the safe one; raises as `apply` does."""
        checked = self.space.check(configuration)
        self.check_untouched()
        about = {"trial": trial, "epoch": epoch}
        with self._changing, self._phase("promote", limit_seconds):
            self._watch.record(Kind.PROMOTING, {**about, "configuration": checked})
            restarted = not self._has(checked) and self._set(checked)
            self._check_healthy()
            promoted = self.adapter.snapshot()
            self._watch.record(Kind.PROMOTED, {**about, "snapshot": _plain(promoted)})
            self._stand_on(promoted)
        return Applied(in_force=promoted.configuration, restarted=restarted)

    def changes(self) -> Changes:
        """What somebody else changed: nothing, as long as the target has what was set."""
        with self._phase("read", READ_SECONDS):
            return self._compare()

    def peek(self) -> Changes:
        """`changes`, from another thread: nothing while a change of ours is under way."""
        if not self._changing.acquire(blocking=False):
            return {}
        try:
            return self._compare()
        finally:
            self._changing.release()

    def check_untouched(self) -> None:
        """Raises StoodDown when somebody else changed a knob."""
        if changes := self.changes():
            raise stood_down(changes)

    def go_home(self, reason: str, *, trial: int | None = None) -> None:
        """Put the safe configuration back, if it is not in force.

        Raises:
            StoodDown: somebody else changed a knob since the last look.
            RestoreFailed: it could not be put back; the journal says so too, until it is.
        """
        if self.at_home:
            return
        try:
            self.check_untouched()
        except StoodDown:
            raise
        # The adapter's code may raise anything here; restoring is the remedy for most of it.
        except Exception as error:
            logger.warning("the target cannot be read before restoring error=%r", error)
        with self._changing:
            self.in_force = self._asked = None
            try:
                with self._phase("restore", RESTORE_SECONDS, tolerant=True):
                    self.adapter.restore(self.safe)
                    in_force = check_in_force(self.adapter, self.safe.configuration)
            # Whatever the adapter raised, it is not put back.
            except Exception as error:
                raise RestoreFailed(
                    f"the safe configuration could not be put back after {reason}: "
                    f"{type(error).__name__}: {error}"
                ) from error
            self.in_force = in_force
            fields = {"by": "agent", "reason": reason, "trial": trial, "in_force": in_force}
            self._record_tolerantly(Kind.RESTORED, fields)
        logger.info("restored reason=%s", reason)

    def adopt(self, changes: Changes) -> str:
        """Let go after a person changed knobs: theirs stay, the others go back to safe, and what
        is then in force is the safe configuration. Answers what was done, in words."""
        with self._changing, self._phase("restore", RESTORE_SECONDS, tolerant=True):
            now = self.adapter.read()
            wanted = {
                name: now[name] if name in changes else value
                for name, value in self.safe.configuration.items()
            }
            fields = {"configuration": wanted, "changes": changes}
            self._record_tolerantly(Kind.ADOPTING, fields)
            told = "the other knobs are at their safe values"
            if wanted != now:
                self.in_force = self._asked = None
                try:
                    self.adapter.apply(wanted)
                # Whatever it was, forcing the person's values out is not the answer.
                except Exception as error:
                    logger.warning("left as it is after a change outside error=%r", error)
                    verb = "refuses" if isinstance(error, Rejected) else "did not take"
                    told = (
                        f"all knobs are left as they are: the target {verb} the changed values "
                        f"together with the safe ones ({error})"
                    )
            self._stand_on(self.adapter.snapshot())
            fields = {"snapshot": _plain(self.safe), "changes": changes}
            self._record_tolerantly(Kind.ADOPTED, fields)
        return told

    def close(self) -> None:
        """Let the adapter go."""
        try:
            self.adapter.close()
        # A stranger's close may raise anything, and nothing depends on it.
        except Exception:
            logger.exception("the adapter did not close in order")

    def _has(self, checked: Configuration) -> bool:
        """Whether this configuration is in force: asked for last, or read back."""
        return self.in_force is not None and checked in (self._asked, self.in_force)

    def _set(self, checked: Configuration) -> bool:
        """Have the adapter apply; answers whether it restarted the target. Until what is in force
        is read back, it is not known."""
        self.in_force = self._asked = None
        return self.adapter.apply(checked).restarted

    def _check_healthy(self) -> None:
        if problem := self.adapter.healthy():
            raise TargetDown(f"the target is not well under this configuration: {problem}")

    def _compare(self) -> Changes:
        if self.in_force is None:
            return {}
        now = self.adapter.read()
        return {
            name: (value, now.get(name))
            for name, value in self.in_force.items()
            if now.get(name) != value
        }

    def _stand_on(self, snapshot: Snapshot) -> None:
        self.safe = snapshot
        self.in_force = dict(snapshot.configuration)
        self._asked = None

    @contextlib.contextmanager
    def _phase(self, name: str, seconds: float, *, tolerant: bool = False) -> Iterator[None]:
        """Let the watchdog know what is under way and when it must be taken to hang. On the way
        to safety (`tolerant`) a watchdog that is lost meanwhile must not stop it."""
        lost = (WatchdogLost,) if tolerant else ()
        with contextlib.suppress(*lost):
            self._watch.phase(name, seconds)
        try:
            yield
        finally:
            with contextlib.suppress(*lost):
                self._watch.phase("idle", None)

    def _record_tolerantly(self, kind: Kind, fields: Mapping[str, Any]) -> None:
        """Journal on the way to safety: a watchdog that is lost meanwhile must not stop it, and
        the record is asked of its successor."""
        for attempt in (1, 2):
            try:
                self._watch.record(kind, fields)
            except LontraError as error:
                logger.warning("not journalled kind=%s attempt=%d error=%s", kind, attempt, error)
                if not isinstance(error, WatchdogLost):
                    return
            else:
                return


def stood_down(changes: Changes) -> StoodDown:
    """The failure that a change outside means."""
    told = ", ".join(f"{name} from {old!r} to {new!r}" for name, (old, new) in changes.items())
    return StoodDown(f"stood down: changed outside Lontra: {told}", changes=changes)


def opened_fields(
    *, adapter: str, settings: Mapping[str, Any], workdir: Path, died_in: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What the `opened` record says beside the snapshot: all that restoring needs."""
    return {
        "adapter": adapter,
        "settings": dict(settings),
        "workdir": str(workdir),
        "cwd": str(Path.cwd()),
        "died_in": died_in,
    }


def _plain(snapshot: Snapshot) -> dict[str, Any]:
    return {"configuration": dict(snapshot.configuration), "data": dict(snapshot.data)}
