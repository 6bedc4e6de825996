"""PR: the life of a run: started cleanly, stopped in order, nothing of it left, whatever it does."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import edits, procfs
from tests.support.daemon import Daemon, Watch, probe_command, reloaderd
from tests.support.faults import injecting
from tests.support.places import REPOSITORY, Place, build
from tests.support.waiting import LIMIT

ALONE = """
import fcntl, os, sys
lock = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR)
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
os.set_inheritable(lock, True)
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Executes the rest if no process of an earlier run is alive: each has the lock from its run's first."""

Alone = Callable[..., Daemon]


@pytest.fixture
def alone(place: Place, watch: Watch) -> Alone:
    """`watch` with a probe that refuses to start while anything of an earlier run is alive."""

    def start(*options: str, probe: tuple[str, ...] = (), **keywords: Any) -> Daemon:
        command = probe_command(place.scratch / "probe-0.log", probe, [str(place.tree)])
        locked = [sys.executable, "-I", "-S", "-c", ALONE, str(place.scratch / "lock"), *command]
        daemon = watch(*options, command=locked, ready=False, **keywords)
        daemon.probed = True
        daemon.wait_ready()
        return daemon

    return start


def program(path: Path, text: str) -> Path:
    """Put an executable into place at once, as a careful build does."""
    temporary = path.with_name(f".{path.name}.swp")
    temporary.write_text(text)
    temporary.chmod(0o755)
    os.replace(temporary, path)
    return path


def probing(place: Place, *options: str) -> str:
    """A shell script that becomes the probe; it reads the marker."""
    words = probe_command(place.scratch / "probe-0.log", options, [str(place.tree / "marker.py")])
    return "#!/bin/sh\nexec " + " ".join(f"'{word}'" for word in words) + "\n"


def dump(daemon: Daemon, run: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = daemon.wait_record("DUMP", run=run).payload
    return found


# Stopping


def test_pr01_child_that_ignores_the_signal_is_killed_after_the_grace(alone: Alone) -> None:
    daemon = alone("--stop-timeout=800ms", probe=("--ignore", "TERM"))
    daemon.change_marker()
    assert daemon.signals(1) == [signal.SIGTERM]
    stopping, killed = daemon.wait_event("stopping", run=1), daemon.wait_event("killed", run=1)
    assert killed["time"] - stopping["time"] > 0.4  # it had its grace, or most of it
    assert daemon.wait_event("ended", run=1)["signal"] == "SIGKILL"
    assert procfs.stat(daemon.starts[0].pid) is None


@pytest.mark.smoke
def test_pr02_child_is_given_the_time_to_clean_up(alone: Alone) -> None:
    daemon = alone(probe=("--slow", "0.5"))
    daemon.change_marker()
    assert [one.word for one in daemon.records] == ["START", "SIGNAL", "BYE", "START"]
    assert daemon.named("killed") == []
    assert daemon.wait_event("ended", run=1)["signal"] == "SIGTERM"


@pytest.mark.parametrize("kind", ["group", "setsid", "daemon", "forking"])
def test_pr04_pr05_nothing_that_the_child_left_survives(kind: str, alone: Alone) -> None:
    """The child obeys at once; what it started ignores every signal, wherever it went."""
    daemon = alone("--stop-timeout=200ms", probe=("--spawn", kind))
    left = daemon.wait_record("CHILD", run=1).payload[1]
    daemon.change_marker()
    assert daemon.named("killed")[0]["run"] == 1
    assert daemon.signals(1) == [signal.SIGTERM]
    assert not procfs.alive(left)


@pytest.mark.parametrize("kind", ["group", "daemon"])
def test_pr05_what_a_child_leaves_when_it_ends_by_itself(kind: str, alone: Alone) -> None:
    daemon = alone("--stop-timeout=200ms", probe=("--spawn", kind, "--exit", "0"), children=0)
    daemon.wait_event("waiting")
    assert procfs.descendants(daemon.pid) == procfs.children(daemon.pid)  # the keeper alone
    daemon.change_marker()
    daemon.wait_event("waiting", after=len(daemon.events) - 1)


# The end of a child


ENDS = {
    "exit 0": {"status": 0},
    "exit 1": {"status": 1},
    "exit 2": {"status": 2},
    "exit 126": {"status": 126},
    "exit 127": {"status": 127},
    "exit 255": {"status": 255},
    "kill -SEGV $$": {"signal": "SIGSEGV"},
    "kill -KILL $$": {"signal": "SIGKILL"},
    "kill -TERM $$": {"signal": "SIGTERM"},
}


@pytest.mark.parametrize("how", ENDS)
def test_pr07_pr08_child_that_ends_stays_down_until_a_change(how: str, place: Place, watch: Watch) -> None:
    daemon = watch(command=("sh", "-c", how))
    for run in (1, 2):
        at = daemon.mark() if run > 1 else 0
        if run > 1:
            edits.mark(daemon.marker, run)
        ended = daemon.wait_event("ended", run=run)
        assert {key: ended[key] for key in ("status", "signal") if key in ended} == ENDS[how]
        daemon.wait_event("waiting", after=at, **{"for": "change"})
    assert len(daemon.named("started")) == len(daemon.named("waiting")) == 2


def test_pr08_status_3_restarts_and_is_backed_off_when_it_repeats(watch: Watch) -> None:
    daemon = watch(probe=("--exit", "3"), children=None)
    daemon.wait(lambda: len(daemon.named("waiting")) == 2, "two back-offs")
    assert [one["seconds"] for one in daemon.named("waiting")] == [0.5, 1.0]
    assert len(daemon.starts) == 3  # the first repetition is at once
    assert daemon.named("changed") == []


def test_pr09_pr10_crash_loop_is_backed_off_and_a_change_restarts_at_once(watch: Watch) -> None:
    daemon = watch("--on-exit=restart", probe=("--exit", "1"), children=None)
    daemon.wait(lambda: len(daemon.named("waiting")) == 4, "four back-offs")
    assert [one["seconds"] for one in daemon.named("waiting")] == [0.5, 1.0, 2.0, 4.0]
    assert len(daemon.starts) == 4
    before = time.monotonic()
    start = daemon.change_marker()
    assert start.at - before < 4.0  # the back-off that it did not wait for
    assert start.run == 5
    daemon.wait(lambda: len(daemon.named("waiting")) == 5, "a back-off")
    assert daemon.named("waiting")[-1]["seconds"] == 0.5  # a change is a new beginning


# A command that cannot be started


@pytest.mark.parametrize(
    ("command", "status", "reason"),
    [
        ("no-such-command", 127, "no such file or command"),
        ("./no-such-file", 127, "no such file or command"),
        ("./data/x", 127, "a part of its path is not a directory"),
        ("./no-interpreter", 127, "no such file or command"),
        ("./data", 126, "permission denied"),
        ("./directory", 126, "permission denied"),
        ("./no-program", 126, "not a program"),
    ],
)
@pytest.mark.parametrize("log_format", ["json", "text"])
def test_pr11_command_that_cannot_be_started_at_first(
    command: str, status: int, reason: str, log_format: str, place: Place, watch: Watch
) -> None:
    build(place.tree, {"data": "text\n", "directory/": None})
    program(place.tree / "no-program", "echo\n")
    program(place.tree / "no-interpreter", "#!/no/such/interpreter\n")
    daemon = watch(command=(command,), ready=False, warnings=True, log_format=log_format)
    assert daemon.wait_exit() == status
    said = "".join(daemon.stderr.read_text().splitlines(keepends=True)[1:])
    name = "/no/such/interpreter" if "interpreter" in command else command
    assert f"cannot start {name}: {reason}" in said
    if log_format == "text":
        assert len(said.splitlines()) == 1, said


BROKEN: dict[str, Callable[[Path], object]] = {
    "pr13_missing": os.unlink,
    "not_executable": edits.replace,
    "not_a_program": lambda path: program(path, "exit 0\n"),
    "interpreter_missing": lambda path: program(path, "#!/no/such/interpreter\n"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_pr32_command_that_cannot_be_started_later(how: str, place: Place, watch: Watch) -> None:
    """The old run is over by then: it says so, stays, and starts the command once it can."""
    path = program(place.tree / "run", probing(place))
    command = ("./run",)
    daemon = watch(command=command, read=[str(place.tree / "marker.py")], ready=False, warnings=True)
    daemon.wait_starts(1)
    daemon.probed = True
    BROKEN[how](path)
    warning = daemon.wait_event("warning")
    assert warning["text"].startswith("cannot start ")
    assert daemon.wait_event("ended", run=1)
    program(path, probing(place))
    daemon.wait_starts(2)
    daemon.change_marker()
    assert len(daemon.named("warning")) == 1  # however often it was tried


def test_pr14_command_that_is_being_written(place: Place, watch: Watch) -> None:
    """ETXTBSY: tried again until the writer lets go; nothing else would start it, it is not watched."""
    path = program(place.outside / "run", probing(place))
    daemon = watch(command=(str(path),), read=[str(place.tree / "marker.py")], ready=False)
    daemon.wait_starts(1)
    daemon.probed = True
    with open(path, "r+"):
        edits.mark(daemon.marker, 1)
        daemon.wait_event("ended", run=1)
        time.sleep(0.1)  # how long the writer takes
        assert len(daemon.starts) == 1
    daemon.wait_starts(2)


def test_pr14_command_that_is_being_written_for_long(place: Place, watch: Watch) -> None:
    path = program(place.outside / "run", probing(place))
    daemon = watch(command=(str(path),), read=[str(place.tree / "marker.py")], ready=False, warnings=True)
    daemon.wait_starts(1)
    daemon.probed = True
    with open(path, "r+"):
        edits.mark(daemon.marker, 1)
        warning = daemon.wait_event("warning")
        assert "being written" in warning["text"] and str(path) in warning["text"]
    daemon.wait_starts(2)


def test_pr16_directory_is_missing_at_the_restart(place: Place, watch: Watch) -> None:
    build(place.tree, {"work/": None, "src/": None})
    daemon = watch("--chdir=work", roots=("src",), marker="src/marker.py", probe=("--dump",), warnings=True)
    assert dump(daemon)["cwd"] == str(place.tree / "work")
    os.rmdir(place.tree / "work")
    edits.mark(daemon.marker, 1)
    warning = daemon.wait_event("warning")
    assert str(place.tree / "work") in warning["text"]
    os.mkdir(place.tree / "work")
    daemon.wait_starts(2)
    assert procfs.cwd(daemon.exactly_one_live_child()) == str(place.tree / "work")


@pytest.mark.needs("strace")
def test_li13_no_more_processes_at_the_restart(place: Place, watch: Watch) -> None:
    """It says how the last run ended and why there is no next one, once, and tries again by itself."""
    call = "clone,clone3,vfork"
    daemon = watch(prefix=injecting("-e", f"inject={call}:error=EAGAIN:when=2..4"), warnings=True)
    edits.mark(daemon.marker, 1)
    warning = daemon.wait_event("warning")
    assert "no more processes" in warning["text"], warning
    assert daemon.wait_event("ended", run=1)["signal"] == "SIGTERM"
    daemon.wait_starts(2)
    daemon.change_marker()
    assert len(daemon.named("warning")) == 1


def test_li10_too_few_descriptors_at_the_start(place: Place) -> None:
    """Wherever they run out: it runs, if with less, or the last line names the limit."""
    ends = set()
    for number in range(6, 20):
        done = subprocess.run(
            ["prlimit", f"--nofile={number}", *reloaderd(place), "watch", "--on-exit=exit", "--", "true"],
            cwd=place.tree,
            env=place.environ(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )
        ends.add(done.returncode)
        if done.returncode == 1:
            *warnings, line = done.stderr.splitlines()
            assert line.startswith("reloaderd: cannot ") and "ulimit -n" in line, done.stderr
            assert all(one.startswith("[reloaderd] warning: ") for one in warnings), done.stderr
    assert ends == {0, 1}


# Processes that are nobody's


def test_pr17_many_restarts_leave_no_zombie_and_no_descriptor(watch: Watch) -> None:
    daemon = watch(probe=("--spawn", "orphans"))

    def restart(number: int) -> None:
        os.kill(daemon.pid, signal.SIGUSR1)
        daemon.wait_starts(number)

    restart(2)
    (keeper,) = procfs.children(daemon.pid)
    descriptors = set(procfs.fds(daemon.pid)), set(procfs.fds(keeper))
    for number in range(3, 52):
        restart(number)
    assert (set(procfs.fds(daemon.pid)), set(procfs.fds(keeper))) == descriptors
    daemon.wait(lambda: not procfs.zombies(daemon.pid), "no zombies")
    daemon.exactly_one_live_child()


@pytest.mark.needs("mounts", "unshare")
def test_pr18_as_process_1(place: Place, watch: Watch) -> None:
    """In a container it is the one that everything orphaned comes to, and no signal kills it unasked."""
    user = () if os.getuid() == 0 else ("-Ur",)
    daemon = watch(
        "--stop-timeout=200ms",
        prefix=("unshare", *user, "--pid", "--fork", "--mount-proc"),
        probe=("--spawn", "orphans", "--spawn", "daemon", "--slow", "0.1"),
        children=None,
    )
    (first,) = procfs.children(daemon.pid)
    daemon.change_marker()
    daemon.final_state_seen()
    daemon.wait(lambda: not procfs.zombies(first), "no zombies")
    os.kill(first, signal.SIGTERM)
    assert daemon.wait_exit() == 128 + signal.SIGTERM
    daemon.wait_record("BYE", run=2)


PTRACE_SEIZE, WALL = 0x4206, 0x40000000


@contextmanager
def held(pid: int) -> Iterator[None]:
    """Be the tracer of a process: once it is killed, nobody else learns of its end before we look."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
    if libc.ptrace(PTRACE_SEIZE, pid, None, None):
        raise OSError(ctypes.get_errno(), "ptrace")
    try:
        yield
    finally:
        while os.WIFSTOPPED(os.waitpid(pid, WALL)[1]):
            procfs.kill(pid)


def test_pr22_child_that_survives_sigkill(watch: Watch) -> None:
    """Like one in uninterruptible sleep: it is told, nothing is started beside it, and all goes on."""
    daemon = watch("--stop-timeout=100ms", warnings=True)
    with held(daemon.starts[0].pid):
        edits.mark(daemon.marker, 1)
        warning = daemon.wait_event("warning")
        assert "run 1" in warning["text"] and "SIGKILL" in warning["text"]
        at = daemon.mark()
        edits.append(daemon.marker)
        daemon.wait_event("changed", after=at)  # alive, and listening
        assert len(daemon.starts) == 1
    daemon.final_state_seen()
    assert len(daemon.starts) == 2


# The end of reloaderd


@pytest.mark.smoke
@pytest.mark.parametrize("state", ["running", "stopping"])
def test_pr23_nothing_survives_when_reloaderd_is_killed(state: str, watch: Watch) -> None:
    kinds = ("group", "setsid", "daemon", "forking")
    probe = [word for kind in kinds for word in ("--spawn", kind)]
    daemon = watch(probe=(*probe, "--ignore", "TERM"))
    daemon.wait(lambda: len(daemon.words("CHILD")) == len(kinds), "all of its kin")
    if state == "stopping":
        edits.mark(daemon.marker, 1)
        daemon.wait_record("SIGNAL", run=1)
    procfs.kill(daemon.pid)
    assert daemon.wait_exit() == -signal.SIGKILL
    daemon.wait(lambda: not procfs.marked(daemon.place.mark), "nothing to be left")


def test_pr23_keeper_is_killed(watch: Watch) -> None:
    """What stands between reloaderd and the child may be killed too: the tree goes, the next run comes."""
    daemon = watch("--stop-timeout=200ms", probe=("--spawn", "daemon", "--ignore", "TERM"), warnings=True)
    left = daemon.wait_record("CHILD", run=1).payload[1]
    (keeper,) = procfs.children(daemon.pid)
    procfs.kill(keeper)
    daemon.wait_event("warning")
    daemon.wait_event("waiting", **{"for": "change"})
    assert not procfs.alive(left) and not procfs.alive(daemon.starts[0].pid)
    daemon.change_marker()


def test_pr24_no_thread_whose_end_could_kill_the_child(watch: Watch) -> None:
    daemon = watch(probe=("--dump",))
    parent = dump(daemon)["ppid"]
    assert os.listdir(f"/proc/{parent}/task") == [str(parent)]


def test_pr26_command_that_is_set_uid(place: Place, watch: Watch) -> None:
    """It forgets any wish of its parent to be killed along with it."""
    path = place.outside / "sleeper"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", path)
    if os.getuid() == 0:
        os.chown(path, 65534, 65534)
    path.chmod(0o4755)
    daemon = watch(command=(str(path), "1000"))
    pid = daemon.wait_event("started")["pid"]
    daemon.wait(lambda: procfs.cmdline(pid)[:1] == [str(path)], "the command")
    procfs.kill(daemon.pid)
    daemon.wait_exit()
    daemon.wait(lambda: not procfs.alive(pid), "the end of the command")


# What a child is born with


SPOKEN_TO = {
    "NOTIFY_SOCKET": "/run/nothing",
    "WATCHDOG_PID": "1",
    "WATCHDOG_USEC": "1000000",
    "LISTEN_PID": "1",
    "LISTEN_FDS": "1",
    "LISTEN_FDNAMES": "web",
}
"""What a service manager tells reloaderd, and nobody else."""

ADDED = {"RELOADERD", "RELOADERD_RUN", "RELOADERD_CHANGED", "RELOADERD_CHANGED_COUNT"}


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", None])
def test_pr28_environment(locale: str | None, place: Place, watch: Watch) -> None:
    given = {"LANG": locale, "PWD": str(place.tree), "ODD": "\udcff = \n", "EMPTY": ""}
    daemon = watch(environ={**given, **SPOKEN_TO})
    environ = procfs.environ(daemon.starts[0].pid)
    mine = {name: value for name, value in daemon.environ.items() if name not in SPOKEN_TO}
    agent = {name: environ.pop(name) for name in ("PYTHONPATH", "RELOADERD_AGENT")}
    assert agent["PYTHONPATH"] == str(REPOSITORY / "reloaderd/agent")
    assert {name: environ[name] for name in environ if name not in ADDED} == mine
    assert {name: environ[name] for name in ADDED} == {
        "RELOADERD": "tree",
        "RELOADERD_RUN": "1",
        "RELOADERD_CHANGED": "",
        "RELOADERD_CHANGED_COUNT": "0",
    }


def test_pr28_descriptors_signals_and_the_rest(place: Place, watch: Watch) -> None:
    """Whatever reloaderd was started with, and whatever it does for itself, the child is born clean."""
    prefix = ("env", "--ignore-signal=HUP,PIPE,INT,USR1", "--block-signal=TERM,USR2,CHLD")
    script = "umask; ls -l /proc/self/fd; grep Sig /proc/self/status; exec sleep 1000"
    old = os.umask(0o027)
    try:
        daemon = watch(command=("sh", "-c", script), prefix=prefix)
    finally:
        os.umask(old)
    pid = daemon.wait_event("started")["pid"]
    daemon.wait(lambda: procfs.cmdline(pid) == ["sleep", "1000"], "sleep")
    sets = procfs.signal_sets(pid)
    assert (sets.blocked, sets.ignored - {32, 33}) == (set(), set())  # 32 and 33 are glibc's own
    assert set(procfs.fds(pid)) == {0, 1, 2}
    assert daemon.stdout.read_text().startswith("0027\n")
    stat, ours = procfs.stat(pid), procfs.stat(daemon.pid)
    assert stat is not None and ours is not None
    assert (stat.pgid, stat.sid) == (pid, ours.sid)


@pytest.mark.parametrize("longest", [20, 250])
def test_pr29_ten_thousand_changed_paths(longest: int, place: Place, watch: Watch) -> None:
    build(place.outside, {"many/": None})
    for number in range(10_000):
        (place.outside / "many" / f"{number:0{longest}}").touch()
    daemon = watch("--debounce=300ms", probe=("--dump",), read=(str(place.tree / "marker.py"),))
    os.rename(place.outside / "many", place.tree / "many")
    environ = dump(daemon, run=2)["environ"]
    assert daemon.named("changed")[0]["count"] == int(environ["RELOADERD_CHANGED_COUNT"]) >= 10_000
    names = environ["RELOADERD_CHANGED"]
    assert 31 * 1024 < len(names) <= 32 * 1024
    assert all(os.path.exists(name) for name in names.split("\n"))


@pytest.mark.needs("root")
@pytest.mark.parametrize("options", [(), ("--mount-proc",)], ids=["of_another", "own"])
def test_proc_of_another_namespace_is_told_of(options: tuple[str, ...], place: Place) -> None:
    done = subprocess.run(
        ["unshare", "--pid", "--fork", *options, *reloaderd(place), "watch", "--on-exit=exit", "--", "true"],
        cwd=place.tree,
        env=place.environ(),
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0
    assert ("warning: /proc does not show our processes" in done.stderr) == (not options)
