"""The keeper and its daemon's side: what a child is born with, what reaches it, and that nothing is left."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from reloaderd.events import ChildEnded, ChildStopped, KeeperDied, RunGone, StartFailed
from reloaderd.kernel.child import Child, working_directory
from tests.kernel.conftest import PYTHON, Kept
from tests.support import procfs
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("nothing_stays")

Keep = Callable[..., Kept]

FAMILY = """
import os, signal, sys
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def say(word):
    os.write(log, f"{name} {word}\\n".encode())
name = "child"
for kind in sys.argv[2:]:
    middle = os.fork()
    if middle == 0:
        name = kind
        if kind != "group":
            os.setsid()
        if kind == "daemon" and os.fork():
            os._exit(0)
        break
    if kind == "daemon":
        os.waitpid(middle, 0)
for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCONT):
    signal.signal(signum, lambda signum, frame: say(signum))
signal.signal(signal.SIGUSR2, lambda signum, frame: name == "child" and os._exit(9))
say("ready")
while True:
    signal.pause()
"""
"""A child that leaves others running (group setsid daemon); all log the signals they get and live on."""


class Family:
    def __init__(self, kept: Keep, log: Path, *kinds: str) -> None:
        self.log = log
        self.service = kept(*PYTHON, FAMILY, str(log), *kinds)
        self.names = {"child", *kinds}
        self.pid = self.service.start()
        self.wait("ready", self.names)

    def who(self, word: object) -> list[str]:
        text = self.log.read_text() if self.log.exists() else ""
        return sorted(line.split()[0] for line in text.splitlines() if line.split()[1] == str(int_of(word)))

    def wait(self, word: object, names: set[str]) -> None:
        wait_until(lambda: set(self.who(word)) >= names, f"{word} at {names}")

    def signal(self, signum: int, scope: str) -> None:
        self.service.child.signal(self.service.run, signum, scope)

    def end(self) -> None:
        self.service.child.kill(self.service.run)
        self.service.next(RunGone)


def born(pid: int) -> int:
    """Wait until execve(2) is over: its caller is let go before the environment is in place."""
    wait_until(lambda: procfs.environ(pid), "a program that runs")
    return pid


def int_of(word: object) -> object:
    return int(word) if isinstance(word, int) else word


@pytest.mark.parametrize(
    ("program", "status"), [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", -9), ("kill -SEGV $$", -11)]
)
def test_the_end_is_told_as_it_was(kept: Keep, program: str, status: int) -> None:
    service = kept("sh", "-c", program)
    service.start()
    assert service.gone() == ("web", 1, status, 0)


def test_the_child_leads_a_group_of_its_own_in_our_session(kept: Keep) -> None:
    service = kept("sleep", "1000")
    stat = procfs.stat(service.start())
    assert stat is not None
    assert (stat.pgid, stat.sid, stat.ppid) == (stat.pid, os.getsid(0), service.keeper)
    keeper = procfs.stat(service.keeper)
    assert keeper is not None
    assert (keeper.pgid, keeper.sid, keeper.ppid) == (keeper.pid, os.getsid(0), os.getpid())


def test_the_child_is_born_clean(kept: Keep) -> None:
    """PR28, RA14: descriptors 0, 1, 2; no signal ignored, none blocked, whatever it is with us."""
    inherited = os.dup(0)
    os.set_inheritable(inherited, True)
    before = {signum: signal.signal(signum, signal.SIG_IGN) for signum in (signal.SIGHUP, signal.SIGUSR1)}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMIN))
    try:
        pid = kept("sleep", "1000").start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for signum, handler in before.items():
            signal.signal(signum, handler)
        os.close(inherited)
    wait_until(
        lambda: set(procfs.fds(pid)) == {0, 1, 2}, "three descriptors", explain=lambda: procfs.fds(pid)
    )
    sets = procfs.signal_sets(pid)
    assert not sets.blocked and not sets.ignored - {32, 33}  # glibc's own: see kernel.spawn


def test_the_environment_is_what_was_given(kept: Keep, tmp_path: Path) -> None:
    base = {"PATH": os.environ["PATH"], "A": "1", "B": "\udcff", "PWD": "/elsewhere"}
    service = kept("sleep", "1000", chdir=str(tmp_path), environ=base)
    pid = born(service.start({"B": "2", "RUN": "1"}))
    assert procfs.environ(pid) == {**base, "B": "2", "RUN": "1", "PWD": str(tmp_path)}
    service.child.kill(1)
    service.gone()
    assert procfs.environ(born(service.start()))["B"] == "\udcff"


def test_descriptors_that_are_closed_here_are_closed_there() -> None:
    program = """
import os, select, sys
from reloaderd.kernel.child import Child
from tests.support import procfs
from tests.support.waiting import wait_until
with Child("web", ("sleep", "1000"), None, os.environ) as child:
    child.start(1, {})
    select.select([child], [], [])
    (started,) = child.read()
    wait_until(lambda: str(sorted(procfs.fds(started.pid))) == sys.argv[1], "descriptors")
    print(child.fileno() > 2, sorted(procfs.fds(child._keeper.pid))[:3])
"""
    for closed, left in (("<&-", "[1, 2]"), ("<&- 2>&-", "[1]")):
        shell = ["sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", program, left]
        assert subprocess.run(shell, stdout=subprocess.PIPE, text=True).stdout == "True [0, 1, 2]\n"


def test_the_directory_is_found_again_at_each_start(kept: Keep, tmp_path: Path) -> None:
    """PR16: also the one that the person was in, deleted and made anew."""
    place = tmp_path / "place"
    place.mkdir()
    service = kept("sleep", "1000", chdir=str(place))
    pid = service.start()
    assert procfs.cwd(pid) == str(place)
    service.child.kill(1)
    service.gone()
    shutil.rmtree(place)
    service.ask()
    assert service.next(StartFailed) == ("web", 2, errno.ENOENT, str(place))
    place.mkdir()
    pid = service.start()
    assert os.path.samefile(f"/proc/{pid}/cwd", place)
    assert procfs.cwd(service.keeper) == "/"


def test_the_present_directory_goes_by_the_name_the_person_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    monkeypatch.setenv("PWD", str(tmp_path / "link"))
    assert working_directory() == str(tmp_path / "link")
    monkeypatch.setenv("PWD", str(tmp_path))
    assert working_directory() == str(tmp_path / "real")
    (tmp_path / "real").rmdir()
    monkeypatch.delenv("PWD")
    assert working_directory() == str(tmp_path / "real")
    monkeypatch.chdir("/")


def test_a_command_that_cannot_be_executed_is_told_with_its_errno(kept: Keep, tmp_path: Path) -> None:
    def file(name: str, text: str, mode: int = 0o755) -> str:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(mode)
        return str(tmp_path / name)

    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    refused = file("first/tool", "#!/bin/sh\n", 0o644)
    path = {"PATH": f"/nowhere:{first}"}
    cases = [
        (("no-such-command-here",), {}, errno.ENOENT, "no-such-command-here"),
        (("",), {}, errno.ENOENT, ""),
        (("./absent",), {}, errno.ENOENT, "./absent"),
        ((file("plain", "#!/bin/sh\n", 0o644),), {}, errno.EACCES, str(tmp_path / "plain")),
        ((str(tmp_path),), {}, errno.EACCES, str(tmp_path)),
        (("tool",), path, errno.EACCES, refused),
        ((file("noshebang", "exit 0\n"),), {}, errno.ENOEXEC, str(tmp_path / "noshebang")),
        ((file("orphan", "#! /no/such/interpreter -x\n"),), {}, errno.ENOENT, "/no/such/interpreter"),
        ((file("plain2", "") + "/below",), {}, errno.ENOTDIR, str(tmp_path / "plain2/below")),
        (("true",), {"BIG": "x" * 4_000_000}, errno.E2BIG, shutil.which("true")),
        (("true", "a\0b"), {}, errno.EINVAL, "true"),
    ]
    for command, environ, number, what in cases:
        service = kept(*command, chdir=str(tmp_path))
        service.ask(environ)
        assert service.next(StartFailed) == ("web", 1, number, what)
    file("second/tool", "#!/bin/sh\nexit 5\n")
    service = kept("tool")
    service.start({"PATH": f"/nowhere:{first}:{second}"})  # as execvp: EACCES does not end the search
    assert service.gone().status == 5


def test_PR14_a_file_that_is_being_written_is_told_as_such(kept: Keep, tmp_path: Path) -> None:
    program = shutil.copy(shutil.which("true") or "", tmp_path / "program")
    service = kept(str(program))
    with open(program, "ab"):
        service.ask()
        assert service.next(StartFailed) == ("web", 1, errno.ETXTBSY, str(program))
    service.start()
    assert service.gone().status == 0


def test_a_second_start_does_not_make_two_runs(kept: Keep) -> None:
    service = kept("sleep", "1000")
    service.start()
    service.ask()
    assert service.next(StartFailed) == ("web", 2, errno.EBUSY, "sleep")


def test_requests_for_a_run_that_is_over_do_nothing(kept: Keep) -> None:
    service = kept("sh", "-c", '[ "$1" ] || exec sleep 1000', "sh")
    service.start()
    service.child.signal(1, signal.SIGTERM, "tree")
    assert service.gone().status == -signal.SIGTERM
    service.child.kill(1)
    service.start()
    for scope in ("tree", "group", "child"):
        service.child.signal(1, signal.SIGINT, scope)
    service.child.kill(1)
    service.child.signal(2, signal.SIGTERM, "child")
    assert service.gone().status == -signal.SIGTERM


def test_each_scope_reaches_what_it_names_once(kept: Keep, tmp_path: Path) -> None:
    family = Family(kept, tmp_path / "log", "group", "setsid", "daemon")
    family.signal(signal.SIGUSR1, "child")
    family.signal(signal.SIGINT, "group")
    family.signal(signal.SIGTERM, "tree")
    family.signal(signal.SIGHUP, "tree")
    family.wait(signal.SIGHUP, family.names)  # so that all has arrived
    assert family.who(signal.SIGUSR1) == ["child"]
    assert family.who(signal.SIGINT) == ["child", "group"]
    assert family.who(signal.SIGTERM) == sorted(family.names)
    assert family.who(signal.SIGCONT) == []  # nobody was stopped
    family.end()


def test_PR04_PR05_what_the_child_left_is_reached_and_killed(kept: Keep, tmp_path: Path) -> None:
    family = Family(kept, tmp_path / "log", "group", "setsid", "daemon")
    family.signal(signal.SIGUSR2, "child")
    assert family.service.next(ChildEnded) == ("web", 1, 9, 3)
    family.signal(signal.SIGUSR1, "child")
    family.signal(signal.SIGINT, "group")
    family.signal(signal.SIGTERM, "tree")
    family.wait(signal.SIGTERM, {"group", "setsid", "daemon"})
    assert family.who(signal.SIGUSR1) == []
    assert family.who(signal.SIGINT) == ["group"]
    family.end()
    assert procfs.children(family.service.keeper) == []


def test_PR01_kill_ends_what_ignores_everything(kept: Keep, tmp_path: Path) -> None:
    family = Family(kept, tmp_path / "log", "group", "setsid", "daemon")
    tree = procfs.descendants(family.service.keeper)
    assert len(tree) == 4
    family.service.child.kill(1)
    assert family.service.gone().status == -signal.SIGKILL
    assert [pid for pid in tree if procfs.stat(pid)] == []


STORM = """
import os
for hopper in range(3):
    if os.fork() == 0:
        os.setsid()
        while True:
            if os.fork():
                os._exit(0)
            os.setsid()
from time import sleep
while True:
    if os.fork() == 0:
        sleep(1000)
    sleep(0.001)
"""
"""Three chains of processes that outrun a slow killer by always being the next one, and one that breeds."""


def test_kill_wins_against_a_fork_storm(kept: Keep) -> None:
    service = kept(*PYTHON, STORM)
    for run in (1, 2, 3):
        service.start()
        wait_until(lambda: len(procfs.descendants(service.keeper)) > 20, "a storm")
        service.child.kill(run)
        service.next(RunGone)
        assert procfs.children(service.keeper) == []


def test_a_stop_of_the_child_is_told_and_a_stop_signal_wakes_it(kept: Keep) -> None:
    service = kept("sleep", "1000")
    for run, scope in enumerate(("tree", "group", "child"), 1):
        pid = service.start()
        os.kill(pid, signal.SIGSTOP)
        assert service.next(ChildStopped) == ("web", run, signal.SIGSTOP)
        service.child.signal(run, signal.SIGHUP, scope)  # passed on: may wait
        wait_until(lambda pid=pid: signal.SIGHUP in procfs.signal_sets(pid).pending, "a pending SIGHUP")
        assert procfs.state(pid) == "T"
        service.child.signal(run, signal.SIGHUP, scope, ends=True)
        assert service.gone().status == -signal.SIGHUP


def test_a_child_that_stops_after_the_stop_signal_is_continued(kept: Keep) -> None:
    """Once: with the terminal's modes to put back in the background it would stop again and again."""
    program = "trap 'sleep 0.2; kill -STOP $$; exit 7' TERM; sleep 1000 & wait"
    service = kept("sh", "-c", program)
    service.start()
    (child,) = procfs.children(service.keeper)
    # executed, not only forked: until then the shell's trap takes the signal and does nothing
    wait_until(lambda: ["sleep"] in [procfs.cmdline(one)[:1] for one in procfs.children(child)], "sleep")
    service.child.signal(1, signal.SIGTERM, "tree", ends=True)
    assert service.gone().status == 7


def test_PR23_nothing_survives_the_daemon(tmp_path: Path) -> None:
    log = tmp_path / "log"
    daemon = os.fork()
    if daemon == 0:
        try:
            child = Child("web", (*PYTHON, FAMILY, str(log), "group", "setsid", "daemon"), None, os.environ)
            child.start(1, {})
            while True:
                signal.pause()
        finally:
            os._exit(1)
    wait_until(lambda: log.exists() and log.read_text().count("ready") == 4, "a family")
    tree = procfs.descendants(daemon)
    assert len(tree) == 5
    os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: not any(map(procfs.alive, tree)), "an end of all", explain=lambda: procfs.show(tree))


def test_a_keeper_that_is_killed_takes_its_tree_along_and_is_replaced(kept: Keep, tmp_path: Path) -> None:
    other = kept("sleep", "1000")
    bystander = other.start()
    family = Family(kept, tmp_path / "log", "group", "setsid", "daemon")
    service = family.service
    fd, tree = service.child.fileno(), procfs.descendants(service.keeper)
    for _ in range(2):
        os.kill(service.keeper, signal.SIGKILL)
        assert service.next(KeeperDied) == ("web", 0)
        assert [pid for pid in tree if procfs.stat(pid)] == []
        assert procfs.alive(bystander)
        service.child.kill(service.run)  # to nobody
        (tmp_path / "log").unlink()
        service.start()
        family.wait("ready", family.names)
        assert service.child.fileno() == fd
        tree = procfs.descendants(service.keeper)
    service.child.signal(service.run, signal.SIGUSR2, "child")
    assert service.next(ChildEnded).left == 3


def test_LI10_a_keeper_that_cannot_be_replaced_is_a_failed_start(kept: Keep) -> None:
    service = kept("true")
    os.kill(service.keeper, signal.SIGKILL)
    service.next(KeeperDied)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = procfs.fds(os.getpid())
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        service.ask()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert service.next(StartFailed) == ("web", 1, errno.EMFILE, "true")
    assert service.child.read() == []
    assert procfs.fds(os.getpid()) == before
    service.start()
    assert service.gone().status == 0


def test_PR17_many_runs_leave_no_zombie_and_no_descriptor(kept: Keep) -> None:
    service = kept("sh", "-c", "(setsid sh -c 'sleep 0.01 &' &); exit 4")
    before = None
    for _ in range(50):
        service.start()
        assert service.gone().status == 4
        assert procfs.descendants(service.keeper) == []
        now = procfs.fds(os.getpid()), procfs.fds(service.keeper)
        assert before in (None, now)
        before = now
    assert set(now[1]) >= {0, 1, 2} and len(now[1]) == 7


def test_a_keeper_holds_no_other_keepers_pipes(kept: Keep) -> None:
    first, second = kept("sleep", "1000"), kept("sleep", "1000")
    keeper, pid = first.keeper, first.start()
    second.start()
    first.child.close()  # the second would keep the request pipe open
    assert not procfs.alive(keeper)
    assert not procfs.alive(pid)


def test_a_keeper_ends_by_nothing_but_the_end_of_its_pipe(kept: Keep) -> None:
    service = kept("true")
    service.start()
    service.gone()
    spared = (signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL)
    for signum in signal.valid_signals() - {*spared, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP}:
        os.kill(service.keeper, signum)
    service.start()
    assert service.gone().status == 0
    assert procfs.cmdline(service.keeper)[0] == "keeper of web"
