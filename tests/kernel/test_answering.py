"""kernel.answering and kernel.connections: what the kernel says of real connections, and what it means."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator

import pytest

from reloaderd.kernel import answering, readiness
from reloaderd.kernel.answering import Answering, waits
from reloaderd.kernel.connections import Connection, connections
from tests.support.clients import ON_IPV6
from tests.support.waiting import wait_until


class Asked:
    """A client, and what was accepted of it."""

    def __init__(self, host: str) -> None:
        self.listener = socket.create_server(
            (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET
        )
        self.port = self.listener.getsockname()[1]
        self.client = socket.create_connection(self.listener.getsockname()[:2])
        self.server, _ = self.listener.accept()
        self.inode = os.fstat(self.server.fileno()).st_ino

    def close(self) -> None:
        for one in (self.listener, self.client, self.server):
            one.close()

    def seen(self) -> Connection | None:
        found = [one for one in connections() if one.inode == self.inode]
        return found[0] if found else None

    def waits(self) -> bool:
        seen = self.seen()
        assert seen is not None
        return waits(seen)

    def answering(self) -> Answering:
        return Answering(0.0, lambda: [os.getpid()], {self.port})


@pytest.fixture(params=["127.0.0.1", pytest.param("::1", marks=ON_IPV6)])
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    one = Asked(request.param)
    yield one
    one.close()


def test_what_is_received_waits_until_it_is_answered(asked: Asked) -> None:
    asked.client.sendall(b"question")
    assert asked.seen()[:6] == (asked.inode, asked.port, 8, 0, 1, 0)  # type: ignore[index]
    assert asked.waits(), "it is unread"
    asked.server.recv(100)
    time.sleep(answering.QUIET)
    assert asked.waits(), "it is unanswered"
    asked.server.sendall(b"answer")
    asked.client.recv(100)
    assert asked.waits(), "more may come"
    wait_until(lambda: not asked.waits(), "it to be answered")
    time.sleep(0.01)  # more than a tick of the kernel
    asked.client.sendall(b"another")
    asked.server.recv(100)
    time.sleep(answering.QUIET)
    assert asked.waits(), "another one is unanswered"


def test_an_answer_that_is_not_taken_is_none_yet(asked: Asked) -> None:
    asked.client.sendall(b"question")
    asked.server.recv(100)
    asked.server.setblocking(False)
    with pytest.raises(BlockingIOError):
        while True:
            asked.server.send(bytes(65536))
    time.sleep(answering.QUIET)
    assert asked.waits()


def test_who_asks_and_says_no_more_waits(asked: Asked) -> None:
    asked.client.sendall(b"question")
    asked.client.shutdown(socket.SHUT_WR)
    asked.server.recv(100)
    asked.server.recv(100)
    time.sleep(answering.QUIET)
    assert asked.waits()


def test_who_has_asked_nothing_is_waited_for_a_while(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked.waits()
    monkeypatch.setattr(answering, "UNASKED", 0.02)
    wait_until(lambda: not asked.waits(), "it to count no more")


def test_it_is_about_what_the_run_has_at_its_ports(asked: Asked) -> None:
    asked.client.sendall(b"question")
    assert not asked.answering().look(1.0)
    assert Answering(0.0, list, {asked.port}).look(1.0), "another run has it"
    assert Answering(0.0, lambda: [os.getpid()], {1}).look(1.0), "it is at another port"
    assert Answering(0.0, lambda: [os.getpid()], ()).look(1.0)
    asked.server.close()
    assert asked.answering().look(1.0)


def test_it_looks_less_often_the_longer_it_takes(asked: Asked) -> None:
    one = asked.answering()
    assert one.due == answering.QUIET
    one.look(0.05)
    assert one.due == 0.05 + readiness.SHORTEST
    one.look(100.0)
    assert one.due == 100.0 + readiness.LONGEST
