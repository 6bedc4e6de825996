"""The socket by which people and programs talk to reloaderd: makes events of what is asked.

A client has one call under way: while its answer is not taken, nothing more is read of it, and what it said
ahead stays where it is.  One that says what is no call, or too much, or does not take what it asked to be
told of, is dropped; with more than MOST the one that is longest idle is.

Facts
- unix(7): the directory of the socket lets nobody else in but root; SO_PEERCRED tells who connected.
- A write to a socket that does not block takes what fits (net.core.wmem_default, 212,992 bytes).
- epoll(7) tells EPOLLHUP of a peer that is gone, whatever was asked for, and EPOLLOUT as long as there is
  room: that is how a call that was read already gets its turn.
- The module socket takes 1.5 ms and 0.6 MB more than the C module below it.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import time
from collections.abc import Callable

from reloaderd.commands import Answer, Report
from reloaderd.core.reasons import SHORT_OF
from reloaderd.errors import ReloaderdError
from reloaderd.events import Asked
from reloaderd.kernel.claim import Claim
from reloaderd.kernel.runtime import peer

BACKLOG = 64
"""Connections that may wait to be accepted."""

MOST = 32
"""Connections that are kept: some screens full of `reloaderd events`."""

AT_ONCE = 4
"""Calls that are answered before anything else has its turn: each takes some ms in a large tree."""

UNSENT = 1 << 18
"""Bytes that a client who follows may leave unread, beside what the kernel keeps: a thousand log lines."""

STEP = 0.5
"""Seconds by which the time of day is set, or goes on while we sleep, before it is noted."""

REMEMBERED = 500
"""Such steps: a year of nights."""

Tell = Callable[[Report], None]


class Client:
    """One connection."""

    def __init__(self, number: int, connection: _socket.socket) -> None:
        self.number = number
        self.connection = connection
        self.said = b""
        self.unsent = b""
        self.oneway = False  # the call that is under way is not to be answered
        self.follows = False
        self.interest = select.EPOLLIN

    @property
    def waits(self) -> bool:
        """Whether it has said a whole call that was not taken yet."""
        return b"\0" in self.said


class Control:
    """The listening socket and its clients; without a name, or where there can be no socket, nothing."""

    def __init__(self, name: str, named: bool, tell: Tell) -> None:
        """Listen under this name, or without `named` one like it; what cannot be is told.

        Raises ReloaderdError where the name is wrong or taken, OSError where it is short of descriptors.
        """
        self.name = name
        self._tell = tell
        self._clock: list[tuple[float, float]] = []
        self._clients: dict[int, Client] = {}  # by descriptor
        self._latest = 0
        self._deaf = False  # to those who connect
        self._claim: Claim | None = None
        self._listener: _socket.socket | None = None
        self._read_clock()
        if name:
            self._open(name, named)

    def _open(self, name: str, named: bool) -> None:
        self._epoll = select.epoll()
        try:
            self._claim = Claim(name, named)
            self._listener = self._claim.listen(BACKLOG)
            self._epoll.register(self._listener.fileno(), select.EPOLLIN)
            self.name = self._claim.name
        except (OSError, ReloaderdError) as error:
            self.close()
            self._epoll.close()
            if isinstance(error, ReloaderdError) or error.errno in SHORT_OF:  # nothing would work then
                raise
            where = f"{error.filename}: " if error.filename else ""
            text = f"nobody can talk to this reloaderd (status, restart …): {where}{error.strerror}"
            self._tell(Report("warning", "", {"text": text}))

    def __bool__(self) -> bool:
        """Whether anybody can ask."""
        return self._listener is not None

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when there is something to do for a client."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Listen no more, and leave nothing; who is hung up on finds nobody there any more."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._epoll.close()
        for client in self._clients.values():
            client.connection.close()
        self._clients.clear()

    def read(self) -> list[Asked]:
        """What is asked, without waiting."""
        events: list[Asked] = []
        for fd, _ in self._epoll.poll(0, MOST + 1):
            if self._listener is not None and fd == self._listener.fileno():
                self._accept(self._listener)
            elif fd in self._clients and len(events) < AT_ONCE:
                asked = self._serve(self._clients[fd])
                if asked is not None:
                    events.append(asked)
        return events

    # Answers

    def answer(self, answer: Answer) -> None:
        """Carry out an `Answer`; one to a client that is gone is dropped."""
        client = self._client(answer.client)
        if client is not None and not client.oneway:
            from reloaderd.kernel import varlink

            self._send(client, varlink.reply(answer.parameters, answer.error))

    def follow(self, number: int) -> None:
        """Tell this client of every report from now on."""
        client = self._client(number)
        if client is not None:
            client.follows = True

    def report(self, report: Report) -> None:
        """Tell whoever is to know of it."""
        self._tell(report)
        self._read_clock()
        if self._deaf and self._listener is not None:
            self._deaf = False
            self._epoll.modify(self._listener.fileno(), select.EPOLLIN)
        followers = [one for one in self._clients.values() if one.follows]
        if followers:
            from reloaderd.kernel import varlink

            data = varlink.reply({"entry": report.entry(time.time())}, continues=True)
            for client in followers:
                self._send(client, data)
                if len(client.unsent) > UNSENT:
                    self._drop(client)

    def _client(self, number: int) -> Client | None:
        return next((one for one in self._clients.values() if one.number == number), None)

    def _read_clock(self) -> None:
        """Note the time of day, if it is otherwise than it was to be expected."""
        now = time.monotonic()
        offset = time.time() - now
        if not self._clock or abs(offset - self._clock[-1][1]) > STEP:
            self._clock.append((now, offset))
            del self._clock[:-REMEMBERED]

    # Connections

    def _accept(self, listener: _socket.socket) -> None:
        for taken in range(MOST):
            try:
                fd, _ = listener._accept()  # type: ignore[attr-defined]
            except OSError as error:
                # accept(2) wants a descriptor before it looks whether anybody waits
                if error.errno not in SHORT_OF or error.errno == errno.EAGAIN or taken:
                    return
                if self._clients:  # and come back
                    self._make_room()
                else:
                    self._turn_away(listener)
                return
            connection = _socket.socket(fileno=fd)
            connection.setblocking(False)
            if peer(connection)[1] not in (os.geteuid(), 0) or not _can_speak():
                connection.close()
                continue
            while len(self._clients) >= MOST:
                self._make_room()
            self._latest += 1
            self._clients[fd] = Client(self._latest, connection)
            self._epoll.register(fd, select.EPOLLIN)

    def _turn_away(self, listener: _socket.socket) -> None:
        """There is no descriptor left: they wait, and are not told of again until something happens."""
        self._epoll.modify(listener.fileno(), 0)
        self._deaf = True

    def _make_room(self) -> None:
        """Drop the oldest that does not follow, or else the oldest."""
        clients = sorted(self._clients.values(), key=lambda one: (one.follows, one.number))
        self._drop(clients[0])

    def _serve(self, client: Client) -> Asked | None:
        """Send what it was not sent yet, or take its next call."""
        if client.unsent:
            self._send(client, b"")
            return None
        if not client.waits and not self._hear(client):
            self._drop(client)
            return None
        if not client.waits:
            return None
        from reloaderd.kernel import varlink

        data, _, client.said = client.said.partition(b"\0")
        call = varlink.parse(data)
        if call is None or client.follows:
            self._drop(client)
            return None
        client.oneway = call.oneway
        self._look_after(client)
        self._read_clock()
        return Asked(client.number, *call, clock=tuple(self._clock))

    def _hear(self, client: Client) -> bool:
        """Take in what it says; whether it is to be kept."""
        from reloaderd.kernel.varlink import LONGEST

        try:
            data = client.connection.recv(LONGEST + 1 - len(client.said))
        except BlockingIOError:
            return True
        except OSError:
            return False
        client.said += data
        return bool(data) and (client.waits or len(client.said) <= LONGEST)

    def _send(self, client: Client, data: bytes) -> None:
        client.unsent += data
        try:
            sent = client.connection.send(client.unsent)
            client.unsent = client.unsent[sent:]
        except BlockingIOError:
            pass
        except OSError:  # it is gone
            self._drop(client)
            return
        self._look_after(client)

    def _look_after(self, client: Client) -> None:
        """Be told when there is something to do for it."""
        interest = select.EPOLLOUT if client.unsent or client.waits else select.EPOLLIN
        if client.follows:
            interest |= select.EPOLLIN
        if interest != client.interest:
            client.interest = interest
            self._epoll.modify(client.connection.fileno(), interest)

    def _drop(self, client: Client) -> None:
        if self._clients.pop(client.connection.fileno(), None) is not None:
            client.connection.close()  # which takes it out of the epoll set, too


def _can_speak() -> bool:
    """Whether what is loaded with the first client is still installed, and can be read."""
    try:
        from reloaderd.kernel import varlink
    except (ImportError, OSError):
        return False
    return bool(varlink)
