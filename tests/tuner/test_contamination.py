"""Contamination: what counts as disturbed, by what is usual for the arm."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from knowledge_base.records import Window
from targets.metrics import MetricVector
from tuner.contamination import disturbances

CORES = 4.0


def windows(*told: tuple[str, dict[str, float | None]]) -> list[Window]:
    """One after another: the arm and what the host did."""
    return [
        Window(
            id=number,
            trial_id=number // 4,
            epoch=1,
            arm=arm,
            block=number // 4,
            position=number % 4,
            purpose="confirm",
            started_at=datetime(2026, 1, 1, tzinfo=UTC),
            seconds=1.0,
            objectives={"throughput": 1.0},
            metrics=MetricVector((), ()),
            contamination=host,
        )
        for number, (arm, host) in enumerate(told)
    ]


def foreign(*cores: float, arm: str = "baseline") -> list[tuple[str, dict[str, float | None]]]:
    return [(arm, {"foreign_cpu": one}) for one in cores]


def test_a_neighbour_that_wakes_up_is_told_with_what_is_usual() -> None:
    found = disturbances(windows(*foreign(0.4, 0.4, 2.4, 0.4)), cores=CORES)
    assert found == {2: "other processes took 60% of the processor, usually 10%"}


def test_a_target_that_is_a_service_of_its_own_does_not_disturb_itself() -> None:
    """Its load is foreign, and more under one arm than under the other."""
    pairs = [*foreign(1.0), *foreign(2.9, arm="candidate")]
    assert disturbances(windows(*pairs, *pairs, *pairs), cores=CORES) == {}


def test_what_was_said_of_a_window_never_changes() -> None:
    hosts = foreign(0.1, 3.0, 0.1, 3.0, 3.0, 0.1, 3.0)
    found = disturbances(windows(*hosts), cores=CORES)
    for length in range(1, len(hosts)):
        shorter = disturbances(windows(*hosts[:length]), cores=CORES)
        assert shorter == {key: text for key, text in found.items() if key < length}


def test_a_load_that_comes_to_stay_disturbs_all_that_follow() -> None:
    found = disturbances(windows(*foreign(0.1, *[3.0] * 20)), cores=CORES)
    assert len(found) == 20


@pytest.mark.parametrize(
    ("name", "usual", "now", "says"),
    [
        ("steal", 0.0, 0.4, "the hypervisor took 10%"),
        ("memory_pressure", 0.01, 0.2, "waited for memory 20%"),
        ("io_pressure", 0.1, 0.5, "waited for disks 50%"),
    ],
)
def test_every_sign_is_told(name: str, usual: float, now: float, says: str) -> None:
    quiet: dict[str, float | None] = {name: usual}
    told = windows(("baseline", quiet), ("baseline", quiet), ("baseline", {name: now}))
    assert says in disturbances(told, cores=CORES)[2]


def test_what_the_host_cannot_tell_is_no_disturbance() -> None:
    told = windows(("baseline", {}), ("baseline", {"steal": None}), ("baseline", {"steal": 9.0}))
    assert disturbances(told, cores=CORES) == {}
