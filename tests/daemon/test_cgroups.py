"""SD08: where a service manager leaves its cgroup to reloaderd, each run has and ends with one below it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import edits, procfs
from tests.support.cgroups import Delegation
from tests.support.daemon import Daemon, Watch
from tests.support.mounts import Mounts
from tests.support.places import Place, build

pytestmark = [pytest.mark.needs("root", "mounts"), pytest.mark.kernel("cgroup2")]

FAMILY = """\
import os, signal, sys, time
for kind in ("group", "session", "daemon"):
    if os.fork() == 0:
        if kind != "group":
            os.setsid()
        if kind == "daemon" and os.fork():
            os._exit(0)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(1000)
open(sys.argv[1] + str(os.getpid()), "w").close()
time.sleep(1000)
"""

Delegate = Callable[..., Delegation]


@pytest.fixture
def delegate(mounts: Mounts) -> Iterator[Delegate]:
    made: list[Delegation] = []

    def delegate(**keywords: object) -> Delegation:
        made.append(Delegation(mounts, **keywords))  # type: ignore[arg-type]
        return made[-1]

    yield delegate
    for one in made:
        one.close()


def start(place: Place, watch: Watch, given: Delegation, *options: str) -> Daemon:
    build(place.tree, {"family.py": FAMILY})
    command = [sys.executable, "family.py", str(place.scratch / "up-")]
    return watch("--stop-timeout=200ms", *options, command=command, children=None, **given.keywords())


def up(place: Place, daemon: Daemon, run: int) -> int:
    pid: int = daemon.wait_event("started", run=run)["pid"]
    daemon.wait(lambda: (place.scratch / f"up-{pid}").exists(), "the whole family")
    return pid


@pytest.mark.parametrize("subgroup", ["", "supervisor"])
@pytest.mark.parametrize("listen", [[], ["--listen=0"]])
def test_each_run_has_its_own(
    subgroup: str, listen: list[str], delegate: Delegate, place: Place, watch: Watch
) -> None:
    given = delegate(subgroup=subgroup)
    daemon = start(place, watch, given, *listen)
    for run in (1, 2, 3):
        pid = up(place, daemon, run)
        assert given.runs() == [f"run-tree-{run}"]
        daemon.wait(lambda run=run: len(given.within(f"run-tree-{run}")) == 4, "the family and no more")
        processes = given.within(f"run-tree-{run}")
        assert pid in processes
        for one in processes:
            assert Path(f"/proc/{one}/cgroup").read_text().rstrip().endswith(f"/run-tree-{run}")
        (keeper,) = [one for one in procfs.children(daemon.pid) if pid in procfs.children(one)]
        assert Path(f"/proc/{keeper}/cgroup").read_text() == Path(f"/proc/{daemon.pid}/cgroup").read_text()
        daemon.wait(lambda pid=pid: sorted(procfs.fds(pid)) == [0, 1, 2, 3][: 4 if listen else 3], "no more")
        edits.write(place.tree / f"{run}.py")
        daemon.wait(lambda some=processes: not any(map(procfs.alive, some)), "the end of the run")
    up(place, daemon, 4)
    daemon.finish()
    assert given.runs() == []


def test_what_escapes_the_keeper_does_not_escape_the_cgroup(
    delegate: Delegate, place: Place, watch: Watch
) -> None:
    """Nobody can: it is put in there from outside."""
    given = delegate()
    daemon = start(place, watch, given)
    up(place, daemon, 1)
    stranger = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    (given.seen / "run-tree-1/cgroup.procs").write_text(str(stranger))
    os.kill(daemon.pid, signal.SIGUSR1)
    assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == -signal.SIGKILL
    up(place, daemon, 2)
    assert given.runs() == ["run-tree-2"]


def test_one_that_ends_by_itself_takes_all_with_it(delegate: Delegate, place: Place, watch: Watch) -> None:
    given = delegate()
    daemon = start(place, watch, given)
    pid = up(place, daemon, 1)
    processes = given.within("run-tree-1")
    stranger = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    (given.seen / "run-tree-1/cgroup.procs").write_text(str(stranger))
    for one in processes:  # so that nothing but the stranger is left when the child ends
        if one != pid:
            procfs.kill(one)
    procfs.kill(pid)
    assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == -signal.SIGKILL
    daemon.wait_event("waiting")
    daemon.wait(lambda: given.runs() == [], "no cgroup")


def test_cgroups_of_the_run_itself(delegate: Delegate, place: Place, watch: Watch) -> None:
    """A run may divide its own further, as container engines do."""
    given = delegate()
    daemon = start(place, watch, given)
    pid = up(place, daemon, 1)
    inner = given.seen / "run-tree-1/inner/deeper"
    inner.mkdir(parents=True)
    (inner / "cgroup.procs").write_text(str(pid))
    os.kill(daemon.pid, signal.SIGUSR1)
    up(place, daemon, 2)
    assert given.runs() == ["run-tree-2"]


@pytest.mark.parametrize("who", ["daemon", "keeper"])
def test_when_one_of_us_is_killed(who: str, delegate: Delegate, place: Place, watch: Watch) -> None:
    given = delegate()
    daemon = start(place, watch, given)
    daemon.warnings = True
    pid = up(place, daemon, 1)
    processes = given.within("run-tree-1")
    parent = procfs.stat(pid)
    assert parent is not None
    procfs.kill(daemon.pid if who == "daemon" else parent.ppid)
    daemon.wait(lambda: not any(map(procfs.alive, processes)), "the end of the run")
    if who == "daemon":
        daemon.wait_exit()
        daemon.wait(lambda: given.runs() == [], "no cgroup")
        return
    edits.write(place.tree / "x.py")
    up(place, daemon, 2)
    assert given.runs() == ["run-tree-2"]


def test_what_was_left_is_cleared_away(delegate: Delegate, place: Place, watch: Watch) -> None:
    given = delegate()
    left = given.seen / "run-other-7/below"
    left.mkdir(parents=True)
    stranger = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    (left / "cgroup.procs").write_text(str(stranger))
    (given.seen / "mine").mkdir()
    daemon = start(place, watch, given)
    assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == -signal.SIGKILL
    up(place, daemon, 1)
    assert given.runs() == ["run-tree-1"]
    assert (given.seen / "mine").exists()


def test_without_delegation_it_is_as_ever(delegate: Delegate, place: Place, watch: Watch) -> None:
    given = delegate(marked=False)
    daemon = start(place, watch, given)
    pid = up(place, daemon, 1)
    assert given.runs() == []
    processes = [pid, *procfs.descendants(pid)]
    os.kill(daemon.pid, signal.SIGUSR1)
    up(place, daemon, 2)
    assert not any(map(procfs.alive, processes))


def test_a_command_that_cannot_be_started(delegate: Delegate, place: Place, watch: Watch) -> None:
    given = delegate()
    daemon = watch(command=["./nothing"], ready=False, children=None, warnings=True, **given.keywords())
    assert daemon.wait_exit() == 127
    assert given.runs() == []
