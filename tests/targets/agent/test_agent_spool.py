"""Messages on disk: in order, once, bounded, over restarts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from targets.agent.errors import MessageRefused, Unreachable
from targets.agent.spool import Spool


class Receiver:
    def __init__(self) -> None:
        self.received: list[tuple[str, Any, str]] = []
        self.error: Exception | None = None
        self.error_after = 0

    def __call__(self, path: str, body: Mapping[str, Any], key: str) -> None:
        if self.error is not None and len(self.received) >= self.error_after:
            raise self.error
        self.received.append((path, body["n"], key))

    @property
    def numbers(self) -> list[int]:
        return [number for _, number, _ in self.received]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path, max_bytes=100_000)


def test_messages_arrive_in_order_and_leave_the_disk(
    spool: Spool, receiver: Receiver, tmp_path: Path
) -> None:
    keys = [spool.put("/x", {"n": number}) for number in range(12)]
    assert spool.deliver(receiver).sent == 12
    assert receiver.numbers == list(range(12))
    assert [key for _, _, key in receiver.received] == keys
    assert len(spool) == 0
    assert list(tmp_path.glob("*.json")) == []


def test_what_was_not_delivered_survives_a_restart_under_the_same_key(
    spool: Spool, receiver: Receiver, tmp_path: Path
) -> None:
    keys = [spool.put("/x", {"n": number}) for number in range(3)]
    receiver.error, receiver.error_after = Unreachable("away"), 1
    with pytest.raises(Unreachable):
        spool.deliver(receiver)
    receiver.error = None
    again = Spool(tmp_path, max_bytes=100_000)
    keys.append(again.put("/x", {"n": 3}))
    again.deliver(receiver)
    assert receiver.numbers == [0, 1, 2, 3]
    assert [key for _, _, key in receiver.received] == keys


def test_a_full_spool_drops_the_oldest_and_counts_them(receiver: Receiver, tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=1000)
    for number in range(20):
        spool.put("/x", {"n": number, "padding": "x" * 100})
    assert sum(file.stat().st_size for file in tmp_path.glob("*.json")) <= 1000
    spool.deliver(receiver)
    assert receiver.numbers[-1] == 19
    assert receiver.numbers == sorted(receiver.numbers)
    assert spool.dropped == 20 - len(receiver.numbers) > 0
    assert spool.take_dropped() == spool.dropped
    assert spool.take_dropped() == 0, "told once"


def test_a_message_refused_for_good_is_kept_aside_and_stops_no_other(
    spool: Spool, tmp_path: Path
) -> None:
    received = []

    def send(path: str, body: Mapping[str, Any], key: str) -> None:
        if body["n"] == 1:
            raise MessageRefused("answered 422: no")
        received.append(body["n"])

    for number in range(3):
        spool.put("/x", {"n": number, "kind": "a-kind"})
    delivery = spool.deliver(send)
    assert received == [0, 2]
    assert [kind for kind, _ in delivery.refused] == ["a-kind"]
    assert len(list((tmp_path / "refused").glob("*.json"))) == 1
    assert spool.deliver(send).refused == (), "never sent again"


def test_a_file_left_half_written_or_damaged_stops_nothing(
    spool: Spool, receiver: Receiver, tmp_path: Path
) -> None:
    spool.put("/x", {"n": 0})
    (tmp_path / "000000000009-abc.json.17.new").write_text('{"half')
    (tmp_path / "000000000005-abc.json").write_text('{"damaged')
    again = Spool(tmp_path, max_bytes=100_000)
    delivery = again.deliver(receiver)
    assert receiver.numbers == [0]
    assert len(delivery.refused) == 1
    assert list(tmp_path.glob("*.new")) == []


def test_files_are_private(spool: Spool, tmp_path: Path) -> None:
    spool.put("/x", {"n": 0})
    assert {file.stat().st_mode & 0o777 for file in tmp_path.glob("*.json")} == {0o600}
