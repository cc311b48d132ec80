"""The page of curves: whole by itself, and safe whatever names say."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from tests.tuner.test_benchmark_summary import FOUR, run
from tuner.benchmark import curves_page, summarise

EVIL = '<script>alert("1")</script>&'
VOID = {"meta", "line", "polyline"}


class Tags(HTMLParser):
    """What a browser would see: tags in order, and whether they are closed in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def tags(text: str, name: str) -> list[dict[str, str | None]]:
    return [attributes for tag, attributes in Tags(text).seen if tag == name]


def test_every_contestant_has_a_curve_in_every_section() -> None:
    text = curves_page(summarise(FOUR, reference="theirs"))
    assert Tags(text).open == []
    # all, complete, db, kernel, and each of two tasks
    assert len(tags(text, "svg")) == 6
    assert len(tags(text, "polyline")) == 12
    for attributes in tags(text, "polyline"):
        points = [pair.split(",") for pair in str(attributes["points"]).split()]
        assert len(points) == 10
        assert all(0 <= float(x) <= 720 and 0 <= float(y) <= 340 for x, y in points)


def test_less_regret_is_drawn_lower() -> None:
    text = curves_page(summarise(FOUR, reference="theirs"))
    ours, theirs = (
        float(str(attributes["points"]).split()[-1].split(",")[1])
        for attributes in tags(text, "polyline")[:2]
    )
    assert ours > theirs


def test_it_needs_nothing_from_elsewhere() -> None:
    text = curves_page(summarise(FOUR, reference="theirs"))
    assert not re.search(r"https?:|//|@import|url\(", text)
    assert {"script", "link", "img", "iframe"}.isdisjoint(tag for tag, _ in Tags(text).seen)
    assert "prefers-color-scheme: dark" in text


def test_names_are_text_and_nothing_else() -> None:
    runs = [run(EVIL, EVIL, 0, 0.1, family=EVIL), run("a", EVIL, 0, 0.1), run("a", "x", 0, 0.2)]
    text = curves_page(summarise(runs, reference=EVIL))
    assert tags(text, "script") == []
    assert EVIL not in text
    assert EVIL in Tags(text).words


def test_no_regret_left_and_one_evaluation_can_be_drawn() -> None:
    runs = [run("a", "x", 0, 0.0), run("a", "y", 0, 0.0, budget=1)]
    text = curves_page(summarise(runs, reference="x"))
    assert "nan" not in text and "inf" not in text
    # all, complete, db, and the one task
    assert len(tags(text, "polyline")) == 8
