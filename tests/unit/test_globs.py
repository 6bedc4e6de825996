from __future__ import annotations

import re

import pytest

from reloaderd.core.rules.defaults import FIRM, FURTHER
from reloaderd.core.rules.globs import component, octets, read, spell, spells
from reloaderd.core.rules.patterns import lines_of


@pytest.mark.parametrize(
    ("part", "spellings"),
    [
        ("a.b", [("a.b",)]),
        ("*.py[co]", [("", ".pyc"), ("", ".pyo")]),
        ("[ab]x[12]", [("ax1",), ("ax2",), ("bx1",), ("bx2",)]),
        ("a*b**", [("a", "b", "", "")]),
        (r"\#\*\a", [("#*a",)]),
        ("a\\", []),
        ("a?", None),
        ("[a-z]", None),
        ("[!a]", None),
        ("[abcdefgh][abcdefgh]", None),
    ],
)
def test_spellings(part: str, spellings: list[tuple[str, ...]] | None) -> None:
    assert spell(part) == spellings


@pytest.mark.parametrize(
    ("pattern", "names", "others"),
    [
        ("*", ["", "a"], []),
        ("a*", ["a", "ab"], ["ba"]),
        ("*a*", ["a", "bab"], ["b"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "abbc", "axbxc"], ["acb", "ac"]),
        ("*ab*ab", ["abab", "xabxab"], ["ab", "aba"]),
    ],
)
def test_names_that_a_spelling_spells(pattern: str, names: list[str], others: list[str]) -> None:
    spellings = spell(pattern)
    assert spellings is not None
    assert [name for name in names + others if spells(spellings[0], name)] == names
    regex = component(pattern, spellings)
    assert regex is not None
    assert [name for name in names + others if re.fullmatch(regex, name)] == names


@pytest.mark.parametrize(
    ("pattern", "depth", "folders"),
    [
        *(("a", "anywhere", ()), ("a/", "anywhere", ()), ("**/a", "anywhere", ()), ("**", "anywhere", ())),
        *(
            ("/a", "here", ()),
            ("a/b", "here", ("a",)),
            ("/a/b/*.c", "here", ("a", "b")),
            ("a/b?", "here", ("a",)),
        ),
        *(
            ("a/*/b", "below", ("a",)),
            ("a/**", "below", ("a",)),
            ("**/a/b", "below", ()),
            ("?/b", "below", ()),
        ),
    ],
)
def test_where_a_pattern_applies(pattern: str, depth: str, folders: tuple[str, ...]) -> None:
    glob = read(pattern)
    assert glob is not None
    assert (glob.depth, glob.folders) == (depth, folders)


@pytest.mark.parametrize("pattern", ["", "/", "//", "a//b", "//a", "a\\", "a/b\\", "[a", "a/[", "[z-a]?"])
def test_patterns_that_match_nothing(pattern: str) -> None:
    assert read(pattern) is None


@pytest.mark.timeout(20)  # it takes milliseconds, or longer than anybody waits
@pytest.mark.parametrize(
    "pattern",
    [
        *(
            "*a" * 60 + "b",
            "x/" + "*a" * 60 + "b",
            "*a" * 60 + "?b",
            "[ab]*" * 5 + "*a" * 60 + "b",
            "?*" * 60 + "b",
        ),
        *(
            "**/a/" * 12 + "b",
            "*/" * 12 + "b",
            "**/*a*a*/" * 8 + "b",
            "[ab][ab][ab]*" + "*[ab][ab]" * 20 + "c",
        ),
    ],
)
def test_time_is_bounded(pattern: str) -> None:
    """Where every star may try every place, 60 of them on 250 characters never end."""
    glob = read(pattern)
    assert glob is not None
    name = "a" * 250
    if glob.path_regex:
        assert not re.fullmatch(glob.path_regex, "x/" + name)
        assert not re.fullmatch(glob.path_regex, "a/" * 1000 + "a")
    if glob.name_regex:
        assert not re.fullmatch(glob.name_regex, name)
    assert not any(spells(spelling, name) for spelling in glob.spellings or ())


def test_the_default_ignores_need_no_regular_expression() -> None:
    for text in (FIRM, FURTHER):
        written = [line for line in text.splitlines() if line and not line.startswith("#")]
        lines = lines_of(text, "")
        assert [line.text for line in lines] == written
        assert all(line.glob.depth == "anywhere" and line.glob.spellings for line in lines)


def test_octets() -> None:
    assert octets("abc") == "abc"
    assert octets("é") == "\xc3\xa9"
    assert octets("\udcff") == "\xff"
