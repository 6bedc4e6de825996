"""The configuration file as settings, and all its faults at once, each with its line."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from reloaderd import cli
from reloaderd.config import keys
from reloaderd.errors import ConfigError, ReloaderdError
from reloaderd.kernel import files
from reloaderd.options import watch_parser
from reloaderd.parsers import Once
from reloaderd.settings import (
    ConfigSettings,
    ConsoleSettings,
    On,
    Pattern,
    RuleSettings,
    ServiceSettings,
    Settings,
)

FILE = "reloaderd.toml"
WEB = '[service.web]\ncommand = ["web"]\n'

pytestmark = pytest.mark.usefixtures("here")


def write(text: str, name: str = "reloaderd.toml", mode: int = 0o644) -> None:
    path = Path(name)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def read(text: str, *words: str) -> Settings:
    write(text)
    parsed = cli.parse(["watch", *words])
    assert isinstance(parsed, Settings)
    return parsed


def service(text: str, *words: str) -> ServiceSettings:
    [one] = read(f'[service.web]\ncommand = ["web"]\n{text}', *words).services
    return one


def faults(*words: str) -> list[str]:
    """The lines of a refusal, without the file's name."""
    with pytest.raises(ConfigError) as caught:
        cli.parse(["watch", *words])
    assert caught.value.exit_code == 78
    assert not any("\n" in line for line in caught.value.lines)
    return [re.sub(r"^reloaderd\.toml:(?=\d)", "", line) for line in caught.value.lines]


def faults_of(text: str, *words: str) -> list[str]:
    write(text)
    return faults(*words)


def refused(*words: str) -> str:
    """The one line of what is wrong with the command line and not with the file."""
    with pytest.raises(ReloaderdError) as caught:
        cli.parse(["watch", *words])
    assert caught.value.exit_code == 2
    [line] = caught.value.lines
    return line


def stamp_of(name: str) -> int:
    """How the core finds the file when it looks whether it was changed before it was watched."""
    found = files.stamp(name)
    assert found is not None
    return found.value


# What is read


def test_the_least_there_is(here: Path) -> None:
    plain = ServiceSettings("web", ("web",), (str(here),), config=f"{here}/reloaderd.toml")
    config = ConfigSettings(f"{here}/reloaderd.toml", False, ())
    found = read(WEB)
    stamped = config._replace(stamp=stamp_of("reloaderd.toml"))
    assert found == Settings((plain,), config=stamped, name="project")


def test_patterns_that_spell_out_the_way_to_a_path(here: Path) -> None:
    """From the directory of the file, wherever reloaderd is started."""
    [one] = read("""
        [service.web]
        command = "x"
        paths = ["src"]
        ignore = ["src/gen"]
        """).services
    assert [pattern.glob for pattern in one.rules.patterns] == ["src/gen", f"{one.roots[0]}/gen"]


def test_every_key(here: Path) -> None:
    parsed = read(
        """
        backend = "poll"
        poll_interval = 0.5
        clear = true
        color = "never"
        log_format = "json"
        verbose = 2
        [service.web]
        command = ["cmd", "a b"]
        paths = ["src", "lib", "./src"]
        ext = ["py", ".html"]
        filter = ["a*", "!c"]
        ignore = ["b"]
        gitignore = false
        default_ignores = false
        debounce = "50ms"
        follow_links = true
        skip_unchanged = true
        exact = true
        gate = "syntax"
        stop_signal = "INT"
        stop_timeout = 1.5
        kill = "group"
        on_exit = "restart"
        restart_status = 4
        chdir = "lib"
        [service.web.on]
        "*.css" = "ignore"
        "a=b" = "signal:HUP"
        [service.web.env]
        A = "1=2"
        B = 3
        [service.worker]
        command = "celery -A 'my app'"
        modules = false
        stop_signal = 9
        restart_status = "none"
        debounce = "auto"
        """
    )
    web = ServiceSettings(
        "web",
        ("cmd", "a b"),
        (f"{here}/src", f"{here}/lib"),
        RuleSettings(
            ("py", "html"),
            (
                Pattern("a*", True, f"{FILE}:12"),
                Pattern("!c", True, f"{FILE}:12"),
                Pattern("b", False, f"{FILE}:13"),
            ),
            (On("*.css", "ignore", origin=f"{FILE}:28"), On("a=b", "signal", signal.SIGHUP, f"{FILE}:29")),
            False,
            False,
            f"{FILE}:11",
        ),
        debounce=0.05,
        follow_links=True,
        exact=True,
        stop_signal=signal.SIGINT,
        stop_timeout=1.5,
        kill="group",
        on_exit="restart",
        restart_status=4,
        gate="syntax",
        chdir=f"{here}/lib",
        environ=(("A", "1=2"), ("B", "3")),
        skip_unchanged=True,
        config=f"{here}/reloaderd.toml",
    )
    worker = ServiceSettings(
        "worker",
        ("celery", "-A", "my app"),
        (str(here),),
        modules=False,
        stop_signal=signal.SIGKILL,
        restart_status=None,
        config=f"{here}/reloaderd.toml",
    )
    console = ConsoleSettings("json", "never", True, 2)
    assert parsed._replace(config=None) == Settings((web, worker), console, "poll", 0.5, name="project")


def test_every_option_is_a_key_or_said_not_to_be_one() -> None:
    of_all, of_a_service = keys.keys()
    dests = {key.dest for key in (*of_all.values(), *of_a_service.values())}
    options = {action.dest for action in watch_parser()._actions if isinstance(action, Once)}
    assert options - dests == keys.NOT_IN_A_FILE
    assert dests - options == {"command", "paths"}


def test_false_is_the_default_of_what_is_off_and_true_of_what_is_on() -> None:
    off = "".join(f"{name} = false\n" for name in ("exact", "follow_links", "skip_unchanged", "shell"))
    on = "".join(f"{name} = true\n" for name in ("modules", "gitignore", "default_ignores"))
    assert service(off + on) == service("")
    assert read("clear = false\nquiet = false\nverbose = false\n" + WEB).console == ConsoleSettings()


def test_verbosity() -> None:
    assert read("quiet = true\n" + WEB).console.verbosity == -1
    assert read("verbose = true\n" + WEB).console.verbosity == 1
    assert read("quiet = true\n" + WEB, "-v").console.verbosity == 1
    assert read("verbose = 2\n" + WEB, "-q").console.verbosity == -1


def test_a_shell_gets_a_command_as_it_is() -> None:
    for command in ('"a && b"', '["a", "&&", "b"]'):
        [one] = read(f"[service.web]\nshell = true\ncommand = {command}\n").services
        assert one.command == ("/bin/sh", "-c", "a && b")


def test_one_string_is_a_list_of_one() -> None:
    assert service('paths = "src"\next = "py,html"\nignore = "x"') == service(
        'paths = ["src"]\next = ["py", "html"]\nignore = ["x"]'
    )


def test_paths_are_relative_to_the_file_and_the_command_starts_there(here: Path) -> None:
    (here / "conf").mkdir()
    (here / "conf/data").mkdir()
    write(WEB + 'paths = [".", "data", "../src", "/"]\n', "conf/my.toml")
    [one] = parsed("--config", "conf/my.toml").services
    assert one.roots == (f"{here}/conf", f"{here}/conf/data", f"{here}/src", "/")
    assert one.chdir == f"{here}/conf"
    write(WEB + 'chdir = "data"\nenv_file = "my.env"\n', "conf/my.toml")
    (here / "conf/my.env").write_text("A=1\n")
    [one] = parsed("--config", "conf/my.toml").services
    assert (one.chdir, one.environ) == (f"{here}/conf/data", (("A", "1"),))


def parsed(*words: str) -> Settings:
    found = cli.parse(["watch", *words])
    assert isinstance(found, Settings)
    return found


def test_a_tilde_is_the_home_directory(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(here / "lib"))
    (here / "lib/x").mkdir()
    assert service('paths = ["~/x"]').roots == (f"{here}/lib/x",)


# The command line over it


def test_cf07_options_win_for_every_service(here: Path) -> None:
    text = 'backend = "poll"\n' + WEB + 'ext = ["py"]\nchdir = "src"\n[service.worker]\ncommand = ["w"]\n'
    found = read(text, "--backend", "inotify", "-e", "css", "--chdir", "lib", "--dry-run")
    assert found.backend == "inotify"
    assert [one.rules.ext for one in found.services] == [("css",)] * 2
    assert [one.chdir for one in found.services] == [f"{here}/lib"] * 2
    assert all(one.dry_run for one in found.services)


def test_cf07_patterns_actions_and_variables_come_after_those_of_the_file(here: Path) -> None:
    (here / "cli.env").write_text("B=cli-file\nC=cli-file\n")
    (here / "file.env").write_text("A=file\nD=file\n")
    one = service(
        'ignore = ["b"]\nfilter = ["a"]\non = { x = "ignore" }\nenv_file = "file.env"\n'
        'env = { A = "table", B = "table", C = "table" }',
        *("-i", "c", "-f", "d", "--on", "y=restart", "--env-file", "cli.env", "--env", "C=cli"),
    )
    assert [pattern.glob for pattern in one.rules.patterns] == ["a", "b", "c", "d"]
    assert [on.glob for on in one.rules.on] == ["x", "y"]
    origins = [pattern.origin for pattern in one.rules.patterns]
    assert origins == [f"{FILE}:4", f"{FILE}:3", "command line", "command line"]
    assert [on.origin for on in one.rules.on] == [f"{FILE}:5", "command line"]
    assert dict(one.environ) == {"A": "table", "B": "cli-file", "C": "cli", "D": "file"}


def test_cf07_of_options_that_contradict_each_other_the_command_line_wins() -> None:
    assert (service("exact = true", "--no-modules").exact, service("exact = true").exact) == (False, True)
    assert service("modules = false", "--exact").modules
    assert "contradict" in refused("--exact", "--no-modules")


def test_services_are_chosen_by_name() -> None:
    text = "".join(f'[service.{name}]\ncommand = "x"\n' for name in ("web", "worker", "mail"))
    assert [one.name for one in read(text).services] == ["web", "worker", "mail"]
    assert [one.name for one in read(text, "mail", "web").services] == ["web", "mail"]
    line = refused("web", "wroker")
    assert line.startswith("unknown service wroker (did you mean worker?")
    assert "reloaderd.toml has web, worker, mail" in line
    assert "unknown option --bogus" in refused("web", "--bogus")


def test_a_name_is_that_of_the_whole() -> None:
    found = read(WEB, "-n", "x")
    assert (found.name, found.named, found.services[0].name) == ("x", True, "web")
    assert refused("-n", "x/y").startswith("-n x/y: not a NAME")


def test_a_file_of_no_usual_name_gives_its_own(here: Path) -> None:
    write(WEB, "blog.toml")
    found = cli.parse(["watch", "--config", "blog.toml"])
    assert isinstance(found, Settings)
    assert (found.name, found.named) == ("blog", False)


def test_a_file_is_not_looked_at_where_there_is_a_command() -> None:
    write("broken")
    found = cli.parse(["watch", "--", "true"])
    assert isinstance(found, Settings)
    assert found.config is None


# Which file


def test_reloaderd_toml_comes_before_pyproject_toml() -> None:
    write(
        '[tool.reloaderd]\nbackend = "poll"\n[tool.reloaderd.service.one]\ncommand = "x"\n', "pyproject.toml"
    )
    assert [one.name for one in parsed().services] == ["one"]
    assert parsed().backend == "poll"
    assert parsed("--config", "pyproject.toml").services == parsed().services
    assert parsed().services[0].config == os.path.abspath("pyproject.toml")
    assert [one.name for one in read(WEB).services] == ["web"]


def test_a_pyproject_toml_without_a_table_is_none_of_ours() -> None:
    for text in (
        "[tool.black]\n",
        "broken",
        '[project]\ndependencies = ["reloaderd"]\n',
        "tool = 3 # reloaderd",
    ):
        write(text, "pyproject.toml", 0o666)
        assert refused("src").startswith("COMMAND is missing")
    assert faults("--config", "pyproject.toml") == ["pyproject.toml: it has no table [tool.reloaderd]"]


def test_faults_of_a_pyproject_toml_have_its_lines() -> None:
    write('[project]\nname = "x"\n[tool.reloaderd]\nx = 1\nservice = 3\n', "pyproject.toml")
    assert faults() == [
        "pyproject.toml:4: x: unknown key",
        "pyproject.toml:5: service: must be a table, not a number"
        " (a table [tool.reloaderd.service.NAME] with a command makes one)",
    ]
    write("[tool]\n\nreloaderd = 3", "pyproject.toml")
    assert faults() == ["pyproject.toml:3: must be a table, not a number"]


def test_without_a_file_a_command_is_missing() -> None:
    assert "or have a reloaderd.toml" in refused()


# Faults


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["1: service: there are no services (a table [service.NAME] with a command makes one)"]),
        ("x = 1\n[service]\n", ["1: x: unknown key", "2: service: there are no services (a table"]),
        ("[service.web]\n", ["1: service.web: it has no command (for example command = ["]),
        ("[[service]]\ncommand = 'x'\n", ["1: service: must be a table, not a list"]),
        ("[service]\nweb = 'x'", ["2: service.web: must be a table, not a string"]),
        ("\n[service.'a/b']\ncommand = 'x'", ["2: service.a/b: not a NAME (letters"]),
        (WEB + "patsh = 3", ["3: service.web.patsh: unknown key (did you mean paths?)"]),
        (WEB + "stop-signal = 3", ["3: service.web.stop-signal: unknown key (did you mean stop_signal?)"]),
        (WEB + "backend = 'poll'", ["3: service.web.backend: unknown key (it is for all services"]),
        ("debounce = 3\n" + WEB, ["1: debounce: unknown key (it belongs into the table of a service)"]),
        (WEB + "dry_run = true", ["3: service.web.dry_run: unknown key (it is an option of the comm"]),
        (WEB + "debounce = '5x'", ["3: service.web.debounce: 5x: not a time (a TIME is 50ms"]),
        (WEB + "debounce = true", ["3: service.web.debounce: must be a string or a number, not true"]),
        (WEB + "stop_timeout = -1", ["3: service.web.stop_timeout: -1: a time cannot be negative"]),
        (WEB + "stop_timeout = inf", ["3: service.web.stop_timeout: inf: not a time"]),
        (WEB + "stop_timeout = 07:00:00", ["3: service.web.stop_timeout: must be a string or a number, not"]),
        (WEB + "exact = 1", ["3: service.web.exact: must be true or false, not a number"]),
        (WEB + "ext = ['py',\n'*/']", ["4: service.web.ext: */: not an ending"]),
        (WEB + "ext = [3]", ["3: service.web.ext: must be a string, not a number"]),
        (WEB + "ignore = 3", ["3: service.web.ignore: must be a string or a list of strings, not a number"]),
        (WEB + "ignore = [\n'a',\n'',\n]", ["5: service.web.ignore: an empty pattern"]),
        (WEB + "on = ['x=ignore']", ["3: service.web.on: must be a table, not a list"]),
        (WEB + "[service.web.on]\n'*.x' = 'tell'", ["4: service.web.on.*.x: no such action: tell"]),
        (WEB + "env = { A = 1,\tB = [] }", ["3: service.web.env.B: must be a string, not a list"]),
        (WEB + "kill = 'all'", ["3: service.web.kill: all: no such choice (choose tree, group or child)"]),
        (WEB + "chdir = 3", ["3: service.web.chdir: must be a string, not a number"]),
        (WEB + "chdir = 'app.py'", ["3: service.web.chdir: app.py: not a directory"]),
        (WEB + "env_file = 'no'", ["3: service.web.env_file: no: no such file or directory"]),
        (WEB + "paths = ['src',\n\n'no']", ["5: service.web.paths: no: no such file or directory"]),
        (WEB + "paths = ['']", ["3: service.web.paths: an empty PATH"]),
        (WEB + "paths = ['a\\u0000b']".replace("'", '"'), ["3: service.web.paths: it holds a NUL character"]),
        (WEB + 'env = { A = "s\\u0000t" }', ["3: service.web.env.A: it holds a NUL character"]),
        (WEB + "exact = true\nmodules = false", ["4: service.web.modules: exact and modules = false contr"]),
        ("verbose = 1\nquiet = true\n" + WEB, ["1: verbose: quiet and verbose contradict each other"]),
        ("verbose = 'x'\n" + WEB, ["1: verbose: must be true, false or a number from 0 to 9"]),
        ("[service.web]\ncommand = []", ["2: service.web.command: it is empty"]),
        ("[service.web]\ncommand = '  '", ["2: service.web.command: it is empty"]),
        ("[service.web]\ncommand = \"'' x\"", ["2: service.web.command: it is empty"]),
        ("[service.web]\ncommand = 'a \"b'", ["2: service.web.command: it cannot be split: no closing"]),
        ("[service.web]\ncommand = ['a',\n3]", ["3: service.web.command: must be a string, not a number"]),
        ("[service.web]\ncommand = 3", ["2: service.web.command: must be a string or a list of strings"]),
    ],
)  # fmt: skip
def test_faults(text: str, lines: list[str]) -> None:
    found = faults_of(text)
    assert len(found) == len(lines), found
    for line, wanted in zip(found, lines, strict=True):
        assert line.startswith(wanted)


def test_all_faults_are_told_at_once_in_the_order_of_the_file() -> None:
    found = faults_of("a = 1\n[service.one]\nb = 1\n[service.two]\ncommand = 3\n[service.three]\nkill = 1\n")
    assert [line.partition(":")[0] for line in found] == ["1", "2", "3", "5", "6", "7"]


def test_faults_of_a_service_that_is_not_wanted_are_faults() -> None:
    assert len(faults_of(WEB + "[service.other]\n", "web")) == 1


def test_a_value_of_the_environment_is_not_repeated(here: Path) -> None:
    (here / "x.env").write_text("hunter2\n")
    text = 'env_file = "x.env"\nenv = { "a=b" = "hunter2", "" = "hunter2", C = ["hunter2"] }'
    found = faults_of(WEB + text)
    assert len(found) == 3, found
    assert "hunter2" not in "".join(found)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"a = 1\nb\n", "2: not TOML: expected '=' after a key"),
        (b"a = 1\na = 2\n", "2: not TOML: cannot overwrite a value"),
        (b"\n\nx = [1,\n", "3: not TOML: "),
        (b"a = 1\n# \xff\n", "2: not UTF-8"),
        (b"a = 2000-13-99", "1: not TOML: "),
        (b"x = " + b"[" * 100_000, "reloaderd.toml: nested too deeply"),
        (b"#" * (1 << 20) + b"\n", "reloaderd.toml: larger than 1048576 bytes"),
        (b"x = " + b"9" * 5000, "reloaderd.toml: not TOML: "),
    ],
)
def test_cf05_a_text_that_is_no_toml(content: bytes, line: str) -> None:
    Path("reloaderd.toml").write_bytes(content)
    [found] = faults()
    assert found.startswith(line)


def test_a_byte_order_mark_is_passed_over() -> None:
    Path("reloaderd.toml").write_bytes(b"\xef\xbb\xbf" + WEB.encode())
    assert len(parsed().services) == 1


def test_cf05_what_is_no_file(here: Path) -> None:
    (here / "reloaderd.toml").mkdir()
    assert faults() == ["reloaderd.toml: is a directory"]
    (here / "reloaderd.toml").rmdir()
    os.mkfifo(here / "reloaderd.toml")
    assert faults() == ["reloaderd.toml: not a regular file"]
    (here / "reloaderd.toml").unlink()
    (here / "reloaderd.toml").symlink_to("nowhere")
    assert faults() == ["reloaderd.toml: no such file or directory"]
    assert faults("-c", "gone.toml") == ["gone.toml: no such file or directory"]


# Whose it is


@pytest.mark.parametrize("mode", [0o664, 0o646, 0o602])
def test_a_file_that_others_may_write_is_refused_unless_it_is_named(mode: int) -> None:
    write(WEB, mode=mode)
    [line] = faults()
    assert line == (
        "reloaderd.toml: others may write it, and it says what is run"
        " (chmod go-w reloaderd.toml; or name it if you trust it: --config reloaderd.toml)"
    )
    assert len(parsed("--config", "reloaderd.toml").services) == 1


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_a_file_of_another_user_is_refused_unless_it_is_named(here: Path) -> None:
    write(WEB)
    os.chown("reloaderd.toml", 12345, -1)
    [line] = faults()
    assert line.startswith("reloaderd.toml: it is of another user, and says what is run (name it")
    assert len(parsed("--config", "reloaderd.toml").services) == 1
    os.rename("reloaderd.toml", "real.toml")
    os.chown("real.toml", 0, -1)
    os.symlink("real.toml", "reloaderd.toml")
    assert len(parsed().services) == 1
    os.chown("reloaderd.toml", 12345, -1, follow_symlinks=False)
    assert len(faults()) == 1


# Again


def test_it_is_read_again_by_what_the_settings_hold(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = WEB + "[service.worker]\ncommand = 'x'\n"
    first = read(text, "-e", "py", "web")
    assert first.config is not None
    assert cli.parse_again(first.config) == first
    write(text.replace("web", "mail"))
    write("[tool.reloaderd.service.web]\ncommand = 'x'\n", "pyproject.toml")
    with pytest.raises(ReloaderdError, match="unknown service web"):
        cli.parse_again(first.config)
    os.unlink("reloaderd.toml")
    with pytest.raises(ConfigError) as caught:  # and pyproject.toml is not taken for it
        cli.parse_again(first.config)
    assert caught.value.lines == ("reloaderd.toml: no such file or directory",)


@pytest.mark.parametrize(
    "name", ["my.toml", "./my.toml", "src/../my.toml", "link/../my.toml", "lib/deep/my.toml"]
)
def test_a_named_file_stays_named_and_what_it_is(here: Path, name: str) -> None:
    (here / "lib/deep").mkdir()
    (here / "link").symlink_to("lib/deep")
    write(WEB + "ext = 'py'\nignore = 'x'\non = { y = 'ignore' }", name, 0o666)
    first = parsed("--config", name)
    path = os.path.realpath(name)
    assert first.config == ConfigSettings(path, True, ("--config", name), stamp_of(name))
    assert cli.parse_again(first.config) == first


def test_a_path_that_is_away_while_reloaderd_runs_is_no_fault(here: Path) -> None:
    first = read(WEB + 'paths = ["src", "lib"]\n')
    assert first.config is not None
    (here / "lib").rmdir()
    again = cli.parse_again(first.config)
    assert again.services == first.services
    write(WEB + 'paths = ["src", "new"]\n')
    assert cli.parse_again(first.config).services[0].roots == (f"{here}/src", f"{here}/new")
    assert len(faults()) == 1
