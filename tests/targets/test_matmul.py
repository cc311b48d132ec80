"""The matmul target: right results, typed failures, a kernel compiled once."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from targets.adapter import Adapter, CancelToken
from targets.errors import ApplyFailed, Cancelled, Rejected, TargetDown, TimedOut, WorkloadFailed
from targets.knobs import Configuration, Value
from targets.matmul.adapter import MatmulAdapter
from targets.matmul.source import NAIVE
from targets.matmul.worker import Request
from targets.testing import AdapterContract, random_value

SMALL = {"m": 48, "n": 40, "k": 56, "window_seconds": 0.01, "repetitions": 2}


class TestMatmulContract(AdapterContract):
    configurations = 2

    def make_adapter(self, workdir: Path) -> Adapter:
        return MatmulAdapter(SMALL, workdir)


class BrokenMatmulAdapter(MatmulAdapter):
    """Hands gcc a source of the test's instead of a schedule."""

    source = ""

    def _source(self, configuration: Configuration) -> str:
        return self.source


def kernel(body: str) -> str:
    return (
        "int matmul(long m, long n, long k, const float *a, const float *b, float *c)\n"
        f"{{ {body} return 0; }}\n"
    )


TRIPLE_LOOP = (
    "for (long i = 0; i < m; i++) for (long j = 0; j < n; j++) {{ float sum = 0;"
    " for (long l = {first}; l < k; l++) sum += a[i * k + l] * b[l * n + j]; c[i * n + j] = sum; }}"
)


@pytest.fixture
def broken(tmp_path: Path) -> Callable[[str], MatmulAdapter]:
    def make(source: str, **settings: object) -> MatmulAdapter:
        adapter = BrokenMatmulAdapter({**SMALL, **settings}, tmp_path)
        adapter.source = source
        return adapter

    return make


def schedule(adapter: Adapter, **values: Value) -> dict[str, Value]:
    return {**adapter.describe().space.default(), "loop_order": "nkm", **values}


def random_schedule(adapter: Adapter, rng: random.Random) -> dict[str, Value]:
    space = adapter.describe().space
    while True:
        configuration = {knob.name: random_value(knob, rng) for knob in space}
        if not space.broken(configuration) and configuration["loop_order"] != NAIVE:
            return configuration


# -- what it computes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [(1, 1, 1), (5, 3, 2), (33, 31, 65), (17, 130, 70)], ids=str)
def test_random_schedules_of_odd_sizes_are_right(
    tmp_path: Path, size: tuple[int, int, int], dtype: str
) -> None:
    m, n, k = size
    adapter = MatmulAdapter({**SMALL, "m": m, "n": n, "k": k, "dtype": dtype}, tmp_path)
    rng = random.Random(f"{size}{dtype}")
    for _ in range(2):
        adapter.apply(random_schedule(adapter, rng))
        assert adapter.measure().objectives["milliseconds"] > 0


@pytest.mark.parametrize("loop_order", ["nkm", "nmk", "mkn", "mnk", "knm", "kmn"])
def test_every_loop_order_packs_and_adds_up(tmp_path: Path, loop_order: str) -> None:
    adapter = MatmulAdapter(SMALL, tmp_path)
    adapter.apply(
        schedule(adapter, loop_order=loop_order, pack="ab", tile_m=16, tile_n=64, tile_k=32)
    )
    adapter.measure()


def test_a_tiled_schedule_beats_the_naive_loop(tmp_path: Path) -> None:
    adapter = MatmulAdapter({**SMALL, "m": 256, "n": 256, "k": 256}, tmp_path)
    naive = adapter.measure()
    adapter.apply(schedule(adapter, register_rows=6, tile_n=256))
    tiled = adapter.measure()
    # Twenty times was seen; a fraction of that on any machine and under any load.
    assert tiled.objectives["milliseconds"] * 2 < naive.objectives["milliseconds"]
    assert tiled.objectives["gflops"] > 2 * naive.objectives["gflops"]


def test_naive_is_the_default_and_ignores_the_schedule(tmp_path: Path) -> None:
    adapter = MatmulAdapter(SMALL, tmp_path)
    space = adapter.describe().space
    assert adapter.read() == space.default()
    assert space.default()["loop_order"] == NAIVE
    acting = {knob.name for knob in space if space.is_active(knob.name, space.default())}
    assert acting == {"loop_order", "optimisation", "fast_math"}


# -- how it fails


def test_a_wrong_result_fails_the_trial(broken: Callable[..., MatmulAdapter]) -> None:
    adapter = broken(kernel(TRIPLE_LOOP.format(first=1)))  # one product of 56 left out
    with pytest.raises(WorkloadFailed, match=r"wrong result.* instead of "):
        adapter.measure()
    assert broken(kernel(TRIPLE_LOOP.format(first=0))).measure().objectives


def test_a_slightly_wrong_result_fails_the_trial(broken: Callable[..., MatmulAdapter]) -> None:
    inexact = TRIPLE_LOOP.format(first=0).replace("= sum;", "= sum * 1.0001f;")
    with pytest.raises(WorkloadFailed, match="wrong result"):
        broken(kernel(inexact)).measure()


def test_an_element_never_written_fails_the_trial(broken: Callable[..., MatmulAdapter]) -> None:
    with pytest.raises(WorkloadFailed, match=r"1920 of 1920 elements are wrong.*nan"):
        broken(kernel("")).measure()


def test_a_kernel_that_stops_computing_fails_the_trial(
    broken: Callable[..., MatmulAdapter],
) -> None:
    once = kernel("static int calls; if (!calls++) " + TRIPLE_LOOP.format(first=0))
    with pytest.raises(WorkloadFailed, match=r"1920 of 1920 elements are wrong.*nan"):
        broken(once).measure()


def test_a_result_that_goes_wrong_later_fails_the_trial(
    broken: Callable[..., MatmulAdapter],
) -> None:
    later = kernel("static int calls; " + TRIPLE_LOOP.format(first=0) + " if (calls++) c[7] = 0;")
    with pytest.raises(WorkloadFailed, match=r"1 of 1920 .* wrong, the first at \(0, 7\)"):
        broken(later).measure()


def test_a_compile_error_leaves_the_old_schedule_in_force(
    broken: Callable[..., MatmulAdapter],
) -> None:
    adapter = broken(kernel("return undeclared;"))
    before = adapter.read()
    with pytest.raises(ApplyFailed, match=r"gcc -O3 .*refuses the kernel.*undeclared"):
        adapter.apply(schedule(adapter))
    assert adapter.read() == before


def test_a_crash_fails_the_trial_and_nothing_else(broken: Callable[..., MatmulAdapter]) -> None:
    with pytest.raises(WorkloadFailed, match="SIGSEGV"):
        broken(kernel("*(volatile int *)8 = 1;")).measure()
    assert broken(kernel(TRIPLE_LOOP.format(first=0))).measure().objectives


def test_a_kernel_that_hangs_is_ended(broken: Callable[..., MatmulAdapter]) -> None:
    with pytest.raises(TimedOut, match="took longer than 1 s"):
        broken(kernel('for (;;) __asm__ volatile("");'), limit_seconds=1).measure()


def test_cancelling_ends_a_running_kernel(broken: Callable[..., MatmulAdapter]) -> None:
    class CancelledSoon(CancelToken):
        checks = 0

        def check(self) -> None:
            self.checks += 1
            if self.checks == 3:  # by then the kernel has been running for two polls
                self.cancel("a guardrail")
            super().check()

    with pytest.raises(Cancelled, match="a guardrail"):
        broken(kernel('for (;;) __asm__ volatile("");')).measure(cancel=CancelledSoon())


def test_an_orphaned_worker_ends_by_itself(broken: Callable[..., MatmulAdapter]) -> None:
    adapter = broken(kernel('for (;;) __asm__ volatile("");'))
    adapter.apply(schedule(adapter))
    [library] = adapter.workdir.glob("kernels/*.so")
    request = Request(
        library=str(library), **asdict(adapter.problem), seed=(1, 0), window_seconds=0.01,
        repetitions=1, cpu_seconds=1,
    )  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "targets.matmul.worker"],
        check=False,
        input=json.dumps(asdict(request)), text=True, capture_output=True, timeout=60,
    )  # fmt: skip
    assert ended.returncode < 0


def test_the_register_tile_is_bounded(tmp_path: Path) -> None:
    adapter = MatmulAdapter(SMALL, tmp_path)
    with pytest.raises(Rejected, match="vector registers"):
        adapter.apply(schedule(adapter, register_rows=12, register_vectors=4))


# -- compiling


@pytest.fixture
def counted_gcc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """gcc behind a script that counts how often it makes a shared object."""
    real, folder, log = shutil.which("gcc"), tmp_path / "bin", tmp_path / "log"
    folder.mkdir()
    script = folder / "gcc"
    script.write_text(f'#!/bin/sh\necho "$*" >> {log}\nexec {real} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return lambda: log.read_text().count("-shared")


def test_a_kernel_is_compiled_once(tmp_path: Path, counted_gcc: Callable[[], int]) -> None:
    adapter = MatmulAdapter(SMALL, tmp_path / "target")
    tiled, other = schedule(adapter), schedule(adapter, unroll=4)
    adapter.apply(tiled)
    first = adapter.measure().metrics["compile_seconds"]
    assert counted_gcc() == 1
    again = MatmulAdapter(SMALL, tmp_path / "target")
    again.apply(tiled)
    assert again.measure().metrics["compile_seconds"] == first
    assert counted_gcc() == 1
    again.apply(other)
    again.apply({**other, "optimisation": "-O2"})
    assert counted_gcc() == 3


def test_no_gcc_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetDown, match="apt install gcc"):
        MatmulAdapter(SMALL, tmp_path)


# -- what it says


def test_threads_are_bounded_by_machine_and_owner(tmp_path: Path) -> None:
    threads = MatmulAdapter({**SMALL, "max_threads": 1}, tmp_path).describe().space["threads"]
    assert threads.high == 1
    adapter = MatmulAdapter(SMALL, tmp_path)
    assert adapter.describe().space["threads"].high == max(1, int(adapter.machine.cpus))


def test_tiles_stop_at_the_matrix(tmp_path: Path) -> None:
    space = MatmulAdapter({**SMALL, "m": 100, "k": 20}, tmp_path).describe().space
    assert space["tile_m"].levels == (16, 32, 64, 128)
    assert space["tile_k"].levels == (32,)
    assert space["tile_k"].default == 32


def test_each_problem_has_its_own_schedule_in_force(tmp_path: Path) -> None:
    one = MatmulAdapter(SMALL, tmp_path)
    one.apply(schedule(one))
    other = MatmulAdapter({**SMALL, "m": 24}, tmp_path)
    assert other.read()["loop_order"] == NAIVE
    assert one.read()["loop_order"] == "nkm"


def test_reference_lines_are_blas_and_the_naive_loop(tmp_path: Path) -> None:
    adapter = MatmulAdapter({**SMALL, "max_threads": 1}, tmp_path)
    blas, naive = adapter.reference_lines()
    assert blas.name == "BLAS"
    assert "numpy" in blas.note
    assert "1 threads" in blas.note
    assert naive.name == "naive loop"


def test_describing_loads_no_numpy(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from targets.matmul.adapter import MatmulAdapter;"
        "a = MatmulAdapter({}, pathlib.Path(sys.argv[1])); a.describe(); a.apply(a.read());"
        "sys.exit('numpy' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=60)
