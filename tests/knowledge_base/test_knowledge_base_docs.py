"""The page on the knowledge base names every table and column, and what it shows runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from knowledge_base import Store, head
from knowledge_base.history_format import LEFT_OUT, VERSION, header_line
from knowledge_base.schema import Base
from knowledge_base.testing.scene import described, started

PAGE = (Path(__file__).parents[2] / "docs" / "knowledge-base.md").read_text()
TABLES = {
    section.partition("\n")[0]: re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    for section in PAGE.partition("\n## Tables\n")[2].split("\n### ")[1:]
}


def test_every_table_is_described_and_no_other() -> None:
    assert TABLES.keys() == Base.metadata.tables.keys()


@pytest.mark.parametrize("table", Base.metadata.tables)
def test_every_column_is_described_and_no_other(table: str) -> None:
    assert TABLES[table] == Base.metadata.tables[table].columns.keys()


def test_the_format_shown_is_the_format_written() -> None:
    assert header_line(head()) in PAGE
    assert VERSION == 1


def test_what_is_not_exported_says_so() -> None:
    silent = [
        name
        for name in LEFT_OUT
        if "Not exported." not in PAGE.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
    ]
    assert silent == []


def test_the_example_runs(
    sqlite_url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    with Store.open(sqlite_url) as store:
        session = started(store, described(store))
    monkeypatch.chdir(path.parent)
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(compile(example, "knowledge-base.md", "exec"), {})
    assert capsys.readouterr().out == f"{session.id} running 0 trials\n"


def test_the_retention_command_runs(sqlite_url: str) -> None:
    (arguments,) = re.findall(r"^lontra (db retention .*)$", PAGE, re.MULTILINE)
    subprocess.run(
        [sys.executable, "-m", "lontra.cli", "--database", sqlite_url, *arguments.split()],
        check=True,
    )
