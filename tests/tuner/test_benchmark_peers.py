"""Peers: each plays by the rules, and says what it needs. Those not installed are skipped."""

from __future__ import annotations

import importlib.util
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from targets.errors import MissingExtra
from tests.tuner.replay_tables import COUNT, MODE, SHARE, SIZE, bowl, load, write
from tuner.benchmark import Entry, Job, Setting, Table, evaluate
from tuner.benchmark.contestants import Asked, Brief, Source
from tuner.benchmark.errors import PeerFailed, UnknownName
from tuner.benchmark.peers import PEERS, check_peer, child, missing
from tuner.benchmark.peers.base import Peer
from tuner.benchmark.peers.optuna_tpe import WarmTreeParzenPeer, starts
from tuner.benchmark.tables import Point

HERE = [name for name, entry in PEERS.items() if not entry.own_environment]


@pytest.fixture
def mixed(tmp_path: Path) -> Table:
    """Every type of parameter, one with a single level, and rows that fail."""
    rng = np.random.default_rng(0)
    single = {"name": "only", "type": "ordinal", "values": [7]}
    rows = [
        (
            int(rng.integers(3)),
            int(rng.integers(5)),
            float(rng.uniform(0, 10)),
            int(rng.integers(1, 1001)),
            0,
            "failed" if number % 7 == 0 else float(rng.uniform(5, 9)),
        )
        for number in range(60)
    ]
    params = [MODE, SIZE, SHARE, COUNT, single]
    return load(write(tmp_path, "mixed", params, rows, direction="max"))


def job(table: Table, name: str, *, budget: int = 11, noise: float = 0.0) -> Job:
    """The budget is one more than most peers draw at random."""
    entry = Entry(name=name, peer=True)
    return Job(table=table, entry=entry, seed=3, setting=Setting(budget=budget, noise=noise))


@pytest.mark.parametrize("noise", [0.0, 0.1])
@pytest.mark.parametrize("name", HERE)
def test_a_peer_takes_every_type_and_failure_and_repeats_itself_by_seed(
    mixed: Table, name: str, noise: float
) -> None:
    package = PEERS[name].package
    if package:
        pytest.importorskip(package)
    with threadpool_limits(1):
        first, again = (evaluate(job(mixed, name, noise=noise)) for _ in range(2))
    assert first.contestant == f"peer:{name}"
    assert first.evaluations == 11
    assert first.ms_wall > 0
    assert replace(first, ms_cpu=0, ms_wall=0) == replace(again, ms_cpu=0, ms_wall=0)


class Listening(Peer):
    """A peer that writes down what it learns."""

    def __init__(self, brief: Brief) -> None:
        super().__init__(brief)
        self.learnt: list[tuple[float, float]] = []

    def suggest(self) -> Point:
        raise NotImplementedError

    def learn(self, point: Point, cost: float) -> None:
        self.learnt.append((float(point[0]), cost))


def brief(table: Table, *sources: Source) -> Brief:
    return Brief(table=table, seed=0, budget=9, noisy=False, sources=sources)


def asked(number: float) -> Asked:
    return Asked(point=np.array([number]))


def test_a_failure_costs_the_worst_so_far_once_there_is_one(mixed: Table) -> None:
    peer = Listening(brief(mixed))  # more is better: costs are negative
    peer.tell(asked(1), None)
    assert peer.learnt == [] and peer.named() is None
    peer.tell(asked(2), 5.0)
    peer.tell(asked(3), 3.0)
    peer.tell(asked(4), None)
    peer.tell(asked(5), 8.0)
    assert peer.learnt == [(2, -5), (1, -5), (3, -3), (4, -3), (5, -8)]
    named = peer.named()
    assert named is not None and named[0] == 5


def test_the_warm_start_evaluates_the_best_of_each_source(tmp_path: Path) -> None:
    target = load(bowl(tmp_path, "target"))
    near = load(bowl(tmp_path, "near"))
    far_size = SIZE | {"values": [1, 3, 16, 99]}
    rows = [(0, 1, 9.0), (1, 3, 1.0), (2, 0, 5.0), (0, 2, "failed"), (2, 2, 2.0)]
    far = load(write(tmp_path, "far", [MODE, far_size], rows, direction="max"))
    sources = [Source(table=one, points=one.rows, values=one.values) for one in (near, far)]
    wanted = [
        (1, 2),  # b with 4: the best of near
        (0, 1),  # a with 3: the best of far, nearest to 2
        (1, 1),  # b with 2
        (2, 0),  # c with 1
        (1, 3),  # b with 8
        (2, 4),  # c with 16
    ]
    told = brief(target, *sources)
    assert [tuple(map(int, point)) for point in starts(told)] == wanted
    peer = WarmTreeParzenPeer(told)
    for point in wanted:
        suggestion = peer.ask()
        assert tuple(map(int, suggestion.point)) == point
        peer.tell(suggestion, 1.0)


def test_a_peer_that_is_not_installed_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"peer smac needs .* smac.*lontra\[bench\]"):
        check_peer("smac")
    assert missing("smac") and not missing("random")


def test_peers_that_cannot_run_are_refused_before_any_does() -> None:
    with pytest.raises(UnknownName, match="peer 'hbo' is none of random, optuna-tpe"):
        check_peer("hbo")
    with pytest.raises(UnknownName, match="--peer-python hebo=/path/to/python"):
        check_peer("hebo")
    with pytest.raises(UnknownName, match="leave its --peer-python out"):
        check_peer("random", python=sys.executable)


CHILD = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message["op"] == "start":
        names, count = [p["name"] for p in message["params"]], 0
        answer = {}
    elif message["op"] == "ask":
        count += 1
        answer = {"point": [count % 3, 2.0]} if names == ["mode", "size"] else {"error": names}
    elif count < 4:
        answer = {}
    elif ENDING == "error":
        answer = {"error": "ValueError: told %s" % message["cost"]}
    else:
        sys.exit(3)
    print(json.dumps(answer | {"cpu_seconds": count * 10.0}), flush=True)
"""


@pytest.fixture
def scripted_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The child peer with a script of the test's own."""
    script = tmp_path / "child.py"
    monkeypatch.setattr(child.HeboPeer, "script", script)
    return script


@pytest.mark.parametrize(
    ("ending", "said"), [("error", "ValueError: told 10"), ("exit", "the child is gone")]
)
def test_a_peer_in_a_process_of_its_own(
    tmp_path: Path, scripted_child: Path, ending: str, said: str
) -> None:
    scripted_child.write_text(textwrap.dedent(CHILD).replace("ENDING", repr(ending)))
    table = load(bowl(tmp_path))
    wanted = job(table, "hebo", budget=3)
    entry = replace(wanted.entry, python=sys.executable)
    run = evaluate(replace(wanted, entry=entry))
    # points b, c, a with size 4, which cost 10, 15, 15
    assert run.regrets == (0, 0, 0)
    assert run.ms_cpu >= 10_000
    with pytest.raises(PeerFailed, match=said):
        evaluate(replace(wanted, entry=entry, setting=Setting(budget=4)))


def test_an_interpreter_that_is_not_there_is_named(tmp_path: Path) -> None:
    entry = Entry(name="hebo", peer=True, python=str(tmp_path / "python"))
    with pytest.raises(PeerFailed, match=r"python: No such file"):
        evaluate(replace(job(load(bowl(tmp_path)), "hebo"), entry=entry))


def test_a_child_that_cannot_import_its_peer_says_so(tmp_path: Path) -> None:
    if importlib.util.find_spec("hebo") is not None:
        pytest.skip("HEBO is installed here")
    entry = Entry(name="hebo", peer=True, python=sys.executable)
    with pytest.raises(PeerFailed, match="ModuleNotFoundError"):
        evaluate(replace(job(load(bowl(tmp_path)), "hebo"), entry=entry))


def test_every_peer_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "replay-benchmark.md").read_text()
    assert [name for name in PEERS if f"`{name}`" not in page] == []
