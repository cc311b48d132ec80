"""One run: what is asked, what is answered, and what is scored."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from tests.tuner.replay_tables import MODE, SIZE, bowl, load, write
from tuner.benchmark import Entry, Job, Mislead, Setting, Table, evaluate
from tuner.benchmark.contestants import Asked, Brief, Contestant
from tuner.benchmark.errors import UnknownName
from tuner.benchmark.tables import Point
from tuner.errors import SpaceExhausted


@dataclass(frozen=True, kw_only=True)
class Scripted(Entry):
    """Asks the points of its script, names the one it is told to, and keeps what it hears."""

    script: tuple[tuple[float, ...], ...] = ()
    names: tuple[float, ...] | None = None
    lane: str = ""
    kind: str = ""
    told: list[float | None] = field(default_factory=list)
    briefs: list[Brief] = field(default_factory=list)

    def enter(self, brief: Brief) -> Contestant:
        self.briefs.append(brief)
        return _Scripted(self)


class _Scripted(Contestant):
    def __init__(self, entry: Scripted) -> None:
        self.entry = entry
        self.left = list(entry.script)

    def ask(self) -> Asked:
        if not self.left:
            raise SpaceExhausted("the script is at its end")
        return Asked(point=np.array(self.left.pop(0)), lane=self.entry.lane, kind=self.entry.kind)

    def tell(self, asked: Asked, value: float | None) -> None:
        self.entry.told.append(value)

    def named(self) -> Point | None:
        return None if self.entry.names is None else np.array(self.entry.names)


def line(folder: Path, **fields: object) -> Table:
    """Five of ten sizes: the values 30, 20, 10, 40 and one that failed; median 25, best 10."""
    ten = SIZE | {"values": list(range(10))}
    rows = [(0, 30), (2, 20), (4, 10), (6, 40), (8, "failed")]
    return load(write(folder, "line", [ten], rows, **fields))


def job(table: Table, entry: Entry, **fields: object) -> Job:
    return Job(
        table=table,
        entry=entry,
        seed=0,
        setting=replace(Setting(budget=5), **fields),  # type: ignore[arg-type]
    )


def test_the_curve_is_the_best_so_far(tmp_path: Path) -> None:
    entry = Scripted(name="me", script=((0.0,), (6.0,), (2.0,), (6.0,), (4.0,)))
    run = evaluate(job(line(tmp_path), entry))
    # (30 - 10) / 15, then (20 - 10) / 15, then the best itself
    assert run.regrets == pytest.approx([4 / 3, 4 / 3, 2 / 3, 2 / 3, 0])
    assert entry.told == [30, 40, 20, 40, 10]
    assert (run.task, run.family, run.contestant, run.evaluations) == ("line", "toy", "me", 5)


def test_gains_go_up(tmp_path: Path) -> None:
    entry = Scripted(name="me", script=((2.0,), (4.0,), (0.0,), (6.0,), (6.0,)))
    run = evaluate(job(line(tmp_path, direction="max"), entry))
    # the median is 25, the best 40
    assert run.regrets == pytest.approx([20 / 15, 20 / 15, 10 / 15, 0, 0])


def test_repeats_by_row_and_by_suggestion(tmp_path: Path) -> None:
    # 1 and 0 are nearest to the row 0; the second 0 is the very same suggestion
    entry = Scripted(name="me", script=((0.0,), (1.0,), (0.0,), (4.0,), (4.0,)))
    run = evaluate(job(line(tmp_path), entry))
    assert (run.repeated_rows, run.repeated_points, run.remeasured) == (3, 2, 0)
    said = replace(entry, lane="racing", kind="re-measure")
    run = evaluate(job(line(tmp_path), said))
    assert run.remeasured == 5
    assert run.lanes == {"racing/re-measure": 5}


def test_failures_are_told_and_never_scored(tmp_path: Path) -> None:
    entry = Scripted(name="me", script=((8.0,), (9.0,), (2.0,), (8.0,), (0.0,)))
    run = evaluate(job(line(tmp_path), entry))
    assert entry.told == [None, None, 20, None, 30]
    assert run.failures == 3
    # until something is measured: as bad as the worst row, (40 - 10) / 15
    assert run.regrets == pytest.approx([2, 2, 2 / 3, 2 / 3, 2 / 3])


def test_a_contestant_with_nothing_left_stays_where_it_is(tmp_path: Path) -> None:
    run = evaluate(job(line(tmp_path), Scripted(name="me", script=((2.0,),))))
    assert run.regrets == pytest.approx([2 / 3] * 5)
    assert run.evaluations == 1
    none = evaluate(job(line(tmp_path), Scripted(name="me")))
    assert none.regrets == pytest.approx([2] * 5)


def test_with_noise_the_true_value_of_what_is_named_counts(tmp_path: Path) -> None:
    table = line(tmp_path)
    best = ((4.0,),) * 5
    run = evaluate(job(table, Scripted(name="me", script=best, names=(0.0,)), noise=0.1))
    assert run.regrets == pytest.approx([4 / 3] * 5)
    run = evaluate(job(table, Scripted(name="me", script=best), noise=0.1))
    assert run.regrets == pytest.approx([2] * 5)
    run = evaluate(job(table, Scripted(name="me", script=best, names=(8.0,)), noise=0.1))
    assert run.regrets == pytest.approx([2] * 5)


def test_noise_is_drawn_anew_each_time_and_the_same_for_all(tmp_path: Path) -> None:
    table = line(tmp_path)
    one = Scripted(name="one", script=((4.0,),) * 400, names=(4.0,))
    other = Scripted(name="other", script=((4.0,),) * 400, names=(4.0,))
    for entry in (one, other):
        evaluate(job(table, entry, noise=0.1, budget=400))
    assert one.told == other.told
    logs = np.log([value / 10 for value in one.told if value is not None])
    assert len(set(logs)) == 400
    assert logs.std() == pytest.approx(0.1, rel=0.15)
    assert logs.mean() == pytest.approx(0, abs=0.02)


def sourced(folder: Path) -> tuple[Table, Table]:
    target = load(bowl(folder, "g__target", transfer_group="g", role="target"))
    source = load(bowl(folder, "g__source", transfer_group="g", role="source"))
    return target, source


def test_history_is_rows_of_the_sources(tmp_path: Path) -> None:
    target, source = sourced(tmp_path)
    entry = Scripted(name="me", script=((0.0, 0.0),))
    evaluate(replace(job(target, entry, history=6), sources=(source,)))
    [known] = entry.briefs[0].sources
    assert known.table is source
    rows = {tuple(row): value for row, value in zip(source.rows, source.values, strict=True)}
    assert len({tuple(point) for point in known.points}) == 6
    for point, value in zip(known.points, known.values, strict=True):
        assert rows[tuple(point)] == value
    told = known.history()
    assert told["task"] == "g__source" and told["params"] == [MODE, SIZE]
    assert told["observations"][0] == (source.configuration(known.points[0]), known.values[0])


@pytest.mark.parametrize(("mislead", "signs"), [(Mislead.ADD, [1, -1]), (Mislead.ONLY, [-1])])
def test_a_misleading_source_says_the_opposite(
    tmp_path: Path, mislead: Mislead, signs: list[int]
) -> None:
    target, source = sourced(tmp_path)
    entry = Scripted(name="me", script=((0.0, 0.0),))
    evaluate(replace(job(target, entry, history=6, mislead=mislead), sources=(source,)))
    assert [int(np.sign(known.values[0])) for known in entry.briefs[0].sources] == signs


def test_a_failed_row_of_history_is_told_as_such(tmp_path: Path) -> None:
    table = line(tmp_path)
    entry = Scripted(name="me", script=((0.0,),))
    evaluate(replace(job(table, entry, history=5), sources=(table,)))
    observations = entry.briefs[0].sources[0].history()["observations"]
    assert ({"size": 8}, None) in observations
    assert not any(isinstance(value, float) and math.isnan(value) for _, value in observations)


@pytest.mark.parametrize("name", ["random", "sobol", "gp"])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_same_seed_gives_the_same_curve(tmp_path: Path, name: str, noise: float) -> None:
    table = load(bowl(tmp_path))
    wanted = job(table, Entry.recommender(name), budget=12, noise=noise)
    first, again = evaluate(wanted), evaluate(wanted)
    assert replace(first, ms_cpu=0, ms_wall=0) == replace(again, ms_cpu=0, ms_wall=0)
    assert sum(first.lanes.values()) == first.evaluations == 12


def test_another_seed_gives_another_curve(tmp_path: Path) -> None:
    wanted = job(load(bowl(tmp_path)), Entry.recommender("random"), budget=12)
    curves = {evaluate(replace(wanted, seed=seed)).regrets for seed in range(6)}
    assert len(curves) > 1


def test_an_exhausted_space_ends_a_recommender_not_the_benchmark(tmp_path: Path) -> None:
    run = evaluate(job(load(bowl(tmp_path)), Entry.recommender("random"), budget=20))
    assert run.evaluations == 15 and len(run.regrets) == 20
    assert run.regrets[-1] == 0 and run.repeated_rows == 0


def test_contestants_by_name() -> None:
    assert Entry.recommender("gp:deterministic:a=1:b=x=y") == Entry(
        name="gp", options={"a": "1", "b": "x=y"}, deterministic=True
    )
    assert Entry.recommender("gp:deterministic:a=1").label == "gp:deterministic:a=1"
    assert Entry(name="smac", peer=True).label == "peer:smac"
    with pytest.raises(UnknownName, match="options are written gp:option=value"):
        Entry.recommender("gp:fast")
