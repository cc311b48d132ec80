"""The cache-policy target: what a window counts, what stays unseen, how it fails."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

import pytest

from targets.adapter import Adapter, Purpose
from targets.cache_policy.adapter import CachePolicyAdapter
from targets.cache_policy.policies import FIXED_LRU, FIXED_S3_FIFO
from targets.errors import InvalidSetting, TargetDown, TimedOut, WorkloadFailed
from targets.knobs import Value
from targets.testing import AdapterContract

SMALL = {"trace": "scan", "requests": 4_000}


class TestCachePolicyContract(AdapterContract):
    configurations = 2

    def make_adapter(self, workdir: Path) -> Adapter:
        return CachePolicyAdapter(SMALL, workdir)


def configuration(adapter: Adapter, **values: Value) -> dict[str, Value]:
    return {**adapter.describe().space.default(), **values}


def misses(adapter: Adapter, purpose: Purpose = Purpose.SEARCH) -> int:
    return int(adapter.measure(purpose).metrics["misses"])


def lru_misses(pages: list[int], *, capacity: int, warm: int, until: int) -> int:
    """An LRU of our own, to check the simulator's."""
    cache: OrderedDict[int, None] = OrderedDict()
    missed = 0
    for number, page in enumerate(pages[:until]):
        if page in cache:
            cache.move_to_end(page)
            continue
        missed += number >= warm
        cache[page] = None
        if len(cache) > capacity:
            cache.popitem(last=False)
    return missed


def written(path: Path, pages: Iterable[int]) -> Path:
    path.write_text("".join(f"{page}\n" for page in pages))
    return path


def loops(requests: int) -> list[int]:
    """Two loops, of 20 pages and of 60, in turns."""
    return [(i // 2) % 20 if i % 2 else 100 + (i // 2) % 60 for i in range(requests)]


# -- what is counted


def test_the_baseline_is_lru_that_lets_everything_in(tmp_path: Path) -> None:
    pages = loops(2_000)
    adapter = CachePolicyAdapter(
        {"trace": str(written(tmp_path / "t.txt", pages)), "cache_size": 30}, tmp_path
    )
    assert adapter.read()["policy"] == "lru"
    # 60 % of 2000 are searched, the first third of those fill the cache.
    assert misses(adapter) == lru_misses(pages, capacity=30, warm=400, until=1_200)
    assert misses(adapter, Purpose.CONFIRM) == lru_misses(
        pages, capacity=30, warm=1_200, until=2_000
    )


def test_a_search_never_sees_the_unseen_part(tmp_path: Path) -> None:
    pages = loops(2_000)
    changed = pages[:1_200] + list(range(5_000, 5_800))
    adapters = [
        CachePolicyAdapter(
            {"trace": str(written(tmp_path / f"{number}.txt", trace)), "cache_size": 0.75},
            tmp_path / str(number),
        )
        for number, trace in enumerate((pages, changed))
    ]
    one, other = (adapter.measure(Purpose.SEARCH) for adapter in adapters)
    assert one.objectives == other.objectives
    assert one.metrics["capacity"] == other.metrics["capacity"] == 60
    one, other = (adapter.measure(Purpose.CONFIRM) for adapter in adapters)
    assert one.metrics["requests"] == other.metrics["requests"] == 800
    assert one.metrics["misses"] < other.metrics["misses"] == 800


def test_a_window_without_a_miss_still_has_a_ratio(tmp_path: Path) -> None:
    trace = written(tmp_path / "t.txt", [number % 12 for number in range(1_000)])
    adapter = CachePolicyAdapter({"trace": str(trace), "cache_size": 50}, tmp_path)
    window = adapter.measure(Purpose.CONFIRM)
    assert window.metrics["misses"] == 0
    assert window.objectives["miss_ratio"] == 0.5 / 400


def test_chance_admits_the_same_every_time(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter(SMALL, tmp_path)
    everything = misses(adapter)
    adapter.apply(configuration(adapter, admission="coin", admission_probability=0.25))
    one, other = misses(adapter), misses(adapter)
    assert one == other != everything


def test_reference_lines_are_fixed_lru_and_s3_fifo(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter(SMALL, tmp_path)
    for purpose in Purpose:
        lines = {line.name: line.value for line in adapter.reference_lines(purpose)}
        for name, fixed in (("LRU", FIXED_LRU), ("S3-FIFO", FIXED_S3_FIFO)):
            adapter.apply(configuration(adapter, **fixed))
            assert lines[name] == adapter.measure(purpose).objectives["miss_ratio"]
    assert set(lines) == {"LRU", "S3-FIFO"}


def test_s3_fifo_alone_is_s3_fifo_as_published(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter(SMALL, tmp_path)
    assert configuration(adapter, policy="s3-fifo") == configuration(adapter, **FIXED_S3_FIFO)


# -- how it fails


def test_a_crash_of_the_simulator_fails_the_trial_and_nothing_else(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter({**SMALL, "cache_size": 50}, tmp_path)
    # A small queue of 1 % of 50 objects is none: libcachesim aborts its process.
    adapter.apply(configuration(adapter, policy="s3-fifo", newcomer_share=0.01))
    with pytest.raises(WorkloadFailed, match=r"S3FIFO.*SIGABRT.*Invalid cache size"):
        adapter.measure()
    adapter.apply(configuration(adapter, policy="s3-fifo"))
    assert adapter.measure().objectives


def test_a_cache_too_small_to_compare_is_refused(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter({**SMALL, "cache_size": 5}, tmp_path)
    with pytest.raises(TargetDown, match=r"capacity of 5.*10 at least"):
        adapter.measure()


def test_a_replay_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    adapter = CachePolicyAdapter({**SMALL, "requests": 5_000_000, "limit_seconds": 1}, tmp_path)
    with pytest.raises(TimedOut, match="reading trace"):
        adapter.measure()


def test_a_trace_that_vanishes_is_not_healthy(tmp_path: Path) -> None:
    trace = written(tmp_path / "t.txt", loops(500))
    adapter = CachePolicyAdapter({"trace": str(trace)}, tmp_path)
    assert adapter.healthy() == ""
    trace.unlink()
    assert "gone" in adapter.healthy()
    with pytest.raises(InvalidSetting, match=r"neither a file nor one of the generators: zipf"):
        CachePolicyAdapter({"trace": str(trace)}, tmp_path)


def test_describing_loads_no_numpy(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib; from targets.cache_policy.adapter import CachePolicyAdapter;"
        "a = CachePolicyAdapter({}, pathlib.Path(sys.argv[1])); a.describe(); a.apply(a.read());"
        "sys.exit('numpy' in sys.modules or 'libcachesim' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True, timeout=60)
