"""What `reloaderd service` asks for, and that the file it writes says the same as the command line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from reloaderd import cli
from reloaderd.config import keys
from reloaderd.core.rules.sources import Options
from reloaderd.errors import ReloaderdError
from reloaderd.options import watch_parser
from reloaderd.parsers import Once
from reloaderd.settings import On, RuleSettings, Settings, UnitSettings
from reloaderd.units import options, places

SERVICE = [
    *("-e", "py,html", "--no-gitignore", "--no-default-ignores", "--follow-links", "--skip-unchanged"),
    *("--on", "*.css=ignore", "--on", "a=b.conf=signal:HUP", "--on", "*.mo=notify", "--on", "*.css=restart"),
    *("--debounce", "0.5", "--no-modules", "--env", "A=1", "--env", "PATH=/x=y", "--env", "A=two words"),
    *("--stop-signal", "QUIT", "--stop-timeout", "1min", "--kill", "group", "--on-exit", "restart"),
    *("--restart-status", "none", "--gate", "syntax", "--chdir", "sub", "--env-file", "some.env"),
    *("--listen", "8000", "--listen", "[::1]:0", "--listen", "sub/web.sock", "--keep-sockets"),
    *("--overlap", "--ready", "http://localhost:8000/a?b", "--ready-timeout", "10s"),
    *("-f", "*.py", "-f", "docs/**", "-i", "*_test.py", "-i", "!keep_test.py"),
]

WHOLE = ["--clear", "-v", "-v", "--color", "never", "--log-format", "json"]
WHOLE += ["--backend", "poll", "--poll-interval", "500ms"]

OTHERS = ["--exact", "--warm", "--checkpoints", "--shell", "--quiet", "--debounce=auto"]

ELSEWHERE = {"--config", "--name", "--dry-run", "--help"}
"""Options that no service can have."""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = tmp_path / 'a "project" of mine\\'
    (here / "sub").mkdir(parents=True)
    (here / "src").mkdir()
    (here / "some.env").write_text("FROM_FILE=1\nB=2\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("PATH", "/venv/bin:/usr/bin")
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    return here


def asked(*words: str) -> Any:
    assert options  # it is loaded with cli, and so knows the same classes when others have unloaded them
    return cli.parse(["service", *words])


def installed(*words: str) -> UnitSettings:
    wanted = asked("install", *words)
    assert isinstance(wanted, UnitSettings)
    return wanted


def watched(*words: str) -> Settings:
    wanted = cli.parse(["watch", *words])
    assert isinstance(wanted, Settings)
    return wanted


def repeated(one: On, later: tuple[On, ...]) -> bool:
    """Whether a later line makes this one void."""
    return any(other.glob == one.glob for other in later)


def compared(settings: Settings, cwd: Path, path: str) -> Settings:
    """Without what has to differ: where it stands, and what a command line leaves to where it is said."""
    (service,) = settings.services
    on = service.rules.on
    rules = service.rules._replace(
        patterns=tuple(one._replace(origin="") for one in service.rules.patterns),
        on=tuple(one._replace(origin="") for at, one in enumerate(on) if not repeated(one, on[at + 1 :])),
        ext_origin="",
    )
    service = service._replace(
        name="",
        rules=rules,
        config=None,
        chdir=service.chdir or str(cwd),
        environ=tuple(sorted({"PATH": path, **dict(service.environ)}.items())),
    )
    return settings._replace(services=(service,), config=None, name="", named=False)


@pytest.mark.parametrize(
    "words",
    [
        ["--", "true"],
        ["src", "sub", *SERVICE, "--", "./run", "--port", "80 00", "ü\"\\\x7f\t'$HOME'\n"],
        [*WHOLE, "--", "true"],
        [*OTHERS, "src", "--", "a && b", "c"],
        ["-fa", "-ib", "--", "python", "-c", "print('x')"],
    ],
    ids=["nothing", "of a service", "of all", "others", "short"],
)
def test_the_file_says_the_same_as_the_command_line(project: Path, words: list[str], tmp_path: Path) -> None:
    wanted = installed("web.site-1", *words)
    there = tmp_path / "elsewhere" / "web.toml"
    there.parent.mkdir()
    there.write_text(wanted.configuration, encoding="utf-8")
    by_file = watched("--config", str(there))
    assert by_file.services[0].name == "web.site-1"
    by_words = watched(*words)
    assert compared(by_file, project, "") == compared(by_words, project, "/venv/bin:/usr/bin")


def test_the_words_above_are_all_that_there_are() -> None:
    """So a new option is one that a file can say, too."""
    told = {word.partition("=")[0] for word in [*SERVICE, *WHOLE, *OTHERS] if word.startswith("-")}
    for action in watch_parser()._actions:
        assert {*action.option_strings} & (told | ELSEWHERE), action.option_strings


def verdicts(rules: RuleSettings, names: list[str]) -> list[object]:
    lines = Options("/r", rules).patterns
    found = [lines.find("/r", name, False) for name in names]
    return [line and (line.include, line.action) for line in found]


@pytest.mark.parametrize("order", ["-i a* -f *.py", "-f *.py -i a* -f ab*", "-f !a* -f *.py -i ab*"])
def test_the_last_pattern_that_matches_wins_in_the_file_too(order: str, tmp_path: Path) -> None:
    words = [*order.split(), "--", "true"]
    there = tmp_path / "web.toml"
    there.write_text(installed("web", *words).configuration, encoding="utf-8")
    names = ["a", "a.py", "ab.py", "abc", "b.py", "b"]
    by_file, by_words = (
        settings.services[0].rules for settings in (watched("--config", str(there)), watched(*words))
    )
    assert verdicts(by_file, names) == verdicts(by_words, names)


def test_an_order_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ReloaderdError, match="--ignore !a before a --filter"):
        installed("web", "-i", "!a", "-f", "b", "--", "true")


def test_path_and_virtual_environment_go_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/venv")
    wanted = installed("web", "--", "true")
    assert wanted.added == ("PATH", "VIRTUAL_ENV")
    assert 'PATH = "/venv/bin:/usr/bin"\nVIRTUAL_ENV = "/venv"\n' in wanted.configuration


def test_what_is_given_wins_over_what_is_here(project: Path) -> None:
    assert installed("web", "--env", "PATH=/mine", "--", "true").added == ()
    (project / "some.env").write_text("PATH=/of/the/file\n")
    wanted = installed("web", "--env-file", "some.env", "--", "true")
    assert wanted.added == () and "/venv" not in wanted.configuration


def test_a_configuration_file_is_read_where_it_is(project: Path) -> None:
    (project / "reloaderd.toml").write_text("[service.a]\ncommand = 'x'\n")
    (project / "reloaderd.toml").chmod(0o644)
    wanted = installed("web", "--force")
    assert wanted.again and not wanted.configuration
    assert wanted.elsewhere == (
        *(str(project / "reloaderd.toml"), (), str(project)),
        (("PATH", "/venv/bin:/usr/bin"),),
    )
    words = ("--config", "./reloaderd.toml", "-v", "a")
    wanted = installed("web", *words)
    assert wanted.elsewhere is not None and wanted.elsewhere.words == words


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("install", "NAME is missing"),
        ("install -e py -- true", "NAME is missing"),
        ("install .web -- true", "not a NAME"),
        ("install a@b -- true", "a@b: not a NAME of a service (letters, digits and _ . - in it, no"),
        ("install a+@b -- true", "a+@b: not a NAME (letters, digits and _ . - in it, no . or - in front)"),
        ("install a/b -- true", "not a NAME"),
        ("install web", "COMMAND is missing"),
        ("install web nowhere -- true", "nowhere: no such file"),
        ("install web --nmae x -- true", "unknown option --nmae"),
        ("install web --name x -- true", "--name is said twice"),
        ("install web --dry-run -- true", "--dry-run makes no service"),
        ("install web --config x -- true", "contradict"),
        ("instal web -- true", "did you mean install"),
        ("list web", "takes no web"),
        ("remove", "one NAME"),
        ("remove a b", "one NAME"),
        ("remove -x", "not a NAME"),
    ],
)
def test_what_is_not_right_is_one_line(line: str, message: str) -> None:
    with pytest.raises(ReloaderdError) as caught:
        asked(*line.split())
    assert message in caught.value.lines[0] and "\n" not in caught.value.lines[0]


@pytest.mark.parametrize("line", ["", "--help", "install --help", "install web -h", "list -h", "remove -h"])
def test_help(line: str) -> None:
    said = asked(*line.split())
    assert isinstance(said, cli.Said) and not said.status and "reloaderd service" in said.text
    assert ("--force" in said.text) == line.startswith("install")


def test_the_help_of_watch_is_as_it_was() -> None:
    asked("install", "--help")
    said = cli.parse(["watch", "--help"])
    assert isinstance(said, cli.Said) and "--force" not in said.text


def test_words_of_a_unit() -> None:
    assert places.quoted(["a", "b c", "", "50%", "$HOME", 'say "x"', "a\\b", ";"]) == (
        'a "b c" "" 50%% $$HOME "say \\"x\\"" "a\\\\b" ";"'
    )
    assert places.quoted(["A=$B"], dollars=False) == "A=$B"
    with pytest.raises(ReloaderdError):
        places.quoted(["a\nb"])


def test_the_unit_has_the_line_that_is_replaced() -> None:
    template = Path(places.__file__).parent / "systemd" / places.TEMPLATE
    assert template.read_text().count(places.STARTS) == 1
    text = places.unit_text("web", None)
    assert re.search(r"^ExecStart=/\S+.* watch --config %E/reloaderd/%i\.toml$", text, re.M)
    assert text.startswith("# Written by") and places.STARTS not in text


def test_every_key_of_a_service_is_an_option_or_known() -> None:
    """`toml` takes its keys from the names of options, as `keys` does."""
    of_all, of_a_service = keys.keys()
    known = {*of_all, *of_a_service} - {"command", "paths"}
    for action in watch_parser()._actions:
        if isinstance(action, Once) and not {*action.option_strings} & ELSEWHERE:
            long = action.option_strings[-1].removeprefix("--").replace("-", "_")
            assert {long, action.dest} & known
