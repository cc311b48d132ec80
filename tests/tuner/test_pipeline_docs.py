"""What the pipeline's docstrings and page show, runs."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest

from tuner import pipeline

PAGE = Path(__file__).parents[2] / "docs" / "pipeline.md"


@pytest.mark.parametrize("stage", ["pruning", "mapping", "ranking", "explanation"])
def test_the_docstrings_example_holds(stage: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"tuner.pipeline.{stage}"))
    assert outcome.attempted > 0
    assert outcome.failed == 0


def test_the_pages_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
        exec(block, names)
    assert "shop" in capsys.readouterr().out


def test_every_public_name_is_on_the_page() -> None:
    told = PAGE.read_text()
    assert [name for name in pipeline.__all__ if f"`{name}" not in told] == []
