from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloaderd.core.rules.patterns import Patterns, Suspects, lines_of, without_trailing_spaces


def test_lines_know_where_they_stand() -> None:
    text = "\ufeffa\n# b\n\n!c/  \r\n  \n[\n\\#d\ne"
    assert [(line.text, line.include, line.origin) for line in lines_of(text, "/p/.gitignore")] == [
        ("a", False, "/p/.gitignore:1"),
        ("!c/", True, "/p/.gitignore:4"),
        ("\\#d", False, "/p/.gitignore:7"),
        ("e", False, "/p/.gitignore:8"),
    ]


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("a  ", "a"),
        ("a\\ ", "a\\ "),
        ("a\\  ", "a\\ "),
        ("a\\\\ ", "a\\\\"),
        (" a", " a"),
        ("a\t", "a\t"),
        ("   ", ""),
    ],
)
def test_trailing_spaces(line: str, kept: str) -> None:
    assert without_trailing_spaces(line) == kept


def test_the_last_line_that_matches_is_found() -> None:
    """Whichever way each is looked up."""
    patterns = Patterns("/p", lines_of("a.py\n*.py\na?py\n/a.py\n**/x/a.py\nb/*/a.py\n*.py/\na.*\n", ""))
    found = {
        (directory, is_dir): line.text if (line := patterns.find(directory, "a.py", is_dir)) else ""
        for directory in ("/p", "/p/x", "/p/b/c")
        for is_dir in (False, True)
    }
    assert set(found.values()) == {"a.*"}
    patterns = Patterns("/p", patterns.lines[:-1])
    assert [patterns.find(*where) for where in (("/p", "a.py", True), ("/p/x", "a.py", True))] == [
        patterns.lines[6]
    ] * 2
    assert patterns.find("/p", "a.py", False) == patterns.lines[3]
    assert patterns.find("/p/x", "a.py", False) == patterns.lines[4]
    assert patterns.find("/p/b/c", "a.py", False) == patterns.lines[5]
    assert patterns.find("/p/b", "a.py", False) == patterns.lines[2]
    assert Patterns("/p", patterns.lines[:2]).find("/p", "a.py", False) == patterns.lines[1]
    assert Patterns("/p", patterns.lines[:1]).find("/p", "b.py", False) is None


PIECES = ["a", "b", "*", "?", "[ab]", "[!a]", ".", "**", "é"]
GLOBS = st.lists(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=3).map("".join), min_size=1, max_size=3
).map("/".join)
NAMES = ["a", "b", "ab", "a.b", ".a", "é", "aé", "bb", "abab", "."]


@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(st.lists(GLOBS, min_size=1, max_size=5))
def test_whatever_matches_is_suspect(globs: list[str]) -> None:
    patterns = Patterns("/p", lines_of("\n".join(globs), ""))
    suspects = Suspects((patterns.base, line) for line in patterns.lines)
    for directory in ("/p", "/p/a", "/p/a/b"):
        among = set(suspects.among(directory, NAMES))
        assert among == {name for name in NAMES if suspects.has(directory, name)}
        assert among >= {name for name in NAMES if patterns.find(directory, name, True)}


def test_suspects_are_few() -> None:
    patterns = Patterns("/p", lines_of("*.pyc\n/dist\nbuild\n*.min.js\nx*\n*~\n*.a.*\ndocs/*\n?.q\n", ""))
    suspects = Suspects((patterns.base, line) for line in patterns.lines)
    names = ["a.py", "dist", "build", "builds", "b.js", "b.min.js", "xy", "a~", "1.a.2", "q", "1.q"]
    assert sorted(suspects.among("/p", names)) == sorted(
        ["dist", "build", "b.min.js", "xy", "a~", "1.a.2", "1.q"]
    )
    assert suspects.among("/p/docs", names) == names
