"""The journal of systemd: entries with fields, by its native protocol, and what stderr has to do with it.

Facts
- A datagram to SOCKET is an entry: lines of NAME=value; a value with a newline is NAME, a newline, its length
  as 64 bits little endian, and the bytes (systemd.io/JOURNAL_NATIVE_PROTOCOL).  A name may come several
  times.
- What is larger than the send buffer (EMSGSIZE) goes as the only descriptor of an empty datagram: a memfd,
  sealed.
- The socket is held by systemd (systemd-journald.socket): while journald is started anew, entries wait in it,
  as many as net.unix.max_dgram_qlen allows.  A connected socket is writable when there is room again.
- JOURNAL_STREAM has device and inode of the stream that a service was given as stderr (systemd.exec(5)).  A
  child or a redirection may have another.
- A line on that stream may begin with <N>, its priority (sd-daemon(3)).

So: one datagram an entry, with little patience; whoever sends is told whether it was taken.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
import sys
from collections.abc import Iterable
from typing import Any

from reloaderd.kernel.runtime import sending_socket

SOCKET = "/run/systemd/journal/socket"

PATIENCE_MS = 50
"""How long a journal that is behind may hold up the loop: as long as a full stderr (console)."""

ERROR, WARNING, NOTICE, INFO = 3, 4, 5, 6
"""Priorities: syslog(3)."""

_GONE = frozenset((errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE))

Fields = Iterable[tuple[str, str | bytes]]


def is_journal(stream: str, fd: int = 2) -> bool:
    """Whether descriptor `fd` is the stream that JOURNAL_STREAM names so."""
    try:
        look = os.fstat(fd)
    except OSError:
        return False
    return stream == f"{look.st_dev}:{look.st_ino}"


def prefixed(text: str, priority: int) -> str:
    """The lines as journald wants them on stderr, each with its priority."""
    return "\n".join(f"<{priority}>{line}" for line in text.split("\n"))


def entry(fields: Fields) -> bytes:
    """The fields of an entry in the native format.  Text may have surrogates that stand for bytes."""
    parts = []
    for name, value in fields:
        data = os.fsencode(value)
        if b"\n" in data:
            parts.append(b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data))
        else:
            parts.append(b"%s=%s\n" % (name.encode(), data))
    return b"".join(parts)


class Journal:
    """The socket of journald; never raises."""

    def __init__(self, path: str = SOCKET) -> None:
        self._path = path
        self._socket: Any = None
        self._behind = False  # it did not take the last entry

    def send(self, fields: Fields) -> bool | None:
        """Whether it took the entry; None where it is there and has no room for it."""
        data = entry(fields)
        for last in (False, True):
            try:
                if self._socket is None:
                    self._connect()
                return self._send(data)
            except OSError as error:
                if error.errno not in _GONE or last:
                    return False
                self.close()  # another one may listen there by now
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, data: bytes) -> bool | None:
        for patience in (0 if self._behind else PATIENCE_MS, None):
            try:
                try:
                    self._socket.send(data)
                except OSError as error:
                    if error.errno != errno.EMSGSIZE:
                        raise
                    self._send_large(data)
            except BlockingIOError:
                if patience is not None and self._has_room(patience):
                    continue
                self._behind = True
                return None
            self._behind = False
            return True
        return None

    def _has_room(self, patience: int) -> bool:
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLOUT)
        return bool(poll.poll(patience))

    def _send_large(self, data: bytes) -> None:
        from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl

        memory = os.memfd_create("reloaderd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(memory, view) :]
            fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
            rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, memory.to_bytes(4, sys.byteorder))
            self._socket.sendmsg([b""], [rights])
        finally:
            os.close(memory)

    def _connect(self) -> None:
        self._socket = sending_socket(self._path)
