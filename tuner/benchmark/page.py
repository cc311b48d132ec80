"""The curves of a benchmark as one HTML page that needs nothing else: no script, no other file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tuner.benchmark.printing import table_rows
from tuner.benchmark.summary import Section, Summary

WIDTH, HEIGHT = 720, 340
LEFT, RIGHT, TOP, BOTTOM = 60, 190, 12, 40

COLOURS = 10
"""So many hues are told apart; after them the lines are dashed."""

FLOOR = 1e-3
"""The logarithmic axis ends here: less regret than a thousandth is drawn as that."""

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --rule: #d5d9de; --faint: #5b6570;
  --c0: #0b5fad; --c1: #b4390c; --c2: #1a7f37; --c3: #8250df; --c4: #9a6700;
  --c5: #bf3989; --c6: #0a7a75; --c7: #57606a; --c8: #6b4a2b; --c9: #4b7a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ed; --paper: #14171b; --rule: #3a414a; --faint: #a1abb6;
    --c0: #6cb2f5; --c1: #ff9166; --c2: #5fd07f; --c3: #c297ff; --c4: #e3b341;
    --c5: #ff85c0; --c6: #4fd6cd; --c7: #b1bac4; --c8: #d3a879; --c9: #a5d64c; } }
body { margin: 0 auto; padding: 1rem 1.5rem 4rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--rule); text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
svg { width: 100%; max-width: 60rem; height: auto; }
svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
svg .name { fill: var(--ink); }
.grid { stroke: var(--rule); stroke-width: 1; }
.curve { fill: none; stroke-width: 2; stroke-linejoin: round; }
summary { cursor: pointer; font-weight: 600; margin: 1rem 0; }
p { max-width: 60rem; color: var(--faint); }
"""


def curves_page(summaries: Sequence[Summary]) -> str:
    """The page: for each summary the curves and figures of its sections, then of each table."""
    colours: dict[str, int] = {}
    for summary in summaries:
        for line in summary.sections[0].lines:
            colours.setdefault(line.contestant, len(colours))
    body = "\n".join(part for summary in summaries for part in _summary(summary, colours))
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Replay benchmark</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>Replay benchmark</h1>\n{body}\n</body>\n</html>\n"
    )


def _summary(summary: Summary, colours: Mapping[str, int]) -> Iterator[str]:
    yield f"<h2>{escape(summary.title)}</h2>"
    yield (
        "<p>Normalised regret of the best configuration so far (with noise: of the one named): 0 "
        "is the best row of a table, 1 its median row. Means over tables of means over seeds, with "
        "95 % intervals over tables, over seeds where there is one table. Ratio: mean regret over "
        f"that of {escape(summary.reference)}.</p>"
    )
    for task, names in summary.left_out.items():
        yield (
            f"<p>Left out of all but its own table: {escape(task)}, which lacks runs of "
            f"{escape(', '.join(names))}.</p>"
        )
    for section in summary.sections:
        yield from _section(section, summary.checkpoints, colours)
    yield "<details><summary>Each table apart</summary>"
    for section in summary.per_task:
        yield from _section(section, summary.checkpoints, colours)
    yield "</details>"


def _section(
    section: Section, checkpoints: Sequence[int], colours: Mapping[str, int]
) -> Iterator[str]:
    count = len(section.tasks)
    of = f" ({count} tables)" if count > 1 else ""
    yield f"<h3>{escape(section.title)}{of}</h3>"
    yield _chart(section, colours)
    head, *rows = table_rows(section.lines, checkpoints)
    yield '<div class="wide"><table><thead><tr>'
    yield "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr></thead><tbody>"
    for row in rows:
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
    yield "</tbody></table></div>"


def _chart(section: Section, colours: Mapping[str, int]) -> str:
    """Regret after each evaluation, on a logarithmic axis: late differences are small ones."""
    axes = _Axes(list(section.curves.values()))
    names = ", ".join(section.curves)
    drawn = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"Regret by evaluation on {section.title}: {names}")}">',
        *axes.draw(),
    ]
    ends = _apart([axes.down(float(curve[-1])) for curve in section.curves.values()])
    for (name, curve), label in zip(section.curves.items(), ends, strict=True):
        number = colours.get(name, len(colours))
        style = f"stroke:var(--c{number % COLOURS})"
        if number >= COLOURS:
            style += f";stroke-dasharray:{2 + 3 * (number // COLOURS)} 3"
        points = " ".join(
            f"{axes.across(at):.1f},{axes.down(regret):.1f}" for at, regret in enumerate(curve, 1)
        )
        end, beside = axes.across(len(curve)), WIDTH - RIGHT + 18
        drawn += [
            f'<polyline class="curve" style="{style}" points="{points}"/>',
            f'<line style="{style}" x1="{end + 4:.1f}" x2="{beside}" '
            f'y1="{axes.down(float(curve[-1])):.1f}" y2="{label:.1f}"/>',
            f'<text class="name" x="{beside + 4}" y="{label + 4:.1f}">{escape(name)}</text>',
        ]
    return "".join([*drawn, "</svg>"])


class _Axes:
    """Where an evaluation and a regret lie on the chart."""

    def __init__(self, curves: Sequence[NDArray[np.float64]]) -> None:
        self._length = max(map(len, curves))
        highest = max(float(curve.max()) for curve in curves)
        lowest = max(FLOOR, min(float(curve.min()) for curve in curves))
        self._top = math.log10(max(highest, 10 * FLOOR))
        self._bottom = min(math.log10(lowest), self._top - 1)

    def across(self, evaluation: int) -> float:
        share = (evaluation - 1) / max(1, self._length - 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(self, regret: float) -> float:
        place = math.log10(max(regret, FLOOR))
        share = (self._top - place) / (self._top - self._bottom)
        return TOP + min(max(share, 0.0), 1.0) * (HEIGHT - TOP - BOTTOM)

    def draw(self) -> Iterator[str]:
        """The rules and their numbers."""
        right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
        for regret in self._regrets():
            y = self.down(regret)
            yield f'<line class="grid" x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{regret:g}</text>'
        for evaluation in self._evaluations():
            x = self.across(evaluation)
            yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{foot}"/>'
            yield f'<text x="{x:.1f}" y="{foot + 16}" text-anchor="middle">{evaluation}</text>'
        middle = (LEFT + right) / 2
        yield f'<text x="{middle:.0f}" y="{HEIGHT - 6}" text-anchor="middle">evaluations</text>'
        height = (TOP + foot) / 2
        yield (
            f'<text x="14" y="{height:.0f}" text-anchor="middle" '
            f'transform="rotate(-90 14 {height:.0f})">normalised regret (log scale)</text>'
        )

    def _regrets(self) -> Iterator[float]:
        for power in range(math.floor(self._bottom), math.ceil(self._top) + 1):
            for digit in (1, 2, 5):
                regret = digit * 10.0**power
                if self._bottom - 1e-9 <= math.log10(regret) <= self._top + 1e-9:
                    yield regret

    def _evaluations(self) -> list[int]:
        wanted = (1, 10, 25, 50, 75, 100) if self._length <= 100 else ()
        shown = [at for at in wanted if at <= self._length]
        if len(shown) > 1:
            return shown
        step = max(1, self._length // 5)
        return list(range(1, self._length + 1, step))


def _apart(wanted: Sequence[float], *, least: float = 15.0) -> list[float]:
    """Labels moved down, and then up, until none covers another."""
    order = sorted(range(len(wanted)), key=lambda place: wanted[place])
    placed = list(wanted)
    for before, place in pairwise(order):
        placed[place] = max(placed[place], placed[before] + least)
    limit = HEIGHT - BOTTOM + 24.0
    for place in reversed(order):
        placed[place] = min(placed[place], limit)
        limit = placed[place] - least
    return placed
