"""Gives reloaderd a duplicate of each socket that listens, and takes it back where the same address is bound.

Facts
- Programs and the standard library bind by socket.socket, a class in Python that has `bind`, `listen` and
  `_accept`, by which its `accept` accepts, of the C class below it: methods of the same names in it are found
  first.  gevent's sockets have one of such a class.  The audit event socket.__new__ is raised for the first
  one that is made, which is when the class is there to be changed.
- An address at which any duplicate of a socket listens is in use (EADDRINUSE) for all but those who have one,
  unless both sides said SO_REUSEPORT: a second socket shares the connections then.  So it is asked for when
  bind(2) has failed, and only with SO_REUSEPORT before.
- dup2(2) leaves the number as it is: what Python knows of the socket stays true.  Close-on-exec belongs to
  the descriptor, O_NONBLOCK and the options to what is behind it.
- bind(2) to port 0 of a datagram socket fails for no other socket: getsockname(2) then says how a host is
  resolved, by the way that bind itself takes.
- shutdown(2) is done to what is behind the descriptor: who has a duplicate of a socket that listened does not
  listen any more, either.  Twisted does that to what it listens at when it stops.
- Descriptors are duplicates in a message (unix(7), SCM_RIGHTS) until that was read: nothing is lost when the
  sender ends.
"""

import _socket
from os import fsencode
from posix import close, dup2, fstat, get_blocking, get_inheritable, getcwdb, getpid, set_blocking
from sys import byteorder

from _reloaderd_leave import leave, leaves, replace  # type: ignore[import-not-found]
from _reloaderd_uvloop import Loops  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PATIENCE = 30.0
"""Seconds: who is asked does nothing else, and answers within 1 ms unless the machine is overloaded or it is
stopped.  Nobody loses by waiting, as bind(2) has failed already."""

REMEMBERED = 1024
"""Sockets with a port that the kernel chose, before what is known of these is forgotten."""

LEAVES = "-leaves~"
"""What is added to the address for the notice that another run has taken over (kernel.porter)."""

EADDRINUSE = 98
NOT_KEPT, TAKEN, AGAIN = 0, 1, 2

_MODULES = ("socket", "gevent._socket3")
"""Whose classes to change."""

_Socket = _socket.socket
_family = _Socket.family.__get__
_SOL, _TCP, _V6, _V6ONLY = _socket.SOL_SOCKET, _socket.IPPROTO_TCP, _socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY
_UNIX, _INET6 = _socket.AF_UNIX, _socket.AF_INET6
_FAMILIES = (_UNIX, _socket.AF_INET, _INET6)
_COPIED = (
    (_SOL, _socket.SO_REUSEADDR, 0),
    (_SOL, _socket.SO_KEEPALIVE, 0),
    (_SOL, _socket.SO_RCVBUF, 1),  # the kernel doubles what it is given
    (_SOL, _socket.SO_SNDBUF, 1),
    (_TCP, _socket.TCP_NODELAY, 0),
    (_TCP, _socket.TCP_DEFER_ACCEPT, 0),
    (_TCP, _socket.TCP_FASTOPEN, 0),
)
"""Options that a program sets before it binds: level, name, and by how many bits to shift what is read."""


class Sockets:
    """What this process has to do with the one who keeps the sockets, whose address is given.

    `keeps` is whether it is to have duplicates, else it is only told what listens; `watched` whether it
    wants to know when one begins to accept, and says when to accept no more.
    """

    def __init__(self, address: str, keeps: bool, watched: bool) -> None:
        self.address = address
        self.keeps = keeps
        self.watched = watched
        self.accepted = False
        self.seen: set[type] = set()  # classes that were looked at
        self.chosen: set[int] = set()  # inodes of those whose port the kernel chose
        self.told: dict[int, int] = {}  # by descriptor: inodes of those that are known there
        self.notice = address + LEAVES
        self.loops = Loops(self, self.notice)
        self.taker = 0  # the process that has taken some back

    def made(self, args: "tuple[Any, ...]") -> bool:
        """socket.__new__(self, family, type, protocol): the class may be there by now.

        True: it is no occasion to send anything, for which a socket is made.
        """
        if type(args[0]) not in self.seen:
            for kind in type(args[0]).__mro__:
                if kind.__module__ in _MODULES and kind.__bases__ == (_Socket,) and kind not in self.seen:
                    self._wrap(kind)
                self.seen.add(kind)
        return True

    def _wrap(self, kind: "Any") -> None:
        kind.bind = _bind(self, _Socket.bind)
        kind.listen = _listen(self, _Socket.listen)
        close = "_real_close" if hasattr(kind, "_real_close") else "close"
        setattr(kind, close, _close(self, getattr(kind, close)))
        kind.shutdown = _shutdown(self, _Socket.shutdown)
        self.loops.wrap(kind)
        if self.watched:
            kind._accept = _accept(self, _Socket.__dict__["_accept"])

    def shares(self, sock: "Any") -> bool:
        """Whether bind(2) of it would not fail where another one listens."""
        try:
            return self.keeps and sock.getsockopt(_SOL, _socket.SO_REUSEPORT) != 0
        except Exception:
            return False

    def take(self, sock: "Any", address: "Any") -> int:
        """Take back what listens at this address, if it is kept; `AGAIN`: what was in the way is gone."""
        try:
            if not self.keeps or not _is_stream(sock):
                return NOT_KEPT
            data, descriptor = self._ask(_wanted(sock, address))
            if descriptor < 0:
                return AGAIN if data == b"again" else NOT_KEPT
            try:
                self._replace(sock, descriptor)
            finally:
                close(descriptor)
            return TAKEN
        except Exception:
            return NOT_KEPT

    def bound(self, sock: "Any", address: "Any") -> None:
        """It was: note it where the kernel chose the port."""
        self.loops.soon(sock)
        try:
            if type(address) is tuple and address[1] == 0:
                if len(self.chosen) >= REMEMBERED:
                    self.chosen.clear()
                self.chosen.add(fstat(sock.fileno()).st_ino)
        except Exception:
            pass

    def listens(self, sock: "Any") -> bool:
        """Whether it has been taken back and listens: with a longer queue than it would ask for."""
        try:
            known = self.told.get(sock.fileno()) == fstat(sock.fileno()).st_ino
            return known and bool(sock.getsockopt(_SOL, _socket.SO_ACCEPTCONN))
        except Exception:
            return False

    def keep(self, sock: "Any", verb: bytes = b"keep") -> None:
        """It listens: say so."""
        try:
            if not _is_stream(sock):
                return
            number = sock.fileno()
            inode = fstat(number).st_ino
            if inode in self.chosen:
                self._send(b"free %d" % inode)
                return
            self.told[number] = inode
            path = _path(sock.getsockname()) if _family(sock) == _UNIX else b""
            self._send(b"%s %d " % (verb, inode) + path, number if self.keeps else -1)
        except Exception:
            pass

    def accepts(self, sock: "Any") -> None:
        """It is the first one that is asked for a connection: say so."""
        try:
            self._send(b"accept %d" % fstat(sock.fileno()).st_ino)
        except Exception:
            pass

    def known(self, sock: "Any") -> int:
        """The inode of one that is about to be closed, 0 if nothing is known of it."""
        try:
            return self.told.pop(sock.fileno(), 0)
        except Exception:
            return 0

    def part(self, sock: "Any") -> None:
        """Have what is done to it from now on done to nobody else's, if it is one that is kept.

        Where a thread waits in accept, shutdown(2) is how it is woken, and that is left to it.
        """
        try:
            if self.keeps and sock.gettimeout() == 0.0 and self.listens(sock):
                number = sock.fileno()
                replace(number, _family(sock), False)
                self._send(b"shut %d" % self.told.pop(number))
        except Exception:
            pass

    def say(self, what: bytes) -> None:
        """Tell of something."""
        try:
            self._send(what)
        except Exception:
            pass

    def _replace(self, sock: "Any", kept: int) -> None:
        number = sock.fileno()
        other = _Socket(fileno=kept)
        try:
            for level, name, shift in _COPIED:
                try:
                    value = sock.getsockopt(level, name)
                    if value != other.getsockopt(level, name):
                        other.setsockopt(level, name, value >> shift)
                except OSError:
                    pass
        finally:
            other.detach()
        if not get_blocking(number):
            set_blocking(kept, False)
        dup2(kept, number, get_inheritable(number))
        self.told[number] = fstat(number).st_ino
        self.taker = getpid()

    def _ask(self, message: bytes) -> "tuple[bytes, int]":
        """The answer, and the descriptor that came with it or -1."""
        connection = _Socket(_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC)
        try:
            connection.settimeout(PATIENCE)
            connection.connect(self.address)
            connection.send(message, _socket.MSG_NOSIGNAL)
            data, more, _, _ = connection.recvmsg(16, 24, _socket.MSG_CMSG_CLOEXEC)
        finally:
            connection.close()
        for level, kind, given in more:
            if level == _SOL and kind == _socket.SCM_RIGHTS and len(given) >= 4:
                return data, int.from_bytes(given[:4], byteorder)
        return data, -1

    def _send(self, message: bytes, descriptor: int = -1) -> None:
        connection = _Socket(_UNIX, _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        given = [] if descriptor < 0 else [(_SOL, _socket.SCM_RIGHTS, descriptor.to_bytes(4, byteorder))]
        try:
            connection.connect(self.address)
            connection.sendmsg([message], given, _socket.MSG_NOSIGNAL)
        finally:
            connection.close()


def _is_stream(sock: "Any") -> bool:
    return _family(sock) in _FAMILIES and sock.getsockopt(_SOL, _socket.SO_TYPE) == _socket.SOCK_STREAM


def _path(address: "Any") -> bytes:
    path = fsencode(address) if isinstance(address, str) else bytes(address)
    return path if path[:1] in (b"/", b"\0", b"") else getcwdb() + b"/" + path


def _wanted(sock: "Any", address: "Any") -> bytes:
    """The address as the kernel would say it, with what else tells one socket from another."""
    family = _family(sock)
    port = v6only = 0
    if family == _UNIX:
        host = _path(address)
    else:
        probe = _Socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        try:
            probe.bind((address[0], 0) + tuple(address[2:]))
            host = probe.getsockname()[0].encode("ascii")
        finally:
            probe.close()
        port = int(address[1])
        v6only = sock.getsockopt(_V6, _V6ONLY) if host == b"::" else int(family == _INET6)
    protocol = sock.getsockopt(_SOL, _socket.SO_PROTOCOL)
    reuseport = sock.getsockopt(_SOL, _socket.SO_REUSEPORT) if family != _UNIX else 0
    return b"take %d %d %d %d %d " % (family, protocol, v6only, reuseport, port) + host


def _bind(sockets: Sockets, original: "Callable[..., None]") -> "Callable[..., None]":
    def bind(self: "Any", address: "Any", /) -> None:
        answer = sockets.take(self, address) if sockets.shares(self) else NOT_KEPT
        if answer != TAKEN:
            try:
                original(self, address)
            except OSError as error:
                if error.errno != EADDRINUSE:
                    raise
                answer = sockets.take(self, address)
                if answer == NOT_KEPT:
                    raise
            else:
                answer = NOT_KEPT
            if answer == AGAIN:
                original(self, address)
        sockets.bound(self, address)

    bind.__doc__ = original.__doc__
    return bind


def _listen(sockets: Sockets, original: "Callable[..., None]") -> "Callable[..., None]":
    def listen(self: "Any", *backlog: "Any") -> None:
        if not sockets.listens(self):
            original(self, *backlog)
        elif sockets.taker == getpid() and not sockets.watched:
            return  # who gave it knows
        sockets.keep(self)

    listen.__doc__ = original.__doc__
    return listen


def _close(sockets: Sockets, original: "Callable[..., None]") -> "Callable[..., None]":
    def close(self: "Any", *args: "Any") -> None:
        inode = sockets.known(self) if sockets.told else 0
        original(self, *args)
        if inode:
            sockets.say(b"shut %d" % inode)

    close.__doc__ = original.__doc__
    return close


def _shutdown(sockets: Sockets, original: "Callable[..., None]") -> "Callable[..., None]":
    def shutdown(self: "Any", how: int, /) -> None:
        if sockets.told:
            sockets.part(self)
        original(self, how)

    shutdown.__doc__ = original.__doc__
    return shutdown


def _accept(sockets: Sockets, original: "Callable[..., Any]") -> "Callable[..., Any]":
    notice = sockets.notice

    def _accept(self: "Any") -> "Any":
        if not sockets.accepted:
            sockets.accepted = True
            sockets.accepts(self)
        if leaves(notice):
            leave(self, notice)
        return original(self)

    _accept.__doc__ = original.__doc__
    return _accept
