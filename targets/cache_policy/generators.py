"""Access traces made to order: the patterns that caches meet, seeded, in seconds.

Each generator is a function of the number of requests and a random generator and answers page
numbers. The patterns are those that the literature tells policies apart by: skewed popularity
(Breslau et al., INFOCOM 1999), loops longer than the cache and one-time scans (Megiddo and Modha,
"ARC", FAST 2003; Jiang and Zhang, "LIRS", SIGMETRICS 2002), and changes of phase (Denning,
"Working Sets Past and Present", 1980).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Pages = NDArray[np.int64]
    Generator = Callable[[int, np.random.Generator], Pages]

REVISION = 1
"""Raised when a generator changes, so that traces kept on disk are not mistaken for its own."""

CYCLES = 10
"""How often `phases` comes back to each of its regimes. The parts of a trace that are searched
and kept unseen must hold whole cycles, or they would be different workloads."""

_REQUESTS_PER_PAGE = 20


def zipf(requests: int, rng: np.random.Generator) -> Pages:
    """Independent requests of skewed popularity: exponent 0.9, a page for every 20 requests."""
    return _popular(requests, rng, pages=max(1, requests // _REQUESTS_PER_PAGE), exponent=0.9)


def loop(requests: int, rng: np.random.Generator) -> Pages:
    """Three loops run side by side: the inner, middle and outer table of a nested join.

    They hold 4, 16 and 80 % of the pages and get 40, 30 and 30 % of the requests, so that within
    a cache of 10 % the inner loop fits and the others flood it.
    """
    import numpy as np

    pages = max(3, requests // (2 * _REQUESTS_PER_PAGE))
    sizes = [max(1, round(pages * share)) for share in (0.04, 0.16, 0.8)]
    which = rng.choice(3, size=requests, p=[0.4, 0.3, 0.3])
    result = np.empty(requests, np.int64)
    first = 0
    for number, size in enumerate(sizes):
        mine = which == number
        result[mine] = first + np.arange(int(mine.sum())) % size
        first += size
    return result


def scan(requests: int, rng: np.random.Generator) -> Pages:
    """Skewed requests, interrupted by scans of pages that never come again: a backup, a report.

    A fifth of the requests scan, in 50 runs.
    """
    import numpy as np

    pages = max(1, requests // (2 * _REQUESTS_PER_PAGE))
    result = _popular(requests, rng, pages=pages, exponent=0.9)
    runs = 50
    length = requests // (5 * runs)
    starts = (np.arange(runs) + rng.random(runs) * 0.8) * (requests / runs)
    for number, start in enumerate(starts.astype(np.int64)):
        result[start : start + length] = pages + number * length + np.arange(length)
    return result


def mix(requests: int, rng: np.random.Generator) -> Pages:
    """Three tenants at once: 60 % skewed, 25 % looping, 15 % scanning for the only time."""
    import numpy as np

    pages = max(2, requests // (2 * _REQUESTS_PER_PAGE))
    which = rng.choice(3, size=requests, p=[0.6, 0.25, 0.15])
    counts = np.bincount(which, minlength=3)
    result = np.empty(requests, np.int64)
    result[which == 0] = _popular(int(counts[0]), rng, pages=pages, exponent=1.0)
    size = max(1, pages // 4)
    result[which == 1] = pages + np.arange(counts[1]) % size
    result[which == 2] = pages + size + np.arange(counts[2])
    return result


def phases(requests: int, rng: np.random.Generator) -> Pages:
    """Regimes that take turns, `CYCLES` times: day traffic, a loop, night traffic, a scan.

    Day and night have hot pages of their own; loop and scan have other pages again.
    """
    import numpy as np

    pages = max(4, requests // (2 * _REQUESTS_PER_PAGE))
    hot = pages // 3
    day, night = (rng.permutation(hot) + number * hot for number in range(2))
    loop_pages, scan_first = max(1, pages // 6), 3 * hot
    ends = np.linspace(0, requests, 4 * CYCLES + 1).astype(np.int64)
    parts = []
    for number, length in enumerate(np.diff(ends)):
        match number % 4:
            case 0:
                parts.append(day[_ranks(int(length), rng, pages=hot, exponent=1.0)])
            case 1:
                parts.append(2 * hot + np.arange(length) % loop_pages)
            case 2:
                parts.append(night[_ranks(int(length), rng, pages=hot, exponent=1.0)])
            case _:
                parts.append(scan_first + np.arange(length) + loop_pages)
                scan_first += int(length)
    return np.concatenate(parts)


def write_trace(path: Path, generator: str, *, requests: int, seed: int) -> None:
    """Write a generator's trace as an oracleGeneral file, whole or not at all.

    A record is clock time (uint32, 100 requests a second), object (uint64), size (uint32, 1) and
    the number of the object's next request (int64, -1: none), little-endian and packed.
    """
    import numpy as np

    pages = GENERATORS[generator](requests, np.random.default_rng([seed, *generator.encode()]))
    records = np.zeros(
        requests, [("time", "<u4"), ("object", "<u8"), ("size", "<u4"), ("next", "<i8")]
    )
    records["time"] = np.arange(requests) // 100
    records["object"] = pages + 1  # some readers take object 0 for none
    records["size"] = 1
    records["next"] = _next_requests(pages)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{os.getpid()}")
    records.tofile(written)
    written.replace(path)


def _popular(requests: int, rng: np.random.Generator, *, pages: int, exponent: float) -> Pages:
    """Zipfian requests to pages whose popularity has nothing to do with their number."""
    return rng.permutation(pages)[_ranks(requests, rng, pages=pages, exponent=exponent)]


def _ranks(requests: int, rng: np.random.Generator, *, pages: int, exponent: float) -> Pages:
    """Ranks 0..pages-1, rank r with a probability proportional to (r + 1) ** -exponent."""
    import numpy as np

    cumulative = np.cumsum(np.arange(1, pages + 1, dtype=np.float64) ** -exponent)
    ranks: Pages = np.searchsorted(cumulative, rng.random(requests) * cumulative[-1], side="right")
    return ranks


def _next_requests(pages: Pages) -> Pages:
    """For each request, the number of the next one to the same page; -1 where there is none."""
    import numpy as np

    order = np.argsort(pages, kind="stable")
    result = np.full(len(pages), -1, np.int64)
    same = pages[order[:-1]] == pages[order[1:]]
    result[order[:-1][same]] = order[1:][same]
    return result


GENERATORS: dict[str, Generator] = {
    "zipf": zipf,
    "loop": loop,
    "scan": scan,
    "mix": mix,
    "phases": phases,
}
