"""Sessions with several objectives: the front is told, the best in the first one is confirmed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from targets.metrics import Direction, Objective
from tests.tuner.scripted import Scripted, request
from tuner.errors import InvalidSession
from tuner.replay import replay

SPEED = Objective(name="speed", direction=Direction.MAXIMISE, unit="1/s", deterministic=True)
COST = Objective(name="cost", direction=Direction.MINIMISE, unit="EUR", deterministic=True)


def priced(configuration: dict[str, Any], number: int) -> dict[str, float]:
    """Size buys speed; half of the sizes are bad buys."""
    size = configuration["size"]
    mode = {"slow": 1.0, "fast": 2.0, "bad": 0.5}[configuration["mode"]]
    return {"speed": mode * (50.0 + size), "cost": 10.0 + size + 30.0 * (size % 2)}


def ran(ring: Scripted, **asked: Any) -> dict[str, Any]:
    ring.target(objectives=(SPEED, COST))
    session = ring.run(ring.service.start(request(objectives=["cost"], **asked)), priced)
    return ring.service.report(session.id)


@pytest.mark.parametrize("recommender", ["random", "auto"])
def test_the_front_is_what_nothing_measured_beats(ring: Scripted, recommender: str) -> None:
    report = ran(ring, trials=16, recommender=recommender)
    measured = {
        (trial["measured"]["speed"], trial["measured"]["cost"]) for trial in report["trials"]
    }
    unbeaten = {
        (speed, cost)
        for speed, cost in measured
        if not any(
            other != (speed, cost) and other[0] >= speed and other[1] <= cost for other in measured
        )
    }
    points = report["front"]["points"]
    told = [(point["values"]["speed"], point["values"]["cost"]) for point in points]
    assert len(points) > 2 and told == sorted(told, reverse=True)
    assert told == [pytest.approx(one) for one in sorted(unbeaten, reverse=True)]
    # What is confirmed is the best in the first objective, on the front.
    assert points[0]["is_incumbent"] and report["incumbent"]["trial"] == points[0]["trial"]
    assert report["incumbent"]["configuration"] == points[0]["configuration"]
    assert report["confirmation"]["verdict"] == "better"
    assert [one["name"] for one in report["objectives"]] == ["speed", "cost"]
    session = ring.store.sessions.get(report["session"])
    assert all(result.same for result in replay(ring.store, session))


def test_its_worth_is_what_lies_between_it_and_the_reference(ring: Scripted) -> None:
    report = ran(ring, trials=16)
    front = report["front"]
    worst, area = front["reference"], 0.0
    measured = [trial["measured"] for trial in report["trials"]]
    assert worst["speed"] == pytest.approx(min(one["speed"] for one in measured))
    assert worst["cost"] == pytest.approx(max(one["cost"] for one in measured))
    above = math.log(worst["cost"])
    # From the fastest, dearest point on: each adds a box up to the cost of the one before.
    for point in front["points"]:
        width = math.log(point["values"]["speed"]) - math.log(worst["speed"])
        cost = math.log(point["values"]["cost"])
        area += width * (above - cost)
        above = cost
    assert front["hypervolume"] == pytest.approx(area) and area > 0


def test_limits_cut_the_front(ring: Scripted) -> None:
    report = ran(ring, trials=16, limits=["cost<=60", "speed>=0.9x"])
    points = report["front"]["points"]
    assert any(trial["breaks"] for trial in report["trials"])
    assert points and all(point["values"]["cost"] <= 60 for point in points)
    assert all(point["values"]["speed"] >= 0.9 * 60 for point in points)
    assert report["incumbent"]["trial"] == points[0]["trial"]


def test_what_broke_a_limit_while_confirmed_leaves_the_front(ring: Scripted) -> None:
    ring.target(objectives=(SPEED, COST))
    struck: list[dict[str, Any]] = []

    def dearer(configuration: dict[str, Any], number: int) -> dict[str, float]:
        measured = priced(configuration, number)
        if number > 12 and configuration["mode"] == "fast" and struck in ([], [configuration]):
            struck[:] = [configuration]
            measured["cost"] = 500.0
        return measured

    asked = request(objectives=["cost"], limits=["cost<=140"], trials=12)
    session = ring.run(ring.service.start(asked), dearer)
    report = ring.service.report(session.id)
    assert struck[0] not in [point["configuration"] for point in report["front"]["points"]]
    assert report["incumbent"]["trial"] == report["front"]["points"][0]["trial"]


def test_one_objective_has_no_front(ring: Scripted) -> None:
    ring.target(objectives=(SPEED, COST))
    session = ring.service.start(request())
    assert ring.service.report(session.id)["front"] is None
    assert [one["name"] for one in session.objectives] == ["speed"]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"objectives": ["joy"]}, "it has: speed, cost"),
        ({"objectives": ["cost", "cost"]}, "'cost' is there twice"),
        ({"objectives": ["speed"]}, "'speed' is there twice"),
        ({"objectives": ["cost"], "gain_floor": 0.1}, "a gain in one objective"),
        ({"objectives": ["cost"], "recommender": "local"}, "local improves the first objective"),
    ],
)
def test_what_does_not_fit_several_objectives_is_refused(
    ring: Scripted, asked: dict[str, Any], said: str
) -> None:
    ring.target(objectives=(SPEED, COST))
    with pytest.raises(InvalidSession) as error:
        ring.service.start(request(**asked))
    assert said in str(error.value)
    if "recommender" in asked:
        listed = str(error.value).partition("(")[2].partition(")")[0].split(", ")
        assert {"auto", "gp", "forest", "optuna-nsga2", "random"} <= set(listed)
        assert "local" not in listed
