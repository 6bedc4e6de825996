"""Lays out the figures as tables in Markdown, for the README and the docs, and as ratios."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.served.measure import Figures
from benchmarks.served.projects import Project
from benchmarks.served.ways import is_ours

HEADINGS = ("median ms", "p95 ms", "refused", "broken off", "slowest ms", "missed")


def summary(figures: Sequence[Figures], projects: Sequence[Project]) -> str:
    """One line a way, one column a project: the median in ms, and the requests lost at a save."""
    projects = [project for project in projects if any(one.project == project.name for one in figures)]
    found = {(one.way, one.project): one for one in figures}
    titles = {one.way: one.title for one in figures}
    rows = []
    for way in sorted(titles, key=lambda way: _speed(figures, way)):
        cells = [_short(found.get((way, project.name))) for project in projects]
        rows.append([f"`{titles[way]}`" if is_ours(way) else titles[way], *cells])
    return _table(["from the save to the answer", *(project.title for project in projects)], rows)


def _short(one: Figures | None) -> str:
    if one is None or one.median is None:
        return "-"
    lost = round(one.refused + one.failed)
    return f"{one.median:.0f} ms, {lost or 'none'} refused"


def _speed(figures: Sequence[Figures], way: str) -> float:
    """The mean of its medians as parts of the slowest of each project: what the lines are sorted by."""
    parts = [
        (one.median or 0.0) / max(other.median or 0.0 for other in figures if other.project == one.project)
        for one in figures
        if one.way == way and one.median is not None
    ]
    return sum(parts) / len(parts) if parts else 2.0


def details(figures: Sequence[Figures], projects: Sequence[Project]) -> str:
    """All of them, one table a project; requests are those of one save."""
    parts = []
    for project in projects:
        rows = [one for one in figures if one.project == project.name]
        if rows:
            rows.sort(key=lambda one: one.median or 1e9)
            parts.append(_table([project.title, *HEADINGS], [_cells(one) for one in rows]))
    return "\n\n".join(parts)


def _cells(one: Figures) -> list[str]:
    numbers = (one.median, one.p95, one.refused, one.failed, one.slowest)
    title = f"`{one.title}`" if is_ours(one.way) else one.title
    return [title, *("-" if number is None else f"{number:.0f}" for number in numbers), str(one.missed)]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[at]) for line in (head, *rows)) for at in range(len(head))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(_line(line, widths) for line in (head, rule, *rows))


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    padded = [
        first.ljust(widths[0]),
        *(one.rjust(width) for one, width in zip(others, widths[1:], strict=True)),
    ]
    return f"| {' | '.join(padded)} |"


def ratios(figures: Sequence[Figures], projects: Sequence[Project]) -> str:
    """How many times as fast as the best other tool each way of reloaderd is."""
    lines = []
    for project in projects:
        rows = [one for one in figures if one.project == project.name and one.median]
        others = [one for one in rows if not is_ours(one.way)]
        if others:
            best = min(others, key=lambda one: one.median or 0.0)
            times = [
                f"{one.way} {best.median / one.median:.1f}"
                for one in rows
                if is_ours(one.way) and best.median and one.median
            ]
            lines.append(f"{project.name}, times as fast as {best.title}: {', '.join(times)}")
    return "\n".join(lines)
