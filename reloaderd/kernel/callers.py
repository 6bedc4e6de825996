"""The agents that connect to a porter, and what each of them says.

Facts
- unix(7): a SOCK_SEQPACKET connection keeps the bounds of packets; SO_PEERCRED tells who connected, and a
  datagram has its sender where SO_PASSCRED is set; descriptors in a message (SCM_RIGHTS) are ours once it was
  read, and are not with MSG_PEEK and without room for them.
- Who connects sends right after that: at the time of accept(2) it may not be there yet.
"""

from __future__ import annotations

import _socket
import os
import select
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from reloaderd.kernel import proctree
from reloaderd.kernel.runtime import peer

LONGEST = 512
"""Bytes of a packet: a path has at most 108."""

PENDING = 64
"""Connections that have not said anything yet."""

SCM_CREDENTIALS = 2
"""Who sent a message: its pid, uid and gid (unix(7))."""


class Caller(NamedTuple):
    """One connection, to the door of this slot, by this process."""

    slot: int
    pid: int
    connection: Any

    def answer(self, data: bytes, descriptor: int = -1) -> None:
        """Answer, maybe with a descriptor.  Raises OSError."""
        given: list[tuple[int, int, bytes]] = []
        if descriptor >= 0:
            given = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, descriptor.to_bytes(4, sys.byteorder))]
        self.connection.sendmsg([data], given, _socket.MSG_NOSIGNAL)


Listen = Callable[[Caller, bytes, list[int]], None]
"""Takes in what one says; of the descriptors that came with it it removes what it keeps.

Raises OSError, ValueError or TypeError for what no agent says.
"""


class Callers:
    """All that have not said anything yet, in the order in which they came; `poll` wakes when one does."""

    def __init__(self, poll: select.poll, listen: Listen) -> None:
        self._poll = poll
        self._listen = listen
        self._callers: dict[int, Caller] = {}

    def __contains__(self, fd: int) -> bool:
        return fd in self._callers

    def accept(self, slot: int, door: Any) -> None:
        """Take in all who are at this door."""
        while True:
            try:
                fd, _ = door._accept()
            except OSError:  # EAGAIN: that was all; EMFILE: not now
                return
            connection = _socket.socket(fileno=fd)
            connection.setblocking(False)
            if len(self._callers) >= PENDING:
                self._close(next(iter(self._callers)))
            self._callers[fd] = Caller(slot, peer(connection)[0], connection)
            self._poll.register(fd, select.POLLIN)

    def ready(self) -> list[int]:
        """Those who have said something, or are gone; what was said first comes first."""
        return [fd for fd in self._callers if self._speaks(fd)]

    def left(self, slot: int) -> list[int]:
        """Those at the slot's door whose process has ended."""
        return [
            fd
            for fd, one in self._callers.items()
            if one.slot == slot and proctree.read_stat(one.pid) is None
        ]

    def hear(self, fd: int) -> None:
        """Hear one out."""
        given: list[int] = []
        caller = self._callers[fd]
        try:
            data, more, _, _ = caller.connection.recvmsg(LONGEST, 24, _socket.MSG_CMSG_CLOEXEC)
            given = _descriptors(more)
            if data:
                self._listen(caller, data, given)
        except BlockingIOError:
            return
        except (OSError, ValueError, TypeError):  # it is gone, or says what no agent says
            pass
        for one in given:
            os.close(one)
        if fd in self._callers:
            self._close(fd)

    def release(self, caller: Caller) -> None:
        """Leave one to whoever listens to it now.  `poll` goes on to wake."""
        del self._callers[caller.connection.fileno()]

    def _speaks(self, fd: int) -> bool:
        try:
            self._callers[fd].connection.recv(1, _socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def _close(self, fd: int) -> None:
        self._poll.unregister(fd)
        self._callers.pop(fd).connection.close()


def rings(bell: Any) -> list[int]:
    """Read what was said by sd_notify(3): the processes that said READY=1."""
    found: list[int] = []
    while True:
        try:
            data, more, _, _ = bell.recvmsg(4096, 64, _socket.MSG_CMSG_CLOEXEC)
        except OSError:
            return found
        for one in _descriptors(more):
            os.close(one)
        for level, kind, raw in more:
            if (level, kind) == (_socket.SOL_SOCKET, SCM_CREDENTIALS) and b"READY=1" in data.split(b"\n"):
                found.append(int.from_bytes(raw[:4], sys.byteorder))


def _descriptors(messages: Sequence[tuple[int, int, bytes]]) -> list[int]:
    return [
        int.from_bytes(raw[at : at + 4], sys.byteorder)
        for level, kind, raw in messages
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)
        for at in range(0, len(raw) - 3, 4)
    ]


def numbers(words: Sequence[bytes]) -> list[int]:
    """Raises ValueError for what is none, or larger than any."""
    if not all(word.isdigit() and len(word) < 20 for word in words):
        raise ValueError("no number")
    return [int(word) for word in words]
