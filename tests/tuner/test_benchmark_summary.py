"""What is said about many runs, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tuner.benchmark import Mislead, Run, Setting
from tuner.benchmark.errors import UnknownName
from tuner.benchmark.intervals import Figure, over_seeds, over_tasks, ratio_over_tasks
from tuner.benchmark.printing import as_markdown, as_text, figure_rows
from tuner.benchmark.summary import Line, Section, Summary, summarise


def run(
    task: str, contestant: str, seed: int, regret: float, *, budget: int = 10, **fields: object
) -> Run:
    """A run whose regret is 1 before its end and the one given at it."""
    values: dict[str, object] = {
        "family": "db",
        "complete": True,
        "setting": Setting(budget=budget),
        "regrets": (1.0,) * (budget - 1) + (regret,),
        "evaluations": budget,
        "repeated_rows": 0,
        "repeated_points": 0,
        "remeasured": 0,
        "failures": 0,
        "ms_cpu": 1.0,
        "ms_wall": 2.0,
        "lanes": {},
    }
    return Run(task=task, contestant=contestant, seed=seed, **(values | fields))  # type: ignore[arg-type]


def section(summary: Summary, title: str) -> Section:
    return next(one for one in summary.sections if one.title == title)


def line(found: Section, contestant: str) -> Line:
    return next(one for one in found.lines if one.contestant == contestant)


FOUR = [
    # task a: ours .1 and .3, theirs .4; task b: ours .6, theirs .8 and 1.2
    run("a", "ours", 0, 0.1),
    run("a", "ours", 1, 0.3),
    run("a", "theirs", 0, 0.4),
    run("b", "ours", 0, 0.6, family="kernel", complete=False),
    run("b", "theirs", 0, 0.8, family="kernel", complete=False),
    run("b", "theirs", 1, 1.2, family="kernel", complete=False),
]


def test_a_task_counts_once_whatever_its_seeds() -> None:
    [summary] = summarise(FOUR, reference="theirs")
    every = section(summary, "all tables")
    assert every.tasks == ("a", "b")
    assert line(every, "ours").regret[10].value == pytest.approx((0.2 + 0.6) / 2)
    assert line(every, "theirs").regret[10].value == pytest.approx((0.4 + 1.0) / 2)
    assert line(every, "ours").ratio[10].value == pytest.approx(0.4 / 0.7)
    assert line(every, "ours").rank[10] == 1
    assert line(every, "theirs").rank[10] == 2
    assert line(every, "theirs").ratio == {}
    assert [one.contestant for one in every.lines] == ["ours", "theirs"]
    assert every.curves["ours"] == pytest.approx([1.0] * 9 + [0.4])


def test_families_and_complete_tables_apart() -> None:
    [summary] = summarise(FOUR, reference="theirs")
    assert [one.title for one in summary.sections] == [
        "all tables",
        "complete tables",
        "db",
        "kernel",
    ]
    assert section(summary, "complete tables").tasks == ("a",)
    assert line(section(summary, "kernel"), "ours").regret[10].value == pytest.approx(0.6)


def test_ties_share_their_ranks() -> None:
    runs = [run("a", name, 0, regret) for name, regret in [("x", 0.5), ("y", 0.5), ("z", 0.1)]]
    [summary] = summarise(runs, reference="x")
    ranks = {one.contestant: one.rank[10] for one in summary.sections[0].lines}
    assert ranks == {"z": 1, "x": 2.5, "y": 2.5}


def test_tables_that_one_lacks_are_left_out_and_named() -> None:
    [summary] = summarise([*FOUR, run("c", "ours", 0, 0.9)], reference="theirs")
    assert summary.left_out == {"c": ("theirs",)}
    assert section(summary, "all tables").tasks == ("a", "b")
    assert [one.title for one in summary.per_task] == ["a", "b", "c"]
    assert "Left out of all but its own table: c, which lacks runs of theirs" in as_text(summary)
    with pytest.raises(UnknownName, match="no table has runs of all of ours, slow"):
        summarise([run("a", "ours", 0, 0.1), run("b", "slow", 0, 0.1)], reference="ours")


def test_a_smaller_budget_is_compared_as_far_as_it_reaches() -> None:
    runs = [run("a", "fast", 0, 0.1, budget=50), run("a", "slow", 0, 0.5, budget=25)]
    [summary] = summarise(runs, reference="fast")
    assert summary.checkpoints == (10, 25, 50)
    [fast, slow] = summary.sections[0].lines
    assert (list(fast.regret), list(slow.regret)) == ([10, 25, 50], [10, 25])
    assert slow.ratio[25].value == pytest.approx(0.5)
    assert fast.rank == {10: 1.5, 25: 2, 50: 1}
    assert "-" in as_text(summary)


def test_of_two_budgets_the_longer_counts() -> None:
    runs = [run("a", "x", 0, 0.9, budget=10), run("a", "x", 0, 0.1, budget=20)]
    [summary] = summarise(runs, reference="x")
    assert summary.sections[0].lines[0].seeds == 1
    assert summary.sections[0].lines[0].regret[20].value == pytest.approx(0.1)


def test_the_end_of_an_odd_budget_is_told() -> None:
    [summary] = summarise([run("a", "x", 0, 0.1, budget=30)], reference="x")
    assert summary.checkpoints == (10, 25, 30)


def test_rules_are_not_mixed() -> None:
    history = Setting(budget=10, history=200, mislead=Mislead.ADD)
    runs = [
        run("a", "x", 0, 0.1),
        run("a", "x", 0, 0.2, setting=Setting(budget=10, noise=0.05)),
        run("a", "x", 0, 0.3, setting=history),
    ]
    summaries = summarise(runs, reference="x")
    assert [summary.title for summary in summaries] == [
        "cold, no noise",
        "cold, noise 0.05",
        "history of 200 rows a source, a misleading source added, no noise",
    ]
    regrets = [summary.sections[0].lines[0].regret[10].value for summary in summaries]
    assert regrets == pytest.approx([0.1, 0.2, 0.3])


def test_a_reference_that_did_not_run_is_refused() -> None:
    with pytest.raises(UnknownName, match="reference peer:smac has no runs"):
        summarise(FOUR, reference="peer:smac")


def test_conduct_is_told() -> None:
    runs = [
        run("a", "x", 0, 0.1, repeated_rows=5, remeasured=2, failures=1, ms_cpu=1.0),
        run("a", "x", 1, 0.1, ms_cpu=3.0, lanes={"gp/exploit": 8, "start/explore": 2}),
    ]
    [summary] = summarise(runs, reference="x")
    [found] = summary.sections[0].lines
    assert (found.repeats, found.failures, found.ms_cpu) == (3 / 20, 1 / 20, 2.0)
    assert found.lanes == {"gp/exploit": 0.4, "start/explore": 0.1}
    assert "gp/exploit 40%, start/explore 10%" in as_text(summary)


def test_the_interval_over_seeds_is_students() -> None:
    # mean 2, standard deviation 1, 3 seeds: t(0.975, 2) = 4.3027, over the root of 3
    figure = over_seeds(np.array([1.0, 2.0, 3.0]))
    assert figure.value == 2
    assert (figure.low, figure.high) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)
    assert over_seeds(np.array([0.5])).low is None


def test_the_interval_over_tasks_is_of_resampled_tasks() -> None:
    # two tasks: a resample's mean is 0, 0.5 or 1, so that the interval is the whole of it
    figure = over_tasks(np.array([0.0, 1.0]))
    assert (figure.value, figure.low, figure.high) == (0.5, 0, 1)
    many = over_tasks(np.linspace(0, 1, 41))
    # the normal approximation: 0.5 -+ 1.96 * 0.2958 / sqrt(41)
    assert many.low == pytest.approx(0.5 - 0.0906, abs=0.01)
    assert many.high == pytest.approx(0.5 + 0.0906, abs=0.01)
    assert over_tasks(np.array([0.3])).low is None


def test_the_ratio_is_resampled_in_pairs() -> None:
    means = np.array([0.1, 0.2, 0.9])
    figure = ratio_over_tasks(means / 2, means)
    assert figure is not None
    # each task is half of the reference: pairs say so whatever is drawn
    assert (figure.value, figure.low, figure.high) == pytest.approx((0.5, 0.5, 0.5))
    assert ratio_over_tasks(means, np.zeros(3)) is None


def test_markdown_is_a_table_a_page_can_show() -> None:
    [summary] = summarise(FOUR, reference="theirs")
    lines = as_markdown(summary).splitlines()
    table = [text for text in lines if text.startswith("|")]
    assert len({text.count("|") for text in table if "lane" not in text}) == 1
    assert "## Replay, cold, no noise" in lines
    ours = next(text for text in table if text.startswith("| ours |"))
    assert "0.400" in ours and "0.57" in ours


def test_regrets_and_ratios_make_tables_of_their_own() -> None:
    [summary] = summarise(FOUR, reference="theirs")
    lines = section(summary, "all tables").lines
    assert figure_rows(lines, [10]) == [
        ["contestant", "seeds", "at 10"],
        ["ours", "1", "0.400 (0.200..0.600)"],
        ["theirs", "1", "0.700 (0.400..1.000)"],
    ]
    assert figure_rows(lines, [10], ratios=True) == [
        ["contestant", "seeds", "at 10"],
        ["ours", "1", "0.57 (0.50..0.60)"],
    ]


def test_a_figure_is_written_with_its_interval() -> None:
    assert f"{Figure(0.125, -0.5, 2.0):+.2f}" == "+0.12 (-0.50..+2.00)"
    assert f"{Figure(0.125):.0%}" == "12%"
