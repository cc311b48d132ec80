"""Many runs: which are made, what is kept of them, and how a benchmark goes on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.tuner.replay_tables import MODE, bowl, load, write
from tuner.benchmark import (
    Entry,
    Job,
    ResultsFile,
    Run,
    Setting,
    Table,
    choose_tables,
    plan,
    read_runs,
    run_all,
)
from tuner.benchmark.contestants import Brief, Contestant
from tuner.benchmark.errors import InvalidResults, InvalidTable, UnknownName
from tuner.benchmark.results import COLUMNS

RANDOM = Entry(name="random", peer=True)
OURS = Entry.recommender("random")


@dataclass(frozen=True, kw_only=True)
class Breaking(Entry):
    """A contestant that cannot even begin."""

    def enter(self, brief: Brief) -> Contestant:
        raise RuntimeError("out of order")


def tables(folder: Path) -> list[Table]:
    paths = [
        bowl(folder, "one"),
        bowl(folder, "two"),
        bowl(folder, "g__far", transfer_group="g", role="target"),
        bowl(folder, "g__near", transfer_group="g", role="source"),
        bowl(folder, "h__near", transfer_group="h", role="source"),
    ]
    return sorted((load(path) for path in paths), key=lambda table: table.name)


def jobs(folder: Path, entries: list[Entry], *, seeds: int = 2, budget: int = 6) -> list[Job]:
    known = tables(folder)
    chosen = choose_tables(known, [], history=0)
    return plan(known, chosen, entries, seeds=seeds, setting=Setting(budget=budget))


def untimed(runs: list[Run]) -> list[Run]:
    still = [replace(run, ms_cpu=0, ms_wall=0) for run in runs]
    return sorted(still, key=lambda run: (run.seed, run.task, run.contestant))


@pytest.mark.parametrize(
    ("patterns", "history", "names"),
    [
        ([], 0, ["one", "two"]),
        ([], 5, ["g__far"]),
        (["t*", "g__near"], 0, ["g__near", "two"]),
        (["g__*"], 5, ["g__far"]),
    ],
)
def test_which_tables_are_searched(
    tmp_path: Path, patterns: list[str], history: int, names: list[str]
) -> None:
    chosen = choose_tables(tables(tmp_path), patterns, history=history)
    assert [table.name for table in chosen] == names


def test_a_table_nobody_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="table 'three' is none of g__far, g__near"):
        choose_tables(tables(tmp_path), ["one", "three"], history=0)
    with pytest.raises(UnknownName, match="no table is target of a transfer group"):
        choose_tables(tables(tmp_path), ["one"], history=5)


def test_a_table_that_cannot_be_scored_is_refused_before_anything_runs(tmp_path: Path) -> None:
    flat = load(write(tmp_path, "flat", [MODE], [(0, 1), (1, 1), (2, 5)]))
    with pytest.raises(InvalidTable, match="table flat: the median row is as good as the best"):
        choose_tables([flat], [], history=0)


def test_contestants_take_turns_and_every_table_comes_early(tmp_path: Path) -> None:
    order = [(job.seed, job.table.name, job.entry.label) for job in jobs(tmp_path, [OURS, RANDOM])]
    assert order[:5] == [
        (0, "one", "random"),
        (0, "one", "peer:random"),
        (0, "two", "random"),
        (0, "two", "peer:random"),
        (1, "one", "random"),
    ]


def test_sources_are_those_of_the_targets_own_group(tmp_path: Path) -> None:
    known = tables(tmp_path)
    chosen = choose_tables(known, [], history=5)
    [job] = plan(known, chosen, [OURS], seeds=1, setting=Setting(budget=5, history=5))
    assert [source.name for source in job.sources] == ["g__near"]


def test_runs_side_by_side_are_the_runs_made_one_by_one(tmp_path: Path) -> None:
    wanted = jobs(tmp_path, [OURS, RANDOM])
    alone, _ = run_all(wanted, None, processes=1)
    together, broken = run_all(wanted, None, processes=2)
    assert broken == []
    assert untimed(alone) == untimed(together)
    assert len(alone) == 8


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "out" / "runs.csv"
    made, _ = run_all(jobs(tmp_path, [OURS, RANDOM]), ResultsFile(path), processes=1)
    kept = list(read_runs([path]))
    assert [run.lanes for run in kept] == [dict(run.lanes) for run in made]
    for one, other in zip(kept, made, strict=True):
        assert one.regrets == pytest.approx(other.regrets, rel=1e-5)
        rounded = {"regrets": (), "ms_cpu": 0.0, "ms_wall": 0.0}
        assert replace(one, **rounded) == replace(other, **rounded)


def test_a_benchmark_goes_on_where_it_was_left(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    few = jobs(tmp_path, [OURS], seeds=1)
    run_all(few, ResultsFile(path), processes=1)
    told: list[tuple[int, int]] = []
    more = jobs(tmp_path, [OURS, RANDOM], seeds=2)

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    runs, _ = run_all(more, ResultsFile(path), processes=1, progress=tell)
    assert told[0] == (0, 6) and told[-1] == (6, 6)
    assert len(runs) == len(more) == 8
    assert len(path.read_text().splitlines()) == 9
    run_all(more, ResultsFile(path), processes=1, progress=tell)
    assert told[-1] == (0, 0)


def test_runs_of_another_setting_are_made_beside_those_kept(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    run_all(jobs(tmp_path, [OURS], budget=6), ResultsFile(path), processes=1)
    runs, _ = run_all(jobs(tmp_path, [OURS], budget=4), ResultsFile(path), processes=1)
    assert {run.setting.budget for run in runs} == {4}
    assert Counter(run.setting.budget for run in read_runs([path])) == {4: 4, 6: 4}


def test_a_line_cut_off_by_a_crash_is_dropped_and_made_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    wanted = jobs(tmp_path, [OURS])
    run_all(wanted, ResultsFile(path), processes=1)
    whole = path.read_text()
    path.write_text(whole[:-20])
    results = ResultsFile(path)
    assert len(results.runs) == 3
    run_all(wanted, results, processes=1)
    assert [line.split(",")[:5] for line in path.read_text().splitlines()] == [
        line.split(",")[:5] for line in whole.splitlines()
    ]


def test_a_run_that_breaks_off_is_told_and_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    wanted = jobs(tmp_path, [OURS, Breaking(name="broken")], seeds=1)
    for _ in range(2):
        runs, broken = run_all(wanted, ResultsFile(path), processes=1)
        assert [run.contestant for run in runs] == ["random", "random"]
        assert [(one.task, one.contestant) for one in broken] == [
            ("one", "broken"),
            ("two", "broken"),
        ]
        assert broken[0].reason == "RuntimeError: out of order"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("task,y\nbowl,3\n", "not a file of results: its first line must be task,family"),
        (",".join(COLUMNS) + "\nbowl\n", "line 2"),
        (",".join(COLUMNS) + "\n" + ",".join("x" for _ in COLUMNS) + "\n", "line 2"),
    ],
)
def test_another_file_is_left_alone(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "notes.csv"
    path.write_text(content)
    with pytest.raises(InvalidResults, match=said):
        ResultsFile(path)
    assert path.read_text() == content
