"""Draws the figures as SVG: a bar a way, a group a project, as a README shows it on a light or a dark page.

Facts
- GitHub shows an SVG as an image: no script, no font from elsewhere; and a dark page is the choice of the
  person on GitHub, which `prefers-color-scheme` need not agree with.  So each colour is one that is read on
  both.
- Without width and height an SVG is as wide as there is room, and keeps the shape of its viewBox.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from benchmarks.served.measure import Figures
from benchmarks.served.projects import Project
from benchmarks.served.ways import is_ours

WIDTH, LEFT, RIGHT, BAR, GAP = 920, 375, 195, 20, 6
SIZE = 15
OURS, OTHERS, TEXT = "#2f81f7", "#9aa4af", "#727c87"
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
CAPTION = (
    "From a save to the first answer that shows it (median), and what was refused at 200 requests a second."
)


def draw(figures: Sequence[Figures], projects: Sequence[Project]) -> str:
    """All projects, the quickest way of each first."""
    parts: list[str] = []
    top = 6.0
    for project in projects:
        rows = [one for one in figures if one.project == project.name and one.median is not None]
        if rows:
            parts.append(_text(0, top + SIZE, project.title, "h"))
            top += SIZE + 12
            rows.sort(key=lambda one: one.median or 0.0)
            longest = max(one.median or 0.0 for one in rows)
            for one in rows:
                parts += _bar(one, top, (WIDTH - LEFT - RIGHT) * (one.median or 0.0) / longest)
                top += BAR + GAP
            top += 14
    parts.append(_text(0, top + SIZE - 4, CAPTION, "c"))
    top += SIZE + 6
    style = (
        f"text{{font:{SIZE}px {FONT};fill:{TEXT}}}"
        f".h{{font-size:{SIZE + 2}px;font-weight:600}}.c{{font-size:13px}}"
        f".l{{text-anchor:end}}.o{{font-weight:600;fill:{OURS}}}rect{{fill:{OTHERS}}}rect.o{{fill:{OURS}}}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" role="img">'
    title = f"<title>{escape(CAPTION)}</title>"
    return "\n".join([head, title, f"<style>{style}</style>", *parts, "</svg>"]) + "\n"


def _bar(one: Figures, top: float, length: float) -> list[str]:
    ours = " o" if is_ours(one.way) else ""
    middle = top + BAR - 5
    lost = round(one.refused + one.failed)
    place = f'x="{LEFT}" y="{top:.0f}" width="{length:.1f}" height="{BAR}" rx="2"'
    said = f"{one.median:.0f} ms, {lost or 'none'} refused"
    return [
        _text(LEFT - 10, middle, one.title, "l" + ours),
        f'<rect class="{ours.strip()}" {place}/>' if ours else f"<rect {place}/>",
        _text(LEFT + length + 8, middle, said, ours.strip()),
    ]


def _text(x: float, y: float, text: str, kind: str) -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text{mark} x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'
