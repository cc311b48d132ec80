"""Several objectives and limits, from the request to the page, round the real ring."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from knowledge_base import Store
from knowledge_base.records import Scope
from targets.clock import ManualClock
from targets.simulated.adapter import SimulatedAdapter
from tests.web.conftest import Server, go_round
from tuner.worker import Worker
from web import create_app

LIMITS = ["memory<=400", "latency_ms_p99<=1.2x"]


@pytest.fixture(scope="module")
def aimed(
    tmp_path_factory: pytest.TempPathFactory, empty_database: Path, description: Mapping[str, Any]
) -> Iterator[Server]:
    """Session 1: throughput and memory, within limits, finished; started by the API."""
    folder, clock = tmp_path_factory.mktemp("aimed"), ManualClock()
    path = folder / "lontra.db"
    shutil.copy(empty_database, path)
    adapter = SimulatedAdapter({}, folder / "simulated", clock=clock)
    with Store.open(f"sqlite:///{path}", clock=clock) as store:
        server = Server(create_app(store, clock=clock), store, clock, description)
        agent = server.agent("orders")
        assert agent.register().status_code == 200
        asked = {
            "target": "orders", "objective": "throughput", "objectives": ["memory"],
            "limits": LIMITS, "recommender": "random", "trials": 20, "seed": 2,
            "confirm_pairs": 12,
        }  # fmt: skip
        answer = server.caller(Scope.OPERATOR).post("sessions", asked)
        assert answer.status_code == 201, answer.json
        assert [one["name"] for one in answer.json["objectives"]] == ["throughput", "memory"]
        assert [one["bound"] for one in answer.json["limits"]] == [400.0, None]
        go_round(Worker(store, clock=clock), agent, adapter, turns=99)
        yield server


@pytest.fixture
def told(aimed: Server, check_form: Any) -> Mapping[str, Any]:
    """The report, as the API gives and describes it."""
    report: Mapping[str, Any] = aimed.caller(Scope.VIEWER).get("sessions/1/report").json
    check_form("Report", report)
    return report


def test_the_session_keeps_what_it_was_asked_to(aimed: Server, told: Mapping[str, Any]) -> None:
    assert told["state"] == "finished"
    session = aimed.store.sessions.get(1)
    baseline = next(trial for trial in told["trials"] if trial["kind"] == "baseline")
    memory, p99 = session.limits
    assert p99["bound"] == pytest.approx(1.2 * baseline["measured"]["latency_ms_p99"])
    beyond = [trial for trial in told["trials"] if trial["breaks"]]
    best = max(
        (trial for trial in told["trials"] if trial["value"] is not None),
        key=lambda trial: trial["value"],
    )
    assert best in beyond, "the limits forbid the best: else this proves nothing"
    incumbent = next(t for t in told["trials"] if t["number"] == told["incumbent"]["trial"])
    assert incumbent["measured"]["memory"] <= memory["bound"]
    assert incumbent["measured"]["latency_ms_p99"] <= p99["bound"]
    assert [check["incumbent"]["kept"] for check in told["confirmation"]["limits"]] == [True, True]
    points = told["front"]["points"]
    assert len(points) > 1 and all(point["values"]["memory"] <= 400 for point in points)
    first = next(point for point in points if not point["is_baseline"])
    assert first["trial"] == told["incumbent"]["trial"]


def test_what_a_limit_bounds_outlives_the_metrics(aimed: Server, told: Mapping[str, Any]) -> None:
    aimed.clock.advance(3 * 86_400)
    aimed.store.retention.apply(keep_days=1)
    windows = aimed.store.windows.of_session(1)
    assert all(window.rolled_up for window in windows)
    assert all("latency_ms_p99" in window.objectives for window in windows)
    assert not any("hit_ratio" in window.objectives for window in windows)
    after = aimed.caller(Scope.VIEWER).get("sessions/1/report").json
    for key in ("limits", "front", "trials", "confirmation", "incumbent"):
        assert after[key] == told[key], key


def test_the_page_shows_limits_front_and_what_is_beyond(
    aimed: Server, told: Mapping[str, Any]
) -> None:
    page = aimed.caller().get("/sessions/1").get_data(as_text=True)
    limits = re.search(r'<table class="limits">(.*?)</table>', page, re.S)
    assert limits and page.count("beyond the limit memory&lt;=400 MiB") > 0
    for limit in told["limits"]:
        assert html.escape(limit["text"]) in limits[1]
    front = re.search(r'<table class="fronts">(.*?)</table>', page, re.S)
    assert front
    rows = re.findall(r'<th scope="row" class="num">(\d+)</th>', front[1])
    assert [int(number) for number in rows] == [p["trial"] for p in told["front"]["points"]]
    assert front[1].count("<strong>incumbent</strong>") == 1
    kinds = re.findall(r'<circle data-kind="(\w+)"', page)
    assert kinds.count("incumbent") == 1
    assert kinds.count("beyond") == sum(
        bool(t["breaks"]) and t["kind"] != "baseline" for t in told["trials"]
    )
    assert len(kinds) == sum(bool(t["measured"]) for t in told["trials"])
    chosen = re.findall(r'<circle data-kind="\w+" cx="([\d.]+)" cy="([\d.]+)"', page)
    assert all(0 < float(x) < 640 and 0 < float(y) < 300 for x, y in chosen)


def test_a_window_without_what_a_limit_bounds_does_not_count(
    server: Any, agent: Any, window: Any
) -> None:
    session = server.start_session(limits=["latency_ms_p98<=30"])
    trial = server.add_trial(session)
    epoch = agent.work().json["epoch"]
    agent.result(trial.id, epoch, windows=[window(metrics={"latency_ms_p99": 3.0})])
    stored = server.store.trials.get(trial.id)
    assert stored.failure == "harness-failed"
    assert "latency_ms_p98 was measured in 0 of 1 planned windows" in stored.message
    assert "latency_ms_p99" in stored.message, "says what there is"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"limits": ["joy<=1"]}, "it measures: throughput, latency, memory"),
        ({"limits": ["memory<1"]}, "NAME<=NUMBER"),
        ({"objectives": ["throughput"]}, "'throughput' is there twice"),
        ({"objectives": ["memory"], "recommender": "local"}, "improves the first objective"),
    ],
)
def test_a_senseless_aim_is_refused_with_the_rule(
    agent: Any, operator: Any, body: dict[str, Any], said: str
) -> None:
    response = operator.post("sessions", {"target": "orders", **body})
    assert (response.status_code, response.json["code"]) == (422, "invalid-session")
    assert said in response.json["detail"]
