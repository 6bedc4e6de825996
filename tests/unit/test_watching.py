"""The options of `reloaderd.run` as words of `watch`: all that it takes, a TypeError for others."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from reloaderd import cli
from reloaderd.options import watch_parser
from reloaderd.program import watching
from reloaderd.settings import On, Pattern, ServiceSettings, Settings

PLAIN = ["--on=*.mo=notify", "--exact", "--on-exit=exit", "--gate=syntax"]


def words(**options: Any) -> list[str]:
    """Without those that come by default."""
    return [word for word in watching.options_of(options, "run") if word not in PLAIN]


def settings(paths: Any = (), **options: Any) -> ServiceSettings:
    found = cli.parse(watching.command_line(paths, options, "run"))
    assert isinstance(found, Settings)
    return found.services[0]


def test_the_defaults() -> None:
    assert watching.options_of({}, "run") == PLAIN


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        *(({"debounce": 0.1}, "--debounce=0.1"), ({"debounce": 0}, "--debounce=0")),
        *(({"debounce": "50ms"}, "--debounce=50ms"), ({"stop_timeout": 1e-5}, "--stop-timeout=0.00001")),
        *(({"ext": ["py", "html"]}, "--ext=html,py"), ({"ext": "py,html"}, "--ext=py,html")),
        *(({"on": {"*.css": "ignore"}}, "--on=*.css=ignore"), ({"on": "x=restart"}, "--on=x=restart")),
        ({"ignore": ["a", "b"]}, "--ignore=a --ignore=b"),
        *(({"ignore": "a"}, "--ignore=a"), ({"filter": ("*.py",)}, "--filter=*.py")),
        *(({"gitignore": False}, "--no-gitignore"), ({"gitignore": True}, "")),
        *(({"no_gitignore": True}, "--no-gitignore"), ({"no_gitignore": False}, "")),
        *(({"default_ignores": False}, "--no-default-ignores"), ({"follow_links": True}, "--follow-links")),
        *(({"clear": False}, ""), ({"quiet": True}, "--quiet"), ({"verbose": 2}, "--verbose --verbose")),
        *(({"verbose": True}, "--verbose"), ({"stop_signal": signal.SIGINT}, "--stop-signal=2")),
        *(({"stop_signal": "INT"}, "--stop-signal=INT"), ({"restart_status": 4}, "--restart-status=4")),
        *(
            ({"env": {"A": "x y", "B": 1}}, "--env=A=x¬y --env=B=1"),
            ({"env_file": Path("/x")}, "--env-file=/x"),
        ),
        *(
            ({"kill": None}, ""),
            ({"name": "web"}, "--name=web"),
            ({"log_format": "json"}, "--log-format=json"),
        ),
    ],
)
def test_an_option_is_the_words_of_it(options: dict[str, Any], wanted: str) -> None:
    assert words(**options) == [word.replace("¬", " ") for word in wanted.split()]


def test_what_is_given_wins_over_the_defaults() -> None:
    assert watching.options_of({"exact": False, "on_exit": "wait", "gate": None}, "run") == [
        *("--on=*.mo=notify", "--on-exit=wait")
    ]
    assert "--exact" not in watching.options_of({"modules": False}, "run")
    assert settings(on={"*.mo": "restart"}).rules.on == (On("*.mo", "notify"), On("*.mo", "restart"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"debonce": 1}, "run() has no option 'debonce'; did you mean 'debounce'?"),
        ({"gitignor": False}, "run() has no option 'gitignor'; did you mean 'gitignore'?"),
        ({"zzz": 1}, "run() has no option 'zzz'"),
        *(({name: True}, f"run() has no option '{name}'") for name in ("help", "shell", "chdir", "no_exact")),
        ({"clear": "yes"}, "run(): clear is True or False, not 'yes'"),
        ({"gitignore": 2}, "run(): gitignore is True or False, not 2"),
        *(({"debounce": True}, "run(): debounce cannot be True"), ({"kill": []}, "run(): kill cannot be []")),
        ({"ignore": [None]}, "run(): ignore cannot be None"),
    ],
)
def test_a_wrong_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError) as caught:
        watching.options_of(options, "run")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_reloaderd_takes_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("src", "-x"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.orig_argv", ["python", "-c", "code", "--", "-x"])
    found = settings((Path("src"), "-x"), ignore=["*.txt"], on={"*.css": "ignore"}, env={"A": "b"})
    assert found.roots == (str(tmp_path / "src"), str(tmp_path / "-x"))
    assert found.command[1:] == ("-c", "code", "--", "-x")
    assert found.rules.patterns == (Pattern("*.txt", False),)
    assert found.environ == (("A", "b"), ("RUN_MAIN", "true"))
    assert (found.exact, found.on_exit) == (True, "exit")
    assert settings("src").roots == (str(tmp_path / "src"),)
    assert settings().roots == (str(tmp_path),)


def test_the_options_of_a_page_are_those_of_watch() -> None:
    """Each long option but those of a COMMAND has a keyword."""
    for action in watch_parser()._actions:
        name = action.option_strings[-1].removeprefix("--")
        if name in watching.NOT_HERE:
            continue
        value = True if action.nargs == 0 else "x"
        assert words(**{name.replace("-", "_"): value}) or name in ("exact", "no-modules", "gate"), name
