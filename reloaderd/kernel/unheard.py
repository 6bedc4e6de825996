"""Sockets that listen and whose closing nobody tells: when to look whether a run has closed one.

Nobody minds until a client waits at such a socket.  Mostly the run is about to accept it.

Facts
- epoll(7): a descriptor with EPOLLONESHOT is told of once, and once more after each EPOLL_CTL_MOD.  One that
  was closed here is told of as long as others have the file open, and cannot be found by its number.
"""

from __future__ import annotations

import select

LATER = 5.0
"""Seconds from a client to the look, and at least from one look to the next."""


class Unheard:
    """All of them; readable when somebody has come to one since the last look."""

    def __init__(self) -> None:
        self.due: float | None = None  # when to look
        self._epoll = select.epoll()
        self._told: set[int] = set()

    def fileno(self) -> int:
        """To be read when readable."""
        return self._epoll.fileno()

    def add(self, fd: int) -> None:
        """Another one."""
        try:
            self._epoll.register(fd, select.EPOLLIN | select.EPOLLONESHOT)
        except FileExistsError:
            pass

    def read(self, now: float) -> None:
        """Take note of those at which somebody has come."""
        self.due = now + LATER if self.due is None else self.due
        self._told.update(fd for fd, _ in self._epoll.poll(0))

    def looked(self) -> None:
        """A look has been taken: tell of the next client."""
        self.due = None
        for fd in self._told:
            try:
                self._epoll.modify(fd, select.EPOLLIN | select.EPOLLONESHOT)
            except OSError:  # it is closed
                pass
        self._told.clear()
