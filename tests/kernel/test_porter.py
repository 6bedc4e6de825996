"""kernel.porters with a real porter, kernel.stock in it, and real agents of every Python that is found."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from reloaderd.kernel import stock
from reloaderd.kernel.porters import Porter
from reloaderd.kernel.staying import MOST
from tests.agent.conftest import AGENT, FOLLOWED, interpreter
from tests.support import procfs
from tests.support.places import Place
from tests.support.serving import free_port
from tests.support.waiting import LIMIT, wait_until

BIND = """
import socket, sys
PORT = int(sys.argv[1])
def bound(family=socket.AF_INET, host="127.0.0.1", port=PORT, **options):
    one = socket.socket(family)
    for name, value in options.items():
        level = socket.IPPROTO_IPV6 if name.startswith("IPV6") else socket.SOL_SOCKET
        one.setsockopt(level, getattr(socket, name), value)
    one.bind(host if family == socket.AF_UNIX else (host, port))
    return one
"""

Run = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def porter() -> Iterator[Porter]:
    with Porter("web", 2, ["keep", "alone"], []) as one:
        yield one


@pytest.fixture
def start(place: Place, porter: Porter) -> Iterator[Run]:
    """Start a Python program in a run of its own, below this process, which stands for the keeper."""
    running: list[subprocess.Popen[str]] = []

    def start(code: str, port: int, slot: int = 0, python: str = sys.executable) -> subprocess.Popen[str]:
        porter.started(slot, len(running) + 1, os.getpid())
        environ = {
            **place.environ(),
            "PYTHONPATH": AGENT,
            "RELOADERD": "web",
            "RELOADERD_RUN": "1",
            "RELOADERD_AGENT": "/nowhere",
            **porter.environ(slot),
        }
        one = subprocess.Popen(
            [python, "-c", BIND + code, str(port)],
            env=environ,
            cwd=place.tree,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        running.append(one)
        return one

    yield start
    for one in running:
        one.kill()
        one.communicate(timeout=LIMIT)


def line(one: subprocess.Popen[str]) -> str:
    assert one.stdout is not None
    return one.stdout.readline().strip()


def end(porter: Porter, one: subprocess.Popen[str], slot: int = 0, stopped: bool = True) -> None:
    if stopped:
        porter.stopping(slot)
    one.kill()
    one.wait(LIMIT)
    porter.gone(slot)


LISTEN = """
one = bound(%s)
one.listen(5)
print("up", flush=True)
sys.stdin.readline()
client, _ = one.accept()
client.sendall(b"hello")
sys.stdin.readline()
"""


@pytest.mark.parametrize("version", FOLLOWED)
def test_what_listens_is_kept_and_given_back(version: str, start: Run, porter: Porter) -> None:
    python = interpreter(version)
    if python is None:
        pytest.skip(f"no Python {version} here")
    port = free_port()
    first = start(LISTEN % "", port, python=python)
    assert line(first) == "up"
    end(porter, first)
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
        second = start(LISTEN % "", port, python=python)
        assert line(second) == "up"
        assert second.stdin is not None
        second.stdin.write("\n")
        second.stdin.flush()
        assert client.recv(10) == b"hello"


@pytest.mark.parametrize(
    "arguments",
    [
        "host='localhost'",
        "host=''",
        "SO_REUSEADDR=1",
        "SO_REUSEPORT=1",
        "socket.AF_INET6, '::1'",
        "socket.AF_INET6, '::', IPV6_V6ONLY=0",
        "socket.AF_INET6, '::', IPV6_V6ONLY=1",
        "socket.AF_UNIX, 'a.sock'",
        "socket.AF_UNIX, '\\0reloaderd-test-%d' % PORT",
    ],
)
def test_the_same_address_is_the_same_socket(arguments: str, start: Run, porter: Porter) -> None:
    tell = f"""
import os
one = bound({arguments})
one.listen(5)
print(os.fstat(one.fileno()).st_ino, one.getblocking(), one.get_inheritable(), flush=True)
sys.stdin.readline()
"""
    port = free_port()
    first = start(tell, port)
    said = line(first)
    end(porter, first)
    second = start(tell, port)
    assert line(second) == said


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("host=''", "host='127.0.0.1'"),
        ("host='127.0.0.1'", "host=''"),
        ("socket.AF_INET6, '::', IPV6_V6ONLY=0", "host='127.0.0.1'"),
        ("socket.AF_INET6, '::', IPV6_V6ONLY=0", "socket.AF_INET6, '::', IPV6_V6ONLY=1"),
        ("SO_REUSEPORT=1", ""),
    ],
)
def test_another_address_gets_another_and_is_not_refused(
    first: str, second: str, start: Run, porter: Porter
) -> None:
    port = free_port()
    one = start(LISTEN % first, port)
    assert line(one) == "up"
    end(porter, one)
    assert line(start(LISTEN % second, port)) == "up"


def test_a_port_that_the_kernel_chose_is_not_kept(start: Run, porter: Porter) -> None:
    code = "one = bound(port=0); one.listen(); print(one.getsockname()[1], flush=True)\nsys.stdin.read()"
    one = start(code, 0)
    port = int(line(one))
    end(porter, one)
    wait_until(lambda: not procfs.listens(port), "it to be closed")


def test_a_run_cannot_have_it_twice(start: Run, porter: Porter) -> None:
    """A second server at the same port is as wrong as without us."""
    code = """
one = bound(); one.listen()
try:
    bound()
except OSError as error:
    print(error.errno, error.__context__, flush=True)
one.close()
again = bound(); again.listen()
print("again", flush=True)
sys.stdin.read()
"""
    one = start(code, free_port())
    assert line(one) == "98 None"
    assert line(one) == "again"


def test_two_runs_have_it_at_a_time(start: Run, porter: Porter) -> None:
    port = free_port()
    first = start(LISTEN % "", port, 0)
    assert line(first) == "up"
    second = start(LISTEN % "", port, 1)
    assert line(second) == "up"
    end(porter, first, 0)
    assert second.stdin is not None
    second.stdin.write("\n")
    second.stdin.flush()
    with socket.create_connection(("127.0.0.1", port), timeout=LIMIT) as client:
        assert client.recv(10) == b"hello"


def test_what_a_process_had_goes_with_it_while_its_run_goes_on(start: Run, porter: Porter) -> None:
    port = free_port()
    one = start(LISTEN % "", port)
    assert line(one) == "up"
    one.kill()
    one.wait(LIMIT)
    wait_until(lambda: not procfs.listens(port), "it to be closed")


def test_strangers_get_nothing(start: Run, porter: Porter) -> None:
    """One that is not below the keeper, and one that says what no agent says."""
    port = free_port()
    first = start(LISTEN % "", port)
    assert line(first) == "up"
    end(porter, first)
    porter.started(0, 2, first.pid)  # which is no keeper any more
    path = porter.environ(0)["RELOADERD_PORTER"].split("\n")[0]
    for said in (
        b"take 2 6 0 0 %d 127.0.0.1" % port,
        b"take",
        b"take 1 2",
        b"x" * 500,
        b"",
        b"keep 1",
        b"stay",
    ):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
            one.settimeout(LIMIT)
            one.connect(path)
            one.send(said)
            assert one.recv(10) in (b"none", b"")
    assert procfs.listens(port)


def test_a_stopped_porter_is_not_waited_for(start: Run, porter: Porter) -> None:
    def porters() -> list[int]:
        return [one for one in procfs.children(os.getpid()) if procfs.is_named(one, "porter")]

    wait_until(porters, "a porter")
    [pid] = porters()
    os.kill(pid, signal.SIGSTOP)
    try:
        port = free_port()
        with socket.socket() as other:
            other.bind(("127.0.0.1", port))
            other.listen()
            code = "try:\n    bound()\nexcept OSError as error:\n    print(error.errno, flush=True)"
            assert line(start(code, port)) == "98"
        assert line(start(LISTEN % "", free_port())) == "up"
    finally:
        os.kill(pid, signal.SIGCONT)


def test_who_has_to_be_told_stays_and_is_told(porter: Porter) -> None:
    """So many, and no more; one that comes while its run leaves is told at once."""
    porter.started(0, 1, os.getpid())
    path = porter.environ(0)["RELOADERD_PORTER"].split("\n")[0]
    with ExitStack() as stack:

        def say(what: bytes) -> socket.socket:
            one = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET))
            one.settimeout(LIMIT)
            one.connect(path)
            one.send(what)
            return one

        def stay() -> socket.socket:
            one = say(b"stay")
            assert say(b"take 2 6 0 0 1 127.0.0.1").recv(10) == b"none"  # so that was heard
            return one

        staying = [stay() for _ in range(MOST)]
        assert stay().recv(10) == b""
        porter.leaving(0)
        assert {one.recv(10) for one in staying} == {b"leave"}
        staying[0].send(b"left")
        assert staying[0].recv(10) == b""
        assert stay().recv(10) == b"leave"
        porter.gone(0)
        assert staying[1].recv(10) == b""


# How long: by a clock of the test's own


class Clock:
    def __init__(self, in_use: bool = False) -> None:
        self.stock = stock.Stock(lambda slot, inode: in_use)
        self.open: list[Any] = []

    def listen(self, slot: int, now: float) -> int:
        one = socket.create_server(("127.0.0.1", 0))
        self.stock.keep(os.dup(one.fileno()), b"", slot, now)
        port: int = one.getsockname()[1]
        one.close()
        return port

    def lasts(self, port: int, now: float) -> bool:
        self.stock.tick(now)
        return procfs.listens(port)


@pytest.mark.parametrize(("stopped", "limit"), [(True, stock.AFTER_STOP), (False, stock.AFTER_END)])
def test_how_long_nobody_may_bind_it_again(stopped: bool, limit: float) -> None:
    clock = Clock()
    port = clock.listen(0, 1.0)
    assert clock.stock.deadline is None
    clock.stock.gone(0, stopped, 5.0)
    clock.stock.started(0)
    assert clock.stock.deadline == 5.0 + limit
    assert clock.lasts(port, 4.9 + limit)
    assert not clock.lasts(port, 5.0 + limit)
    assert clock.stock.deadline is None


def test_it_goes_sooner_when_the_next_run_listens_elsewhere() -> None:
    clock = Clock()
    port = clock.listen(0, 1.0)
    clock.stock.gone(0, True, 5.0)
    other = clock.listen(0, 6.0)
    assert clock.lasts(port, 5.9 + stock.ELSEWHERE)
    assert not clock.lasts(port, 6.0 + stock.ELSEWHERE)
    assert clock.lasts(other, 1000.0)
    clock.stock.look(0)  # and nobody has it
    assert not clock.lasts(other, 1000.0)


def test_they_are_bounded_in_number() -> None:
    clock = Clock()
    ports = [clock.listen(0, 1.0) for _ in range(stock.MOST + 1)]
    assert [procfs.listens(port) for port in ports] == [True] * stock.MOST + [False]
    clock.stock.gone(0, True, time.monotonic())
    clock.stock.tick(time.monotonic() + 1000)
