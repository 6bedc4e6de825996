"""GATE: with `--gate syntax` the old child lives while what was saved does not compile."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reloaderd.__main__ import EX_SOFTWARE
from tests.support import edits, procfs
from tests.support.daemon import LAUNCHER, Daemon, Watch
from tests.support.places import REPOSITORY, Place, build
from tests.support.terminal import CTRL_C

pytestmark = pytest.mark.every_source

APP = "import sys\nimport time\n"
BROKEN = APP + "def f(:\n    pass\n"

SERVE = "import time\ntime.sleep(1000)\n"
"""Runs on Python 2.7 too."""


@pytest.fixture
def gated(place: Place, watch: Watch) -> Callable[..., Daemon]:
    """A probe, which is a Python child, behind a gate; `app.py` and `other.py` are there."""

    def start(*options: str, **keywords: Any) -> Daemon:
        build(place.tree, {"app.py": APP, "other.py": APP, "page.html": "x\n"})
        return watch("--gate=syntax", *options, **keywords)

    return start


Gated = Callable[..., Daemon]


def held(daemon: Daemon, after: int = 0) -> dict[str, Any]:
    event: dict[str, Any] = daemon.wait_event("held", after=after, reason="syntax")
    return event


def save(daemon: Daemon, path: Path, text: str | bytes) -> dict[str, Any]:
    """A save that is held."""
    at = daemon.mark()
    edits.write(path, text)
    return held(daemon, at)


def caused(daemon: Daemon, run: int) -> list[str]:
    """The paths that a run was told to be for."""
    environ = daemon.wait_record("DUMP", run=run).payload["environ"]
    value: str = environ["RELOADERD_CHANGED"]
    return value.split("\n")


@pytest.mark.smoke
def test_the_old_child_lives_until_it_is_mended(place: Place, gated: Gated) -> None:
    daemon = gated()
    app = place.tree / "app.py"
    first = save(daemon, app, BROKEN)
    assert {name: first[name] for name in ("path", "line", "column", "text", "count", "again")} == {
        "path": str(app),
        "line": 3,
        "column": 7,
        "text": "def f(:",
        "count": 1,
        "again": False,
    }
    assert first["message"].startswith("SyntaxError: ")
    assert save(daemon, app, BROKEN + "#\n")["again"] is True
    assert daemon.exactly_one_live_child() == daemon.starts[0].pid
    assert len(daemon.starts) == 1
    with daemon.restarts(1):
        edits.write(app, APP + "# mended\n")


def test_what_compiles_restarts_at_once(place: Place, gated: Gated) -> None:
    daemon = gated()
    with daemon.restarts(1):
        edits.replace(place.tree / "app.py", APP + "# new\n")
    assert not daemon.named("held")


def test_one_restart_for_all_that_was_held(place: Place, gated: Gated) -> None:
    daemon = gated(probe=("--dump",))
    app, other, page = (place.tree / name for name in ("app.py", "other.py", "page.html"))
    save(daemon, app, BROKEN)
    assert save(daemon, other, APP + "#\n")["path"] == str(app)
    save(daemon, page, "y\n")
    at = daemon.mark()
    with daemon.restarts(1):
        edits.write(app, APP + "# mended\n")
    (changed,) = [one for one in daemon.named("changed", at) if one["paths"] != [str(daemon.marker)]]
    assert sorted(changed["paths"]) == sorted(map(str, (app, other, page)))
    assert sorted(caused(daemon, 2)) == sorted(map(str, (app, other, page)))


def test_two_of_which_one_is_broken(place: Place, gated: Gated) -> None:
    daemon = gated("--debounce=300ms")
    at = daemon.mark()
    edits.write(place.tree / "other.py", APP + "#\n")
    edits.write(place.tree / "app.py", BROKEN)
    assert held(daemon, at)["path"] == str(place.tree / "app.py")
    with daemon.restarts(1):
        edits.write(place.tree / "app.py", APP + "# mended\n")


@pytest.mark.parametrize("known", [True, False], ids=["known", "new"])
def test_a_broken_file_that_is_deleted(known: bool, place: Place, gated: Gated) -> None:
    daemon = gated()
    path = place.tree / ("app.py" if known else "new.py")
    save(daemon, path, BROKEN)
    with daemon.restarts(1):
        path.unlink()


def test_a_rename_into_place(place: Place, gated: Gated) -> None:
    daemon = gated()
    at = daemon.mark()
    edits.replace(place.tree / "app.py", BROKEN)
    held(daemon, at)
    with daemon.restarts(1):
        edits.replace(place.tree / "app.py", APP + "# mended\n")


@pytest.mark.parametrize(
    "source",
    [b"x = 1\0\n", b"x = '\xe9'\n", b"# coding: no-such\n", b"(" * 5000, b"x = " + b"-" * 100_000 + b"1\n"],
    ids=["null", "latin-1", "cookie", "nested", "deep"],
)
def test_other_faults(source: bytes, place: Place, gated: Gated) -> None:
    daemon = gated(warnings=True)
    at = daemon.mark()
    edits.write(place.tree / "app.py", source)
    daemon.wait(lambda: daemon.named("held", at) or daemon.named("restarted", at), "an answer, be it a crash")
    if len(source) < 100:
        assert held(daemon, at)["path"] == str(place.tree / "app.py")
    edits.write(place.tree / "app.py", APP + "# mended\n")
    daemon.final_state_seen()


# The end of the run, and of reloaderd


def test_a_child_that_ends_while_something_is_held(place: Place, gated: Gated) -> None:
    daemon = gated(probe=("--dump",))
    save(daemon, place.tree / "app.py", BROKEN)
    at = daemon.mark()
    procfs.kill(daemon.starts[0].pid, signal.SIGKILL)
    daemon.wait_event("waiting", after=at)
    with daemon.restarts(1):  # without a run there is nothing to keep
        edits.write(place.tree / "page.html", "y\n")
    assert caused(daemon, 2) == [str(place.tree / name) for name in ("app.py", "page.html")]


def test_restart_now(place: Place, gated: Gated) -> None:
    daemon = gated()
    save(daemon, place.tree / "app.py", BROKEN)
    with daemon.restarts(1):
        os.kill(daemon.pid, signal.SIGUSR1)


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_ctrl_c_while_something_is_held(place: Place, gated: Gated) -> None:
    daemon = gated(terminal=True)
    save(daemon, place.tree / "app.py", BROKEN)
    assert daemon.terminal is not None
    daemon.terminal.send(CTRL_C)
    assert daemon.wait_exit() == -signal.SIGINT
    assert daemon.signals(1) == [signal.SIGINT]


# Interpreters


def script(path: Path, *lines: str) -> str:
    path.write_text("\n".join(lines) + "\n")
    path.chmod(0o755)
    return str(path)


def wrapper(place: Place, check: str) -> str:
    """An interpreter that runs the command as Python does, and behaves as `check` says in a check (-E).

    With `--no-modules`, or the one behind it would tell of itself.
    """
    return script(
        place.scratch / "python3",
        "#!/bin/sh",
        f'if test "$1" = -E; then {check}; fi',
        f'exec {sys.executable} "$@"',
    )


@pytest.fixture
def under(place: Place, watch: Watch) -> Callable[..., Daemon]:
    """`app.py` itself as the command, under this interpreter."""

    def start(python: str, *options: str, **keywords: Any) -> Daemon:
        build(place.tree, {"app.py": SERVE, "m.py": "x = 1\n"})
        return watch("--gate=syntax", *options, command=[python, "app.py"], **keywords)

    return start


def version(name: str) -> str:
    found = sorted(Path.home().glob(f".pyenv/versions/{name}.*/bin/python"))
    if not found:
        pytest.skip(f"needs python{name}")
    return str(found[0])


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_it_is_the_childs_python_that_decides(place: Place, under: Callable[..., Daemon]) -> None:
    old, new = 'print "x"\n', "match 1:\n    case 1:\n        pass\n"
    python2, python39 = version("2.7"), version("3.9")
    daemon = under(python2)
    edits.write(place.tree / "m.py", old)
    daemon.wait_event("restarted", run=2)
    save(daemon, place.tree / "m.py", new)
    daemon.finish()
    daemon = under(python39)
    save(daemon, place.tree / "m.py", old)
    assert save(daemon, place.tree / "m.py", new)["line"] == 1
    daemon.finish()
    assert not any(one["event"] == "warning" for one in daemon.events)


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_an_interpreter_that_hangs(place: Place, under: Callable[..., Daemon]) -> None:
    daemon = under(wrapper(place, "exec sleep 1000"), "--no-modules", warnings=True)
    edits.write(place.tree / "m.py", "x = (\n")
    assert "10 s" in daemon.wait_event("warning")["text"]
    daemon.wait_event("restarted", run=2)
    daemon.wait(lambda: "sleep" not in map(name_of, procfs.marked(place.mark)), "the check to be gone")


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_an_end_while_a_check_hangs(place: Place, under: Callable[..., Daemon]) -> None:
    daemon = under(wrapper(place, "exec sleep 1000"), "--no-modules")
    edits.write(place.tree / "m.py", "x = (\n")
    daemon.wait(lambda: "sleep" in map(name_of, procfs.marked(place.mark)), "a check")
    at = procfs.marked(place.mark)
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_exit(8.0) == -signal.SIGTERM
    assert at and not daemon.named("warning")


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_a_keeper_that_is_killed_during_a_check(place: Place, under: Callable[..., Daemon]) -> None:
    """What is checked was for a run that is gone: it does not wait, and the check does not stay."""
    daemon = under(wrapper(place, "exec sleep 1000"), "--no-modules", warnings=True)
    edits.write(place.tree / "m.py", "x = (\n")
    daemon.wait(lambda: "sleep" in map(name_of, procfs.marked(place.mark)), "a check")
    stat = procfs.stat(daemon.wait_event("started")["pid"])
    assert stat is not None
    procfs.kill(stat.ppid, signal.SIGKILL)
    daemon.wait_event("started", run=2, limit=8.0)
    assert "sleep" not in map(name_of, procfs.marked(place.mark))


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_an_interpreter_that_went(place: Place, under: Callable[..., Daemon]) -> None:
    python = wrapper(place, ":")
    daemon = under(python, "--no-modules", warnings=True)
    os.rename(python, python + "-away")
    edits.write(place.tree / "m.py", "x = (\n")
    assert "no such file" in daemon.wait_event("warning")["text"]
    daemon.wait(lambda: len(daemon.named("warning")) == 2, "that it cannot be started either")
    os.rename(python + "-away", python)
    daemon.wait_event("started", run=3)


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_a_command_whose_python_is_not_known(place: Place, watch: Watch) -> None:
    build(place.tree, {"m.py": "x = 1\n"})
    daemon = watch("--gate=syntax", command=["sh", "-c", "exec sleep 1000"], warnings=True)
    for run in (2, 3):
        edits.write(place.tree / "m.py", f"x = ({run}\n")
        daemon.wait_event("restarted", run=run)
    (warning,) = daemon.named("warning")
    assert "which Python sh -c" in warning["text"]


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_a_python_behind_a_shell_is_known_once_it_runs(place: Place, watch: Watch) -> None:
    build(place.tree, {"app.py": SERVE, "m.py": "x = 1\n"})
    daemon = watch("--gate=syntax", command=["sh", "-c", f"{sys.executable} app.py; true"])
    daemon.wait(lambda: daemon.named("armed"), "what it has loaded")
    save(daemon, place.tree / "m.py", "x = (\n")
    edits.write(place.tree / "m.py", "x = 2\n")
    daemon.wait_event("restarted", run=2)


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_a_dry_run_checks_nothing(place: Place, gated: Gated) -> None:
    daemon = gated("--dry-run", children=0, ready=False)
    daemon.wait_event("watching")
    edits.write(place.tree / "app.py", BROKEN)
    assert daemon.wait_event("changed")["dry_run"] is True
    assert not daemon.named("held")
    daemon.ended = daemon.process_ended()


# What a person sees


@pytest.mark.only("inotify", reason="nothing here is about changes")
@pytest.mark.parametrize("options", [(), ("-q",)], ids=["plain", "quiet"])
def test_the_block_is_red_and_the_bell_rings_once(
    options: tuple[str, ...], place: Place, gated: Gated
) -> None:
    daemon = gated("--color=always", *options, terminal=True, log_format="text")
    terminal = daemon.terminal
    assert terminal is not None
    app = place.tree / "app.py"
    edits.write(app, BROKEN)
    terminal.wait_output("SyntaxError")
    terminal.wait_screen("held: app.py:3 does not compile; the old run stays")
    lines = terminal.screen().splitlines()
    at = next(number for number, line in enumerate(lines) if "def f(:" in line)
    assert lines[at + 1].index("^") == lines[at].index("(:") + 1
    assert terminal.output.count(b"\a") == 1
    for piece in (b"held: app.py", b"    def f(:", b"          ^", b"SyntaxError"):
        assert b"\x1b[31m" + piece in terminal.output, piece
    if not options:
        mark = terminal.mark()
        edits.write(app, BROKEN + "#\n")
        terminal.wait_output(r"still held: app\.py:3: SyntaxError", after=mark)
        assert terminal.output.count(b"\a") == 1 and b"^" not in terminal.output[mark:]
    edits.write(app, APP + "# mended\n")
    daemon.final_state_seen()


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_no_bell_where_there_is_no_terminal(place: Place, gated: Gated) -> None:
    daemon = gated(log_format="text")
    edits.write(place.tree / "app.py", BROKEN)
    daemon.wait_line(lambda line: "SyntaxError" in line)
    assert b"\a" not in daemon.stderr.read_bytes()
    assert all(line.startswith("[reloaderd] ") for line in daemon.noise)
    edits.write(place.tree / "app.py", APP)


@pytest.mark.only("inotify", reason="nothing here is about changes")
def test_what_is_loaded_only_where_it_is_wanted(place: Place, gated: Gated) -> None:
    daemon = gated()
    save(daemon, place.tree / "app.py", BROKEN)
    maps = Path(f"/proc/{daemon.pid}/maps").read_text()
    assert "_posixsubprocess" not in maps
    edits.write(place.tree / "app.py", APP)
    daemon.final_state_seen()


def test_a_launcher_of_another_python(place: Place, watch: Watch) -> None:
    """A file is compiled by the Python that loaded it, not by the one that started that."""
    old = version("3.9")
    launcher = f"import os\nos.execv({sys.executable!r}, ['python', 'app.py'])\n"
    new = "match 1:\n    case 1:\n        import time; time.sleep(1000)\n"
    build(place.tree, {"launch.py": launcher, "app.py": new, "other.py": ""})
    daemon = watch("--gate=syntax", command=[old, "launch.py"], children=None)
    daemon.wait_event("armed", run=1, modules=2)
    edits.write(place.tree / "app.py", new + "# more\n")
    daemon.wait_event("restarted", run=2)
    assert not daemon.named("held")


# What is loaded only then


@pytest.mark.only("inotify", reason="it is about no source")
def test_another_version_was_installed_meanwhile(
    place: Place, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What shows the place of a fault is loaded with the first one: one line says why that cannot be."""
    installed = place.scratch / "site" / "reloaderd"
    shutil.copytree(REPOSITORY / "reloaderd", installed)
    launcher = place.scratch / "installed.py"
    launcher.write_text(LAUNCHER.replace(str(REPOSITORY), str(installed.parent)))
    monkeypatch.setenv("RELOADERD_COMMAND", shlex.join([sys.executable, str(launcher)]))
    daemon = gated(children=0, log_format="text")
    shutil.rmtree(installed)
    edits.write(place.tree / "app.py", BROKEN)
    assert daemon.wait_exit() == EX_SOFTWARE
    assert daemon.noise[-1] == (
        "reloaderd: another reloaderd was installed since this one was started, or it was removed:"
        " No module named 'reloaderd.excerpt' (start it again)"
    )
