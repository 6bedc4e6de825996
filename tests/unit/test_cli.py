"""The command line as settings, and each mistake as one line that names it and the mend."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from reloaderd import __version__, cli
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.settings import (
    ConsoleSettings,
    On,
    Pattern,
    RuleSettings,
    ServiceSettings,
    Settings,
)

pytestmark = pytest.mark.usefixtures("here")


def settings(*words: str) -> Settings:
    parsed = cli.parse(["watch", *words])
    assert isinstance(parsed, Settings)
    return parsed


def service(*words: str) -> ServiceSettings:
    [one] = settings(*words, "--", "true").services
    return one


def refused(*words: str) -> ReloaderdError:
    with pytest.raises(ReloaderdError) as caught:
        cli.parse(words)
    error = caught.value
    assert error.exit_code == 2
    assert "\n" not in error.message + error.hint
    return error


def test_the_defaults_are_those_of_the_records(here: Path) -> None:
    plain = ServiceSettings("project", ("true",), (str(here),))
    assert settings("--", "true") == Settings((plain,), name="project")


def test_every_option() -> None:
    parsed = settings(
        *("src", "-n", "web", "-e", "py,.html", "-f", "a*", "-i", "b", "-f", "!c", "--no-gitignore"),
        *("--no-default-ignores", "--on", "*.css=ignore", "--on", "x=signal:HUP", "--debounce", "50ms"),
        *("--follow-links", "--backend", "inotify", "--stop-signal", "INT", "--stop-timeout", "1.5s"),
        *("--kill", "group", "--on-exit", "exit", "--restart-status", "none", "--chdir", "lib"),
        *("--env", "A=1", "--env=B=2=3", "--clear", "-vv", "--color", "never", "--log-format", "json"),
        *("--dry-run", "lib", "--", "cmd", "arg"),
    )
    cwd = os.getcwd()
    assert parsed == Settings(
        (
            ServiceSettings(
                name="web",
                command=("cmd", "arg"),
                roots=(f"{cwd}/src", f"{cwd}/lib"),
                rules=RuleSettings(
                    ext=("py", "html"),
                    patterns=(Pattern("a*", True), Pattern("b", False), Pattern("!c", True)),
                    on=(On("*.css", "ignore"), On("x", "signal", signal.SIGHUP)),
                    gitignore=False,
                    default_ignores=False,
                ),
                debounce=0.05,
                follow_links=True,
                stop_signal=signal.SIGINT,
                stop_timeout=1.5,
                kill="group",
                on_exit="exit",
                restart_status=None,
                chdir=f"{cwd}/lib",
                environ=(("A", "1"), ("B", "2=3")),
                dry_run=True,
            ),
        ),
        ConsoleSettings("json", "never", True, 2),
        "inotify",
        name="web",
        named=True,
    )


def test_patterns_that_spell_out_the_way_to_a_path() -> None:
    """They mean both: what git makes of them, and what a person does who types a path."""
    rules = service(
        *(
            "src",
            "lib",
            "-i",
            "src/gen",
            "-i",
            "!./lib/keep.py",
            "-i",
            "srcs/x",
            "-i",
            "src/",
            "-i",
            "/src/y",
        ),
        *("-f", "lib/**/*.py", "--on", "src/a.css=ignore"),
    ).rules
    cwd = os.getcwd()
    assert [one.glob for one in rules.patterns] == [
        *("src/gen", f"{cwd}/src/gen", "!./lib/keep.py", f"!{cwd}/lib/keep.py", "srcs/x", "src/", "/src/y"),
        *("lib/**/*.py", f"{cwd}/lib/**/*.py"),
    ]
    assert rules.on == (On("src/a.css", "ignore"), On(f"{cwd}/src/a.css", "ignore"))


def test_debounce_auto_is_the_default() -> None:
    assert service("--debounce", "auto") == service()
    assert service("--debounce", "0").debounce == 0.0


def test_verbosity() -> None:
    assert settings("-q", "--", "x").console.verbosity == -1
    assert settings("--verbose", "-v", "--", "x").console.verbosity == 2


def test_cf02_what_follows_the_first_dashes_belongs_to_the_command() -> None:
    words = ("-v", "--", "--help", "--bogus", "", "a b", "--name=x")
    [one] = settings("--", "cmd", *words).services
    assert one.command == ("cmd", *words)
    [one] = settings("--", "--version").services
    assert one.command == ("--version",)


def test_shell_joins_words_as_they_are() -> None:
    [one] = settings("--shell", "--", "echo a;", "echo '$b'").services
    assert one.command == ("/bin/sh", "-c", "echo a; echo '$b'")


# PATHs


def test_options_stand_before_between_and_after_paths() -> None:
    assert (
        service("src", "-v", "lib").roots
        == service("-v", "src", "lib").roots
        == service("src", "lib", "-v").roots
    )


def test_roots_are_absolute_normal_and_only_once(here: Path) -> None:
    assert service("./src/", "lib/../src", str(here) + "//src", "src").roots == (f"{here}/src",)
    assert service("//" + str(here)).roots == (str(here),)
    assert service("..").roots == (str(here.parent),)


def test_a_symlinked_root_keeps_its_name(here: Path) -> None:
    (here / "current").symlink_to("src")
    assert service("current").roots == (f"{here}/current",)


def test_dots_that_climb_out_of_a_symlink_lead_where_the_kernel_goes(here: Path) -> None:
    (here.parent / "far" / "deep").mkdir(parents=True)
    (here.parent / "far" / "src").mkdir()
    (here / "link").symlink_to("../far/deep")
    assert service("link/../src").roots == (f"{here.parent}/far/src",)
    assert service("link/../..").roots == (str(here.parent),)


def test_odd_names_are_paths(here: Path) -> None:
    for name in ("a b", "*", "$(touch x)", "\udcff\udcfe", "..."):
        (here / name).mkdir()
        assert service(name).roots == (f"{here}/{name}",)
    (here / "-rf").mkdir()
    assert service("./-rf").roots == (f"{here}/-rf",)


def test_a_file_is_a_root(here: Path) -> None:
    assert service("app.py").roots == (f"{here}/app.py",)


def test_paths_that_cannot_be_watched_are_named(here: Path) -> None:
    (here / "dangling").symlink_to("nowhere")
    (here / "circle").symlink_to("circle")
    for path, reason in [
        ("nope", "no such file or directory"),
        ("src/nope", "no such file or directory"),
        ("dangling", "no such file or directory"),
        ("circle", "too many levels of symbolic links"),
        ("app.py/", "not a directory"),
        ("x" * 300, "file name too long"),
        ("", "empty PATH"),
    ]:
        error = refused("watch", path, "--", "true")
        assert path in error.message
        assert reason in error.message


def test_an_absent_working_directory_is_one_line(here: Path) -> None:
    (here / "gone").mkdir()
    os.chdir(here / "gone")
    (here / "gone").rmdir()
    assert "current directory is gone" in refused("watch", str(here), "--", "true").message


# The environment


def test_env_wins_over_env_file_and_the_last_of_a_name_wins(here: Path) -> None:
    (here / ".env").write_text("A=file\nB=file\nB=again\n")
    parsed = service("--env", "A=1", "--env-file", ".env", "--env", "A=2")
    assert dict(parsed.environ) == {"A": "2", "B": "again"}


def test_faults_of_the_env_file_have_its_line(here: Path) -> None:
    (here / ".env").write_text("A=1\nB\n")
    assert refused("watch", "--env-file", ".env", "--", "x").message.startswith(".env:2: ")


def test_a_value_of_the_environment_is_not_repeated() -> None:
    error = refused("watch", "--env", "=secret", "--", "x")
    assert "secret" not in error.message + error.hint


# Mistakes


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("--nam x -- ls", "unknown option --nam", "--name"),
        ("--ignroe=x -- ls", "unknown option --ignroe", "--ignore"),
        ("--qqqqqq -- ls", "unknown option --qqqqqq", "watch --help"),
        ("-z -- ls", "unknown option -z", "watch --help"),
        ("--config x -- ls", "--config and a COMMAND contradict each other", "leave one"),
        ("--confg x -- ls", "unknown option --confg", "--config"),
        ("--exact --no-modules -- ls", "--exact and --no-modules contradict each other", "leave one"),
        ("--warm --no-modules -- ls", "--warm and --no-modules contradict each other", "leave one"),
        (
            "--checkpoints --no-modules -- ls",
            "--checkpoints and --no-modules contradict",
            "leave one",
        ),
        ("--ig x -- ls", "unknown option --ig", ""),
        ("-n -- ls", "-n/--name needs a value", ""),
        ("--ignore -x -- ls", "-i/--ignore needs a value", "--ignore=-"),
        ("--clear=yes -- ls", "--clear takes no value", ""),
        ("-n a --name b -- ls", "--name is given twice", ""),
        ("-e py -e html -- ls", "--ext is given twice", ""),
        ("--clear --clear -- ls", "--clear is given twice", ""),
        ("--backend auto --backend auto -- ls", "--backend is given twice", ""),
        ("-q -v -- ls", "-q and -v contradict", ""),
        ("--debounce 5x -- ls", "--debounce 5x: not a time", "50ms"),
        ("--stop-timeout -1 -- ls", "--stop-timeout -1: a time cannot be negative", ""),
        ("--stop-timeout= -- ls", "--stop-timeout '': not a time", ""),
        ("--stop-signal FOO -- ls", "--stop-signal FOO: no such signal", "TERM"),
        ("--backend kqueue -- ls", "--backend kqueue: no such choice", "pyinotify or poll"),
        ("--kill all -- ls", "--kill all: no such choice", "tree, group or child"),
        ("--on x=tell -- ls", "--on x=tell: no such action: tell", "notify or signal:NAME"),
        ("-n a/b -- ls", "-n a/b: not a NAME", ""),
        ("--chdir nope -- ls", "--chdir nope: no such file or directory", ""),
        ("src/*.py -- ls", "src/*.py: no such file or directory", "a PATH is no pattern"),
        ("--chdir app.py -- ls", "--chdir app.py: not a directory", ""),
        ("--env-file nope -- ls", "--env-file nope: no such file or directory", ""),
        ("--env-file src -- ls", "--env-file src: is a directory", ""),
        ("--", "COMMAND is missing", "after --"),
        ("src --", "COMMAND is missing", "after --"),
        ("", "COMMAND is missing", "put -- before the command"),
        ("src", "COMMAND is missing", "put -- before the command"),
        ("--bogus", "unknown option --bogus", ""),
    ],
)
def test_mistakes(line: str, message: str, hint: str) -> None:
    error = refused("watch", *line.split())
    assert error.message.startswith(message)
    assert hint in error.hint


def test_an_empty_command_is_no_command() -> None:
    assert refused("watch", "--", "").message == "COMMAND is empty"
    assert refused("watch", "--shell", "--", " ").message == "COMMAND is empty"


@pytest.mark.parametrize(
    ("line", "mended"),
    [
        ("src sh run.sh", "reloaderd watch src -- sh run.sh"),
        ("-e py sh -c x", "reloaderd watch -e py -- sh -c x"),
        ("src ./run --fast", "reloaderd watch src -- ./run --fast"),
    ],
)
def test_a_command_without_dashes_is_shown_with_them(here: Path, line: str, mended: str) -> None:
    (here / "run").touch(mode=0o755)
    assert mended in refused("watch", *line.split()).hint


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("wacth", "unknown subcommand wacth", "did you mean watch?"),
        ("src", "unknown subcommand src", "reloaderd watch [PATH"),
        ("-v", "unknown option -v", "after watch"),
        ("", "unknown subcommand ", "reloaderd watch"),
    ],
)
def test_what_is_no_subcommand(word: str, message: str, hint: str) -> None:
    error = refused(word, "src", "--", "ls")
    assert error.message.startswith(message)
    assert hint in error.hint


# What is said instead of run


def test_version() -> None:
    assert cli.parse(["--version"]) == cli.Said(f"reloaderd {__version__}\n", 0)


def test_the_overview_is_the_answer_to_nothing_and_to_help() -> None:
    for words in (["--help"], ["-h"], ["help"]):
        assert cli.parse(words) == cli.Said(cli.OVERVIEW, 0)
    assert cli.parse([]) == cli.Said(cli.OVERVIEW, 2)


@pytest.mark.parametrize("columns", ["80", "100", "300"])
def test_help_tells_every_option_within_the_width(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    said = cli.parse(["watch", "src", "--help", "--", "ls", "--help"])
    assert isinstance(said, cli.Said)
    assert said.status == 0
    assert said.text.startswith("usage: reloaderd watch [OPTIONS] [PATH ...] -- COMMAND [ARG ...]\n")
    for action in watch_parser()._actions:
        for option in action.option_strings:
            assert option in said.text
    assert max(map(len, said.text.splitlines())) <= min(int(columns), 100)


def test_help_is_answered_before_files_are_looked_at() -> None:
    assert isinstance(cli.parse(["watch", "nope", "-h"]), cli.Said)
