"""The agent: its life from the lock on its state directory to the closing of its journal."""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections.abc import Callable

from targets.adapter import Adapter
from targets.agent.activity import Activity
from targets.agent.client import ServerClient
from targets.agent.config import AgentConfig
from targets.agent.control import Control, opened_fields
from targets.agent.errors import Abandoned, Unreachable, WatchdogLost
from targets.agent.host import Host
from targets.agent.interrupted import settle_interrupted
from targets.agent.liaison import Liaison
from targets.agent.lock import AgentLock
from targets.agent.notify import notify
from targets.agent.periodic import Periodic
from targets.agent.policy import OnExit
from targets.agent.rounds import Rounds
from targets.agent.spool import Spool
from targets.agent.statedir import StateDir
from targets.agent.watch import Watch
from targets.clock import Clock, SystemClock
from targets.errors import HarnessFailed, LontraError
from targets.registry import load_adapter

BEATS_PER_DEAD_MAN_TIME = 4
HEARTBEAT_CHECK_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Agent:
    """One agent. `start`, then `step` as often as wanted or `run`, then `stop`, all from one
    thread.

    Args:
        config: how it is configured.
        client: the server; the caller closes it.
        clock: where time comes from.
        rng: the jitter of pauses.
    """

    def __init__(
        self,
        config: AgentConfig,
        client: ServerClient,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._config = config
        self._client = client
        self._clock = clock or SystemClock()
        self._rng = rng or random.Random()
        self._state = StateDir(config.state_dir)
        self._lock = AgentLock(self._state)
        self._watch = Watch(self._state, dead_man_seconds=config.dead_man_seconds)
        self._threads: list[Periodic] = []
        self._control: Control | None = None
        self._liaison: Liaison | None = None
        self._rounds: Rounds | None = None
        # The beat thread keeps real time, whatever clock the trials are given.
        self._beat_clock = SystemClock()
        self._beat_at: float | None = None
        self._guarded = False

    def start(self) -> None:
        """Take the state directory, have an earlier agent's business put back, open the target,
        journal it as the safe configuration and present the agent to the server.

        A server that does not answer is no error: `step` goes on trying.

        Raises:
            StateDirHeld, NoStateDir: the state directory cannot be had.
            RestoreFailed: what an earlier agent left could not be put back.
            InvalidConfig, InvalidSetting, UnknownAdapter, BrokenAdapter, MissingExtra: as said.
            AgentRefused: the server refuses this agent.
            TrialFailure: the target cannot be reached or read.
        """
        try:
            self._start()
        except BaseException:
            self._release()
            raise
        notify("READY=1")

    def step(self) -> Activity:
        """One round: look after the knobs, deliver what waits, carry out one assignment if the
        server has one.

        Raises:
            AgentRefused: the server refuses this agent; the safe configuration is back in force,
                as far as that could be done.
        """
        return self._running.step()

    def run(self, stop: threading.Event) -> None:
        """`step` until told to stop; between two steps, which are as far apart as the server
        asked for, the knobs are looked after. Raises as `step` does."""
        while not stop.is_set():
            activity = self.step()
            again = self._clock.monotonic() + activity.wait_seconds
            while (left := again - self._clock.monotonic()) > 0:
                if stop.wait(min(left, self._config.interval_seconds)):
                    return
                self._running.tend()

    def interrupt(self, reason: str) -> None:
        """End what `step` is carrying out, from another thread; the trial is given again later."""
        if self._rounds is not None:
            self._rounds.interrupt(Abandoned(reason))

    def stop(self, reason: str) -> None:
        """End in order: the safe configuration back in force (unless the owner's policy keeps
        what is), the journal closed, the server told. A second call does nothing."""
        if self._rounds is not None and self._liaison is not None:
            notify("STOPPING=1")
            safe = self._config.policy.on_exit is OnExit.KEEP or self._rounds.go_home(reason)
            self._liaison.farewell(reason)
            if safe:
                self._close_journal(reason)
        self._release()

    def _start(self) -> None:
        config, state = self._config, self._state
        instance = state.create()
        self._lock.take(dead_man_seconds=config.dead_man_seconds)
        self._begin("beat", config.dead_man_seconds / BEATS_PER_DEAD_MAN_TIME, self._beat)
        left = self._watch.start()
        self._guarded = True
        self._liaison = Liaison(
            self._client,
            Spool(state.spool, max_bytes=config.spool_bytes),
            instance=instance,
            incarnation=uuid.uuid4().hex,
            target=config.target,
            clock=self._clock,
        )
        at = self._clock.now().isoformat()
        died_in = settle_interrupted(left, self._liaison, instance=instance, at=at)
        self._control = Control(self._open_adapter(), self._watch)
        space = config.policy.narrow(self._control.space, self._control.safe.configuration)
        self._control.open(
            opened_fields(
                adapter=config.adapter,
                settings=config.settings,
                workdir=state.target,
                died_in=died_in,
            )
        )
        self._rounds = Rounds(
            config,
            instance=instance,
            space=space,
            control=self._control,
            watch=self._watch,
            liaison=self._liaison,
            host=Host(),
            clock=self._clock,
            rng=self._rng,
        )
        self._rounds.resume(left)
        self._liaison.event("agent-started", f"agent of {config.target} ({config.adapter})")
        try:
            self._rounds.register()
        except Unreachable as error:
            logger.warning("started without the server error=%s", error)
        self._begin("heartbeat", HEARTBEAT_CHECK_SECONDS, self._rounds.heartbeat)
        if self._control.adapter.concurrent_read:
            self._begin("compare", config.interval_seconds, self._rounds.compare)

    def _open_adapter(self) -> Adapter:
        adapter = load_adapter(self._config.adapter)
        return adapter(self._config.settings, self._state.target, clock=self._clock)

    @property
    def _running(self) -> Rounds:
        if self._rounds is None:
            raise RuntimeError("the agent is not started: call start() first")
        return self._rounds

    def _begin(self, name: str, seconds: float, act: Callable[[], None]) -> None:
        thread = Periodic(f"lontra-agent-{name}", seconds, act)
        self._threads.append(thread)
        thread.start()

    def _beat(self) -> None:
        """A sign of life to whoever may judge: a second agent, the watchdog, systemd. And a look
        at oneself: a process that was stopped, or slept, has measured nothing."""
        now = self._beat_clock.monotonic()
        silent = 0.0 if self._beat_at is None else now - self._beat_at
        self._beat_at = now
        if silent > self._config.dead_man_seconds and self._rounds is not None:
            self._rounds.interrupt(
                HarnessFailed(f"the agent was stopped or starved for {silent:.1f} s in the window")
            )
        try:
            self._lock.beat()
        except OSError as error:
            logger.warning("the state directory takes no beat error=%s", error)
        notify("WATCHDOG=1")
        if not self._guarded:
            return
        try:
            self._watch.beat()
        except WatchdogLost as error:
            if self._rounds is not None:
                self._rounds.interrupt(HarnessFailed(str(error)))

    def _close_journal(self, reason: str) -> None:
        try:
            self._watch.close(reason)
        except LontraError as error:
            # The next start finds it open, and puts back what is safe already.
            logger.warning("the journal was not closed error=%s", error)

    def _release(self) -> None:
        """Give up what `_start` took, as far as it came; the watchdog puts back what is left."""
        self._guarded = False
        self._rounds = None
        while self._threads:
            self._threads.pop().stop()
        self._watch.abandon()
        if self._control is not None:
            self._control.close()
            self._control = None
        self._lock.release()
