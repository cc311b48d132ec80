"""A summary in words and columns: as text for a terminal, as Markdown for a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tuner.benchmark.intervals import Figure
from tuner.benchmark.summary import Line, Section, Summary

LANES_SHOWN = 6
ABSENT = "-"

Rows = list[list[str]]
Layout = Callable[[Rows], list[str]]


def as_text(summary: Summary, *, per_task: bool = False) -> str:
    """For a terminal."""
    return "\n".join(_page(summary, per_task, heading=lambda text, _: ["", text], layout=columns))


def as_markdown(summary: Summary, *, per_task: bool = True) -> str:
    """For a page."""
    return "\n".join(
        _page(
            summary,
            per_task,
            heading=lambda text, level: ["", f"{'#' * level} {text}", ""],
            layout=markdown_table,
        )
    )


def _page(
    summary: Summary,
    per_task: bool,
    *,
    heading: Callable[[str, int], list[str]],
    layout: Layout,
) -> Iterator[str]:
    yield from heading(f"Replay, {summary.title}", 2)
    yield (
        "Normalised regret: 0 is the best row, 1 the median row. 95 % intervals over tables (over "
        f"seeds where there is one). Ratio: mean regret over that of {summary.reference}."
    )
    for task, names in summary.left_out.items():
        yield f"Left out of all but its own table: {task}, which lacks runs of {', '.join(names)}."
    for section in summary.sections:
        yield from _section(section, summary, heading, layout)
    if any(line.lanes for line in summary.sections[0].lines):
        yield from heading("Lanes: share of suggestions", 3)
        yield from layout(lane_rows(summary.sections))
    if per_task:
        for section in summary.per_task:
            yield from _section(section, summary, heading, layout)


def _section(
    section: Section, summary: Summary, heading: Callable[[str, int], list[str]], layout: Layout
) -> Iterator[str]:
    count = len(section.tasks)
    of = f" ({count} tables)" if count > 1 else ""
    yield from heading(f"{section.title}{of}", 3)
    yield from layout(table_rows(section.lines, summary.checkpoints))


def table_rows(lines: Sequence[Line], checkpoints: Sequence[int]) -> Rows:
    """A section's figures as cells, the heads first."""
    last = checkpoints[-1]
    head = ["contestant", "seeds", *(f"regret at {at}" for at in checkpoints)]
    head += [f"ratio at {at}" for at in checkpoints]
    head += [f"rank at {last}", "repeats", "failed", "ms CPU", "ms clock"]
    return [head, *(_row(line, checkpoints) for line in lines)]


def _row(line: Line, checkpoints: Sequence[int]) -> list[str]:
    last = checkpoints[-1]
    return [
        line.contestant,
        str(line.seeds),
        *(_cell(line.regret.get(at), 3) for at in checkpoints),
        *(_cell(line.ratio.get(at), 2) for at in checkpoints),
        f"{line.rank[last]:.1f}" if last in line.rank else ABSENT,
        f"{line.repeats:.0%}",
        f"{line.failures:.0%}",
        f"{line.ms_cpu:.3g}",
        f"{line.ms_wall:.3g}",
    ]


def figure_rows(lines: Sequence[Line], checkpoints: Sequence[int], *, ratios: bool = False) -> Rows:
    """A section's regrets alone as cells, or their ratios to the reference's, the heads first."""
    rows = [["contestant", "seeds", *(f"at {at}" for at in checkpoints)]]
    for line in lines:
        figures, digits = (line.ratio, 2) if ratios else (line.regret, 3)
        cells = [_cell(figures.get(at), digits) for at in checkpoints]
        if set(cells) != {ABSENT}:
            rows.append([line.contestant, str(line.seeds), *cells])
    return rows


def _cell(figure: Figure | None, digits: int) -> str:
    return ABSENT if figure is None else f"{figure:.{digits}f}"


def lane_rows(sections: Sequence[Section]) -> Rows:
    """Whose turns they were in each section, as cells, the heads first."""
    rows = [["tables", "contestant", "lane/kind"]]
    for section in sections:
        rows += [
            [section.title, line.contestant, _shares(line.lanes)]
            for line in section.lines
            if line.lanes
        ]
    return rows


def _shares(lanes: Mapping[str, float]) -> str:
    shown = list(lanes.items())[:LANES_SHOWN]
    text = ", ".join(f"{lane} {share:.0%}" for lane, share in shown)
    rest = len(lanes) - len(shown)
    return f"{text}, {rest} more" if rest > 0 else text


def columns(rows: Rows) -> list[str]:
    """Rows with their columns in line; the first column to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows]


def _aligned(row: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    for cell, width in zip(row, widths, strict=True):
        number = cell[:1].isdigit() or cell == ABSENT
        yield cell.rjust(width) if number else cell.ljust(width)


def markdown_table(rows: Rows) -> list[str]:
    """Rows as the lines of a Markdown table, the first one its head."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    cells.insert(1, ["---"] * len(rows[0]))
    return [f"| {' | '.join(row)} |" for row in cells]
