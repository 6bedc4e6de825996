"""Which cgroup is ours to divide, and what becomes of a run in one below it."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reloaderd.kernel import cgroups, libc
from reloaderd.kernel.cgroups import Cgroup, delegated
from tests.support import procfs
from tests.support.cgroups import Delegation
from tests.support.mounts import Mounts
from tests.support.waiting import LIMIT, wait_until

OURS = {"SYSTEMD_EXEC_PID": str(os.getpid()), "INVOCATION_ID": "0" * 32}


# Which one


def tell(tmp_path: Path, path: str, root: str, point: str) -> str:
    """A /proc in which our cgroup is `path` and the mount at `point` shows `root`."""
    (tmp_path / "proc").mkdir(exist_ok=True)
    (tmp_path / "proc/cgroup").write_text(f"1:name=systemd:/x\n0::{path}\n")
    shown = point.replace(" ", "\\040")
    lines = [
        "21 1 0:5 / /proc rw,nosuid shared:2 - proc proc rw\n",
        "30 21 0:9 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n",
        f"35 21 0:26 {root} {shown} rw,relatime shared:9 master:1 - cgroup2 cgroup2 rw,nsdelegate\n",
    ]
    (tmp_path / "proc/mountinfo").write_text("".join(lines))
    return str(tmp_path / "proc")


def made(directory: Path, mark: str | None = "1") -> Path:
    """A directory that looks like a cgroup; `mark` is what systemd says of it."""
    directory.mkdir(parents=True)
    (directory / "cgroup.procs").touch()
    (directory / "cgroup.kill").touch()
    if mark is not None:
        os.setxattr(directory, "user.delegate", mark.encode())
    return directory


@pytest.fixture
def point(tmp_path: Path) -> Path:
    point = tmp_path / "the mount"
    try:
        os.setxattr(tmp_path, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes of users")
    return point


def test_the_cgroup_of_the_unit(point: Path, tmp_path: Path) -> None:
    own = made(point / "app.slice/web.service")
    assert delegated(OURS, tell(tmp_path, "/app.slice/web.service", "/", str(point))) == str(own)
    assert delegated(OURS, tell(tmp_path, "/a/app.slice/web.service", "/a", str(point))) == str(own)


def test_the_one_above_with_a_subgroup(point: Path, tmp_path: Path) -> None:
    unit = made(point / "web.service")
    made(unit / "supervisor", mark=None)
    assert delegated(OURS, tell(tmp_path, "/web.service/supervisor", "/", str(point))) == str(unit)


@pytest.mark.parametrize("mark", [None, "0", ""])
def test_one_that_was_not_left_to_us(mark: str | None, point: Path, tmp_path: Path) -> None:
    made(point / "web.service", mark)
    assert delegated(OURS, tell(tmp_path, "/web.service", "/", str(point))) == ""


def test_a_unit_below_one_that_was_left_to_its_manager(point: Path, tmp_path: Path) -> None:
    """user@1000.service is the user manager's to divide, and not that of its units."""
    made(made(point / "user@1000.service") / "init.scope", mark=None)
    assert delegated(OURS, tell(tmp_path, "/user@1000.service/init.scope", "/", str(point))) == ""


@pytest.mark.parametrize(
    ("answer", "ours"),
    [("echo yes", True), ("echo no", False), ("exit 1", False), ("exec sleep 1000", False)],
)
def test_the_manager_of_a_user_is_asked(
    answer: str, ours: bool, point: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It marks no cgroup; what it says of one is what counts."""
    monkeypatch.setattr(cgroups, "ASKING", 1.0)
    own = made(point / "user@1000.service/app.slice/web.service", mark=None)
    manager = tmp_path / "bin/systemctl"
    manager.parent.mkdir()
    manager.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\n{answer}\n')
    manager.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin:/usr/bin")
    before = procfs.fds(os.getpid())
    found = delegated(OURS, tell(tmp_path, "/user@1000.service/app.slice/web.service", "/", str(point)))
    assert found == (str(own) if ours else "")
    asked = "--user show --property=Delegate --value web.service\n"
    assert (tmp_path / "asked").read_text() == asked
    assert procfs.fds(os.getpid()) == before
    monkeypatch.setenv("PATH", "/nowhere")
    assert delegated(OURS, str(tmp_path / "proc")) == ""
    assert procfs.fds(os.getpid()) == before


def test_where_the_kernel_cannot_kill_it(point: Path, tmp_path: Path) -> None:
    own = made(point / "web.service")
    (own / "cgroup.kill").unlink()
    assert delegated(OURS, tell(tmp_path, "/web.service", "/", str(point))) == ""


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"INVOCATION_ID": "0"},
        {**OURS, "SYSTEMD_EXEC_PID": "1"},
        {"SYSTEMD_EXEC_PID": str(os.getpid())},
    ],
)
def test_what_a_service_starts_has_none(environ: dict[str, str], point: Path, tmp_path: Path) -> None:
    made(point / "web.service")
    assert delegated(environ, tell(tmp_path, "/web.service", "/", str(point))) == ""


@pytest.mark.parametrize(
    ("path", "root"),
    [("/x/web.service", "/"), ("/web.service", "/elsewhere"), ("/../web.service", "/"), ("/", "/..")],
)
def test_one_that_cannot_be_seen(path: str, root: str, point: Path, tmp_path: Path) -> None:
    made(point / "web.service")
    assert delegated(OURS, tell(tmp_path, path, root, str(point))) == ""
    assert delegated(OURS, str(tmp_path / "nowhere")) == ""


# What becomes of a run


@pytest.fixture
def mounts() -> Iterator[Mounts]:
    mounts = Mounts()
    yield mounts
    mounts.close()


@pytest.fixture
def base(mounts: Mounts) -> Iterator[Path]:
    given = Delegation(mounts)
    yield given.seen
    given.close()


def sleeping(fork: Callable[[], int]) -> int:
    pid = fork()
    if pid == 0:
        time.sleep(1000)
        os._exit(0)
    return pid


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
@pytest.mark.parametrize("clone3", [True, False])
def test_the_life_of_a_run(clone3: bool, base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fork_into(directory: int) -> int:
        asked.append(directory)
        if not clone3:
            raise PermissionError(1, "a filter of system calls")
        return fork(directory)

    fork = libc.fork_into
    monkeypatch.setattr(libc, "fork_into", fork_into)
    cgroup, poll = Cgroup(str(base), "web"), select.poll()
    cgroup.make(7, poll)
    assert not cgroup.populated() and not cgroup.kill()
    pid = sleeping(cgroup.fork)
    assert asked
    wait_until(lambda: (base / "run-web-7/cgroup.procs").read_text() == f"{pid}\n", "the process in it")
    assert poll.poll(LIMIT * 1000) and cgroup.populated()
    assert not poll.poll(0), "it was read: nothing wakes until it changes again"
    assert cgroup.kill()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert poll.poll(LIMIT * 1000) and not cgroup.populated() and not cgroup.kill()
    before = len(procfs.fds(os.getpid()))
    cgroup.remove()
    assert len(procfs.fds(os.getpid())) == before - 2
    assert not (base / "run-web-7").exists()
    assert not poll.poll(0)
    cgroup.remove()


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
def test_what_was_left_of_one_service(base: Path) -> None:
    pids = []
    for name in ("run-web-1/inner", "run-web-2.1", "run-web-mail-1", "other"):
        (base / name).mkdir(parents=True)
        directory = os.open(base / name, os.O_RDONLY)
        pids.append(sleeping(lambda directory=directory: libc.fork_into(directory)))  # type: ignore[misc]
        os.close(directory)
    Cgroup(str(base), "web")
    assert sorted(one.name for one in base.iterdir() if one.is_dir()) == ["other", "run-web-mail-1"]
    cgroups.clear(str(base))
    assert sorted(one.name for one in base.iterdir() if one.is_dir()) == ["other"]
    assert procfs.alive(pids[3])
    procfs.kill(pids[3])
    for pid in pids:
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
def test_a_copy_is_in_its_own_before_it_is_a_run(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cgroup, poll = Cgroup(str(base), "web"), select.poll()
    cgroup.make(1, poll)
    run, copy = sleeping(cgroup.fork), sleeping(os.fork)
    for _ in range(2):
        cgroup.settle(2, copy)
        assert (base / "run-web-2/cgroup.procs").read_text() == f"{copy}\n"
    assert cgroup.kill()
    os.waitpid(run, 0)
    assert not cgroup.populated()
    cgroup.remove()
    moved = []
    monkeypatch.setattr(cgroups, "_write", lambda path, data: moved.append(path))
    cgroup.enter(2, copy, poll)
    assert not moved, "it waits for 14 to 25 ms"
    monkeypatch.undo()
    assert cgroup.populated() and cgroup.kill()
    os.waitpid(copy, 0)
    assert poll.poll(LIMIT * 1000)
    cgroup.remove()
    assert not list(base.glob("run-*"))


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
def test_a_run_whose_name_a_copy_has(base: Path) -> None:
    """The copy is gone in the end, and what was not empty at that time goes with the next."""
    cgroup, poll = Cgroup(str(base), "web"), select.poll()
    copy, other = sleeping(os.fork), sleeping(os.fork)
    cgroup.settle(2, copy)
    cgroup.enter(2, other, poll)
    assert (base / "run-web-2.1/cgroup.procs").read_text() == f"{other}\n"
    cgroup.release(copy)
    assert (base / "run-web-2").exists()
    procfs.kill(copy)
    os.waitpid(copy, 0)
    assert cgroup.kill()
    os.waitpid(other, 0)
    cgroup.remove()
    assert not list(base.glob("run-*"))


@pytest.mark.needs("root", "mounts")
@pytest.mark.kernel("cgroup2")
def test_where_there_can_be_none_a_run_goes_without(base: Path) -> None:
    cgroup = Cgroup(str(base / "nowhere"), "web")
    cgroup.make(1, select.poll())
    pid = sleeping(cgroup.fork)
    cgroup.settle(2, pid)
    cgroup.enter(2, pid, select.poll())
    assert not cgroup.populated() and not cgroup.kill()
    cgroup.leave_nothing()
    procfs.kill(pid)
    os.waitpid(pid, 0)
