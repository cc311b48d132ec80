"""Traces: the generators, and the file formats, read back as they were written."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from targets.adapter import Purpose
from targets.cache_policy.adapter import CachePolicyAdapter
from targets.cache_policy.generators import GENERATORS, phases, write_trace, zipf
from targets.cache_policy.traces import Parts
from targets.errors import InvalidSetting, TargetDown

RECORD = struct.Struct("<IQIq")
PAGES = [int(page) for page in zipf(3_000, np.random.default_rng(5)) + 1]


def size_of(page: int) -> int:
    return 1 + page % 7


# -- generators


@pytest.mark.parametrize("name", list(GENERATORS))
def test_a_generator_repeats_itself_by_seed(name: str, tmp_path: Path) -> None:
    for file, seed in (("one", 3), ("again", 3), ("other", 4)):
        write_trace(tmp_path / file, name, requests=5_000, seed=seed)
    one, again, other = ((tmp_path / file).read_bytes() for file in ("one", "again", "other"))
    assert one == again != other
    assert len(one) == 5_000 * RECORD.size


@pytest.mark.parametrize("name", list(GENERATORS))
def test_a_generated_record_knows_its_next_request(name: str, tmp_path: Path) -> None:
    write_trace(tmp_path / "t", name, requests=2_000, seed=1)
    records = list(RECORD.iter_unpack((tmp_path / "t").read_bytes()))
    coming: dict[int, int] = {}
    for number, (_, page, size, following) in reversed(list(enumerate(records))):
        assert following == coming.get(page, -1)
        assert page > 0
        assert size == 1
        coming[page] = number


@pytest.mark.parametrize("name", list(GENERATORS))
@pytest.mark.parametrize("requests", [100, 101, 12_345])
def test_a_generator_makes_as_many_requests_as_asked(name: str, requests: int) -> None:
    pages = GENERATORS[name](requests, np.random.default_rng(1))
    assert len(pages) == requests
    assert pages.min() >= 0


def test_zipf_is_skewed_and_scan_has_pages_that_never_come_again() -> None:
    counts = Counter(GENERATORS["zipf"](40_000, np.random.default_rng(1)).tolist())
    often = [count for _, count in counts.most_common(200)]
    assert sum(often) > 0.4 * 40_000  # a tenth of the pages
    once = Counter(GENERATORS["scan"](40_000, np.random.default_rng(1)).tolist())
    assert sum(count == 1 for count in once.values()) >= 0.2 * 40_000


def test_phases_come_back_in_every_part() -> None:
    requests = 40_000
    pages = phases(requests, np.random.default_rng(1))
    parts = Parts.of(requests, unseen_share=0.4)
    hot = requests // 40 // 3
    shares = []
    for start, end in ((parts.warm, parts.searched), (parts.searched, requests)):
        part = pages[start:end]
        regimes = np.select([part < hot, part < 2 * hot, part < 3 * hot], [0, 1, 2], 3)
        shares.append(np.bincount(regimes, minlength=4) / len(part))
    assert shares[0] == pytest.approx([0.25, 0.25, 0.25, 0.25])
    assert shares[1] == pytest.approx(shares[0])


def test_parts_do_not_overlap() -> None:
    parts = Parts.of(1_001, unseen_share=0.3)
    searched = parts.replayed(Purpose.SEARCH)
    confirmed = parts.replayed(Purpose.CONFIRM)
    assert sum(searched) == confirmed[0] == parts.searched
    assert sum(confirmed) == 1_001


# -- files


def oracle_general() -> bytes:
    return b"".join(RECORD.pack(i, page, size_of(page), -1) for i, page in enumerate(PAGES))


def vscsi() -> bytes:
    record = struct.Struct("<IIIHHQQ")  # serial, length, segments, command, version, block, time
    return b"".join(
        record.pack(i, 512 * size_of(page), 1, 0x2A, 1 << 8, page, i)
        for i, page in enumerate(PAGES)
    )


def twr() -> bytes:
    record = struct.Struct("<IQII")  # time, key, key and value size, operation and lifetime
    return b"".join(
        record.pack(i, page, 8 << 22 | size_of(page), 1 << 24) for i, page in enumerate(PAGES)
    )


def text() -> bytes:
    return "".join(f"{page}\n" for page in PAGES).encode()


def csv(delimiter: str, *, header: bool = True, prefix: str = "") -> bytes:
    rows = [[str(i), f"{prefix}{page}", str(size_of(page))] for i, page in enumerate(PAGES)]
    head = [["time", "object", "size"]] if header else []
    return "".join(delimiter.join(row) + "\n" for row in head + rows).encode()


@pytest.fixture
def ratios(tmp_path: Path) -> Callable[..., tuple[float, float]]:
    """LRU's miss ratios over both parts, as measured on a file of these bytes."""

    def measured(name: str, content: bytes, **settings: object) -> tuple[float, float]:
        path = tmp_path / name
        path.write_bytes(content)
        adapter = CachePolicyAdapter(
            {"trace": str(path), "cache_size": 40, **settings}, tmp_path / "work"
        )
        one, other = (adapter.measure(purpose) for purpose in Purpose)
        return one.objectives["miss_ratio"], other.objectives["miss_ratio"]

    return measured


@pytest.mark.parametrize(
    ("name", "content", "settings"),
    [
        pytest.param("t.oracleGeneral", oracle_general(), {}, id="oracleGeneral"),
        pytest.param("t.oracleGeneral.bin", oracle_general(), {}, id="oracleGeneral.bin"),
        pytest.param("t.vscsi", vscsi(), {}, id="vscsi"),
        pytest.param("t.twr", twr(), {}, id="twr"),
        pytest.param("t.csv", csv(","), {}, id="csv"),
        pytest.param("t.csv", csv(","), {"csv_size_field": 3}, id="csv-sizes"),
        pytest.param(
            "t.dat",
            csv(",", header=False),
            {"trace_format": "csv", "csv_header": False},
            id="csv-headless",
        ),
        pytest.param(
            "t.csv", csv(";"), {"csv_delimiter": ";", "csv_time_field": 0}, id="csv-semicolons"
        ),
        pytest.param("t.csv", csv(",", prefix="/page/"), {"csv_numeric": False}, id="csv-texts"),
    ],
)
def test_every_format_reads_the_same_trace(
    ratios: Callable[..., tuple[float, float]],
    name: str,
    content: bytes,
    settings: dict[str, object],
) -> None:
    assert ratios(name, content, **settings) == ratios("t.txt", text())


def test_object_sizes_count_where_asked_for(ratios: Callable[..., tuple[float, float]]) -> None:
    ignored = ratios("t.oracleGeneral", oracle_general())
    counted = ratios("t.oracleGeneral", oracle_general(), object_sizes=True)
    assert counted[0] > ignored[0]  # 40 bytes hold fewer than 40 objects


def test_a_file_can_be_used_in_part(ratios: Callable[..., tuple[float, float]]) -> None:
    some = text().splitlines(keepends=True)[:1_000]
    assert ratios("t.txt", text(), requests=1_000) == ratios("t.txt", b"".join(some))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("t.oracleGeneral.zst", "decompress it first"),
        ("t.bin", "set trace_format to one of oracle"),
    ],
)
def test_a_file_of_unknown_form_is_refused(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(oracle_general())
    with pytest.raises(InvalidSetting, match=message):
        CachePolicyAdapter({"trace": str(tmp_path / name)}, tmp_path)


def test_a_trace_that_says_nothing_is_the_targets_fault(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_text("1\n2\n3\n")
    with pytest.raises(TargetDown, match="has 3 requests"):
        CachePolicyAdapter({"trace": str(path)}, tmp_path).measure()
