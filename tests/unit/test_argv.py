"""What Python was told to run, read off its command line; and where that was started."""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path

import pytest

from reloaderd.errors import ReloaderdError
from reloaderd.program import argv
from reloaderd.program.argv import Given, read


@pytest.mark.parametrize(
    ("words", "given"),
    [
        *(("app.py", Given("script", "app.py")), ("app.py -m x", Given("script", "app.py"))),
        *(("-u -O app.py", Given("script", "app.py")), ("-uO app.py", Given("script", "app.py"))),
        *(("-X dev app.py", Given("script", "app.py")), ("-Xdev app.py", Given("script", "app.py"))),
        *(("-uX dev -W error app.py", Given("script", "app.py")), ("-Werror a", Given("script", "a"))),
        *(("-m pkg.m app.py", Given("-m", "pkg.m")), ("-mpkg", Given("-m", "pkg"))),
        *(
            ("-um pkg x", Given("-m", "pkg")),
            ("-c code x", Given("-c", "code")),
            ("-ic code", Given("-c", "code")),
        ),
        ("--check-hash-based-pycs never app.py", Given("script", "app.py")),
        *(("-- app.py", Given("script", "app.py")), ("-- -x.py", Given("script", "-x.py"))),
        *(("", Given("")), ("-", Given("")), ("- x", Given("")), ("-i", Given("")), ("-X dev", Given(""))),
        *(("-- -", Given("")), ("--", Given("")), ("-u -", Given(""))),
    ],
)
def test_read(words: str, given: Given) -> None:
    assert read(["python", *words.split()]) == given


def test_a_command_line_that_is_not_there_is_of_nothing() -> None:
    assert read([]) == read([""]) == Given("")


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Let this be a program of another kind."""
    monkeypatch.setattr(sys, "orig_argv", ["python", "-u", "app.py", "x"])
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "app.py"), raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def test_a_script_is_started_again_by_this_interpreter_with_all_its_words(started: object) -> None:
    assert argv.this_program() == ([sys.executable, "-u", "app.py", "x"], "")


def test_a_relative_script_that_has_gone_elsewhere_is_started_where_it_was(
    started: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started.chdir("/")
    assert argv.this_program().directory == str(tmp_path)


def test_so_is_one_whose_directory_is_a_program(started: pytest.MonkeyPatch, tmp_path: Path) -> None:
    started.setattr(sys, "orig_argv", ["python", "./app.pyz"])
    started.setattr(sys.modules["__main__"], "__file__", f"{tmp_path}/./app.pyz/__main__.py")
    started.chdir("/")
    assert argv.this_program().directory == str(tmp_path)


def test_so_is_a_module_that_is_found_from_there_alone(started: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    spec = importlib.machinery.ModuleSpec("pkg.m", None, origin=str(tmp_path / "pkg/m.py"))
    started.setattr(sys, "orig_argv", ["python", "-m", "pkg.m"])
    started.setattr(sys.modules["__main__"], "__spec__", spec)
    started.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert argv.this_program().directory == ""
    started.chdir("/")
    assert argv.this_program() == ([sys.executable, "-m", "pkg.m"], str(tmp_path))
    started.setenv("PYTHONPATH", f"/x:{tmp_path}")
    assert argv.this_program().directory == ""


@pytest.mark.parametrize(
    ("words", "file"),
    [
        *((["python"], None), (["python", "-"], "<stdin>"), ([], None), (["python", "app.py"], None)),
        *((["python", "/dev/fd/63"], "/dev/fd/63"), (["python", "gone.py"], "/elsewhere/other.py")),
    ],
)
def test_what_cannot_be_started_again_is_one_line(
    words: list[str], file: str | None, started: pytest.MonkeyPatch
) -> None:
    started.setattr(sys, "orig_argv", words)
    started.setattr(sys.modules["__main__"], "__file__", file)
    with pytest.raises(ReloaderdError, match="this program cannot be started again: ") as caught:
        argv.this_program()
    assert "reloaderd watch -- COMMAND" in caught.value.hint
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("frozen", True), ("ps1", ">>> ")])
def test_so_is_what_is_no_program_of_an_interpreter(
    name: str, value: object, started: pytest.MonkeyPatch
) -> None:
    started.setattr(sys, name, value, raising=False)
    with pytest.raises(ReloaderdError, match="cannot be started again"):
        argv.this_program()
