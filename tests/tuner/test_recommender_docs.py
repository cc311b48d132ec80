"""The page on writing a recommender: its example passes the contract, its snippet runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tuner.recommenders.auto import default_lanes
from tuner.recommenders.base import Recommender
from tuner.testing import RecommenderContract

DOCS = Path(__file__).parents[2] / "docs"


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (DOCS / "writing-a-recommender.md").read_text(), re.S)


class TestHillClimber(RecommenderContract):
    def make_recommender(self, options: Mapping[str, object]) -> Recommender:
        names: dict[str, type[Recommender]] = {}
        exec(blocks()[0], names)
        return names["HillClimber"](options)


def test_the_last_example_runs(capsys) -> None:  # type: ignore[no-untyped-def]
    exec(blocks()[-1], {})
    assert "95 % confidence" in capsys.readouterr().out


def test_every_lane_is_on_the_page_with_its_credit() -> None:
    lines = (DOCS / "recommenders.md").read_text().splitlines()
    for lane in default_lanes():
        credit = f"| {lane.won:g} and {lane.lost:g} |"
        assert any(
            line.startswith(f"| `{lane.name}` |") and line.endswith(credit) for line in lines
        )
