"""What a name may not do to a terminal, and when colour is wanted."""

from __future__ import annotations

import re

import pytest

from reloaderd.console import restarts, wants_color
from reloaderd.core.escaping import escaped


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain größe 日本 a\\b", "plain größe 日本 a\\b"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x1b[31m\x07\x7f\x00", r"\x1b[31m\x07\x7f\x00"),
        ("\x9b31m\x85", r"\x9b31m\x85"),
        ("\udcff\udcfe.py", r"\xff\xfe.py"),
        ("\ud800", r"\ud800"),
        ("a\u202egpj.exe\u2066\u200f\u061c", r"a\u202egpj.exe\u2066\u200f\u061c"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_escaped(text: str, shown: str) -> None:
    assert escaped(text) == shown


def test_nothing_that_a_terminal_obeys_is_left() -> None:
    everything = "".join(map(chr, [*range(0x3000), *range(0xD800, 0xE000)]))
    shown = escaped(everything)
    shown.encode()
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", shown)


def test_restarts() -> None:
    assert restarts({})
    assert restarts({"action": "restart", "dry_run": False})
    assert not restarts({"action": "restart", "dry_run": True})
    assert not restarts({"action": "signal:HUP"})


@pytest.mark.parametrize(
    ("no_color", "term", "wanted"),
    [
        (None, "xterm", True),
        ("", "xterm", True),
        ("1", "xterm", False),
        (None, "dumb", False),
        (None, None, False),
    ],
)
def test_wants_color(
    no_color: str | None, term: str | None, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("NO_COLOR", no_color), ("TERM", term)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert wants_color() is wanted
