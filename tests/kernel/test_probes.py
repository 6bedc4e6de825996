"""kernel.probes and kernel.questions: two real processes have one socket, and it is known who answers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reloaderd import __version__
from reloaderd.events import ChildProbed
from reloaderd.kernel import openfiles, probes, questions
from reloaderd.kernel.connections import TCP_ESTABLISHED, TCP_SYN_RECV, far_end
from reloaderd.kernel.porters import Porter
from reloaderd.kernel.probes import Prober
from reloaderd.kernel.questions import Question, status
from reloaderd.kernel.slots import Slot
from reloaderd.settings import Probe
from tests.support.clients import ON_IPV6
from tests.support.waiting import LIMIT, wait_until

SERVE = """
import os, socket, sys, time
listener = socket.socket(fileno=int(sys.argv[1]))
def serve(*answer, pause=0.0):
    while True:
        one, _ = listener.accept()
        head = b""
        while not head.endswith(b"\\r\\n\\r\\n") and (piece := one.recv(65536)):
            head += piece
        print("asked" if head else "unasked", flush=True)
        try:
            for piece in answer if head else ():
                one.sendall(piece)
                time.sleep(pause)
            print("sent", flush=True)
        except OSError as error:
            print(type(error).__name__, flush=True)
        one.close()
def ok(body=b""):
    serve(b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n" + body)
"""

Run = Callable[[str], "Server"]


class Server:
    """A process that has the socket; `said` is what it has done with connections."""

    def __init__(self, listener: socket.socket, code: str, log: Path) -> None:
        fd = listener.fileno()
        self._log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", SERVE + code, str(fd)], pass_fds=[fd], stdout=out
            )

    @property
    def pids(self) -> list[int]:
        return [self.process.pid]

    @property
    def said(self) -> list[str]:
        return self._log.read_text().split()


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=ON_IPV6)])
def listener(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.create_server((request.param, 0), family=family) as one:
        yield one


@pytest.fixture
def run(listener: socket.socket, tmp_path: Path) -> Iterator[Run]:
    running: list[Server] = []

    def start(code: str) -> Server:
        running.append(Server(listener, code, tmp_path / f"said-{len(running)}"))
        return running[-1]

    yield start
    for one in running:
        one.process.kill()
        one.process.wait(LIMIT)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Little of it."""
    monkeypatch.setattr(probes, "PATIENCE", 0.3)


def target(listener: socket.socket, path: str = "/health") -> Probe:
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return Probe("URL", address, "example", path)


class Asked:
    """A prober, and what it has told."""

    def __init__(self, probe: Probe, ours: list[int], others: list[int]) -> None:
        self.told: list[str] = []
        self.prober = Prober(time.monotonic(), probe, lambda: ours, lambda: others, self.told.append)

    def look(self) -> bool:
        """Look when it is due."""
        time.sleep(max(0.0, self.prober.due - time.monotonic()))
        return self.prober.look(time.monotonic())

    def until_ready(self) -> None:
        wait_until(self.look, "it to be ready", explain=lambda: repr(self.told))
        self.prober.close()

    def until_told(self, what: str) -> None:
        def look() -> bool:
            assert not self.look(), "it is ready"
            return f"URL {what}" in self.told

        wait_until(look, what, explain=lambda: repr(self.told))
        self.prober.close()


# Who answers


@pytest.mark.parametrize("path", ["/health", ""])
def test_what_the_other_run_accepts_does_not_count_and_is_not_asked(
    path: str, listener: socket.socket, run: Run
) -> None:
    ours, other = run("time.sleep(999)"), run("ok()")
    asked = Asked(target(listener, path), ours.pids, other.pids)
    asked.until_told(probes.OTHERS)
    wait_until(lambda: other.said, "it to be connected to")
    assert "asked" not in other.said


@pytest.mark.parametrize("path", ["/health", ""])
def test_of_two_that_accept_the_run_itself_is_found(path: str, listener: socket.socket, run: Run) -> None:
    ours, other = run("ok()"), run("ok()")
    Asked(target(listener, path), ours.pids, other.pids).until_ready()
    wait_until(lambda: ours.said, "it to be connected to")
    assert ("asked" in ours.said) == bool(path)
    assert "asked" not in other.said


def test_what_it_says_itself_is_told_whatever_the_other_says(listener: socket.socket, run: Run) -> None:
    ours, other = run("serve(b'HTTP/1.1 503 No\\r\\n\\r\\n')"), run("ok()")
    asked = Asked(target(listener), ours.pids, other.pids)
    asked.until_told("answered 503")
    assert asked.told[-1] == "URL answered 503"
    for _ in range(50):
        assert not asked.look()
    assert asked.told[-1] == "URL answered 503", "what the other one does is not told any more"
    asked.prober.close()


def test_one_of_its_processes_will_do(listener: socket.socket, run: Run) -> None:
    ours, more, other = run("time.sleep(999)"), run("ok()"), run("time.sleep(999)")
    Asked(target(listener), ours.pids + more.pids, other.pids).until_ready()


def test_a_process_of_neither_is_told_of(listener: socket.socket, run: Run) -> None:
    ours, stranger = run("time.sleep(999)"), run("ok()")
    asked = Asked(target(listener), ours.pids, [])
    asked.until_told(probes.STRANGERS)
    wait_until(lambda: stranger.said, "it to be connected to")
    assert "asked" not in stranger.said


DEFERRED = socket.SOL_TCP, socket.TCP_DEFER_ACCEPT, 30


def test_one_that_accepts_when_data_has_come(listener: socket.socket, run: Run) -> None:
    listener.setsockopt(*DEFERRED)
    ours = run("ok()")
    Asked(target(listener), ours.pids, []).until_ready()
    wait_until(lambda: ours.said == ["asked", "sent"], "it to answer", explain=lambda: repr(ours.said))


def test_of_the_other_run_one_that_was_begun_is_asked_to_the_end(listener: socket.socket, run: Run) -> None:
    listener.setsockopt(*DEFERRED)
    other = run("ok(bytes(3 << 18))")
    asked = Asked(target(listener), [], other.pids)
    asked.until_told(probes.OTHERS)
    wait_until(lambda: other.said[1:], "it to have sent all")
    assert other.said[:2] == ["asked", "sent"], "nobody hung up on it"


# Nobody answers


def test_where_nobody_listens(listener: socket.socket) -> None:
    probe = target(listener)
    listener.close()
    Asked(probe, [], []).until_told(probes.REFUSED)


def test_where_nobody_accepts(listener: socket.socket, patience: None) -> None:
    Asked(target(listener), [os.getpid()], []).until_told(probes.NOT_ACCEPTED)


def test_where_the_queue_is_full(listener: socket.socket, patience: None) -> None:
    listener.listen(0)
    with socket.create_connection(listener.getsockname()[:2]):
        Asked(target(listener), [os.getpid()], []).until_told(probes.NOT_ACCEPTED)


def test_where_the_way_is_barred() -> None:
    asked = Asked(Probe("URL", "255.255.255.255:80", "", "/"), [], [])
    assert not asked.look()
    [told] = asked.told
    assert told.startswith("URL cannot be asked: ")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("serve(b'HTTP/1.1 404 Not Found\\r\\n\\r\\n')", "answered 404"),
        ("serve(b'HTTP/1.0 199 What\\r\\n\\r\\n')", probes.CLOSED),
        ("serve(b'HTTP/1.1 400\\r\\n\\r\\n')", "answered 400"),
        ("serve(b'220 mail.example ESMTP\\r\\n')", probes.NO_HTTP),
        ("serve(b'\\x15\\x03\\x01')", probes.NO_HTTP),
        ("serve(b'HTTP/1.1 ' + b'9' * 200000)", probes.NO_HTTP),
        ("serve(*[b'HTTP/1.1 100 Continue\\r\\n\\r\\n'] * 9999)", probes.NO_HTTP),
        ("serve()", probes.CLOSED),
        ("serve(b'HTTP/1.')", probes.CLOSED),
        ("serve(b'HTTP/1.1 2', b'', pause=999)", probes.NOT_ANSWERED),
    ],
)
def test_what_is_no_yes(code: str, told: str, listener: socket.socket, run: Run, patience: None) -> None:
    Asked(target(listener), run(code).pids, []).until_told(told)


@pytest.mark.parametrize(
    "code",
    [
        "serve(b'HTTP/1.0 204 No Content\\n\\n')",
        "serve(b'HTTP/1.1 302 Found\\r\\nLocation: /elsewhere\\r\\n\\r\\n')",
        "serve(b'HTTP/1.1 103 Early Hints\\r\\nLink: </a>\\r\\n\\r\\nHTTP/1.1 200 OK\\r\\n\\r\\n')",
        "serve(*[bytes([one]) for one in b'HTTP/1.1 200 OK\\r\\n\\r\\nyes'], pause=0.01)",
        "serve(b'HTTP/1.1 200 OK\\r\\n\\r\\n', b'', pause=999)",
    ],
    ids=["no content", "elsewhere", "with hints", "by bytes", "and stays"],
)
def test_what_is_a_yes(code: str, listener: socket.socket, run: Run) -> None:
    Asked(target(listener), run(code).pids, []).until_ready()


def test_an_answer_is_read_to_the_end(
    listener: socket.socket, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "REST", LIMIT)
    ours = run("serve(b'HTTP/1.1 200 OK\\r\\n\\r\\n', b'a', b'b', b'c', pause=0.05)")
    Asked(target(listener), ours.pids, []).until_ready()
    wait_until(lambda: ours.said[1:], "it to have sent all")
    assert ours.said == ["asked", "sent"], "nobody hung up on it"


def test_an_answer_without_an_end_is_cut(listener: socket.socket, run: Run) -> None:
    ours = run("serve(*[b'HTTP/1.1 200 OK\\r\\n\\r\\n'] + [bytes(1 << 16)] * 99999)")
    begun = time.monotonic()
    Asked(target(listener), ours.pids, []).until_ready()
    assert time.monotonic() - begun < LIMIT / 2


# How it asks


def test_what_it_asks(listener: socket.socket) -> None:
    question = Question(target(listener))
    client, _ = listener.accept()
    with client:
        question.begin()
        client.settimeout(LIMIT)
        begun = client.recv(65536)
        assert b"\r\n\r\n" not in begun, "nobody answers it yet"
        question.ask()
        lines = (begun + client.recv(65536)).split(b"\r\n")
        assert lines[0] == b"GET /health HTTP/1.1"
        assert lines[1:-2] == [
            b"Host: example",
            f"User-Agent: reloaderd/{__version__}".encode(),
            b"Accept: */*",
            b"Connection: close",
        ]
        assert lines[-2:] == [b"", b""]
    question.close()


def test_it_waits_for_who_accepts_before_it_asks(listener: socket.socket) -> None:
    asked = Asked(target(listener), [os.getpid()], [])
    for _ in range(3):
        assert not asked.look()
    client, _ = listener.accept()
    with client:
        client.setblocking(False)
        with pytest.raises(BlockingIOError):
            client.recv(100)
        assert not asked.look()
        client.settimeout(LIMIT)
        assert client.recv(100).startswith(b"GET /health")
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    asked.until_ready()


def test_the_other_end(listener: socket.socket) -> None:
    with socket.create_connection(listener.getsockname()[:2]) as one:
        assert far_end(one) == (TCP_ESTABLISHED, 0)
        client, _ = listener.accept()
        inode = os.fstat(client.fileno()).st_ino
        assert far_end(one) == (TCP_ESTABLISHED, inode)
        assert openfiles.has([os.getpid()], inode)
        client.close()
        state, inode = far_end(one) or (0, 0)
        assert state not in (0, TCP_ESTABLISHED)
        assert inode == 0
    listener.setsockopt(*DEFERRED)
    with socket.create_connection(listener.getsockname()[:2]) as one:
        assert far_end(one) == (TCP_SYN_RECV, 0)
        one.sendall(b"G")
        wait_until(lambda: far_end(one) == (TCP_ESTABLISHED, 0), "it to be in the queue")
    with socket.socket() as one, pytest.raises(OSError):
        far_end(one)


def test_probes_follow_each_other_less_and_less_often(listener: socket.socket) -> None:
    probe = target(listener)
    listener.close()
    one = Prober(100.0, probe, list, list, lambda told: None)
    assert one.due == 100.0 + probes.SHORTEST
    one.look(100.0)
    assert one.due == 100.0 + probes.SHORTEST
    one.listens(1, 2, 99.0)
    assert one.due == 99.0 + probes.SHORTEST
    one.look(200.0)
    assert one.due == 200.2


def test_the_other_one_is_tried_no_longer_than_it_takes(listener: socket.socket) -> None:
    """Where the run itself was seen to accept."""
    ours, others = [os.getpid()], [os.getpid()]
    one = Prober(0.0, target(listener), lambda: ours, lambda: others, lambda told: None)
    assert not one.look(200.0)
    client, _ = listener.accept()
    with client:
        assert not one.look(200.0)
        client.sendall(b"HTTP/1.1 503 No\r\n\r\n")
    wait_until(lambda: one.look(200.0) or one.due > 200.1, "the answer")
    assert one.due == 200.2
    ours.clear()
    assert not one.look(300.0)
    client, _ = listener.accept()
    with client:
        assert not one.look(300.0)
    assert one.due == 300.05


def test_a_slow_one_has_the_time_that_was_spent_before(listener: socket.socket) -> None:
    """So a server that answers in a time that `--ready-timeout` leaves is ready in the end."""
    told: list[str] = []
    one = Prober(0.0, target(listener), lambda: [os.getpid()], list, told.append)
    assert not one.look(9.0)
    client, _ = listener.accept()
    with client:
        assert not one.look(10.0)
        assert not one.look(11.9)
        assert told == []
        assert not one.look(12.0)
        assert told == [f"URL {probes.NOT_ANSWERED}"]
        assert one.due == 12.0 + probes.LATEST, "it still may answer"
        assert not one.look(20.0)
        assert one.due == 20.2, "it is asked anew"
    one.close()


def test_one_that_waits_to_be_accepted_keeps_its_place(listener: socket.socket) -> None:
    told: list[str] = []
    one = Prober(0.0, target(listener), lambda: [os.getpid()], list, told.append)
    assert not one.look(0.0)
    assert not one.look(1.9)
    assert told == []
    assert not one.look(2.0)
    assert told == [f"URL {probes.NOT_ACCEPTED}"]
    assert not one.look(9.9)
    assert one.due == 9.9 + probes.LATEST
    client, _ = listener.accept()
    with client:
        client.settimeout(LIMIT)
        assert not one.look(9.95)
        assert client.recv(100).startswith(b"GET")
    one.close()
    assert not one.look(20.0)
    assert not one.look(40.0)
    assert one.due == 40.2, "it is tried anew"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        *((b"HTTP/1.1 200 OK\r\n"[:length], None) for length in range(17)),
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.1 200\n", 200),
        (b"HTTP/1.1 101 Switching\r\n", 101),
        (b"HTTP/1.1 100 Continue\r\n\r\n", None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 ", None),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\n", 500),
        (b"HTTP/1.1 103 X\r\nA: b\r\n\r\nHTTP/1.1 100 X\n\nHTTP/1.1 302 Y\r\n", 302),
        (b"HTTP/2 200\r\n", 0),
        (b"HTTP/1.1 2000 OK\r\n", 0),
        (b"HTTP/1.1 000 OK\r\n", 0),
        (b"\r\n", 0),
        (b"GET", 0),
        (b"<html>", 0),
    ],
)
def test_the_status_of_an_answer(answer: bytes, said: int | None) -> None:
    assert status(answer) == said


def test_nothing_is_open_afterwards(listener: socket.socket, run: Run) -> None:
    ours, other = run("ok()"), run("ok()")
    before = len(os.listdir("/proc/self/fd"))
    Asked(target(listener), ours.pids, other.pids).until_ready()
    assert len(os.listdir("/proc/self/fd")) == before
    assert questions.MOST >= questions.LONGEST


# Who is asked, and when


def test_only_a_run_beside_another_one_is_asked(listener: socket.socket) -> None:
    probe = target(listener)
    listener.close()
    events: list[object] = []

    def told(run: int) -> bool:
        events.extend(porter.read())
        return ChildProbed("web", run, f"URL {probes.REFUSED}") in events

    with Porter("web", 2, [], [], probe) as porter:
        porter.started(0, 1, os.getpid())
        porter.started(1, 2, os.getpid())
        wait_until(lambda: told(2), "the second one to be asked")
        porter.gone(0)
        porter.started(0, 3, os.getpid())
        wait_until(lambda: told(3), "the third one to be asked")
    assert len(events) == 2


def test_what_is_ready_is_not_looked_at_any_more(listener: socket.socket, run: Run) -> None:
    slot = Slot(1, os.getpid())
    server = run("ok()")
    slot.readiness = Prober(time.monotonic(), target(listener), lambda: server.pids, list, lambda told: None)
    assert slot.due is not None
    wait_until(lambda: slot.is_ready(time.monotonic()), "it to be ready")
    assert slot.due is None
    assert not slot.is_ready(time.monotonic() + 1000)
