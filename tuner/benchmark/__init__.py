"""The replay benchmark: recommenders and other people's optimizers on recorded systems.

`lontra bench replay` runs it; docs/replay-benchmark.md says what it measures and how.
"""

from __future__ import annotations

from tuner.benchmark.contestants import Entry
from tuner.benchmark.evaluating import Job, Mislead, Run, Setting, evaluate
from tuner.benchmark.page import curves_page
from tuner.benchmark.printing import (
    as_markdown,
    as_text,
    columns,
    figure_rows,
    lane_rows,
    markdown_table,
)
from tuner.benchmark.reaching import reach, reach_rows
from tuner.benchmark.results import ResultsFile, read_runs
from tuner.benchmark.running import choose_tables, plan, run_all
from tuner.benchmark.scoring import Scoring
from tuner.benchmark.snapping import Snapper
from tuner.benchmark.summary import summarise
from tuner.benchmark.tables import RECORDED, Table, load_tables

__all__ = [
    "RECORDED",
    "Entry",
    "Job",
    "Mislead",
    "ResultsFile",
    "Run",
    "Scoring",
    "Setting",
    "Snapper",
    "Table",
    "as_markdown",
    "as_text",
    "choose_tables",
    "columns",
    "curves_page",
    "evaluate",
    "figure_rows",
    "lane_rows",
    "load_tables",
    "markdown_table",
    "plan",
    "reach",
    "reach_rows",
    "read_runs",
    "run_all",
    "summarise",
]
