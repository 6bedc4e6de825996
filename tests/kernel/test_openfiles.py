"""kernel.openfiles and kernel.readiness: what /proc says of real processes with real sockets."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from reloaderd.kernel import openfiles, readiness
from tests.support import procfs
from tests.support.waiting import LIMIT, wait_until

Run = Callable[[str], subprocess.Popen[str]]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as one:
        os.set_inheritable(one.fileno(), True)
        yield one


@pytest.fixture
def run(listener: socket.socket) -> Iterator[Run]:
    """A program that has the socket as `one`, and says when it is there."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str) -> subprocess.Popen[str]:
        text = f"import os, select, socket, time\none = socket.socket(fileno={listener.fileno()})\n{code}"
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", text],
            pass_fds=[listener.fileno()],
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        for pid in [process.pid, *procfs.descendants(process.pid)]:
            procfs.kill(pid)
        process.communicate(timeout=LIMIT)


def inode(one: socket.socket) -> int:
    return os.fstat(one.fileno()).st_ino


def test_the_sockets_of_a_process(listener: socket.socket) -> None:
    assert openfiles.sockets_of(os.getpid())[listener.fileno()] == inode(listener)
    assert openfiles.has([os.getpid()], inode(listener))
    assert openfiles.sockets_of(2**22 + 1) == {}
    assert openfiles.awaited(2**22 + 1) == set()


def test_what_listens_and_where(listener: socket.socket) -> None:
    found = openfiles.listening(os.getpid())
    assert found[inode(listener)] == f"127.0.0.1:{listener.getsockname()[1]}"
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as other, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        found = openfiles.listening(os.getpid())
        assert found[inode(other)] == f"[::1]:{other.getsockname()[1]}"
        assert inode(bound) not in found


WAYS = {
    "epoll": "poll = select.epoll(); poll.register(one, 1); time.sleep(999)",
    "accept": "one.accept()",
    "thread": "import threading; threading.Thread(target=one.accept).start(); time.sleep(999)",
}


@pytest.mark.parametrize("way", WAYS)
def test_who_waits_for_connections(way: str, listener: socket.socket, run: Run) -> None:
    process = run(WAYS[way])
    wait_until(lambda: inode(listener) in openfiles.awaited(process.pid), "it to wait")


def test_who_does_not(listener: socket.socket, run: Run) -> None:
    process = run("select.epoll(); print('up', flush=True); time.sleep(999)")
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    assert inode(listener) in openfiles.sockets_of(process.pid).values()
    assert openfiles.awaited(process.pid) == set()
    with select.epoll() as poll:
        poll.register(process.stdout, select.EPOLLIN)
        assert inode(listener) not in openfiles.awaited(os.getpid())


FORK = "os.fork() or os.close(1); time.sleep(999)"

# When it is ready: by a clock of the test's own


def test_it_is_ready_when_it_serves_all_that_is_wanted(listener: socket.socket, run: Run) -> None:
    process = run(WAYS["epoll"])
    wait_until(lambda: openfiles.awaited(process.pid), "it to wait")
    wanted = {inode(listener)}
    one = readiness.Readiness(1.0, lambda: [process.pid], lambda: wanted)
    assert one.look(1.1)
    wanted.add(1)
    assert not one.look(1.2)
    assert not one.look(1.1 + readiness.ENOUGH - 0.01)
    assert one.look(1.2 + readiness.ENOUGH)


@pytest.mark.parametrize(("code", "ready"), [("time.sleep(999)", True), (FORK, False)])
def test_one_that_has_called_listen_serves_unless_it_forks(
    code: str, ready: bool, listener: socket.socket, run: Run
) -> None:
    process = run("print('up', flush=True)\n" + code)
    assert process.stdout is not None and process.stdout.readline() == "up\n"
    one = readiness.Readiness(1.0, lambda: [process.pid], set)
    one.listens(process.pid, inode(listener), 2.0)
    assert not one.look(2.0 + readiness.SETTLED - 0.01)
    if not ready:
        wait_until(lambda: openfiles.has(readiness.proctree.children(process.pid), inode(listener)), "a fork")
    assert one.look(2.0 + readiness.SETTLED) is ready
    one.accepts(inode(listener))
    assert one.look(3.0)


def test_what_has_called_nothing_is_not_ready(run: Run) -> None:
    process = run("time.sleep(999)")
    one = readiness.Readiness(1.0, lambda: [process.pid], set)
    assert not one.look(100.0)
    assert one.due > 100.0
