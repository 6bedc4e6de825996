"""Shows a line of source with a caret under the place that is meant, in lines of a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

WIDTH = 72
"""Columns of a line that are shown: what a terminal of 80 has beside the tag of a log line."""

BEFORE = 48
"""Columns of them before the caret, where a line is longer."""


def excerpt(fields: Mapping[str, Any]) -> list[str]:
    """The source line and its caret; only the line where the column is not known, nothing without a text.

    Nothing in it is wider or narrower than it looks here: what cannot be printed is a question mark.
    """
    text = str(fields.get("text") or "").rstrip().replace("\t", " ")
    shown = "".join(char if char.isprintable() else "?" for char in text)
    column = min(int(fields.get("column") or 0), len(shown) + 1)
    indent = len(shown) - len(shown.lstrip())
    shown, column = shown[indent:], max(column - indent, 1) if column else 0
    if not shown:
        return []
    if len(shown) > WIDTH:
        at = max(0, min(column - BEFORE, len(shown) - WIDTH))
        dots = "…" if at else ""
        shown, column = dots + shown[at + len(dots) : at + WIDTH], column - at if column else 0
    return [f"    {shown}", *([f"    {' ' * columns(shown[: column - 1])}^"] if column else [])]


def columns(text: str) -> int:
    """The columns that a terminal gives to a text without control characters."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width

    return sum(0 if combining(char) else 1 + (east_asian_width(char) in "WF") for char in text)
