"""The socket to which Python children tell what they load: makes events of what they say.

    a connection  any number of packets, then its end; nothing is answered, unless the first packet says
                  {"service", "run", "listen": true}: then the rest is a matter of kernel.listeners
    a packet      a JSON object: kernel.packets

Facts
- unix(7): a SOCK_SEQPACKET connection keeps the bounds of packets and their order, and what was sent can be
  read after the sender closed its end or died; SO_PEERCRED tells who connected.
- connect(2) of a socket that does not block says EAGAIN when as many wait to be accepted as `listen` allows
  (net.core.somaxconn, 4096): the child keeps what it has to say, and never waits for us.
- The module socket takes 1.5 ms and 0.6 MB more than the C module below it; `_socket` has had the same names
  since Python 2.6.
"""

from __future__ import annotations

import _socket
import os
import select
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING, Any

from reloaderd.events import ChildTold, Event
from reloaderd.kernel import frames
from reloaderd.kernel.runtime import listening_socket, peer, runtime_directory

if TYPE_CHECKING:
    from reloaderd.kernel.listeners import Listeners

BACKLOG = 4096
"""Connections that may wait: net.core.somaxconn is as much since Linux 5.4."""

AT_ONCE = 256
"""Packets read, and connections taken, before anything else has its turn: see `_cost`."""

PENDING = 256
"""Connections kept that have not said all yet: a child that was stopped between two calls."""

AGENT = os.path.join(os.path.dirname(os.path.dirname(__file__)), "agent")
"""The directory of the agent: what stands in it is what Python imports first."""


class Agents:
    """The listening socket and the connections that have not ended."""

    def __init__(self, forgetful: Container[int] = ()) -> None:
        """Listen.  `forgetful`: the devices on which an inode number tells nothing.  Raises OSError."""
        self.forgetful = forgetful
        directory, name = runtime_directory(), f"agent-{os.getpid()}-{os.urandom(4).hex()}"
        self.path = os.path.join(directory, name)
        self._connections: dict[int, Any] = {}
        self._room = 0  # what may still be read in this turn
        self._listeners: Listeners | None = None  # made for the first of them
        try:
            self._epoll = select.epoll()
            self._listener = listening_socket(self.path, BACKLOG)
        except OSError as error:
            error.filename = error.filename or directory
            raise
        self._epoll.register(self._listener.fileno(), select.EPOLLIN)

    def __enter__(self) -> Agents:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Readable when a child has something to say."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Listen no more."""
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        if self._listeners is not None:
            self._listeners.close()
        self._epoll.close()
        self._listener.close()
        try:
            os.unlink(self.path)
        except OSError:
            pass

    def environ(self, given: str | None, roots: Sequence[str], agent: bool = True) -> dict[str, str]:
        """What makes Python children tell: variables for the environment of a service with these roots.

        `given` is the PYTHONPATH that it would have otherwise.  Without `agent` they tell nothing by
        themselves, and may listen.
        """
        parts = dict.fromkeys([self.path, *roots, *map(os.path.realpath, roots)])
        told = frames.in_lines(parts)
        if not agent or ":" in AGENT:  # the one character that a directory of PYTHONPATH cannot have
            return {"RELOADERD_AGENT": told}
        return {"PYTHONPATH": f"{AGENT}:{given}" if given else AGENT, "RELOADERD_AGENT": told}

    def tell(self, service: str, run: int, notice: int, paths: Sequence[str]) -> list[Event]:
        """Tell the processes of this run that listen: answered by `ChildTold`, now or by `read`."""
        if self._listeners is None:
            return [ChildTold(service, run, notice, paths)]
        return self._listeners.tell(service, run, notice, paths)

    def read(self) -> list[Event]:
        """What was said, without waiting."""
        events: list[Event] = []
        self._room = AT_ONCE
        for fd, _ in self._epoll.poll(0, PENDING + 1):
            if fd == self._listener.fileno():
                self._accept(events)
            elif self._listeners is not None and fd == self._listeners.fileno():
                events += self._listeners.read()
            elif fd in self._connections:  # it may have had to make room for one that came now
                self._take(self._connections[fd], events)
        return events

    def _accept(self, events: list[Event]) -> None:
        for _ in range(AT_ONCE):
            if self._room <= 0:
                return
            try:
                fd, _ = self._listener._accept()
            except OSError:  # EAGAIN: that was all; EMFILE: not now
                return
            connection = _socket.socket(fileno=fd)
            connection.setblocking(False)
            if peer(connection)[1] != os.geteuid():  # the directory lets nobody else in but root
                connection.close()
                continue
            while len(self._connections) >= PENDING:
                self._drop(next(iter(self._connections.values())))
            self._connections[fd] = connection
            self._epoll.register(fd, select.EPOLLIN)
            self._take(connection, events)

    def _take(self, connection: Any, events: list[Event]) -> None:
        """Read what a connection has to say by now."""
        from reloaderd.kernel import packets

        while self._room > 0:
            try:
                data = connection.recv(packets.LONGEST + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            self._room -= _cost(data)
            said = packets.parse(data) if 0 < len(data) <= packets.LONGEST else None
            if said is not None and said.get("listen") is True:
                self._hand_over(connection, said)
                return
            event = packets.event_of(said, self.forgetful, peer(connection)[0]) if said is not None else None
            if event is None:
                self._drop(connection)
                return
            events.append(event)

    def _hand_over(self, connection: Any, said: dict[str, Any]) -> None:
        """It is one that listens."""
        from reloaderd.kernel.listeners import Listeners

        if self._listeners is None:
            self._listeners = Listeners()
            self._epoll.register(self._listeners.fileno(), select.EPOLLIN)
        del self._connections[connection.fileno()]
        self._epoll.unregister(connection.fileno())
        self._listeners.add(connection, said["service"], said["run"])

    def _drop(self, connection: Any) -> None:
        del self._connections[connection.fileno()]
        connection.close()  # which takes it out of the epoll set, too


def without_agent(environ: dict[str, str]) -> dict[str, str]:
    """The environment without the agent in PYTHONPATH, where a reloaderd put it whose child we are."""
    path = environ.get("PYTHONPATH", "")
    if path != AGENT and not path.startswith(AGENT + ":"):
        return environ
    rest = path[len(AGENT) + 1 :]
    others = {name: value for name, value in environ.items() if name != "PYTHONPATH"}
    return {**others, "PYTHONPATH": rest} if rest else others


def _cost(data: bytes) -> int:
    """How many packets one counts for: a large one names a thousand files, which takes some ms."""
    return 1 + len(data) // 1024 if data else 0
