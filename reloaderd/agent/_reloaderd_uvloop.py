"""Sees what a loop of uvloop listens at, which it does below Python, and has it accept no more in time.

Facts
- uvloop (0.14 to 0.23) binds by socket.socket, and calls `setblocking` of a socket that it is given.  Between
  either and listen(2), which it calls in C, its loop does nothing else: what is called soon is called after.
- It closes in C, too.  Of a socket that it was given it calls `detach` after that.
- libuv polls and accepts by number; EAGAIN and a number that is in no epoll are nothing to it.
- A loop that is closed lets go of what it reads: no file is closed, and nothing said.
- A copy of this process by fork(2) has each descriptor, too: that one is closed here tells nobody.
"""

import _socket
from posix import close, fstat, getpid
from sys import modules

from _reloaderd_leave import leave_number, leaves  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_LOOP = "uvloop.loop"
_Socket = _socket.socket
_SOL, _STREAM = _socket.SOL_SOCKET, _socket.SOCK_STREAM


class Loops:
    """What the loops of this process listen at.  `sockets` is told of it."""

    def __init__(self, sockets: "Any", notice: str) -> None:
        """`notice` is where there is one when another run has taken over."""
        self.sockets = sockets
        self.notice = notice
        self.staying: dict[tuple[int, int], set[int]] = {}  # by loop and process: what it has listened at

    def wrap(self, kind: "Any") -> None:
        """Change the class of sockets."""
        kind.setblocking = _setblocking(self, _Socket.setblocking)
        kind.detach = _detach(self, kind.detach)

    def soon(self, sock: "Any") -> None:
        """Look at it when the loop has done what it does, if it is a loop of uvloop that runs here."""
        if _LOOP not in modules:
            return
        try:
            loop, kind = modules["asyncio.events"]._get_running_loop(), modules[_LOOP].Loop
            if isinstance(loop, kind) and _may_listen(sock):
                number = sock.fileno()
                nothing = modules["contextvars"].Context()
                kind.call_soon(loop, self.look, number, fstat(number).st_ino, context=nothing)
        except Exception:
            pass

    def look(self, number: int, inode: int) -> None:
        """Say that it listens, if it does."""
        try:
            if fstat(number).st_ino != inode:
                return
            one = _Socket(fileno=number)
            try:
                if one.getsockopt(_SOL, _socket.SO_ACCEPTCONN):
                    self.sockets.keep(one, b"below")
                    if self.sockets.watched and inode not in self.sockets.chosen:
                        self._stay(number)
            finally:
                one.detach()
        except Exception:
            pass

    def _stay(self, number: int) -> None:
        """Have the loop hear when it is to accept no more there."""
        loop, kind = modules["asyncio.events"]._get_running_loop(), modules[_LOOP].Loop
        which = id(loop), getpid()
        if which not in self.staying:
            stay = Stay(self, which)
            modules["contextvars"].Context().run(kind.add_reader, loop, stay.line, stay.hear)
            self.staying[which] = stay.numbers
        self.staying[which].add(number)


class Stay:
    """A loop's connection, which stays open until something is said by it, or the loop is closed."""

    def __init__(self, loops: Loops, which: "tuple[int, int]") -> None:
        self.loops = loops
        self.which = which
        self.numbers: set[int] = set()  # what it has listened at
        self.line = -1
        kind = _socket.SOCK_SEQPACKET | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
        connection = _Socket(_socket.AF_UNIX, kind)
        try:
            connection.connect(loops.sockets.address)
            connection.send(b"stay", _socket.MSG_NOSIGNAL)
            self.inode = fstat(connection.fileno()).st_ino
            self.line = connection.detach()
        finally:
            connection.close()

    def hear(self) -> None:
        """Accept no more, if that was said; if the other end was closed, it never will be."""
        try:
            loop, kind = modules["asyncio.events"]._get_running_loop(), modules[_LOOP].Loop
            kind.remove_reader(loop, self.line)
            if leaves(self.loops.notice):
                for number in self.numbers:
                    leave_number(number, self.loops.notice)
                self._answer()
        except Exception:
            pass
        self.end()

    def _answer(self) -> None:
        connection = _Socket(fileno=self.line)
        try:
            connection.send(b"left", _socket.MSG_NOSIGNAL)
        finally:
            connection.detach()

    def end(self) -> None:
        """Close the connection."""
        try:
            line, self.line = self.line, -1
            if line >= 0:
                self.loops.staying.pop(self.which, None)
                if fstat(line).st_ino == self.inode:  # else the program has closed it
                    close(line)
        except Exception:
            pass

    __del__ = end


def _may_listen(sock: "Any") -> bool:
    """Whether it is bound, and not connected."""
    if sock.getsockopt(_SOL, _socket.SO_TYPE) != _STREAM:
        return False
    try:
        _Socket.getpeername(sock)
    except OSError:
        name = _Socket.getsockname(sock)
        return bool(name[1] if type(name) is tuple else name)
    return False


def _setblocking(loops: Loops, original: "Callable[..., None]") -> "Callable[..., None]":
    def setblocking(self: "Any", flag: bool, /) -> None:
        original(self, flag)
        if not flag:
            loops.soon(self)

    setblocking.__doc__ = original.__doc__
    return setblocking


def _detach(loops: Loops, original: "Callable[..., int]") -> "Callable[..., int]":
    def detach(self: "Any") -> int:
        number = original(self)
        inode = loops.sockets.told.get(number)
        if inode is not None:
            try:
                fstat(number)
            except OSError:  # it was closed
                del loops.sockets.told[number]
                loops.sockets.say(b"shut %d" % inode)
        return number

    detach.__doc__ = original.__doc__
    return detach
