"""Run and check one kernel in a process of its own: `python -m targets.matmul.worker`.

The request is one JSON object on standard input (`Request`), the answer one on standard output:
`Answer` with status 0, or `{"wrong": TEXT}` with status `WRONG_STATUS` when the kernel's result is
wrong. A kernel that crashes takes this process with it and nothing else.

A fresh process a window also means fresh addresses: memory layout alone can shift timings by
several percent (Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!",
ASPLOS 2009), so a confirmation of many windows averages over it.
"""

from __future__ import annotations

import ctypes
import json
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from targets.errors import WorkloadFailed
from targets.matmul.source import PADDING_BYTES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WRONG_STATUS = 3
ALIGNMENT_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to run: the shared object (empty: numpy's own product) on matrices made from `seed`."""

    library: str
    m: int
    n: int
    k: int
    dtype: str
    seed: tuple[int, ...]
    window_seconds: float
    repetitions: int
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The repetitions' times, what they cost, and which BLAS numpy has."""

    milliseconds: list[float]
    seconds: float
    cpu_seconds: float
    voluntary_switches: int
    involuntary_switches: int
    page_faults: int
    error_share: float
    blas: str


def run(request: Request) -> Answer:
    """Check the kernel, time it, and check it again.

    Raises:
        WorkloadFailed: an element is missing or further off than rounding can explain.
    """
    import numpy as np

    rng = np.random.default_rng(request.seed)
    dtype = np.dtype(request.dtype)
    a = _aligned((request.m, request.k), dtype)
    b = _aligned((request.k, request.n), dtype)
    c = _aligned((request.m, request.n), dtype)
    a[:] = rng.uniform(-1, 1, a.shape)
    b[:] = rng.uniform(-1, 1, b.shape)
    multiply = _kernel(request, a, b, c) if request.library else lambda: np.matmul(a, b, out=c)

    c.fill(np.nan)  # an element that the kernel leaves out must not pass
    multiply()
    check = _Check(a, b)
    check(c)
    c.fill(np.nan)
    before = resource.getrusage(resource.RUSAGE_SELF)
    milliseconds: list[float] = []
    started = time.perf_counter()
    while (
        len(milliseconds) < request.repetitions
        or time.perf_counter() - started < request.window_seconds
    ):
        at = time.perf_counter_ns()
        multiply()
        milliseconds.append((time.perf_counter_ns() - at) / 1e6)
    seconds = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_SELF)
    # Threads that race may go right once, and a kernel that stops computing is a fast one.
    error_share = check(c)
    return Answer(
        milliseconds=milliseconds,
        seconds=seconds,
        cpu_seconds=after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        voluntary_switches=after.ru_nvcsw - before.ru_nvcsw,
        involuntary_switches=after.ru_nivcsw - before.ru_nivcsw,
        page_faults=after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt,
        error_share=error_share,
        blas=_blas_name(),
    )


class _Check:
    """Compare with numpy's product in double precision, element by element.

    The tolerance is no guess. In whatever order k products are summed, with or without fused
    multiply-add, the rounding error of an element is at most gamma = k u / (1 - k u) times the sum
    of the products' magnitudes, u = epsilon / 2 (Higham, "Accuracy and Stability of Numerical
    Algorithms", 2nd ed., section 3.5). A correct schedule cannot fail; leaving out one ordinary
    product of 512 is caught. In double precision the reference rounds as much, hence twice.
    """

    def __init__(self, a: NDArray[np.floating], b: NDArray[np.floating]) -> None:
        import numpy as np

        wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
        unit = float(np.finfo(a.dtype).eps) / 2
        gamma = a.shape[1] * unit / (1 - a.shape[1] * unit)
        self._expected = wide_a @ wide_b
        self._tolerance = 2 * gamma * (np.abs(wide_a) @ np.abs(wide_b))

    def __call__(self, c: NDArray[np.floating]) -> float:
        """The largest error as a share of its tolerance; raises WorkloadFailed above 1."""
        import numpy as np

        share = np.abs(c - self._expected) / self._tolerance
        wrong = ~(share <= 1)  # so that NaN is wrong
        if wrong.any():
            i, j = (int(index) for index in np.argwhere(wrong)[0])
            raise WorkloadFailed(
                f"{int(wrong.sum())} of {c.size} elements are wrong, the first at ({i}, {j}): "
                f"{float(c[i, j]):.9g} instead of {float(self._expected[i, j]):.9g}"
            )
        return float(share.max())


def _aligned(shape: tuple[int, int], dtype: np.dtype[np.floating]) -> NDArray[np.floating]:
    """A zeroed matrix at a page's start, followed by readable padding."""
    import numpy as np

    size = shape[0] * shape[1] * dtype.itemsize
    buffer = np.zeros(size + PADDING_BYTES + ALIGNMENT_BYTES, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT_BYTES
    return buffer[start : start + size].view(dtype).reshape(shape)


def _kernel(request: Request, *matrices: NDArray[np.floating]) -> Callable[[], None]:
    function = ctypes.CDLL(request.library).matmul
    function.restype = ctypes.c_int
    sizes = [ctypes.c_long(size) for size in (request.m, request.n, request.k)]
    pointers = [ctypes.c_void_p(matrix.ctypes.data) for matrix in matrices]

    def multiply() -> None:
        status = function(*sizes, *pointers)
        if status != 0:
            raise WorkloadFailed(f"the kernel refuses these sizes: it answers {status}")

    return multiply


def _blas_name() -> str:
    from numpy.__config__ import CONFIG

    return str(CONFIG["Build Dependencies"]["blas"].get("name", "BLAS"))


def main() -> int:
    """Read the request, run it, write the answer; returns the exit status."""
    fields = json.load(sys.stdin)
    request = Request(**{**fields, "seed": tuple(fields["seed"])})
    # An orphan of a killed agent must not spin for ever in a broken kernel.
    limit = max(1, int(request.cpu_seconds))
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    try:
        answer = asdict(run(request))
        status = 0
    except WorkloadFailed as wrong:
        answer, status = {"wrong": str(wrong)}, WRONG_STATUS
    json.dump(answer, sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
