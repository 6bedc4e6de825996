"""A program that is executed by fork and exec is born as one by posix_spawn, with what it is handed."""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from reloaderd.kernel.forking import Forking
from reloaderd.kernel.spawn import Begin, by_posix_spawn, spawn
from tests.support import procfs
from tests.support.waiting import wait_until

DUMP = """
import os, sys
out = open(sys.argv[1], "w")
fds = {}
for fd in map(int, os.listdir("/proc/self/fd")):
    try:
        fds[fd] = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        pass
del fds[out.fileno()]
with open("/proc/self/status") as file:
    lines = dict(line.split() for line in file if line.startswith(("Sig", "ShdPnd")))
status = {name: int(lines[name + ":"], 16) for name in ("SigBlk", "SigIgn", "SigPnd", "ShdPnd")}
listen = {name: value for name, value in os.environ.items() if name.startswith("LISTEN_")}
others = {name: value for name, value in os.environ.items() if name not in listen}
print((fds, status, listen, others, os.getpid(), os.getpgrp(), os.getppid(), os.getcwd(), sys.argv), file=out)
out.close()
os.rename(sys.argv[1], sys.argv[1] + ".done")
"""


@pytest.fixture(autouse=True)
def back(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = os.getcwd()
    descriptors, children = set(procfs.fds(os.getpid())), procfs.children(os.getpid())
    yield
    os.chdir(before)
    assert set(procfs.fds(os.getpid())) == descriptors
    assert set(procfs.children(os.getpid())) <= set(children)


def born(tmp_path: Path, begin: Begin, number: int = 0) -> tuple[object, ...]:
    """How a program finds the world."""
    file = tmp_path / f"dump{number}"
    command = [sys.executable, "-I", "-S", "-c", DUMP, str(file)]
    pid = spawn(command, str(tmp_path), {"A": "1"}, begin)
    assert os.waitpid(pid, 0)[1] == 0
    found = eval(file.with_name(file.name + ".done").read_text())
    assert found[4:7] == (pid, pid, os.getpid())
    assert isinstance(found, tuple)
    return found


def place_at(numbers: Sequence[int]) -> dict[int, str]:
    """A file of its own at each of these numbers, close-on-exec: number -> what it is."""
    found = {}
    for number in numbers:
        read, write = os.pipe()
        os.close(write)
        high = os.dup2(read, 900)
        os.close(read)
        os.dup2(high, number, inheritable=False)
        os.close(high)
        found[number] = os.readlink(f"/proc/self/fd/{number}")
    return found


def test_without_anything_it_is_as_by_posix_spawn(tmp_path: Path) -> None:
    os.environ["NOT_GIVEN"] = "1"
    caught = signal.signal(signal.SIGUSR1, lambda *_: None)
    ignored = signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMIN))
    try:
        (tmp_path / "1").mkdir()
        one, other = born(tmp_path, by_posix_spawn), born(tmp_path, Forking([]), 1)
        now = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        assert {signal.SIGTERM, signal.SIGCHLD, signal.SIGRTMIN} <= now
        assert signal.SIGINT not in now
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGUSR1, caught)
        signal.signal(signal.SIGUSR2, ignored)
        del os.environ["NOT_GIVEN"]

    def comparable(found: tuple[object, ...]) -> object:
        assert isinstance(found[1], dict)
        # 32 and 33 are glibc's own, which it leaves ignored in what posix_spawn starts
        status = found[1] | {"SigIgn": found[1]["SigIgn"] & ~(0b11 << 31)}
        return found[0], status, found[2], found[3], found[7]

    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    "numbers",
    [
        (50, 51, 52),
        (3, 4, 5),
        (5, 4, 3),
        (4, 5, 3),
        (4, 3, 100),
        (100, 3, 4),
        (3,),
        (7,),
        (5, 3),
        range(3, 40),
    ],
)
def test_descriptors_wherever_they_are(numbers: Sequence[int], tmp_path: Path) -> None:
    """In a child of our own, where 3 to 899 are free."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.closerange(3, 1000)
            placed = place_at(numbers)
            begin = Forking([(number, f"n{number}") for number in numbers])
            for life in (0, 1):
                found = born(tmp_path, begin, life)
                given, listen = found[0], found[2]
                assert isinstance(given, dict) and isinstance(listen, dict)
                above = {fd: where for fd, where in given.items() if fd > 2}
                assert above == {3 + at: placed[number] for at, number in enumerate(numbers)}, above
                names = ":".join(f"n{number}" for number in numbers)
                assert listen == {
                    "LISTEN_FDS": str(len(numbers)),
                    "LISTEN_PID": str(found[4]),
                    "LISTEN_FDNAMES": names,
                }, listen
            assert {number: os.readlink(f"/proc/self/fd/{number}") for number in numbers} == placed
            assert not any(map(os.get_inheritable, numbers))
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


Make = Callable[[Path], Sequence[str]]


def script(path: Path, text: str, mode: int = 0o755) -> str:
    path.write_text(text)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    "make",
    [
        lambda tmp: [str(tmp / "nothing")],
        lambda tmp: ["nothing-of-this-name"],
        lambda tmp: [str(tmp)],
        lambda tmp: [""],
        lambda tmp: [script(tmp / "plain", "x")],
        lambda tmp: [script(tmp / "mode", "#!/bin/sh\n", 0o644)],
        lambda tmp: [script(tmp / "script", "#!/nowhere/sh\n")],
        lambda tmp: ["/bin/true", "x" * 3_000_000],
        lambda tmp: ["/bin/true", "\0"],
    ],
)
def test_the_errors_are_the_same(make: Make, tmp_path: Path) -> None:
    command = make(tmp_path)
    faults = []
    for begin in (by_posix_spawn, Forking([(0, "x")])):
        with pytest.raises(OSError) as caught:
            os.waitpid(spawn(command, str(tmp_path), {"PATH": "/bin:/usr/bin"}, begin), 0)
        faults.append((caught.value.errno, caught.value.filename))
    assert faults[0] == faults[1]


def test_a_text_that_is_busy(tmp_path: Path) -> None:
    path = tmp_path / "busy"
    path.write_bytes(Path("/bin/true").read_bytes())
    path.chmod(0o755)
    with open(path, "ab"), pytest.raises(OSError) as caught:
        spawn([str(path)], str(tmp_path), {}, Forking([(0, "x")]))
    assert (caught.value.errno, caught.value.filename) == (errno.ETXTBSY, str(path))


def test_no_descriptor_to_be_had(tmp_path: Path) -> None:
    """Wherever they run out, and so that nothing is left of it."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.closerange(3, 1000)
            ends = set()
            for limit in range(3, 9):
                resource.setrlimit(
                    resource.RLIMIT_NOFILE, (limit, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
                )
                try:
                    os.waitpid(spawn(["/bin/true"], str(tmp_path), {}, Forking([(0, "x"), (1, "y")])), 0)
                    ends.add(0)
                except OSError as error:
                    ends.add(error.errno or -1)
                assert os.dup(0) == 3 if limit > 3 else True
                os.closerange(3, 20)
            # fcntl(2) says EINVAL where there could never be so high a number
            assert {0, errno.EMFILE} <= ends <= {0, errno.EMFILE, errno.EINVAL}, ends
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0


def forking_and(signum: int) -> Callable[[], int]:
    """A fork whose child sends itself a signal before it does anything else."""

    def fork() -> int:
        pid = os.fork()
        if pid == 0:
            os.kill(os.getpid(), signum)
        return pid

    return fork


def test_one_that_is_killed_before_it_is_executed_has_started(tmp_path: Path) -> None:
    """As far as anybody can tell: its end is told as any other."""
    begin = Forking([(0, "x")], fork=forking_and(signal.SIGKILL))
    pid = spawn(["/bin/true"], str(tmp_path), {}, begin)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def test_a_signal_that_comes_early_ends_it_and_reaches_no_handler_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "heard"
    former = signal.signal(signal.SIGTERM, lambda *_: file.touch())
    try:
        begin = Forking([(0, "x")], fork=forking_and(signal.SIGTERM))
        pid = spawn(["/bin/sleep", "1000"], str(tmp_path), {}, begin)
        wait_until(lambda: not procfs.alive(pid), "its end")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    finally:
        signal.signal(signal.SIGTERM, former)
    assert not file.exists()
