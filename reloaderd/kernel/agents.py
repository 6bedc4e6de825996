"""The socket to which Python children tell what they load: makes events of what they say.

    a connection  any number of packets, then its end; nothing is answered, unless the first packet says
                  {"service", "run", "listen": true}: then the rest is a matter of kernel.listeners
    a packet      a JSON object of at most LONGEST bytes, with any of these keys
        service, run   whose process it is: of every packet
        python         the interpreter, in the first packet of a process
        modules, data  lists of [path, real path or "" if it is the same, dev, ino, size, mtime_ns, ctime_ns];
                       numbers that are all 0 stand for a file that could not be looked at
        own, missing   lists of paths
        libraries      a number
        full           true, once there was more than may be told

Facts
- unix(7): a SOCK_SEQPACKET connection keeps the bounds of packets and their order, and what was sent can be
  read after the sender closed its end or died; SO_PEERCRED tells who connected.
- connect(2) of a socket that does not block says EAGAIN when as many wait to be accepted as `listen` allows
  (net.core.somaxconn, 4096): the child keeps what it has to say, and never waits for us.
- sockaddr_un.sun_path holds 107 bytes and a NUL.
- A child may say anything: all of it is data, checked by type and length, and goes no further than to
  stat(2) and to inotify.
- The module socket takes 1.5 ms and 0.6 MB more than the C module below it; `_socket` has had the same names
  since Python 2.6.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import stat
from collections.abc import Container, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from reloaderd.events import ChildTold, Event, FilesLoaded, Loaded
from reloaderd.kernel.reach import PATH_MAX

if TYPE_CHECKING:
    from reloaderd.kernel.listeners import Listeners

LONGEST = 65_536
"""Bytes of a packet."""

BACKLOG = 4096
"""Connections that may wait: net.core.somaxconn is as much since Linux 5.4."""

AT_ONCE = 64
"""Connections read before anything else has its turn."""

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
        self._listeners: Listeners | None = None  # made for the first of them
        self._listener = _new_socket()
        try:
            # until it listens it refuses, as one does that was left behind: nobody must take it for that
            self._listener.bind(os.path.join(directory, f".{name}"))
            self._listener.listen(BACKLOG)
            os.rename(os.path.join(directory, f".{name}"), self.path)
            self._epoll = select.epoll()
        except OSError:
            self._listener.close()
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

    def environ(self, given: str | None, roots: Sequence[str], follow: bool = True) -> dict[str, str]:
        """What makes Python children tell: variables for the environment of a service with these roots.

        `given` is the PYTHONPATH that it would have otherwise.  Without `follow` they tell nothing by
        themselves, and may listen.
        """
        parts = dict.fromkeys([self.path, *roots, *map(os.path.realpath, roots)])
        told = "\n".join(part.replace("%", "%25").replace("\n", "%0A") for part in parts)
        if not follow or ":" in AGENT:  # the one character that a directory of PYTHONPATH cannot have
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
        for fd, _ in self._epoll.poll(0, PENDING + 1):
            if fd == self._listener.fileno():
                self._accept(events)
            elif self._listeners is not None and fd == self._listeners.fileno():
                events += self._listeners.read()
            else:
                self._take(self._connections[fd], events)
        return events

    def _accept(self, events: list[Event]) -> None:
        for _ in range(AT_ONCE):
            try:
                fd, _ = self._listener._accept()
            except OSError:  # EAGAIN: that was all; EMFILE: not now
                return
            connection = _socket.socket(fileno=fd)
            connection.setblocking(False)
            if not _is_ours(connection):
                connection.close()
                continue
            while len(self._connections) >= PENDING:
                self._drop(next(iter(self._connections.values())))
            self._connections[fd] = connection
            self._epoll.register(fd, select.EPOLLIN)
            self._take(connection, events)

    def _take(self, connection: Any, events: list[Event]) -> None:
        """Read what a connection has to say by now."""
        for _ in range(AT_ONCE):
            try:
                data = connection.recv(LONGEST + 1)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            said = _said(data) if data else None
            if said is not None and said.get("listen") is True:
                self._hand_over(connection, said)
                return
            event = _event(said, self.forgetful) if said is not None else None
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


def runtime_directory() -> str:
    """A directory of this user's own for sockets: below XDG_RUNTIME_DIR, or where there is none in /tmp.

    What was left there by one that was killed is removed.  Raises OSError.
    """
    uid = os.geteuid()
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if given.startswith("/") and len(os.fsencode(given)) <= 64 and os.access(given, os.W_OK | os.X_OK):
        directory = os.path.join(given, "reloaderd")
    else:
        directory = f"/tmp/reloaderd-{uid}"
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    look = os.lstat(directory)
    if not stat.S_ISDIR(look.st_mode) or look.st_uid != uid or look.st_mode & 0o077:
        raise PermissionError(13, "is not a directory of this user's alone", directory)
    for name in os.listdir(directory):
        if name.startswith("agent-"):
            _remove_stale(os.path.join(directory, name))
    return directory


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens to any more."""
    probe = _new_socket()
    try:
        probe.connect(path)
    except OSError as error:
        if error.errno == errno.ECONNREFUSED:
            with suppress(FileNotFoundError):  # another one has just done so
                os.unlink(path)
    finally:
        probe.close()


def _new_socket() -> Any:
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    return _socket.socket(_socket.AF_UNIX, kind)


def _is_ours(connection: Any) -> bool:
    """Whether this user connected: the directory lets nobody else in but root."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    uid = int.from_bytes(credentials[4:8], "little")
    return uid == os.geteuid()


# What a child says


def _said(data: bytes) -> dict[str, Any] | None:
    """One packet, whose process it is of being known; None for what nobody sends who means it."""
    import json  # where no Python child runs it is never needed

    if len(data) > LONGEST:
        return None
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    known = type(said) is dict and type(said.get("service")) is str and type(said.get("run")) is int
    return said if known else None


def _event(said: dict[str, Any], forgetful: Container[int]) -> FilesLoaded | None:
    """The event of one packet of an agent; None for one that no agent sends."""
    try:
        return FilesLoaded(
            said["service"],
            said["run"],
            _text(said.get("python", "")),
            [_loaded(item, forgetful) for item in said.get("modules", ())],
            [_loaded(item, forgetful) for item in said.get("data", ())],
            [_path(item) for item in said.get("own", ())],
            [_path(item) for item in said.get("missing", ())],
            _number(said.get("libraries", 0)),
            said.get("full") is True,
        )
    except (ValueError, TypeError):
        return None


def _loaded(item: Any, forgetful: Container[int]) -> Loaded:
    from reloaderd.kernel.files import stamp_of

    path, real, device, inode, size, mtime, ctime = item
    path = _path(path)
    real = _path(real) if real else path
    numbers = [_number(one) for one in (device, inode, size, mtime, ctime)]
    if not any(numbers):
        return Loaded(path, real, None)
    return Loaded(path, real, stamp_of(0 if device in forgetful else inode, size, mtime, ctime, False))


def _path(value: Any) -> str:
    text = _text(value)
    if not text.startswith("/") or len(text) > PATH_MAX:
        raise ValueError("no path")
    return text


def _text(value: Any) -> str:
    if type(value) is not str or "\0" in value:
        raise ValueError("no text")
    os.fsencode(value)  # lone surrogates that stand for no byte raise a ValueError, too
    return value


def _number(value: Any) -> int:
    if type(value) is not int:
        raise ValueError("no number")
    return value
