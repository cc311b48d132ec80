"""The adapter against Lontra's contract suite, and what only it promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from lontra_lzma.adapter import LzmaAdapter

from targets.errors import InvalidSetting, TimedOut
from targets.testing import AdapterContract


class TestLzmaContract(AdapterContract):
    def make_adapter(self, workdir: Path) -> LzmaAdapter:
        return LzmaAdapter({"corpus_bytes": 20_000}, workdir)


def test_over_the_limit_is_timed_out(tmp_path: Path) -> None:
    with pytest.raises(TimedOut, match="limit_seconds"):
        LzmaAdapter({"limit_seconds": 0}, tmp_path).measure()


def test_own_file(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"otter " * 1000)
    adapter = LzmaAdapter({"path": str(file)}, tmp_path)
    assert adapter.measure().objectives["compressed_size"] < 200
    with pytest.raises(InvalidSetting, match="path="):
        LzmaAdapter({"path": str(tmp_path / "absent")}, tmp_path)


def test_positions_in_aligned_records_are_worth_knowing(tmp_path: Path) -> None:
    adapter = LzmaAdapter({"corpus_bytes": 100_000}, tmp_path)
    default = adapter.measure().objectives["compressed_size"]
    adapter.apply({**adapter.read(), "lc": 2, "lp": 2, "pb": 4})
    assert adapter.measure().objectives["compressed_size"] < 0.85 * default
