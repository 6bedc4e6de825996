"""CF, 6.5: options of `watch` as seen in the child and in what becomes of it."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch, probe_command
from tests.support.places import Place, build


def environ(daemon: Daemon, run: int = 1) -> dict[str, str]:
    """The environment that the child of this run was executed with."""
    found: dict[str, str] = daemon.wait_record("DUMP", run=run).payload["environ"]
    return found


# The environment (DESIGN 6.5)


@pytest.mark.smoke
def test_environment_tells_what_changed(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n", "b.py": "b\n"})
    daemon = watch("--debounce=400ms", probe=("--dump",))
    assert environ(daemon)["RELOADERD_RUN"] == "1"
    assert environ(daemon)["RELOADERD_CHANGED"] == ""
    assert environ(daemon)["RELOADERD_CHANGED_COUNT"] == "0"
    edits.append(place.tree / "b.py")
    edits.append(place.tree / "a.py")
    told = environ(daemon, 2)
    assert told["RELOADERD"] == "tree"
    assert told["RELOADERD_RUN"] == "2"
    assert told["RELOADERD_CHANGED"] == f"{place.tree}/b.py\n{place.tree}/a.py"
    assert told["RELOADERD_CHANGED_COUNT"] == "2"
    os.kill(daemon.pid, signal.SIGUSR1)
    assert environ(daemon, 3)["RELOADERD_CHANGED_COUNT"] == "0"


def test_environment_has_what_changed_during_the_stop(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n", "b.py": "b\n"})
    daemon = watch(probe=("--dump", "--slow", "0.5"))
    edits.append(place.tree / "a.py")
    daemon.wait_record("SIGNAL", run=1)
    edits.append(place.tree / "b.py")
    assert environ(daemon, 2)["RELOADERD_CHANGED"] == f"{place.tree}/a.py\n{place.tree}/b.py"


def test_environment_has_what_had_not_settled(place: Place, watch: Watch) -> None:
    """A start has everything that is known by then, and it is not waited for again."""
    daemon = watch("--debounce=10min", probe=("--dump", "--slow", "0.5"))
    os.kill(daemon.pid, signal.SIGUSR1)
    daemon.wait_record("SIGNAL", run=1)
    edits.append(place.tree / "b.py")
    assert environ(daemon, 2)["RELOADERD_CHANGED"] == f"{place.tree}/b.py"
    os.kill(daemon.pid, signal.SIGUSR1)
    assert environ(daemon, 3)["RELOADERD_CHANGED"] == ""


def test_environment_has_names_as_they_are(place: Place, watch: Watch) -> None:
    daemon = watch(probe=("--dump",))
    name = os.fsdecode(b"\xff $(touch x).py")
    edits.write(place.tree / name)
    assert environ(daemon, 2)["RELOADERD_CHANGED"] == f"{place.tree}/{name}"


def test_pr29_environment_is_bounded_in_bytes(place: Place, watch: Watch) -> None:
    """Whole paths, as many as fit in 32 KiB: bytes are what the kernel counts."""
    build(place.outside, {f"many/{number:03}{'ß' * 120}": "" for number in range(200)})
    daemon = watch("--debounce=400ms", probe=("--dump",), read=(str(place.tree / "marker.py"),))
    os.rename(place.outside / "many", place.tree / "many")
    told = environ(daemon, 2)
    assert int(told["RELOADERD_CHANGED_COUNT"]) >= 200
    assert 31 * 1024 < len(os.fsencode(told["RELOADERD_CHANGED"])) <= 32 * 1024
    assert all(map(os.path.exists, told["RELOADERD_CHANGED"].split("\n")))


def test_environment_after_reloaderds_of_its_own(place: Place, watch: Watch) -> None:
    """What an outer reloaderd told us is not what we tell."""
    outer = {"RELOADERD": "outer", "RELOADERD_RUN": "77", "RELOADERD_CHANGED": "/x"}
    daemon = watch("--name=inner", probe=("--dump",), environ=outer)
    told = environ(daemon)
    assert (told["RELOADERD"], told["RELOADERD_RUN"], told["RELOADERD_CHANGED"]) == ("inner", "1", "")


def test_env_and_env_file(place: Place, watch: Watch) -> None:
    build(place.outside, {"x.env": "# for the tests\nexport BOTH=file\nQUOTED='a b'\nPATH_LIKE=$HOME/x\n"})
    daemon = watch(
        *("--env", "BOTH=option", "--env-file", str(place.outside / "x.env")),
        *("--env", "EMPTY=", "--env", "EQUAL=a=b", "--env=LANG=C"),
        probe=("--dump",),
    )
    for run in (1, 2):
        told = environ(daemon, run)
        assert told["BOTH"] == "option"
        assert told["QUOTED"] == "a b"
        assert told["PATH_LIKE"] == "$HOME/x"
        assert (told["EMPTY"], told["EQUAL"], told["LANG"]) == ("", "a=b", "C")
        if run == 1:
            daemon.change_marker()
    assert "option" not in daemon.stderr.read_text()  # it may be a secret


def test_env_file_is_found_from_where_reloaderd_was_started(place: Place, watch: Watch) -> None:
    build(place.tree, {"x.env": "WHOSE=start\n", "work/x.env": "WHOSE=chdir\n"})
    daemon = watch("--chdir=work", "--env-file=x.env", probe=("--dump",))
    assert environ(daemon)["WHOSE"] == "start"


def test_env_path_is_where_the_command_is_looked_for(place: Place, watch: Watch) -> None:
    tool = place.outside / "bin/tool"
    build(place.outside, {"bin/tool": "#!/bin/sh\nexec /bin/sleep 1000\n"})
    tool.chmod(0o755)
    daemon = watch("--env", f"PATH={tool.parent}", command=("tool",))
    pid = daemon.wait_event("started")["pid"]
    daemon.wait(lambda: procfs.cmdline(pid) == ["/bin/sleep", "1000"], "the tool")


def test_name(watch: Watch) -> None:
    daemon = watch("--name=web-2", probe=("--dump",))
    assert environ(daemon)["RELOADERD"] == "web-2"
    assert {one["service"] for one in daemon.events} == {"web-2"}


# How the command is started


def test_chdir(place: Place, watch: Watch) -> None:
    """The command runs there; what is watched, and the log, go by where reloaderd was started."""
    build(place.tree, {"work/": None, "src/a.py": "a\n"})
    daemon = watch("--chdir=work", roots=("src",), marker="src/marker.py", probe=("--dump",))
    dump = daemon.wait_record("DUMP", run=1).payload
    assert dump["cwd"] == dump["environ"]["PWD"] == str(place.tree / "work")
    with daemon.restarts(1):
        edits.append(place.tree / "src/a.py")
    assert procfs.cwd(daemon.pid) in (str(place.tree), "/")


def test_chdir_relative_command(place: Place, watch: Watch) -> None:
    build(place.tree, {"work/run": "#!/bin/sh\nexec sleep 1000\n"})
    (place.tree / "work/run").chmod(0o755)
    daemon = watch("--chdir=work", command=("./run",))
    pid = daemon.wait_event("started")["pid"]
    daemon.wait(lambda: procfs.cmdline(pid) == ["sleep", "1000"], "the command")


@pytest.mark.smoke
def test_cf02_the_command_gets_its_words_as_they_are(place: Place, watch: Watch) -> None:
    words = ["--help", "--", "-q", "--env", "A=1", "", " ", "*", "$HOME", "a\nb", "größe", "--", "-"]
    command = [*probe_command(place.scratch / "probe-0.log", ("--dump",)), *words]
    daemon = watch(command=command)
    argv = daemon.wait_record("DUMP").payload["argv"]
    assert argv[-len(words) :] == words
    assert daemon.wait_event("started")["command"] == command


def test_shell(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.txt": "", "b.txt": ""})
    line = 'echo *.txt "$WHO" > said; sleep 1000 | sleep 1000 &\nwait'
    daemon = watch("--shell", "--env=WHO=me", "--ignore=said", command=(line,))
    daemon.wait(lambda: (place.tree / "said").exists() and (place.tree / "said").read_text(), "its output")
    assert (place.tree / "said").read_text() == "a.txt b.txt me\n"
    daemon.wait(lambda: len(sleeping(daemon)) == 2, "a pipeline")
    before = sleeping(daemon)
    edits.append(place.tree / "a.txt")
    daemon.wait_event("started", run=2)
    assert not any(map(procfs.alive, before))


def sleeping(daemon: Daemon) -> list[int]:
    return [pid for pid in procfs.descendants(daemon.pid) if procfs.cmdline(pid)[:1] == ["sleep"]]


def test_shell_joins_words_as_they_are(place: Place, watch: Watch) -> None:
    daemon = watch("--shell", "--ignore=said", command=("echo", "a  b", "&&", "echo c;", "exec sleep 1000"))
    daemon.wait(lambda: daemon.stdout.read_text() == "a b\nc\n", "its output")


# Stopping


FAMILY = """
import os, signal, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def told(signum, frame):
    os.write(log, f"{name} {signum}\\n".encode())
    if name in sys.argv[2:]:
        os._exit(0)
name = "child"
for kin in ("group", "session"):
    if os.fork() == 0:
        name = kin
        if kin == "session":
            os.setsid()
        break
for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(signum, told)
os.write(log, f"{name} ready\\n".encode())
while True:
    signal.pause()
"""
"""A child, one of its group and one with a session of its own; those named in the arguments obey."""


def family(watch: Watch, log: Path, scope: str, *obey: str, grace: str = "600ms") -> Daemon:
    """A daemon with such a run, whose stop signal is HUP; all three are ready for it."""
    daemon: Daemon = watch(
        *(f"--kill={scope}", "--stop-signal=HUP", f"--stop-timeout={grace}"),
        command=(sys.executable, "-I", "-S", "-c", FAMILY, str(log), *obey),
    )
    daemon.wait(lambda: log.exists() and log.read_text().count("ready") == 3, "a family")
    return daemon


def signalled(log: Path) -> list[str]:
    """Who got which signal, `NAME NUMBER`, in order."""
    return [line for line in log.read_text().splitlines() if not line.endswith("ready")]


@pytest.mark.parametrize(
    ("scope", "reached"),
    [("tree", ["child", "group", "session"]), ("group", ["child", "group"]), ("child", ["child"])],
)
def test_kill(scope: str, reached: list[str], place: Place, watch: Watch) -> None:
    """Who gets the stop signal; whoever lives on is killed, told or not."""
    log = place.outside / "log"
    daemon = family(watch, log, scope)
    (keeper,) = procfs.children(daemon.pid)
    before = procfs.descendants(keeper)
    assert len(before) == 3
    edits.mark(daemon.marker, 1)
    daemon.wait_event("started", run=2)
    assert not any(map(procfs.alive, before))
    assert sorted(signalled(log)) == [f"{name} {signal.SIGHUP:d}" for name in reached]
    assert daemon.wait_event("killed")["run"] == 1


def test_kill_says_nothing_about_what_a_child_leaves_when_it_ends_by_itself(
    place: Place, watch: Watch
) -> None:
    """All of it is told to end, and has the time to."""
    log = place.outside / "log"
    daemon = family(watch, log, "child", "child", "group", "session", grace="10min")
    os.kill(daemon.wait_event("started")["pid"], signal.SIGUSR1)
    daemon.wait_event("waiting", **{"for": "change"})
    assert signalled(log)[0] == f"child {signal.SIGUSR1:d}"
    assert sorted(signalled(log)[1:]) == [f"group {signal.SIGHUP:d}", f"session {signal.SIGHUP:d}"]
    assert daemon.named("killed") == []


@pytest.mark.parametrize("name", ["HUP", "sigint", "QUIT", "10", "RTMIN"])
def test_stop_signal(name: str, watch: Watch) -> None:
    daemon = watch(f"--stop-signal={name}", "--stop-timeout=200ms")
    number = int(name) if name.isdigit() else int(signal.Signals["SIG" + name.upper().removeprefix("SIG")])
    daemon.change_marker()
    assert daemon.wait_event("stopping")["signal"] == signal.Signals(number).name
    if name == "RTMIN":  # the probe has no handler for it
        assert daemon.wait_event("ended", run=1)["signal"] == "SIGRTMIN"
    else:
        assert daemon.signals(1) == [number]


@pytest.mark.parametrize("zero", ["0s", "0"])
def test_stop_timeout_0_kills_at_once(zero: str, watch: Watch) -> None:
    daemon = watch(f"--stop-timeout={zero}", probe=("--slow", "1000", "--spawn", "daemon"))
    left = daemon.wait_record("CHILD", run=1).payload[1]
    daemon.change_marker()
    assert daemon.named("stopping") == []
    assert daemon.signals() == []
    assert not procfs.alive(left)
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_exit() == -signal.SIGTERM
    assert daemon.signals() == []


# A child that ends by itself


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (("--exit", "0"), 0),
        (("--exit", "4"), 4),
        (("--exit", "255"), 255),
        (("--crash", "TERM"), -signal.SIGTERM),
        (("--crash", "SEGV"), -signal.SIGSEGV),
    ],
)
def test_cf10_on_exit_exit(end: tuple[str, ...], status: int, watch: Watch) -> None:
    """It ends as its child did, by the same signal if there was one; nothing of the run is left."""
    daemon = watch(
        "--on-exit=exit", "--stop-timeout=100ms", probe=(*end, "--spawn", "daemon"), ready=False, children=0
    )
    assert daemon.wait_exit() == status
    assert daemon.named("closed")
    assert len(daemon.starts) == 1


def test_cf10_on_exit_exit_restarts_on_a_change(watch: Watch) -> None:
    daemon = watch("--on-exit=exit")
    with daemon.restarts(1):
        edits.append(daemon.place.tree / "a.py")
    os.kill(daemon.starts[-1].pid, signal.SIGKILL)
    assert daemon.wait_exit() == -signal.SIGKILL


@pytest.mark.parametrize(
    ("end", "status"), [("exit 0", 0), ("exit 4", 4), ("kill -KILL $$", -signal.SIGKILL)]
)
def test_cf10_on_exit_exit_of_a_shell(end: str, status: int, watch: Watch) -> None:
    daemon = watch("--on-exit=exit", "--shell", command=(end,), ready=False)
    assert daemon.wait_exit() == status


def test_on_exit_restart(watch: Watch) -> None:
    daemon = watch("--on-exit=restart", probe=("--exit-once", "0"))
    daemon.wait_starts(2)
    assert daemon.wait_event("ended", run=1)["status"] == 0
    assert [one["seconds"] for one in daemon.named("waiting")] == [0.5]


@pytest.mark.parametrize(
    ("option", "status", "restarts"),
    [
        ((), 3, True),
        (("--restart-status=7",), 7, True),
        (("--restart-status=7",), 3, False),
        (("--restart-status=0",), 0, True),
        (("--restart-status=none",), 0, False),
    ],
)
def test_restart_status(option: tuple[str, ...], status: int, restarts: bool, watch: Watch) -> None:
    daemon = watch(*option, probe=("--exit-once", str(status)), children=1 if restarts else 0)
    if restarts:
        daemon.wait_starts(2)
        assert daemon.named("waiting") == []  # at once
    else:
        daemon.wait_event("waiting", **{"for": "change"})
        assert len(daemon.starts) == 1


def test_restart_status_wins_over_on_exit_and_none_turns_it_off(watch: Watch) -> None:
    daemon = watch("--on-exit=exit", probe=("--exit-once", "3"))
    daemon.wait_starts(2)
    daemon.finish()
    daemon = watch("--on-exit=exit", "--restart-status=none", probe=("--exit", "3"), ready=False)
    assert daemon.wait_exit() == 3


# What a change does


@pytest.mark.smoke
def test_dry_run_starts_nothing_and_says_what_it_would_do(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.py": "a\n", "b.conf": "b\n", "c.css": "c\n"})
    daemon = watch(
        *("--dry-run", "--on=*.conf=signal:HUP", "--on=*.css=ignore"),
        command=("sh", "-c", "touch started"),
        ready=False,
    )
    daemon.wait_event("watching")
    assert procfs.children(daemon.pid) == []
    for name, action, rule in (("a.py", "restart", "every file"), ("b.conf", "signal", "*.conf=signal:HUP")):
        edits.append(place.tree / "c.css")
        at = daemon.mark()
        edits.append(place.tree / name)
        changed = daemon.wait_event("changed", after=at)
        assert changed["paths"] == [str(place.tree / name)]
        assert changed["action"].startswith(action)
        assert changed["dry_run"] is True
        assert rule in changed["rule"]
    os.kill(daemon.pid, signal.SIGUSR1)
    at = daemon.mark()
    edits.append(place.tree / "a.py")
    daemon.wait_event("changed", after=at)
    os.kill(daemon.pid, signal.SIGTERM)
    assert daemon.wait_exit() == -signal.SIGTERM
    assert not (place.tree / "started").exists()
    assert not {"started", "stopping", "restarted"} & {one["event"] for one in daemon.events}


def test_dry_run_line_for_people(place: Place, watch: Watch) -> None:
    daemon = watch("--dry-run", command=("true",), ready=False, log_format="text")
    daemon.wait_line(lambda line: "watching" in line)
    edits.append(place.tree / "a.py")
    line = daemon.wait_line(lambda line: "changed" in line)
    assert "a.py -> would restart" in line
    daemon.children = None


def test_dry_run_line_names_the_rule_and_its_place(place: Place, watch: Watch) -> None:
    build(place.tree, {".reloaderdignore": "# kept\n*.txt\n!b.txt\n", "a.txt": "a\n", "b.txt": "b\n"})
    daemon = watch("--dry-run", "-v", command=("true",), ready=False, log_format="text")
    daemon.wait_line(lambda line: "watching" in line)
    edits.append(place.tree / "a.txt")
    edits.append(place.tree / "b.txt")
    line = daemon.wait_line(lambda line: "changed" in line)
    assert "changed: b.txt -> would restart [!b.txt, " in line
    assert ".reloaderdignore:3]" in line
    daemon.children = None


def test_debounce_0_acts_on_the_first_event(place: Place, watch: Watch) -> None:
    """It does not wait for the end of a write that goes on."""
    daemon = watch("--debounce=0")
    with open(place.tree / "big.py", "wb", buffering=0) as file:
        file.write(b"first\n")
        daemon.wait_starts(2)
    daemon.final_state_seen()


def test_debounce_waits_for_quiet(place: Place, watch: Watch) -> None:
    daemon = watch("--debounce=500ms")
    build(place.tree, {"a.py": "a\n"})
    edits.append(place.tree / "b.py")
    daemon.wait_starts(2)
    changed = daemon.named("changed")[0]
    assert changed["count"] == 2
    assert daemon.named("restarted")[0]["ms"] >= 500


def test_ext_filter_and_ignore_together(place: Place, watch: Watch) -> None:
    """What --ext or --filter names counts, less what a later --ignore names, but a last --filter."""
    counts = ["a.py", "b.html", "Makefile", "gen/keep.py"]
    does_not = ["c.txt", "test_a.py", "gen/d.py", "makefile"]
    build(place.tree, dict.fromkeys(counts + does_not, "old\n"))
    daemon = watch(
        *("--debounce=400ms", "--ext=py,html", "--filter=Makefile", "--ignore=test_*.py"),
        *("--ignore=gen/*", "--filter=gen/keep.py"),
        read=[str(place.tree / name) for name in ("marker.py", *counts)],
    )
    with daemon.restarts(1):
        for name in does_not + counts:
            edits.append(place.tree / name)
    assert set(daemon.named("changed")[0]["paths"]) == {str(place.tree / name) for name in counts}


def test_on_signal_and_ignore(place: Place, watch: Watch) -> None:
    """A signal goes to the child alone and leaves the run; what is ignored does nothing."""
    build(place.tree, {"a.conf": "a\n", "b.css": "b\n", "c.py": "c\n"})
    read = [str(place.tree / "marker.py"), str(place.tree / "c.py")]
    daemon = watch("--on=*.conf=signal:USR1", "--on=*.css=ignore", read=read)
    for number in (1, 2):
        edits.append(place.tree / "b.css")
        edits.append(place.tree / "a.conf")
        daemon.wait(lambda number=number: daemon.signals(1) == [signal.SIGUSR1] * number, "a SIGUSR1")
    assert [one["action"] for one in daemon.named("changed")] == ["signal:USR1", "signal:USR1"]
    assert all("*.conf" in one["rule"] for one in daemon.named("changed"))
    with daemon.restarts(1):
        edits.append(place.tree / "c.py")
    assert daemon.signals(2) == [signal.SIGTERM]


def test_on_signal_together_with_a_restart_is_a_restart(place: Place, watch: Watch) -> None:
    build(place.tree, {"a.conf": "a\n", "c.py": "c\n"})
    daemon = watch("--on=*.conf=signal:USR1", "--debounce=300ms")
    with daemon.restarts(1):
        edits.append(place.tree / "a.conf")
        edits.append(place.tree / "c.py")
    assert daemon.signals(1) == [signal.SIGTERM]


def test_on_signal_that_ends_the_child(place: Place, watch: Watch) -> None:
    """Whatever ended it, it stays down until a change that restarts."""
    build(place.tree, {"a.conf": "a\n"})
    daemon = watch("--on=*.conf=signal:KILL")
    edits.append(place.tree / "a.conf")
    assert daemon.wait_event("ended", run=1)["signal"] == "SIGKILL"
    daemon.wait_event("waiting")
    daemon.change_marker()


def test_short_options_and_paths_in_any_order(place: Place, watch: Watch) -> None:
    """Short forms, joined ones, `=` and a space, PATHs before, between and after."""
    build(place.tree, {"src/": None, "lib/": None})
    line = "src -e py,.html --debounce 20ms lib --name=name -vi *.tmp.py"
    daemon = watch(*line.split(), roots=(), marker="src/marker.py")
    for path in ("src/a.py", "lib/b.html"):
        with daemon.restarts(1):
            edits.append(place.tree / path)
    with daemon.restarts(0):
        edits.append(place.tree / "src/x.tmp.py")
        edits.append(place.tree / "src/x.txt")
        edits.append(place.tree / "a.py")
    assert {one["service"] for one in daemon.events} == {"name"}
