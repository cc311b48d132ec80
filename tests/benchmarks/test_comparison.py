"""The page of benchmarks: every figure computed from what was run, and what is absent said."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path

import pytest

from tuner.benchmark import Mislead, ResultsFile, Run, Setting, Table, load_tables
from tuner.benchmark.intervals import Figure

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))  # as it is when the command runs

import compare  # noqa: E402
from comparing.kept import Kept  # noqa: E402
from comparing.page import written  # noqa: E402
from comparing.parts import chosen_complete, parts_of  # noqa: E402
from figures import Measured, as_rows, load, save  # noqa: E402

TPE, CHANCE, CFO, WARM = "peer:optuna-tpe-mv", "peer:random", "peer:flaml-cfo", "peer:warm-tpe"
REMEDY = "make bench-all REPLAY_DATA=DIR"

Regrets = dict[int, float]
"""Regret from an evaluation on; before the first one it is 1."""


def run(
    task: str,
    contestant: str,
    regrets: Regrets,
    *,
    seed: int = 0,
    budget: int = 100,
    **rules: object,
) -> Run:
    curve, level = [], 1.0
    for at in range(1, budget + 1):
        level = regrets.get(at, level)
        curve.append(level)
    return Run(
        task=task, contestant=contestant, seed=seed, family=task.split("_", maxsplit=1)[0],
        complete=not task.endswith("sampled"), setting=Setting(budget=budget, **rules),  # type: ignore[arg-type]
        regrets=tuple(curve), evaluations=budget, repeated_rows=0, repeated_points=0,
        remeasured=0, failures=0, ms_cpu=1.0, ms_wall=1.0,
        lanes={"model/explore": budget} if contestant == "auto" else {},
    )  # fmt: skip


def table(folder: Path, name: str, **fields: object) -> None:
    """Six configurations that cost from 10 to 20 and more."""
    described = {
        "task": name, "family": name.split("_", maxsplit=1)[0], "direction": "min",
        "complete": not name.endswith("sampled"),
        "params": [{"name": "mode", "type": "categorical", "values": ["a", "b"]},
                   {"name": "size", "type": "ordinal", "values": [1, 2, 4]}],
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(described | fields))
    with (folder / f"{name}.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [
                ("mode", "size", "y"),
                *((m, s, 10 + 6 * m + 2 * s) for m, s in product((0, 1), (0, 1, 2))),
            ]
        )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two complete tables of two families, one that is sampled, and a transfer group."""
    folder = tmp_path / "data"
    for name in ("db_one", "web_two", "db_sampled"):
        table(folder, name)
    table(folder, "db_before", transfer_group="db", role="source")
    table(folder, "db_after", transfer_group="db", role="target")
    return folder


def page(folder: Path, tables: Sequence[Table], **files: Iterable[Run]) -> str:
    """The page of these parts' runs; `noise_05` stands for the part noise-05."""
    for name, runs in files.items():
        results = ResultsFile(folder / f"{name.replace('_', '-')}.csv")
        for one in runs:
            results.append(one)
    return written(
        Kept(folder=folder, parts=parts_of(tables, own=False), tables=tables), remedy=REMEDY
    )


def row(text: str, begins: str) -> list[str]:
    """The cells of the first row that begins so."""
    found = next(line for line in text.splitlines() if line.startswith(f"| {begins}"))
    return [cell.strip() for cell in found.strip("|").split("|")]


def cold(regret: float, *, at_10: float = 0.3) -> list[Run]:
    """`auto` at this regret from 25 on, TPE at 0.2, random search at 0.4, on all tables."""
    runs = []
    for task in ("db_one", "web_two", "db_sampled"):
        runs += [run(task, "auto", {10: at_10, 25: regret}), run(task, TPE, {10: 0.4, 25: 0.2})]
        runs.append(run(task, CHANCE, {10: 0.6, 25: 0.4}))
    return runs


def test_aims_are_met_or_missed_by_what_was_run(tmp_path: Path, data: Path) -> None:
    met = page(tmp_path / "met", load_tables(data), cold=cold(0.1))
    assert row(met, "share of TPE's regret at 25, complete")[1:] == [
        "at most 0.6", "0.50 (0.50..0.50)", "met",
    ]  # fmt: skip
    assert row(met, "share of random search's regret at 10, complete")[2].startswith("0.50")
    missed = page(tmp_path / "missed", load_tables(data), cold=cold(0.15, at_10=0.48))
    assert row(missed, "share of TPE's regret at 50, complete")[2:] == [
        "0.75 (0.75..0.75)", "**missed**",
    ]  # fmt: skip
    assert row(missed, "share of TPE's regret at 50, all tables")[3] == "met"
    assert row(missed, "share of random search's regret at 10, complete")[3] == "**missed**"
    verdicts = [line for line in missed.splitlines() if "**missed**" in line or "| met |" in line]
    aims = sum("| met |" in line for line in verdicts)
    assert f"{aims} of {len(verdicts)} aims are met" in missed


def test_the_family_where_a_peer_leads_most_is_named(tmp_path: Path, data: Path) -> None:
    runs = [*cold(0.1), *(run(task, CFO, {10: 0.4, 25: 0.2}) for task in ("db_one", "db_sampled"))]
    text = page(tmp_path / "b", load_tables(data), cold=[*runs, run("web_two", CFO, {25: 0.04})])
    line = row(text, "regret above the best peer's of a family at 25")
    assert "(web, flaml-cfo, at 25)" in line[0]
    assert line[2:] == ["+0.060", "**missed**"]
    assert "in web flaml-cfo at 50 (+0.060)" in text


def test_noise_is_held_against_the_best_peer_there(tmp_path: Path, data: Path) -> None:
    runs = [
        run(task, who, {50: regret}, budget=50, noise=0.05)
        for task in ("db_one", "web_two", "db_sampled")
        for who, regret in (("auto", 0.3), (TPE, 0.6), (CFO, 0.4))
    ]
    text = page(tmp_path / "b", load_tables(data), noise_05=runs)
    assert row(text, "share of the best peer's (flaml-cfo) regret at 50 with 5 % noise")[2:] == [
        "0.75 (0.75..0.75)", "**missed**",
    ]  # fmt: skip
    assert "On 0 of 3 tables the noise is as large" in text


def test_transfer_is_held_against_warm_tpe_and_cold_runs_of_the_same_seeds(
    tmp_path: Path, data: Path
) -> None:
    def runs(who: str, regrets: Sequence[float], **rules: object) -> list[Run]:
        return [
            run("db_after", who, {10: regret}, seed=seed, budget=25, **rules)
            for seed, regret in enumerate(regrets)
        ]

    text = page(
        tmp_path / "b",
        load_tables(data),
        transfer=[*runs("auto", [0.1, 0.3], history=200), *runs(WARM, [0.2, 0.4], history=200)],
        transfer_cold=runs("auto", [0.3, 0.4, 0.9]),
        misled=runs("auto", [0.35, 0.45], history=200, mislead=Mislead.ONLY),
    )
    assert row(text, "share of warm TPE's regret at 25")[2:] == ["0.67", "**missed**"]
    assert row(text, "db_after | 0")[1:6] == ["0.300", "0.300", "0.200", "0.200", "0.533"]
    assert row(text, "db_after | 0")[6].startswith("-0.150")
    misled = row(text, "regret at 25 with misleading history above the cold one")
    assert misled[2].startswith("+0.050") and misled[3] == "**missed**"


def test_what_was_not_run_is_said_and_what_was_names_its_command(
    tmp_path: Path, data: Path
) -> None:
    text = page(tmp_path / "b", load_tables(data), cold=cold(0.1))
    assert "lontra bench replay --recommenders auto,gp,parzen,forest" in text
    assert "--out cold.csv" in text
    [absent] = [part for part in text.split("\n\n") if part.startswith("These parts were not run")]
    assert "`noise-15`" in absent and "`misled`" in absent and "`cost`" in absent
    assert "`cold`" not in absent and REMEDY in " ".join(absent.split())
    assert "## HEBO" not in text and "share of warm TPE's" not in text


def test_contestants_without_runs_and_tables_without_contestants_are_said(
    tmp_path: Path, data: Path
) -> None:
    slow = [run("web_two", "peer:smac", {10: 0.4}, budget=50)]
    text = " ".join(page(tmp_path / "b", load_tables(data), cold=cold(0.1), slow=slow).split())
    assert "a run that ended: `gp`, `parzen`, `forest`, `peer:nevergrad-portfolio`" in text
    assert "a run that ended: `peer:skopt-gp`" in text
    assert "Left out: db_one (no runs of peer:smac) and db_sampled (no runs of peer:smac)." in text


def test_runs_of_other_tables_are_not_shown(tmp_path: Path, data: Path) -> None:
    runs = [*cold(0.1), *(run("web_other", who, {10: 0.9}) for who in ("auto", TPE, CHANCE))]
    text = page(tmp_path / "b", load_tables(data), cold=runs)
    assert "**Regret, all tables** (3 tables)" in text and "web_other" not in text


def test_costs_are_aims_too(tmp_path: Path, data: Path) -> None:
    place = {"table": "auto"}
    save(
        tmp_path / "b" / "cost.csv",
        [
            Measured(**place, row="100", column="ms", figure=Figure(62.4), form=".1f"),
            Measured(**place, row="100", column="to TPE's", figure=Figure(0.5, 0.4, 0.7)),
            Measured(**place, row="10000", column="growth", figure=Figure(6.7, 6.2, 13.9)),
        ],
    )
    text = page(tmp_path / "b", load_tables(data))
    assert row(text, "milliseconds of a suggestion at 100")[1:] == [
        "at most 50", "62", "**missed**",
    ]  # fmt: skip
    assert row(text, "share of TPE's time of a suggestion at 100")[3] == "met"
    assert row(text, "times a suggestion at 1000")[2:] == ["6.7 (6.2..13.9)", "met"]


def test_figures_come_back_as_they_went(tmp_path: Path) -> None:
    found = [
        Measured(table="a", row="x", column="c", figure=Figure(0.125, -0.5, 1 / 3), form="+.2f"),
        Measured(table="a", row="y", column="d", figure=Figure(0.5), form=".0%"),
    ]
    save(tmp_path / "figures.csv", found)
    assert load(tmp_path / "figures.csv") == found
    assert as_rows(found, "who") == [
        ["who", "c", "d"],
        ["x", "+0.12 (-0.50..+0.33)", "-"],
        ["y", "-", "50%"],
    ]
    (tmp_path / "other.csv").write_text("a,b\n")
    with pytest.raises(ValueError, match=r"other\.csv line 1"):
        load(tmp_path / "other.csv")


def test_few_tables_are_taken_from_the_families_by_turns(data: Path) -> None:
    table(data, "db_three")
    assert chosen_complete(load_tables(data), 3) == ["db_one", "web_two", "db_three"]


def test_a_peer_that_cannot_run_is_left_out_and_the_page_says_so(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    able = ("random", "optuna-tpe-mv")
    monkeypatch.setattr(compare, "missing", lambda name: "" if name in able else "needs it")
    where = ["--data", str(data), "--folder", str(tmp_path / "b"), "--page", str(tmp_path / "p.md")]
    quick = ["--seeds", "1", "--recommenders", "random", "--jobs", "1"]
    assert compare.main(["cold", "slow", *where, *quick]) == 0
    text = " ".join((tmp_path / "p.md").read_text().split())
    assert "| random | 1 |" in text and f"| {TPE} | 1 |" in text
    assert "`peer:nevergrad-portfolio`, `peer:flaml-cfo`" in text
    assert "`slow`" in text.split("These parts were not run")[1]
    assert "peer flaml-cfo needs it; left out" in capsys.readouterr().err


def test_a_part_that_fails_costs_the_status_and_no_other_part(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "missing", lambda name: "" if name == "random" else "needs it")
    where = ["--data", str(data), "--folder", str(tmp_path / "b"), "--page", str(tmp_path / "p.md")]
    quick = ["--seeds", "1", "--recommenders", "nobody", "--jobs", "1"]
    assert compare.main(["cold", "transfer-cold", *where, *quick]) == 1
    assert (tmp_path / "b" / "transfer-cold.csv").exists()
    assert "`cold`" in (tmp_path / "p.md").read_text().split("These parts were not run")[1]


def test_own_tables_leave_the_published_page_alone(tmp_path: Path) -> None:
    published = (ROOT / "docs" / "benchmarks.md").read_bytes()
    assert compare.main(["none", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "benchmarks.md").read_text().startswith("# Benchmarks")
    assert (ROOT / "docs" / "benchmarks.md").read_bytes() == published


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["colder"]) == 2
    assert "colder" in capsys.readouterr().err
