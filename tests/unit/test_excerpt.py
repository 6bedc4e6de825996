from __future__ import annotations

from typing import Any

import pytest

from reloaderd.excerpt import WIDTH, columns, excerpt


def shown(text: str, column: int) -> list[str]:
    return excerpt({"text": text, "column": column})


@pytest.mark.parametrize(
    ("text", "column", "caret"),
    [
        ("def f(:", 7, "      ^"),
        ("    def f(:", 11, "      ^"),
        ("\tdef f(:", 8, "      ^"),
        ("x = (", 6, "     ^"),
        ("x = (", 60, "     ^"),
        ("    x", 1, "^"),
        ("日本 = $", 6, "       ^"),
        ("e\u0301 = $", 6, "    ^"),
        ("x\x1b[31m\u202e$", 8, "       ^"),
    ],
)
def test_the_caret_stands_below_its_place(text: str, column: int, caret: str) -> None:
    assert shown(text, column)[1] == "    " + caret


def test_nothing_that_moves_the_cursor_is_shown() -> None:
    assert shown("x\x1b[31m\u202e\ta$", 0) == ["    x?[31m? a$"]


def test_without_a_column_or_a_text() -> None:
    assert shown("x = 1\n", 0) == ["    x = 1"]
    assert shown("", 3) == shown("  \t", 1) == excerpt({}) == []


@pytest.mark.parametrize("column", [1, 40, 72, 73, 200, 399, 400, 401])
def test_a_long_line_is_shown_around_its_place(column: int) -> None:
    line = "".join(chr(ord("a") + number % 26) for number in range(400))
    text, caret = shown(line, column)
    assert columns(text) <= 4 + WIDTH and len(caret) <= 4 + WIDTH + 1
    at = caret.index("^")
    assert (text + "$")[at : at + 1] == (line + "$")[column - 1]


def test_any_field_may_be_missing() -> None:
    odd: list[dict[str, Any]] = [{"text": None}, {"text": "x", "column": None}, {"column": 3}]
    assert [excerpt(fields) for fields in odd] == [[], ["    x"], []]
