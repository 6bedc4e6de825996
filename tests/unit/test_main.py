"""How reloaderd ends: the status of each kind of end, and one line for what a person did."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from reloaderd import __main__, __version__
from reloaderd.commands import Quit
from reloaderd.console import Console
from reloaderd.errors import ReloaderdError
from reloaderd.settings import Settings

Ends = Callable[[Callable[[], Quit]], list[Any]]


@pytest.fixture
def loop_that(monkeypatch: pytest.MonkeyPatch) -> Ends:
    """Put a loop in place that ends as the given function does; what it was called with is kept."""

    def install(end: Callable[[], Quit]) -> list[Any]:
        seen: list[Any] = []

        def run(settings: Settings, console: Console, *_: object) -> Quit:
            seen.extend((settings, console))
            return end()

        module = ModuleType("reloaderd.loop")
        module.run = run  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "reloaderd.loop", module)
        return seen

    return install


@pytest.fixture
def deaths(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The signals that reloaderd would have died of."""
    deaths: list[int] = []
    module = ModuleType("reloaderd.kernel.signals")
    module.die_of = deaths.append  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "reloaderd.kernel.signals", module)
    return deaths


def raiser(error: BaseException) -> Callable[[], Quit]:
    def end() -> Quit:
        raise error

    return end


WATCH = ["watch", "--", "true"]


def test_the_loop_gets_what_was_asked_for(loop_that: Ends, deaths: list[int]) -> None:
    seen = loop_that(lambda: Quit(5, 0))
    assert __main__.main(["watch", "-n", "web", "--", "cmd"]) == 5
    settings, console = seen
    assert settings.services[0].name == "web"
    assert isinstance(console, Console)
    assert deaths == []


def test_it_dies_of_the_signal_that_ended_it(loop_that: Ends, deaths: list[int]) -> None:
    loop_that(lambda: Quit(143, signal.SIGTERM))
    __main__.main(WATCH)
    assert deaths == [signal.SIGTERM]


def test_an_early_interrupt_is_quiet(
    loop_that: Ends, deaths: list[int], capfd: pytest.CaptureFixture[str]
) -> None:
    loop_that(raiser(KeyboardInterrupt()))
    __main__.main(WATCH)
    assert deaths == [signal.SIGINT]
    assert capfd.readouterr() == ("", "")


def test_an_error_is_one_escaped_line(loop_that: Ends, capfd: pytest.CaptureFixture[str]) -> None:
    loop_that(raiser(ReloaderdError("no \x1b[2J\n\udcff", "mend it", 78)))
    assert __main__.main(WATCH) == 78
    assert capfd.readouterr() == ("", "reloaderd: no \\x1b[2J\\n\\xff (mend it)\n")
    loop_that(raiser(ReloaderdError("no hint")))
    assert __main__.main(WATCH) == 2
    assert capfd.readouterr().err == "reloaderd: no hint\n"


def test_a_bug_shows_its_traceback_and_asks_for_a_report(
    loop_that: Ends, capfd: pytest.CaptureFixture[str]
) -> None:
    loop_that(raiser(RuntimeError("oh \udcff")))
    assert __main__.main(WATCH) == 70
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1].startswith("reloaderd: this is a bug")


def test_answers_go_to_stdout_and_the_answer_to_nothing_to_stderr(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["--version"]) == 0
    assert capfd.readouterr() == (f"reloaderd {__version__}\n", "")
    assert __main__.main([]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert "reloaderd watch src -- python app.py" in err


def loaded_after(place: Path, *words: str) -> set[str]:
    """The modules that stay loaded when a command line was read, and a configuration file once again."""
    code = (
        "import sys; from reloaderd import __main__, cli\n"
        f"config = cli.parse({['watch', *words]!r}).config\n"
        "del cli; __main__._forget(__main__.NEEDED_ONCE)\n"
        "if config: __main__._read_again(config)\n"
        "print(*sys.modules)"
    )
    top = str(Path(__main__.__file__).parents[1])
    run = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=place,
        env={"PYTHONPATH": ":".join([top, *filter(None, sys.path)])},
        capture_output=True,
        text=True,
        check=True,
    )
    return {*run.stdout.split()}


def test_what_reads_a_configuration_file_is_unloaded(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("A=1\n")
    text = '[service.web]\ncommand = "a b"\nenv_file = "x.env"\nstop_timeout = "1s"\n'
    (tmp_path / "reloaderd.toml").write_text(text)
    (tmp_path / "reloaderd.toml").chmod(0o644)
    more = loaded_after(tmp_path) - loaded_after(tmp_path, "--", "true")
    # what is in C stays, and takes next to nothing
    assert more <= {"_datetime", "_string", "math"}
