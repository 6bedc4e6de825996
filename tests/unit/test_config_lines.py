"""On which line of a TOML text a key is: every number in these texts is the line that it stands on."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reloaderd.config.lines import Lines, Path

TRICKY = '''\
a = @ # a comment = 9
"b c" = @
'd.e'.f = @

g."h\\u0041".i = @
"" = @
text = """
[not.a.table]
x = 1 \\
\\""" " "" still """
raw = \'\'\'
y = 2 # ' \'\' still\'\'\'\'\'
after = @
one = "# no \\" comment ["
two = 'a \\'
three = @
array = [
  @,  # x
  [ @,
    @ ], "]", ']',
  { z = @, "t.u".v = { w = @ } },

  @ , ]
empty = []
none = { }
date = 1979-05-27 07:32:00
later = @
 [ table . "x.y" ] # a header
k = @
[table]
k = @
[[many]]
k = @
[[many]]
k = @
list = [ @
]
[many.below]
k = @
[[many.more]]
k = @
[[many.more]]
k = @
[other]\r
k = @\r
'''


def numbered(text: str) -> str:
    return "\n".join(line.replace("@", str(at)) for at, line in enumerate(text.split("\n"), 1))


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, int]]:
    """The numbers of a document, with where they are."""
    if isinstance(value, dict):
        for key, one in value.items():
            yield from leaves(one, (*path, key))
    elif isinstance(value, list):
        for at, one in enumerate(value):
            yield from leaves(one, (*path, at))
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value


def check(text: str) -> None:
    text = numbered(text)
    lines = Lines(text)
    for path, line in leaves(tomllib.loads(text)):
        assert path in lines, (path, text)
        assert lines.of(path) == line, (path, text)


def test_every_way_to_write_a_key() -> None:
    assert len([*leaves(tomllib.loads(numbered(TRICKY)))]) == 23
    check(TRICKY)


def test_a_table_is_on_the_line_of_its_header() -> None:
    lines = Lines("x = 1\n\n[a.b]\ny = 1\n[c]\n")
    assert [lines.of(path) for path in ((), ("a",), ("a", "b"), ("a", "b", "y"), ("c",))] == [1, 3, 3, 4, 5]


def test_what_is_not_there_has_the_line_of_what_is_around_it() -> None:
    lines = Lines("[a]\nb = 1\n")
    assert lines.of(("a", "b", 3, "x")) == 2
    assert lines.of(("a", "z")) == 1
    assert lines.of(("q",)) == 1


STRINGS = ['"""\n[x]\ny = 1\n"""', "'''\n{ '''", '"a\\"#"', "'#\\'", '"""a"""""', "''''a'''", '""', "''"]
VALUES = st.recursive(
    st.sampled_from(["@", "@", *STRINGS, "true", "1.5e3", "2000-01-01"]),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda values: "[" + ", ".join(values) + "]"),
        st.lists(inner, max_size=3).map(
            lambda values: "[ # ]\n" + "".join(f"{one} ,\n" for one in values) + "]"
        ),
        st.lists(inner, max_size=3).map(
            lambda values: "{" + ", ".join(f"k{at} . 'x' = {one}" for at, one in enumerate(values)) + "}"
        ),
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(["a%", '"b # %"', "'c.%' . x", 'd% . "\\u0041]" .e'])
STATEMENTS = st.one_of(
    st.tuples(KEYS, VALUES).map(lambda pair: f"{pair[0]} = {pair[1]} # end"),
    KEYS.map(lambda key: f"[{key}]"),
    KEYS.map(lambda key: f" [[ {key} ]]"),
    st.sampled_from(["", "# [no] = @", "[['again']]"]),
)


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(st.lists(STATEMENTS, max_size=12))
def test_any_document(statements: list[str]) -> None:
    text = "\n".join(one.replace("%", str(at)) for at, one in enumerate(statements))
    check(text)


@settings(max_examples=400, derandomize=True, database=None, deadline=None)
@given(st.text(alphabet="ab.=[]{}\"'\\#\n ,1", max_size=40))
def test_whatever_it_is_it_ends_and_has_lines(text: str) -> None:
    lines = Lines(text)
    assert lines.of(("a", "b", 0)) >= 1
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert all(path in lines for path, _ in leaves(document))


@pytest.mark.parametrize("opening", ["[", "{a=", "[["])
def test_what_is_nested_too_deeply_is_no_crash(opening: str) -> None:
    assert Lines("x = " + opening * 100_000).of(("x",)) == 1


def test_a_long_text_takes_no_time_to_speak_of() -> None:
    text = "".join(f"[t{at}]\nk = @\ntext = '''{'x' * 80}\n'''\n" for at in range(5000))
    check(text)
