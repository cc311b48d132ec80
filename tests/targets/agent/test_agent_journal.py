"""The journal: what counts as written, what damage costs, and what it all means."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.agent.journal import Journal, Kind, Record, read_journal
from targets.agent.recovery import EPOCHS_KEPT, Standing

SAFE = {"configuration": {"a": 1, "b": 0.1}, "data": {}}
OPENED = {"adapter": "x", "settings": {}, "workdir": "/w", "cwd": "/", "snapshot": SAFE}


def intent(trial: int = 1, epoch: int = 1) -> tuple[Kind, dict[str, Any]]:
    return Kind.INTENT, {"trial": trial, "epoch": epoch, "configuration": {"a": 2}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def journal(path: Path) -> Journal:
    journal = Journal(path)
    journal.open()
    journal.append(Kind.OPENED, OPENED)
    return journal


def standing(path: Path) -> Standing:
    return Standing.of(read_journal(path))


def test_records_are_read_back_as_written(journal: Journal, path: Path) -> None:
    journal.append(*intent())
    records = read_journal(path).records
    assert [record.seq for record in records] == [1, 2]
    assert [record.kind for record in records] == [Kind.OPENED, Kind.INTENT]
    assert dict(records[0].fields) == OPENED
    assert path.stat().st_mode & 0o777 == 0o600


@given(st.dictionaries(st.text(), st.floats(allow_nan=False) | st.text() | st.none()))
def test_any_json_survives_the_checksum(fields: dict[str, Any]) -> None:
    record = Record(1, "2026-01-01", Kind.MEASURED, {"objectives": fields})
    assert Record.decode(record.encode()) == record


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_torn_last_line_announced_nothing_and_is_cut_off(
    journal: Journal, path: Path, cut: int
) -> None:
    journal.append(*intent())
    journal.close()
    os.truncate(path, path.stat().st_size - cut)
    assert read_journal(path).damage == ()
    assert not standing(path).dirty, "the intent was never acknowledged, so nothing was changed"
    again = Journal(path)
    again.open()
    again.append(*intent(trial=7))
    assert [record.fields.get("trial") for record in read_journal(path).records] == [None, 7]
    assert read_journal(path).damage == ()


def test_damage_is_told_kept_and_taken_for_a_change(journal: Journal, path: Path) -> None:
    journal.append(*intent())
    journal.append(Kind.RESTORED, {"by": "agent", "reason": "", "trial": 1, "in_force": {}})
    assert not standing(path).dirty
    damaged = path.read_bytes().replace(b'"trial":1', b'"trial":9', 1)
    path.write_bytes(damaged)
    reading = read_journal(path)
    assert "line 2: the checksum does not fit" in reading.damage
    found = standing(path)
    assert found.dirty
    assert found.snapshot == SAFE
    Journal(path).open()
    assert path.with_name("journal.jsonl.damaged").read_bytes() == damaged


def test_a_line_that_is_missing_is_damage(journal: Journal, path: Path) -> None:
    journal.append(*intent())
    journal.append(Kind.FINISHED, {"trial": 1, "epoch": 1, "state": "completed"})
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[2])
    assert "seq 3 follows 1" in read_journal(path).damage[0]
    assert standing(path).dirty


def test_a_full_disk_leaves_the_journal_as_it_was(
    journal: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()
    real = os.write

    def half_then_full(descriptor: int, content: Any) -> int:
        if len(content) < 40:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content[: len(content) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half_then_full)
        with pytest.raises(OSError, match="No space left"):
            journal.append(*intent())
    assert path.read_bytes() == before
    journal.append(*intent())
    assert read_journal(path).damage == ()


def test_compaction_keeps_the_meaning_and_goes_on_counting(journal: Journal, path: Path) -> None:
    for trial in range(50):
        journal.append(*intent(trial, epoch=3))
        journal.append(Kind.FINISHED, {"trial": trial, "epoch": 3, "state": "completed"})
    journal.append(Kind.RESTORED, {"by": "agent", "reason": "", "trial": None, "in_force": {}})
    before, size = standing(path), path.stat().st_size
    journal.compact((Kind.OPENED, before.compacted()))
    journal.append(*intent(49, epoch=4))
    after = standing(path)
    assert path.stat().st_size < size / 5
    assert after.snapshot == before.snapshot
    assert after.stale(7, 2)
    assert not after.stale(7, 3)
    assert after.opened is not None
    assert after.opened["adapter"] == "x"


def test_the_safe_configuration_follows_promotions_and_people(journal: Journal, path: Path) -> None:
    promoted = {"configuration": {"a": 2}, "data": {"file": "x"}}
    journal.append(Kind.PROMOTING, {"trial": 1, "epoch": 1, "configuration": {"a": 2}})
    half_way = standing(path)
    assert half_way.dirty
    assert half_way.snapshot == SAFE, "not promoted until it is written that it is"
    journal.append(Kind.PROMOTED, {"trial": 1, "epoch": 1, "snapshot": promoted})
    assert standing(path).snapshot == promoted
    assert not standing(path).dirty

    journal.append(*intent(2))
    mixture = {"a": 9, "b": 0.1}
    journal.append(Kind.ADOPTING, {"configuration": mixture, "changes": {"a": [2, 9]}})
    adopting = standing(path)
    assert adopting.dirty
    assert adopting.by_apply, "the promoted snapshot's data would undo the person's change"
    assert adopting.snapshot is not None
    assert adopting.snapshot["configuration"] == mixture
    adopted = {"configuration": mixture, "data": {"file": "y"}}
    journal.append(Kind.ADOPTED, {"snapshot": adopted, "changes": {}})
    assert standing(path).snapshot == adopted
    assert not standing(path).dirty
    assert not standing(path).by_apply


def test_working_is_the_trial_whose_result_is_not_on_disk(journal: Journal, path: Path) -> None:
    journal.append(*intent(5, epoch=2))
    assert standing(path).working == (5, 2)
    journal.append(Kind.FINISHED, {"trial": 5, "epoch": 2, "state": "completed"})
    assert standing(path).working is None
    assert standing(path).dirty, "its configuration is still in force"


def test_remembered_epochs_are_bounded() -> None:
    records = [Record(n, "", *intent(trial=n)) for n in range(1, 2 * EPOCHS_KEPT)]
    assert len(Standing().after_all(records).epochs) == EPOCHS_KEPT
