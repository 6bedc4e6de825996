"""Clients that keep on asking a server, many a second, and note how each was answered."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from typing import Any

import pytest

from tests.support.waiting import LIMIT, wait_until

EVERY = 0.005
"""Seconds from one connection to the next: 200 a second."""

QUESTION = b"GET / HTTP/1.0\r\n\r\n"


def family_of(address: str) -> tuple[int, Any]:
    """The family of an address as reloaderd prints it, and what to connect to."""
    if address.startswith("/"):
        return socket.AF_UNIX, address
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    return family, (host.strip("[]"), int(port))


def has_ipv6() -> bool:
    """Whether one can listen on [::1]: containers often cannot."""
    try:
        with socket.socket(socket.AF_INET6) as one:
            one.bind(("::1", 0))
    except OSError:
        return False
    return True


ON_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no [::1]")


def ask(address: str) -> bytes:
    """What is answered, however long it takes."""
    family, where = family_of(address)
    with socket.socket(family) as one:
        one.settimeout(LIMIT)
        one.connect(where)
        one.sendall(QUESTION)
        answer = b""
        while piece := one.recv(65536):
            answer += piece
        return answer


class Clients:
    """Asks from another thread until it is left; `faults` are refusals and resets, `served` are answers."""

    def __init__(self, address: str) -> None:
        self.family, self.where = family_of(address)
        self.asked = 0
        self.served: list[bytes] = []
        self.faults: list[str] = []
        self.slowest = 0.0  # seconds from a question to its whole answer
        self._since: dict[Any, float] = {}
        self._selector = selectors.DefaultSelector()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Clients:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ask no more, and wait for the answers to all that was asked."""
        self._stop.set()
        self._thread.join()
        self._selector.close()

    def wait_served(self, more: int) -> None:
        """Wait until that many more were answered."""
        wanted = len(self.served) + more
        wait_until(lambda: len(self.served) >= wanted or self.faults, "answers", explain=lambda: self.faults)

    @property
    def waiting(self) -> int:
        """How many have no answer yet."""
        return self.asked - len(self.served) - len(self.faults)

    def _run(self) -> None:
        begun = time.monotonic()
        while not self._stop.is_set():
            while self.asked * EVERY <= time.monotonic() - begun:
                self._connect()
            self._serve(EVERY)
        limit = time.monotonic() + LIMIT
        while self._selector.get_map() and time.monotonic() < limit:
            self._serve(0.1)
        for key in [*self._selector.get_map().values()]:
            self._end(key.fileobj, "was not answered")

    def _connect(self) -> None:
        self.asked += 1
        one = socket.socket(self.family)
        one.setblocking(False)
        try:
            one.connect(self.where)
        except BlockingIOError as error:
            if self.family == socket.AF_UNIX:  # the queue is full
                self.faults.append(repr(error))
                one.close()
                return
        except OSError as error:
            self.faults.append(repr(error))
            one.close()
            return
        self._since[one] = time.monotonic()
        self._selector.register(one, selectors.EVENT_WRITE, b"")

    def _serve(self, seconds: float) -> None:
        for key, events in self._selector.select(seconds):
            one: Any = key.fileobj
            try:
                if events & selectors.EVENT_WRITE:
                    one.sendall(QUESTION)
                    self._selector.modify(one, selectors.EVENT_READ, b"")
                elif piece := one.recv(65536):
                    self._selector.modify(one, selectors.EVENT_READ, key.data + piece)
                elif key.data:
                    self.served.append(key.data)
                    self._end(one)
                else:
                    self._end(one, "was closed without an answer")
            except OSError as error:
                self._end(one, repr(error))

    def _end(self, one: Any, fault: str = "") -> None:
        took = time.monotonic() - self._since.pop(one)
        if fault:
            self.faults.append(fault)
        else:
            self.slowest = max(self.slowest, took)
        self._selector.unregister(one)
        one.close()
