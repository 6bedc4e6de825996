"""Has a program accept no more where another run has taken over: what both listen at is replaced in it.

Facts
- What listens is one open file description that both runs have: all that is done to it is done to both.
  dup2(2) changes what a descriptor of this process is, and no more.
- epoll(7) knows what it polls by description and number.  So after dup2(2) it would go on to tell of what
  nobody here can accept, and EPOLL_CTL_DEL finds it only before.  A duplicate of the epoll is the same set.
  The other socket is put there instead: who stops to poll it finds it.
- poll(2), select(2) and accept(2) look up the number once, when they begin.
- accept(2) of a socket at which nobody connects does what it does where another process was faster: EAGAIN
  where it does not block, a timeout where there is one, else it waits.  Who accepts because poll(2) said so,
  by a socket that blocks (socketserver), does not expect that: it gets a connection that is closed already,
  as of a client that has gone, and asks no more.
"""

import _socket
from posix import (
    access,
    close,
    dup,
    dup2,
    fstat,
    get_blocking,
    get_inheritable,
    readlink,
    set_blocking,
)
from sys import modules

from _reloaderd_descriptors import EPOLL, info, look  # type: ignore[import-not-found]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_Socket = _socket.socket
_family = _Socket.family.__get__
_NOWHERE: "dict[int, Any]" = {
    _socket.AF_INET: ("127.0.0.1", 0),
    _socket.AF_INET6: ("::1", 0),
    _socket.AF_UNIX: b"",
}
"""Where the kernel chooses a port or, for AF_UNIX, an abstract name that nobody knows."""


def leaves(notice: str) -> bool:
    """Whether it is to accept no more: `notice` is a link then, whose text is what both runs listen at."""
    return access(notice, 0, follow_symlinks=False)


def leave(sock: "Any", notice: str) -> None:
    """Have nobody connect at this socket any more, if it is one of those."""
    try:
        number = sock.fileno()
        if str(fstat(number).st_ino) in readlink(notice).split():
            replace(number, _family(sock), sock.gettimeout() is None)
    except Exception:
        pass


def leave_number(number: int, notice: str) -> None:
    """The same for who polls and accepts by the number, and never waits in accept."""
    try:
        if str(fstat(number).st_ino) in readlink(notice).split():
            one = _Socket(fileno=number)
            try:
                replace(number, _family(one), False)
            finally:
                one.detach()
    except Exception:
        pass


def replace(number: int, family: int, waits: bool) -> None:
    """Put one in its place at which nobody connects.  `waits`: who accepts has to get a connection."""
    other = _Socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        other.bind(_NOWHERE[family])
        other.listen(1)
        if waits:
            gone = _Socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
            try:
                gone.connect(other.getsockname())
            finally:
                gone.close()
        set_blocking(other.fileno(), get_blocking(number))
        polls = _take_out(number)
        dup2(other.fileno(), number, get_inheritable(number))
    finally:
        other.close()
    for poll, events in polls:
        try:
            poll.register(number, events)
        finally:
            poll.close()


def _take_out(number: int) -> "list[tuple[Any, int]]":
    """Have no epoll of this process poll the descriptor.  Those that did, and for which events."""
    epoll, found = _epoll(), []
    for one in [one for one, target in look().items() if target == EPOLL]:
        try:
            events = [events for of, events, data in info(one)[1] if of == data == number]
            same = dup(one)
        except OSError:  # another thread has closed it
            continue
        try:
            poll = epoll.fromfd(same)
        except BaseException:
            close(same)
            raise
        try:
            poll.unregister(number)
        except OSError:  # it does not
            events = []
        if events:
            found.append((poll, events[0]))
        else:
            poll.close()
    return found


def _epoll() -> "Any":
    """The class of the standard library, which gevent and eventlet take out of its module."""
    import select

    if not hasattr(select, "epoll"):
        select = modules["_frozen_importlib"].module_from_spec(select.__spec__)
        select.__spec__.loader.exec_module(select)  # type: ignore[union-attr]
    return select.epoll
