"""What a window of the matmul target gives: its objectives and metrics, from a worker's answer."""

from __future__ import annotations

import statistics

from targets.matmul.compiler import Kernel
from targets.matmul.source import Problem
from targets.matmul.worker import Answer
from targets.metrics import Direction, Metric, MetricKind, Objective

OBJECTIVES = (
    Objective(
        name="milliseconds",
        direction=Direction.MINIMISE,
        unit="ms",
        help="fastest multiplication of the window",
    ),
    Objective(
        name="gflops",
        direction=Direction.MAXIMISE,
        unit="GFLOP/s",
        help="2 m n k operations over that time",
    ),
)

COUNTERS = tuple(
    Metric(name=name, kind=MetricKind.COUNTER, unit=unit, help=text)
    for name, unit, text in (
        ("windows", "", "windows measured since the adapter was opened"),
        ("products", "", "multiplications timed"),
        ("cpu_seconds", "s", "CPU time of the timed multiplications; as a rate, CPUs in use"),
        ("voluntary_switches", "", "times a thread gave up its CPU"),
        ("involuntary_switches", "", "times a thread was put off its CPU: others wanted it"),
        ("page_faults", "", "page faults while timing"),
    )
)
GAUGES = tuple(
    Metric(name=name, kind=MetricKind.GAUGE, unit=unit, help=text)
    for name, unit, text in (
        ("milliseconds_median", "ms", "median multiplication of the window"),
        ("milliseconds_max", "ms", "slowest multiplication of the window"),
        ("compile_seconds", "s", "what gcc took for the kernel in force"),
        ("code_bytes", "bytes", "size of the kernel's shared object"),
        ("error_share", "", "largest rounding error as a share of what rounding can explain"),
    )
)


def objectives(problem: Problem, answer: Answer) -> dict[str, float]:
    """The window's objective values."""
    milliseconds = min(answer.milliseconds)
    return {"milliseconds": milliseconds, "gflops": problem.operations / milliseconds / 1e6}


def counts(answer: Answer) -> dict[str, float]:
    """By how much the window moves each counter."""
    return {
        "windows": 1.0,
        "products": float(len(answer.milliseconds)),
        "cpu_seconds": answer.cpu_seconds,
        "voluntary_switches": float(answer.voluntary_switches),
        "involuntary_switches": float(answer.involuntary_switches),
        "page_faults": float(answer.page_faults),
    }


def gauges(answer: Answer, kernel: Kernel) -> dict[str, float]:
    """The window's levels."""
    return {
        "milliseconds_median": statistics.median(answer.milliseconds),
        "milliseconds_max": max(answer.milliseconds),
        "compile_seconds": kernel.compile_seconds,
        "code_bytes": float(kernel.code_bytes),
        "error_share": answer.error_share,
    }
