"""Listening sockets that outlive the servers which they are handed to: opens, recognises and closes them.

Facts
- A connection is accepted by the kernel when it is in the queue of a listening socket, whoever accepts it
  later: as long as one descriptor of that socket is open anywhere, nobody is refused (listen(2)).
- listen(2) cuts the backlog to net.core.somaxconn, and may be called again: a server that says listen(5)
  makes the queue that short for the next one, too.
- shutdown(2) of a listening socket ends it for all who have it, until somebody calls listen(2) again;
  close(2) does not.
- With SO_REUSEPORT on both, and one user, a listening socket does not keep an address either; bind(2) and
  listen(2) both look.  Turned off after that, it still lets those in who ask for it themselves
  (inet_csk_get_port: fastreuseport).  The one with the narrower address gets the connections.
- A socket that was shut down keeps its port only if it was bound to that number, not if 0 was (inet_bind,
  tcp_disconnect).  Two that have SO_REUSEADDR and do not listen yet may be bound to the same.
- O_NONBLOCK belongs to the open file description (open(2)), so to all who were handed it.
- With SO_REUSEADDR connections in TIME_WAIT do not keep an address; another listening socket does
  (socket(7)).
- bind(2) of a path makes a file, whose mode is cut by the umask, and fails with EADDRINUSE where any file
  is.  It stays when the socket is closed; connect(2) says ECONNREFUSED then.  Where the queue is full it says
  EAGAIN, if it may not wait, and EPROTOTYPE for another type of socket.
- Connecting to a path takes write permission on the socket (unix(7)).
- A bound socket holds on to the inode of its file (unix_bind): no other file gets that number while the
  socket is open, though its name be gone.
"""

from __future__ import annotations

import _socket
import errno
import fcntl
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from reloaderd.settings import is_any_port

_STREAM = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC


class Bound:
    """A descriptor to hand on.  `address` is where it listens, "" where it is nothing that does.

    `name` is what the service manager calls it, if it was `inherited` or is kept there.
    """

    def __init__(self, fd: int, address: str, name: str = "", inherited: bool = False) -> None:
        self.fd = fd
        self.address = address
        self.name = name
        self.inherited = inherited
        self._file: tuple[int, int, int] | None = None
        if not inherited:
            self.own()

    def own(self) -> None:
        """The file of the socket, if it has one, is ours to remove."""
        self._file = identity(self.address) if self.address.startswith("/") else None

    @property
    def deaf(self) -> bool:
        """Whether nobody can connect any more, as its file is gone."""
        return self.address.startswith("/") and not os.path.exists(self.address)

    @property
    def replaced(self) -> bool:
        """Whether nobody can connect any more, as its file was ours and another one is there by now."""
        try:
            look = os.stat(self.address)
        except OSError:
            return False
        return self._file is not None and self._file[:2] != (look.st_dev, look.st_ino)

    def reopen(self) -> None:
        """Listen at its path anew, as the same descriptor.  Raises OSError."""
        if self._file is None:
            raise OSError(errno.ENOENT, "whoever handed it to us has to make it again", self.address)
        fresh = open_at(self.address)
        os.dup2(fresh.fd, self.fd, inheritable=False)
        os.close(fresh.fd)
        self.own()

    def close(self, stays: bool = False) -> None:
        """Close it; its file goes, if it is ours and no other is there by now, unless the socket `stays`."""
        os.close(self.fd)
        if not stays and self._file is not None and identity(self.address) == self._file:
            with suppress(OSError):
                os.unlink(self.address)


def open_at(address: str, beside: Iterable[Bound] = ()) -> Bound:
    """Listen at an address as `values.address` writes them; port 0 becomes the one that was chosen.

    `beside` are ours that it may overlap with, as 0.0.0.0 does with 127.0.0.1.  Raises OSError, whose
    `strerror` says why not.
    """
    if address.startswith("/"):
        _make_way(address)
        family, where = _socket.AF_UNIX, address
    else:
        host, _, port = address.rpartition(":")
        family = _socket.AF_INET6 if host.startswith("[") else _socket.AF_INET
        where = (host.strip("[]"), int(port))  # type: ignore[assignment]
    one, scout = _new(family), _new(family)
    sharing: list[int] = []
    try:
        if is_any_port(address):
            scout.bind(where)
            where = scout.getsockname()
        if family != _socket.AF_UNIX:
            sharing = [other.fd for other in beside if other.address[:1] not in ("", "/")]
            sharing += [one.fileno()] if sharing else []
        _share(sharing, True)
        one.bind(where)
        scout.close()
        one.listen(_socket.SOMAXCONN)
        _share(sharing, False)
        address = address_of(one)
    except OSError:
        _share(sharing[:-1], False)
        scout.close()
        one.close()
        raise
    return Bound(one.detach(), address)


def _share(fds: Iterable[int], on: bool) -> None:
    for fd in fds:
        with _lent(fd) as one:
            one.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT, on)


@contextmanager
def _lent(fd: int) -> Iterator[Any]:
    """The socket of a descriptor that outlives it.  Raises OSError where that is of none."""
    one = _socket.socket(fileno=fd)
    try:
        yield one
    finally:
        one.detach()


def _new(family: int) -> Any:
    one = _socket.socket(family, _STREAM)
    if family != _socket.AF_UNIX:
        one.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    return one


def inherit(fd: int, name: str) -> Bound:
    """What we were started with; from now on close-on-exec.  Raises OSError if there is none."""
    fcntl.fcntl(fd, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
    return Bound(fd, address_of_descriptor(fd), name, inherited=True)


def address_of_descriptor(fd: int) -> str:
    """Where the stream socket `fd` listens, or ""."""
    try:
        with _lent(fd) as one:
            return address_of(one) if _listens(one) else ""
    except OSError:  # or no socket
        return ""


def address_of(one: Any) -> str:
    """Where a socket is bound, in the way of `values.address`; "" where that cannot say it."""
    name = one.getsockname()
    if one.family == _socket.AF_UNIX:
        return name if isinstance(name, str) and name.startswith("/") else ""
    if one.family == _socket.AF_INET6:
        return f"[{name[0]}]:{name[1]}"
    return f"{name[0]}:{name[1]}" if one.family == _socket.AF_INET else ""


def refresh(fd: int) -> None:
    """Undo what a server may have done to a socket that the next one gets, too."""
    with suppress(OSError), _lent(fd) as one:
        os.set_blocking(fd, True)
        if one.type == _socket.SOCK_STREAM and _is_passive(one):
            one.listen(_socket.SOMAXCONN)


def deepen(fd: int) -> None:
    """Have as many connections wait as may: those of a whole restart."""
    with suppress(OSError), _lent(fd) as one:
        one.listen(_socket.SOMAXCONN)


def _listens(one: Any) -> bool:
    return bool(one.type == _socket.SOCK_STREAM and one.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN))


def _is_passive(one: Any) -> bool:
    """Whether it listens or did: one that was accepted has a peer."""
    try:
        one.getpeername()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    return False


def _make_way(path: str) -> None:
    """Remove a socket that nobody listens at any more.  Raises OSError where anything else is."""
    try:
        look = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(look.st_mode):
        kind = "a symlink" if stat.S_ISLNK(look.st_mode) else "a file"
        kind = "a directory" if stat.S_ISDIR(look.st_mode) else kind
        raise OSError(errno.EEXIST, f"there is {kind}", path)
    probe = _socket.socket(_socket.AF_UNIX, _STREAM | _socket.SOCK_NONBLOCK)
    try:
        probe.connect(path)
    except OSError as error:
        if error.errno != errno.ECONNREFUSED:
            number = errno.EADDRINUSE if error.errno in (errno.EAGAIN, errno.EPROTOTYPE) else error.errno
            raise OSError(number, os.strerror(number or 0), path) from None
    else:
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE), path)
    finally:
        probe.close()
    if identity(path) == (look.st_dev, look.st_ino, look.st_mtime_ns):
        os.unlink(path)


def identity(path: str) -> tuple[int, int, int] | None:
    """Which file it is: inode numbers are used again at once, and chmod(1) leaves the mtime."""
    try:
        look = os.lstat(path)
    except OSError:
        return None
    return look.st_dev, look.st_ino, look.st_mtime_ns
