"""`reloaderd.on_change` as far as no reloaderd is needed: patterns, faults, and doing nothing."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import reloaderd
from reloaderd.program import listener
from reloaderd.program.listening import Globs


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RELOADERD", "RELOADERD_RUN", "RELOADERD_AGENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        *(("*.mo", "/p/a/de.mo"), ("*.mo", "/de.mo"), ("de.mo", "/x/de.mo"), ("*.mo", "/p/x\n\udcff.mo")),
        *(("locale/", "/p/a/locale/de/x.mo"), ("locale", "/p/locale/x"), ("locale/*.mo", "/p/locale/x.mo")),
        *(("/locale/**/*.mo", "/p/locale/a/b/x.mo"), ("./x.mo", "/p/x.mo"), ("./x.mo", "/q/r/x.mo")),
        *(("/etc/app/*.conf", "/etc/app/x.conf"), ("/etc/**", "/etc/a/b"), ("**/x/*.mo", "/p/a/x/y.mo")),
    ],
)
def test_a_pattern_is_as_in_gitignore_below_a_path_or_absolute(glob: str, path: str) -> None:
    assert Globs(glob, ["/p", "/q/r"]).match(path)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        *(("*.mo", "/p/a/de.po"), ("de.mo", "/x/xde.mo"), ("*.mo/", "/p/x.mo"), ("/x.mo", "/p/a/x.mo")),
        *(("locale/*.mo", "/other/locale/x.mo"), ("/etc/*.conf", "/p/a/etc/x.conf"), ("p", "/pp/x")),
    ],
)
def test_a_pattern_does_not_match_what_it_would_not_in_gitignore(glob: str, path: str) -> None:
    assert not Globs(glob, ["/p", "/q/r"]).match(path)


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (("", print), ValueError, "an empty pattern: ''"),
        (("/", print), ValueError, "an empty pattern: '/'"),
        (("!*.mo", print), ValueError, "a pattern that matches nothing: '!*.mo'"),
        (("a//b", print), ValueError, "a pattern that matches nothing: 'a//b'"),
        (("a\nb", print), ValueError, "a pattern cannot hold a newline"),
        ((7, print), TypeError, "the pattern is not a str: 7"),
        (("*.mo", 7), TypeError, "the callback is not callable: 7"),
        (("*.mo", None), TypeError, "the callback is not callable: None"),
        ((print, "*.mo"), TypeError, "the pattern is not a str: <built-in function print>"),
    ],
)
def test_a_fault_is_one_line_that_names_it(arguments: Any, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind) as caught:
        reloaderd.on_change(*arguments)
    assert str(caught.value).startswith("on_change: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_reloaderd_nothing_is_remembered() -> None:
    before = threading.active_count()
    assert reloaderd.on_change("*.mo", print) is print
    assert listener._state.listener is None
    assert threading.active_count() == before


@pytest.mark.parametrize("socket", ["/nowhere/agent", "/dev/null", "x" * 200])
def test_a_reloaderd_that_has_gone_is_none(socket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOADERD", "web")
    monkeypatch.setenv("RELOADERD_RUN", "1")
    monkeypatch.setenv("RELOADERD_AGENT", f"{socket}\n/p")
    assert reloaderd.on_change("*.mo", print) is print
    assert listener._state.listener is None


def test_it_is_a_decorator_too() -> None:
    @reloaderd.on_change("*.mo")
    def reset(path: str) -> str:
        return path

    assert reset("x") == "x"


def test_paths_come_out_of_the_variable_as_they_went_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOADERD_AGENT", "/run/agent\n/p%0Aq%25%250A\n/r")
    assert listener.told() == ["/run/agent", "/p\nq%%0A", "/r"]


def test_the_package_has_no_other_names() -> None:
    with pytest.raises(AttributeError, match="'reloaderd' has no attribute 'on_chance'"):
        reloaderd.on_chance  # noqa: B018
