"""Replay a trace through a cache in a process of its own: `python -m targets.cache_policy.worker`.

The request is one JSON object on standard input, `{"inspect": ...}` or `{"replay": ...}`; the
answer is one on standard output, with status 0. libcachesim is C: what is wrong with a parameter
it may say by an assertion, which ends this process and nothing else. Python's own errors end with
`HARNESS_STATUS`.

A fresh process a replay also makes the policies and filters that draw lots repeatable, since
libcachesim seeds its generator once a process, always alike.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from targets.cache_policy.generators import write_trace
from targets.cache_policy.policies import Part
from targets.cache_policy.traces import FORMATS, Parts, Trace

HARNESS_STATUS = 70


@dataclass(frozen=True, kw_only=True)
class Inspection:
    """A trace's number of requests, and the distinct objects of the part that may be searched.

    `bytes` is their size, or their number where sizes are ignored.
    """

    requests: int
    objects: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class Replay:
    """Replay `warm` requests, then count over the `counted` that follow."""

    trace: Trace
    cache: Part
    admission: Part | None
    capacity: int
    objects: int
    warm: int
    counted: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the counted requests came to."""

    misses: int
    byte_miss_ratio: float
    cached_objects: int
    occupied: int
    seconds: float


def inspect(trace: Trace, *, unseen_share: float) -> Inspection:
    """Make the trace if it is to be made, and look at its first part, which may be searched."""
    path = Path(trace.path)
    if trace.generator and not path.exists():
        write_trace(path, trace.generator, requests=trace.requests, seed=trace.seed)
    requests = _reader(trace).get_num_of_req()
    if trace.requests:
        requests = min(requests, trace.requests)
    parts = Parts.of(requests, unseen_share=unseen_share)
    objects, size = _reader(trace, requests=parts.searched).get_working_set_size()
    return Inspection(requests=requests, objects=objects, bytes=size)


def replay(order: Replay) -> Outcome:
    """Replay and count.

    Raises:
        ValueError: the trace ended early, or cannot be read.
    """
    import libcachesim

    admission = (
        getattr(libcachesim, order.admission.cls)(**order.admission.arguments)
        if order.admission
        else None
    )
    cache = getattr(libcachesim, order.cache.cls)(
        order.capacity,
        # The library's default, 24, is a table of 128 MiB; it only has to hold the objects.
        hashpower=min(24, max(12, math.ceil(math.log2(max(1, order.objects))))),
        admissioner=admission,
        **order.cache.arguments,
    )
    reader = _reader(order.trace)
    started = time.perf_counter()
    cache.process_trace(reader, 0, order.warm)
    miss_ratio, byte_miss_ratio = cache.process_trace(reader, order.warm, order.counted)
    seconds = time.perf_counter() - started
    replayed = cache._cache.n_req
    if replayed != order.warm + order.counted:
        raise ValueError(
            f"trace {order.trace.path} gave {replayed} requests instead of "
            f"{order.warm + order.counted}: it is damaged or changed meanwhile"
        )
    return Outcome(
        misses=round(miss_ratio * order.counted),
        byte_miss_ratio=byte_miss_ratio,
        cached_objects=cache.get_n_obj(),
        occupied=cache.get_occupied_byte(),
        seconds=seconds,
    )


def _reader(trace: Trace, *, requests: int = -1) -> Any:
    """libcachesim's reader of the trace, or of its first `requests`."""
    import libcachesim

    parameters = libcachesim.ReaderInitParam(
        ignore_obj_size=not trace.object_sizes, cap_at_n_req=requests
    )
    if trace.format == "csv":
        parameters.delimiter = trace.csv_delimiter
        parameters.has_header = trace.csv_header
        parameters.has_header_set = True
        parameters.obj_id_is_num = trace.csv_numeric
        parameters.obj_id_is_num_set = True
        parameters.obj_id_field = trace.csv_object_field
        if trace.csv_time_field:
            parameters.time_field = trace.csv_time_field
        if trace.csv_size_field:
            parameters.obj_size_field = trace.csv_size_field
    kind = getattr(libcachesim.TraceType, FORMATS[trace.format])
    return libcachesim.TraceReader(trace.path, kind, parameters)


def main() -> int:
    """Read the request, answer it; returns the exit status."""
    request = json.load(sys.stdin)
    # libcachesim prints as it likes: what it prints must not get into the answer.
    answer_to = os.dup(1)
    os.dup2(2, 1)
    try:
        if order := request.get("inspect"):
            answer: Any = inspect(Trace(**order["trace"]), unseen_share=order["unseen_share"])
        else:
            answer = replay(read_replay(request["replay"]))
    except Exception:  # the boundary of the process: told apart from the library's own exits
        traceback.print_exc()
        return HARNESS_STATUS
    with os.fdopen(answer_to, "w") as output:
        json.dump(asdict(answer), output)
    return 0


def read_replay(fields: dict[str, Any]) -> Replay:
    """Read `asdict`'s form."""
    admission = fields["admission"]
    return Replay(
        **{
            **fields,
            "trace": Trace(**fields["trace"]),
            "cache": Part(**fields["cache"]),
            "admission": Part(**admission) if admission else None,
        }
    )


if __name__ == "__main__":
    sys.exit(main())
