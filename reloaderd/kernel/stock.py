"""The listening sockets of one service that are kept from run to run: which, who gets them back, until when.

Rules:
- What a run listens at is kept while it lives, and after it is gone until the next one has bound it again.
- It goes to who binds the same: address, protocol, IPV6_V6ONLY, SO_REUSEPORT, and for a path the same file.
- A run gets what it has already only where none of its processes has it any more.
- What would be in the way of another address, and no run has, is let go of.
- What nobody binds again is let go of in time: clients would wait for nobody.

Facts
- Two sockets of one port are in each other's way where their addresses are the same or one is the wildcard;
  an IPv6 one without IPV6_V6ONLY is an IPv4 one, too (ipv6(7)).
- bind(2) sets IPV6_V6ONLY for any other address than the wildcard (net/ipv6/af_inet6.c).
- The inode of a socket is that of one alone among all that are open (/proc/PID/fd: `socket:[INODE]`).
"""

from __future__ import annotations

import _socket
import os
from collections.abc import Callable
from typing import NamedTuple

from reloaderd.kernel import sockets

MOST = 64
"""Sockets of a service: more than any server listens at."""

AFTER_STOP = 60.0
"""Seconds for which it is kept after its run was stopped: a start takes less, and so does, often, the repair
of what keeps it from starting."""

AFTER_END = 10.0
"""The same after a run that ended by itself: the longest back-off before the next is 8 s."""

ELSEWHERE = 10.0
"""Seconds for which it is kept after the present run listens, be it somewhere else."""


class Key(NamedTuple):
    """What has to be the same.  `host` is the path of a socket in the file system."""

    family: int
    protocol: int
    v6only: int
    reuseport: int
    port: int
    host: bytes

    def is_in_the_way(self, other: Key) -> bool:
        """Whether both cannot be bound at a time."""
        internet = (_socket.AF_INET, _socket.AF_INET6)
        if self.family not in internet or other.family not in internet or self.port != other.port:
            return self.family == other.family and self.port == other.port and self.host == other.host
        if self.family != other.family and (self.v6only or other.v6only):
            return False
        wild = (b"0.0.0.0", b"::")
        return self.host == other.host or self.host in wild or other.host in wild


class Listening:
    """One of them.  `slots` are those whose present run has it; `until` is when it is let go of."""

    def __init__(self, fd: int, inode: int, key: Key, file: tuple[int, int, int] | None) -> None:
        self.fd = fd
        self.inode = inode
        self.key = key
        self.file = file
        self.slots: set[int] = set()
        self.until: float | None = None


InUse = Callable[[int, int], bool]
"""Whether a process of the slot's run has the socket of this inode."""


class Stock:
    """All of them."""

    def __init__(self, in_use: InUse) -> None:
        self._in_use = in_use
        self._all: list[Listening] = []
        self._listening: set[int] = set()  # slots whose present run does

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return min((one.until for one in self._all if one.until is not None), default=None)

    def inodes(self) -> set[int]:
        """Those of all."""
        return {one.inode for one in self._all}

    def awaited(self, slot: int) -> set[int]:
        """Those of what the slot's run has, and the next one will: a Unix socket it makes anew."""
        return {one.inode for one in self._all if slot in one.slots and one.key.family != _socket.AF_UNIX}

    def shared(self, slot: int) -> set[int]:
        """Those of what the slot's run has, and another run does, too."""
        return {one.inode for one in self._all if slot in one.slots and len(one.slots) > 1}

    def keep(self, fd: int, path: bytes, slot: int, now: float) -> int:
        """The run listens at `fd`, which is a duplicate for us.  A Unix socket has this absolute path.

        The descriptor by which it is kept; -1: it is not.
        """
        inode = os.fstat(fd).st_ino
        known = next((one for one in self._all if one.inode == inode), None)
        if known is None:
            key = _key(fd, path)
            file = sockets.identity(os.fsdecode(key.host)) if key is not None and _is_file(key) else None
            if key is None or len(self._all) >= MOST or (_is_file(key) and file is None):
                os.close(fd)
                return -1
            if file is not None:  # it was removed and made anew: nobody reaches the one before
                for one in [one for one in self._all if one.key == key and not one.slots]:
                    self._drop(one)
            known = Listening(fd, inode, key, file)
            self._all.append(known)
        else:
            os.close(fd)
        sockets.deepen(known.fd)
        self._has(known, slot, now)
        return known.fd

    def take(self, key: Key, slot: int, now: float) -> int | None:
        """The descriptor that a run gets that binds this; -1: nothing is in its way any more; None: none."""
        for one in self._all:
            if one.key == key and self._is_there(one) and self._is_free(one, slot):
                if not one.slots:
                    sockets.refresh(one.fd)
                self._has(one, slot, now)
                return one.fd
        stale = [one for one in self._all if not one.slots and one.key.is_in_the_way(key)]
        for one in stale:
            self._drop(one)
        return -1 if stale else None

    def started(self, slot: int) -> None:
        """A run starts there."""
        self._listening.discard(slot)

    def gone(self, slot: int, stopped: bool, now: float) -> None:
        """Nothing of the slot's run is left; it was told to stop, or has ended by itself."""
        self._listening.discard(slot)
        for one in [*self._all]:
            if slot in one.slots:
                one.slots.discard(slot)
                if not one.slots:
                    sockets.refresh(one.fd)
                    limit = ELSEWHERE if self._listening else AFTER_STOP if stopped else AFTER_END
                    one.until = now + limit

    def look(self, slot: int) -> None:
        """Let go of what the run has closed itself, while it goes on."""
        for one in [*self._all]:
            if slot in one.slots and not self._in_use(slot, one.inode):
                one.slots.discard(slot)
                if not one.slots:
                    self._drop(one)

    def tick(self, now: float) -> None:
        """Let go of what nobody has bound again."""
        for one in [*self._all]:
            if one.until is not None and one.until <= now:
                self._drop(one)

    def _has(self, one: Listening, slot: int, now: float) -> None:
        one.slots.add(slot)
        one.until = None
        self._listening.add(slot)
        for other in self._all:
            if other.until is not None:
                other.until = min(other.until, now + ELSEWHERE)

    def _is_free(self, one: Listening, slot: int) -> bool:
        return slot not in one.slots or not self._in_use(slot, one.inode)

    def _is_there(self, one: Listening) -> bool:
        return one.file is None or sockets.identity(os.fsdecode(one.key.host)) == one.file

    def _drop(self, one: Listening) -> None:
        self._all.remove(one)
        os.close(one.fd)


def _is_file(key: Key) -> bool:
    return key.family == _socket.AF_UNIX and key.host[:1] == b"/"


def _key(fd: int, path: bytes) -> Key | None:
    """That of a socket; None of one that does not listen, or not for what is kept.

    `path` is where a Unix socket is that was bound to a relative path.
    """
    try:
        one = _socket.socket(fileno=fd)
    except OSError:
        return None
    try:
        if one.type != _socket.SOCK_STREAM or not one.getsockopt(_socket.SOL_SOCKET, _socket.SO_ACCEPTCONN):
            return None
        name = one.getsockname()
        protocol = one.getsockopt(_socket.SOL_SOCKET, _socket.SO_PROTOCOL)
        if one.family == _socket.AF_UNIX:
            host = os.fsencode(name)
            host = host if host[:1] in (b"/", b"\0", b"") else path
            return Key(one.family, protocol, 0, 0, 0, host) if host[:1] in (b"/", b"\0") else None
        if one.family not in (_socket.AF_INET, _socket.AF_INET6):
            return None
        v6only = int(one.family == _socket.AF_INET6)
        if name[0] == "::":
            v6only = one.getsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY)
        reuseport = one.getsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEPORT)
        return Key(one.family, protocol, v6only, reuseport, name[1], name[0].encode("ascii"))
    except OSError:
        return None
    finally:
        one.detach()
