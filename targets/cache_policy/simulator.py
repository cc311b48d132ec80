"""Replays of one trace through caches of one size, each in a child process."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property
from typing import Any

from targets.adapter import CancelToken, Purpose
from targets.cache_policy.policies import Part
from targets.cache_policy.traces import Parts, Trace
from targets.cache_policy.worker import HARNESS_STATUS, Inspection, Outcome, Replay
from targets.child import Finished, run_child
from targets.clock import Clock
from targets.errors import HarnessFailed, TargetDown, WorkloadFailed

LEAST_REQUESTS = 100
"""A trace with fewer says nothing: its parts would be a few dozen requests."""

LEAST_CAPACITY = 10
"""In a smaller cache S3-FIFO, the line to compare with, has no room for its small queue."""


class Simulator:
    """Replays `trace` through caches of `cache_size`.

    The trace is made (if it is to be made) and looked at when it is first needed.

    Args:
        cache_size: below 1 a share of the distinct objects (or their bytes) in the part of the
            trace that may be searched; from 1 objects (or bytes).
        unseen_share: the last part of the trace, which only confirmations count.
        limit_seconds: what takes longer is ended.
    """

    def __init__(
        self,
        trace: Trace,
        *,
        cache_size: float,
        unseen_share: float,
        limit_seconds: float,
        clock: Clock,
    ) -> None:
        self.trace = trace
        self._cache_size = cache_size
        self._unseen_share = unseen_share
        self._limit_seconds = limit_seconds
        self._clock = clock

    @cached_property
    def inspection(self) -> Inspection:
        """What the trace holds.

        Raises:
            TargetDown: it cannot be read, or is too short to be of use.
            TimedOut: it took too long.
        """
        name = f"trace {self.trace.path}"
        finished = self._child(
            {"inspect": {"trace": asdict(self.trace), "unseen_share": self._unseen_share}},
            what=f"reading {name}",
        )
        if finished.returncode != 0:
            raise TargetDown(f"{name} cannot be read as {self.trace.format}: {finished.how}")
        found = Inspection(**json.loads(finished.output))
        if found.requests < LEAST_REQUESTS or found.objects < 2:
            raise TargetDown(
                f"{name}, read as {self.trace.format}, has {found.requests} requests, "
                f"{found.objects} objects in the searched part: it takes {LEAST_REQUESTS} and 2"
            )
        return found

    @cached_property
    def parts(self) -> Parts:
        """How the trace is used; raises as `inspection`."""
        return Parts.of(self.inspection.requests, unseen_share=self._unseen_share)

    @cached_property
    def capacity(self) -> int:
        """The cache's size in objects or bytes.

        Raises:
            TargetDown: it would be too small to tell policies apart, or as for `inspection`.
        """
        size = self._cache_size
        capacity = int(size if size >= 1 else size * self.inspection.bytes)
        if capacity < LEAST_CAPACITY:
            raise TargetDown(
                f"a cache_size of {size:g} for {self.inspection.objects} objects is a capacity of "
                f"{capacity}: it takes {LEAST_CAPACITY} at least"
            )
        return capacity

    def replay(
        self,
        cache: Part,
        admission: Part | None,
        purpose: Purpose,
        *,
        cancel: CancelToken | None = None,
        fidelity: float = 1.0,
    ) -> Outcome:
        """Replay the purpose's part of the trace, or that share of it.

        Raises:
            WorkloadFailed: libcachesim ended the process over this cache or filter.
            HarnessFailed: the worker itself failed.
            TargetDown, TimedOut, Cancelled: as their names say.
        """
        warm, counted = self.parts.replayed(purpose, fidelity)
        order = Replay(
            trace=self.trace,
            cache=cache,
            admission=admission,
            capacity=self.capacity,
            objects=self.inspection.objects,
            warm=warm,
            counted=counted,
        )
        finished = self._child({"replay": asdict(order)}, what="the replay", cancel=cancel)
        if finished.returncode == HARNESS_STATUS:
            raise HarnessFailed(f"the replay failed: {finished.how}")
        if finished.returncode != 0:
            raise WorkloadFailed(f"libcachesim fails with {cache}, {admission}: {finished.how}")
        return Outcome(**json.loads(finished.output))

    def _child(
        self, request: Mapping[str, Any], *, what: str, cancel: CancelToken | None = None
    ) -> Finished:
        return run_child(
            [sys.executable, "-m", "targets.cache_policy.worker"],
            what=what,
            limit_seconds=self._limit_seconds,
            clock=self._clock,
            text=json.dumps(request),
            cancel=cancel,
        )
