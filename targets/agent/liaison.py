"""The agent's dealings with the server: presenting itself, signs of life, results and events.

Results and events always go through the spool: on disk first, then sent, so that a crash or an
absent server loses none.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from targets.agent.client import NoWork, ServerClient, agent_version
from targets.agent.errors import Abandoned, UnknownToServer, Unreachable
from targets.agent.holding import Holding
from targets.agent.spool import Spool
from targets.clock import Clock
from targets.errors import AgentRefused, LontraError, StaleEpoch
from targets.machine import host_identity
from targets.protocol import (
    PROTOCOL_VERSION,
    Assignment,
    EventReport,
    Heartbeat,
    Registration,
    StateReport,
    TrialResult,
    Welcome,
    WorkRequest,
)

MESSAGE_REFUSED = "message-refused"
"""The event of that kind. One that is refused itself is not told again."""

TELL_SECONDS = 2.0
"""How long a trial stands still to have told how far it is; it goes on without an answer too."""

logger = logging.getLogger(__name__)


class Liaison:
    """Speaks for one incarnation of one agent. Usable from several threads.

    `refused` is the server's refusal once it came from a heartbeat, for the main thread to raise.
    `patience` says for how many seconds an answer is worth waiting for to the main thread.
    """

    def __init__(
        self,
        client: ServerClient,
        spool: Spool,
        *,
        instance: str,
        incarnation: str,
        target: str,
        clock: Clock,
    ) -> None:
        self._client = client
        self._spool = spool
        self._instance = instance
        self._incarnation = incarnation
        self._target = target
        self._clock = clock
        self._talking = threading.Lock()
        self._welcome: Welcome | None = None
        self._beat_due = 0.0
        self.refused: AgentRefused | None = None
        self.patience: Callable[[], float] = lambda: math.inf

    @property
    def registered(self) -> bool:
        """Whether the server knows this incarnation."""
        return self._welcome is not None

    def forget_registration(self) -> None:
        """Present the agent again before anything else, because what it told has changed."""
        self._welcome = None

    def register(
        self,
        *,
        description: Mapping[str, Any],
        safe: Mapping[str, Any],
        in_force: Mapping[str, Any],
    ) -> None:
        """Present the agent, unless that is done; raises as `ServerClient` does."""
        if self._welcome is not None:
            return
        self._welcome = self._client.register(
            Registration(
                protocol=PROTOCOL_VERSION,
                agent_version=agent_version(),
                target=self._target,
                instance=self._instance,
                incarnation=self._incarnation,
                host=host_identity(),
                description=dict(description),
                safe=dict(safe),
                in_force=dict(in_force),
            )
        )
        self._beat_due = self._clock.monotonic() + self._welcome.heartbeat_seconds
        logger.info("registered target=%s agent=%d", self._target, self._welcome.agent)

    def ask_for_work(self) -> Assignment | NoWork:
        """What is to be done. All that is in the spool is delivered first: a server that has not
        seen a trial's result would give the trial again."""
        self.deliver()
        try:
            return self._client.work(
                WorkRequest(instance=self._instance, incarnation=self._incarnation),
                within_seconds=self.patience(),
            )
        except UnknownToServer:
            self.forget_registration()
            raise

    def deliver(self) -> None:
        """Send what is in the spool; raises as `ServerClient` does."""
        if dropped := self._spool.take_dropped():
            self.event("spool-dropped", f"{dropped} messages were dropped: the spool was full")
        delivery = self._spool.deliver(
            lambda path, body, key: self._client.deliver(
                path, body, key=key, within_seconds=self.patience()
            )
        )
        refused = [text for kind, text in delivery.refused if kind != MESSAGE_REFUSED]
        if refused:
            self.event(
                MESSAGE_REFUSED,
                f"the server refused {len(refused)} messages for good; they are kept in the "
                "spool's folder refused",
                details={"messages": refused},
            )

    def result(self, trial: int, result: TrialResult) -> None:
        """Make a result durable for sending. A disk that does not take it leaves sending at
        once; should that fail too, the server gives the trial again when its lease ends."""
        path = f"/trials/{trial}/result"
        try:
            self._spool.put(path, result.to_json())
        except OSError:
            logger.exception("the spool's disk takes nothing trial=%d", trial)
            with contextlib.suppress(LontraError):
                self._client.deliver(path, result.to_json(), key=uuid.uuid4().hex)

    def event(
        self,
        kind: str,
        message: str,
        *,
        session: int | None = None,
        trial: int | None = None,
        details: Mapping[str, Any] | None = None,
        occurred_at: str = "",
    ) -> None:
        """Make an event durable for sending."""
        report = EventReport(
            instance=self._instance,
            kind=kind,
            message=message,
            occurred_at=occurred_at or self._clock.now().isoformat(),
            session=session,
            trial=trial,
            details=dict(details or {}),
            incarnation=self._incarnation,
        )
        logger.info("event kind=%s message=%s", kind, message)
        try:
            self._spool.put("/agents/events", report.to_json())
        except OSError:
            logger.exception("the spool's disk takes nothing kind=%s", kind)

    def tell_state(self, holding: Holding, state: str) -> None:
        """Tell that a trial moves on, and hear whether it should. A server that does not answer
        is no reason to stop: the lease says for how long."""
        asked_at = self._clock.monotonic()
        try:
            directive = self._client.state(
                holding.assignment.trial,
                StateReport(
                    instance=self._instance,
                    incarnation=self._incarnation,
                    epoch=holding.assignment.epoch,
                    state=state,
                ),
                within_seconds=TELL_SECONDS,
            )
        except Unreachable as error:
            logger.warning("state not told state=%s error=%s", state, error)
        except (StaleEpoch, AgentRefused, UnknownToServer) as error:
            holding.interrupt(Abandoned(str(error)))
        else:
            self._obey(directive.action, directive.reason, holding, asked_at)

    def beat_if_due(
        self,
        holding: Holding | None,
        *,
        in_force: Mapping[str, Any] | None,
        host_metrics: Callable[[], dict[str, float | None]],
        within_seconds: float = math.inf,
    ) -> None:
        """Show a sign of life when it is time. Never raises: what it learns, the main thread
        finds in `refused` and in the holding."""
        welcome = self._welcome
        if welcome is None or self._clock.monotonic() < self._beat_due:
            return
        if not self._talking.acquire(blocking=False):
            return
        try:
            asked_at = self._clock.monotonic()
            self._beat_due = asked_at + welcome.heartbeat_seconds
            directive = self._client.heartbeat(
                Heartbeat(
                    instance=self._instance,
                    incarnation=self._incarnation,
                    trial=holding.assignment.trial if holding else None,
                    epoch=holding.assignment.epoch if holding else None,
                    in_force=None if in_force is None else dict(in_force),
                    host_metrics=host_metrics(),
                    spooled=len(self._spool),
                    dropped=self._spool.dropped,
                ),
                within_seconds=within_seconds,
            )
            if holding is not None:
                self._obey(directive.action, directive.reason, holding, asked_at)
        except AgentRefused as error:
            self.refused = error
            if holding is not None:
                holding.interrupt(Abandoned(str(error)))
        except StaleEpoch as error:
            if holding is not None:
                holding.interrupt(Abandoned(str(error)))
        except UnknownToServer:
            self.forget_registration()
        except LontraError as error:
            logger.warning("no heartbeat error=%s", error)
        finally:
            self._talking.release()

    def farewell(self, reason: str) -> None:
        """Tell that the agent ends, which gives up its lease; sent now if the server answers."""
        self.event("agent-stopped", reason)
        with contextlib.suppress(LontraError):
            if self.registered:
                self.deliver()

    @staticmethod
    def _obey(action: str, reason: str, holding: Holding, asked_at: float) -> None:
        if action == "abandon":
            holding.interrupt(Abandoned(f"the server took the trial back: {reason}"))
        else:
            holding.renew(asked_at)
