"""The processes of runs that listen: tells them of changed paths, and makes an event of what they answer.

    a listener    connects to the socket of kernel.agents and says {"service", "run", "listen": true}
    a notice      {"notify": N, "paths": [...]}, to each listener of the run: one packet or several
    an answer     {"notify": N, "unhandled": [...], "failed": [...]}, one a packet: of its paths those that no
                  callback of this process is for, and those whose callback failed

A path is handled when a listener has a callback for it and none failed.  One that ends, lies or has too
much to answer still has failed in all of that.

Facts
- unix(7): a SOCK_SEQPACKET connection keeps the bounds of packets; send(2) says EAGAIN when those that
  were not read take SO_SNDBUF bytes (net.core.wmem_default, 212,992), and epoll(7) when they no longer do.
- A byte of a path is at most six as JSON ("\\u0001"), so that one of at most PATH_MAX fits a packet.
"""

from __future__ import annotations

import json
import select
from collections.abc import Iterator, Sequence
from typing import Any

from reloaderd.events import ChildTold, Event
from reloaderd.kernel.packets import LONGEST
from reloaderd.kernel.reach import PATH_MAX

ROOM = 1024
"""Bytes of it that an answer may need for what is not a path."""

MOST = 256
"""Listeners: as many connections as kernel.agents keeps of those who only tell."""

MOST_PATHS = 10_000
"""Paths told of at once: with more the restart is sooner done."""

MOST_OPEN = 128
"""Packets that one listener has not answered, 8 MB: who does not answer at all is not fed for ever."""

AT_ONCE = 64
"""Answers read of one listener before anything else has its turn."""


class Notice:
    """What a run was told of, and what became of it so far."""

    def __init__(self, service: str, run: int, number: int, paths: Sequence[str]) -> None:
        self.service = service
        self.run = run
        self.number = number
        self.paths = paths
        self.handled: set[str] = set()
        self.failed: set[str] = set()
        self.open = 0  # packets that are not answered

    def event(self) -> ChildTold:
        """What became of it."""
        unhandled = [path for path in self.paths if path in self.failed or path not in self.handled]
        return ChildTold(self.service, self.run, self.number, unhandled)


class Listener:
    """One process that listens."""

    def __init__(self, connection: Any, service: str, run: int) -> None:
        self.connection = connection
        self.of = service, run
        self.asked: dict[int, tuple[Notice, Sequence[str]]] = {}  # by the number of the packet
        self.unsent: list[bytes] = []


class Listeners:
    """All that listen."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, Listener] = {}
        self._refused: dict[int, int] = {}  # by hash of the service: the run with a process unheard
        self._latest = 0

    def fileno(self) -> int:
        """Readable when one of them has answered, ended, or has room for what it was not told yet."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Listen to nobody any more."""
        for listener in self._listeners.values():
            listener.connection.close()
        self._listeners.clear()
        self._epoll.close()

    def add(self, connection: Any, service: str, run: int) -> None:
        """One that does not block belongs to a listener of this run."""
        if len(self._listeners) >= MOST:
            if len(self._refused) < MOST:
                self._refused[hash(service)] = run
            connection.close()
            return
        self._listeners[connection.fileno()] = Listener(connection, service, run)
        self._epoll.register(connection.fileno(), select.EPOLLIN)

    def tell(self, service: str, run: int, number: int, paths: Sequence[str]) -> list[Event]:
        """Tell the listeners of this run; what is known at once.  `read` gives the rest."""
        notice = Notice(service, run, number, paths)
        listeners = [one for one in self._listeners.values() if one.of == (service, run)]
        # whoever names MOST services lies, and may have kept others from being noted
        unheard = not listeners or self._refused.get(hash(service)) == run or len(self._refused) >= MOST
        if unheard or len(paths) > MOST_PATHS or max(map(len, paths), default=0) > PATH_MAX:
            return [notice.event()]
        notice.open = 1  # no event before all were told
        events: list[Event] = []
        packets = list(_packed(paths))
        for listener in listeners:
            for size, part in enumerate(packets):
                listener.asked[self._latest + size + 1] = notice, part
            notice.open += len(packets)
        for size, part in enumerate(packets):
            text = json.dumps({"notify": self._latest + size + 1, "paths": part}).encode("ascii")
            for listener in listeners:
                listener.unsent.append(text)
        self._latest += len(packets)
        for listener in listeners:
            if not self._send(listener) or len(listener.asked) > MOST_OPEN:
                events += self._drop(listener)
        return [*events, *_settle(notice)]

    def read(self) -> list[Event]:
        """What was answered, without waiting."""
        events: list[Event] = []
        for fd, ready in self._epoll.poll(0, MOST):
            listener = self._listeners[fd]
            alive = self._take(listener, events) and (not ready & select.EPOLLOUT or self._send(listener))
            if not alive:
                events += self._drop(listener)
        return events

    def _take(self, listener: Listener, events: list[Event]) -> bool:
        """Read its answers; whether it is to be kept."""
        for _ in range(AT_ONCE):
            try:
                data = listener.connection.recv(LONGEST + 1)
            except BlockingIOError:
                return True
            except OSError:
                return False
            notice = _answered(listener, data)
            if notice is None:
                return False
            events += _settle(notice)
        return True

    def _send(self, listener: Listener) -> bool:
        """Send it what it takes by now; False: it is gone."""
        fd = listener.connection.fileno()
        try:
            while listener.unsent:
                listener.connection.send(listener.unsent[0])
                del listener.unsent[0]
        except BlockingIOError:
            self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT)
            return True
        except OSError:
            return False
        self._epoll.modify(fd, select.EPOLLIN)
        return True

    def _drop(self, listener: Listener) -> list[Event]:
        del self._listeners[listener.connection.fileno()]
        listener.connection.close()  # which takes it out of the epoll set, too
        events: list[Event] = []
        for notice, paths in listener.asked.values():
            notice.failed.update(paths)
            events += _settle(notice)
        return events


def _settle(notice: Notice) -> list[Event]:
    """One packet less is open."""
    notice.open -= 1
    return [notice.event()] if notice.open == 0 else []


def _packed(paths: Sequence[str]) -> Iterator[list[str]]:
    """The paths, in as many parts as packets are needed; an answer with all of one fits a packet, too."""
    part: list[str] = []
    size = 0
    for path in paths:
        needed = len(json.dumps(path)) + 2
        if part and size + needed > LONGEST - ROOM:
            yield part
            part, size = [], 0
        part.append(path)
        size += needed
    yield part


def _answered(listener: Listener, data: bytes) -> Notice | None:
    """Take in one answer; None for what is none."""
    if not data or len(data) > LONGEST:
        return None
    try:
        said = json.loads(data)
        number, unhandled, failed = said["notify"], said["unhandled"], said.get("failed", [])
        notice, paths = listener.asked[number]
        told = set(paths)
        if type(unhandled) is not list or type(failed) is not list or not told.issuperset(unhandled + failed):
            return None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    del listener.asked[number]
    notice.failed.update(failed)
    notice.handled |= told.difference(unhandled, failed)
    return notice
