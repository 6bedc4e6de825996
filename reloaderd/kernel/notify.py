"""The socket of the service manager that started us: what it is told, and the descriptors it is to keep.

Facts
- One datagram is one message, lines of NAME=VALUE (sd_notify(3)).  systemd reads 4096 bytes of it and drops a
  longer one; a message with a STATUS that is not UTF-8 leaves that out.
- NOTIFY_SOCKET is a path, or with @ for the leading NUL an abstract name (unix(7)).
- A queue takes net.unix.max_dgram_qlen (10) messages that were not read.  A socket that is connected is
  writable when its peer has room again (poll(2)); one that is not always is.
- A manager that executes itself anew keeps its socket.  One that was started anew has another at the same
  path: the connection to the old one is refused.
- A message says whose it is by the credentials of its sender, which the kernel adds; it is ours.
- At most 253 descriptors go with a message (SCM_MAX_FD); they are copied when it is sent.

So: a connected socket; what finds no room waits here, is sent when there is some, and gives way to what says
the same things later.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import sys
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from reloaderd.kernel.runtime import sending_socket

LONGEST = 4096
"""Bytes of a message that systemd reads: NOTIFY_BUFFER_MAX."""

PATIENCE_MS = 50
"""How long `close` waits for room: what is said last is why we end."""

ENDLESS = 1e9
"""Seconds of a watchdog that is none any more: 2**64 - 1 microseconds are never, and select(2) takes less."""

_GONE = frozenset((errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE))


class Given(NamedTuple):
    """What the environment says of a service manager.

    `watchdog` is in how many seconds it wants to hear from us, 0 where it does not.
    """

    address: str
    watchdog: float


def take(environ: MutableMapping[str, str]) -> Given | None:
    """Read what is there for us, and remove it: none of it is meant for those whom we start."""
    address = environ.pop("NOTIFY_SOCKET", "")
    seconds = _number(environ.pop("WATCHDOG_USEC", "")) / 1e6
    pid = environ.pop("WATCHDOG_PID", "")
    if (pid and _number(pid) != os.getpid()) or seconds > ENDLESS:
        seconds = 0.0
    return Given(address, seconds) if address else None


def _number(text: str) -> int:
    # no number of systemd's has more than 20 digits, and Python refuses to read thousands of them
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else 0


class Notifier:
    """Speaks to the socket at `address`; never waits, and never raises for a manager that is not there.

    `fileno` is readable when `read` can send something that found no room before.
    """

    def __init__(self, address: str) -> None:
        """Opens nothing yet."""
        # a path as it is, with what is no UTF-8 in it
        self._address = os.fsencode("\0" + address[1:] if address.startswith("@") else address)
        self._usable = address[:1] in ("/", "@")
        self._socket: Any = None
        self._waiting: list[tuple[bytes, list[int]]] = []
        self._epoll: select.epoll | None = None

    def fileno(self) -> int:
        """Raises OSError where there is no descriptor to be had."""
        if self._epoll is None:
            self._epoll = select.epoll()
        return self._epoll.fileno()

    def send(self, message: str, descriptors: Sequence[int] = ()) -> bool:
        """Say it, or where there is no room later; False where nobody hears it.

        The descriptors stay the caller's; until they are sent, copies of them are kept.
        """
        data = message.encode("utf-8", "backslashreplace")[:LONGEST]
        if not self._waiting:
            sent = self._try(data, descriptors)
            if sent is not None:
                return sent
        try:
            copies = _copies(descriptors)
        except OSError:
            return False
        names = _names(data)
        # what says the same things is no news any more; a descriptor is always wanted
        self._waiting = [one for one in self._waiting if one[1] or _names(one[0]) != names]
        self._waiting.append((data, copies))
        self._watch()
        return True

    def read(self) -> Sequence[Any]:
        """There may be room: send what waits."""
        while self._waiting:
            data, copies = self._waiting[0]
            if self._try(data, copies) is None:
                break
            del self._waiting[0]
            _close(copies)
        self._watch()
        return ()

    def close(self) -> None:
        """Send what waits, if there is room within `PATIENCE_MS`."""
        if self._waiting:
            poll = select.poll()
            poll.register(self, select.POLLIN)
            poll.poll(PATIENCE_MS)
            self.read()
        for _, copies in self._waiting:
            _close(copies)
        self._waiting.clear()
        self._disconnect()
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def _try(self, data: bytes, descriptors: Sequence[int]) -> bool | None:
        """Whether it was sent; None where there is no room for it now."""
        numbers = b"".join(one.to_bytes(4, sys.byteorder) for one in descriptors)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)] if descriptors else []
        for last in (False, True):
            try:
                if self._socket is None:
                    self._connect()
                self._socket.sendmsg([data], rights)
                return True
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    return None
                if error.errno not in _GONE or last:
                    return False
                self._disconnect()  # it may be a new one that listens there
        return False

    def _connect(self) -> None:
        if not self._usable:
            raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
        self._socket = sending_socket(self._address)

    def _disconnect(self) -> None:
        if self._socket is not None:
            self._socket.close()  # which takes it out of the epoll, too
            self._socket = None

    def _watch(self) -> None:
        """Be readable when there is room, as long as something waits for it."""
        if self._socket is None or (self._epoll is None and not self._waiting):
            return
        self.fileno()
        assert self._epoll is not None
        with suppress(FileExistsError, FileNotFoundError):
            if self._waiting:
                self._epoll.register(self._socket.fileno(), select.EPOLLOUT)
            else:
                self._epoll.unregister(self._socket.fileno())


def _names(data: bytes) -> list[bytes]:
    return [line.partition(b"=")[0] for line in data.splitlines()]


def _copies(descriptors: Sequence[int]) -> list[int]:
    copies: list[int] = []
    try:
        for descriptor in descriptors:
            copies.append(os.dup(descriptor))
    except OSError:
        _close(copies)
        raise
    return copies


def _close(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
