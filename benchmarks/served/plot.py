"""Lays out the figures: a table, and a plot as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.served.measure import Figures
from benchmarks.served.projects import Project

HEADINGS = ("", "median ms", "p95 ms", "refused", "failed", "slowest ms", "missed")

WIDTH, LEFT, RIGHT, BAR, GAP = 760, 190, 150, 18, 6
OURS, OTHERS, TEXT = "#2f81f7", "#9aa4af", "#6e7781"
"""Colours that are seen on a white and on a dark page."""


def table(figures: Sequence[Figures], projects: Sequence[Project]) -> str:
    """All of them, one table a project; requests are those of one save."""
    parts = []
    for project in projects:
        rows = [one for one in figures if one.project == project.name]
        if rows:
            lines = [[project.title, *HEADINGS[1:]], *(_cells(one) for one in rows)]
            widths = [max(len(line[at]) for line in lines) for at in range(len(HEADINGS))]
            parts.append("\n".join(_line(line, widths) for line in lines))
    return "\n\n".join(parts)


def _cells(one: Figures) -> list[str]:
    numbers = (one.median, one.p95, one.refused, one.failed, one.slowest)
    return [one.way, *("-" if number is None else f"{number:.0f}" for number in numbers), str(one.missed)]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = cells
    return "  ".join(
        [first.ljust(widths[0]), *(one.rjust(width) for one, width in zip(others, widths[1:], strict=True))]
    )


def draw(figures: Sequence[Figures], projects: Sequence[Project]) -> str:
    """Bars for the median from save to served, one group a project, and the requests refused."""
    parts: list[str] = []
    top = 10.0
    for project in projects:
        rows = [one for one in figures if one.project == project.name and one.median is not None]
        if not rows:
            continue
        rows.sort(key=lambda one: one.median or 0.0)
        parts.append(_text(0, top + 14, project.title, weight="bold"))
        top += 24
        longest = max(one.median or 0.0 for one in rows)
        for one in rows:
            length = (WIDTH - LEFT - RIGHT) * (one.median or 0.0) / longest
            color = OURS if one.way.startswith("reloaderd") else OTHERS
            middle = top + BAR - 5
            parts.append(_text(LEFT - 8, middle, one.way, anchor="end"))
            parts.append(
                f'<rect x="{LEFT}" y="{top:.0f}" width="{length:.1f}" height="{BAR}" fill="{color}"/>'
            )
            lost = one.refused + one.failed
            refused = f", {lost:.0f} refused" if lost >= 0.5 else ""
            parts.append(_text(LEFT + length + 6, middle, f"{one.median:.0f} ms{refused}"))
            top += BAR + GAP
        top += 12
    size = f'width="{WIDTH}" height="{top:.0f}" viewBox="0 0 {WIDTH} {top:.0f}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">'
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-weight="{weight}" fill="{TEXT}"'
    return f"<text {place}>{escape(text)}</text>"
