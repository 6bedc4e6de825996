"""One connection by which a server is asked for something: when who asks says so, not when it is connected.

Facts
- A connection to one's own machine is established when connect(2) returns, or refused; whoever listens there
  accepts it later, or when data has come (TCP_DEFER_ACCEPT).
- Nobody answers a request whose header has no end yet (RFC 9112, 2.2).
- Who closes while there is something unread has the other side told that it was reset (tcp(7)): a server that
  still writes may complain of that.
"""

from __future__ import annotations

import _socket
import errno
import os
import re

from reloaderd import __version__
from reloaderd.kernel.connections import far_end
from reloaderd.settings import Probe

LONGEST = 65536
"""Bytes in which an answer has to have its status: more than the header of any answer has."""

MOST = 1 << 20
"""Bytes of an answer that are read."""

_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: .*)?\r?", re.DOTALL)
_END = re.compile(rb"\n\r?\n")


class Question:
    """One of them."""

    def __init__(self, probe: Probe) -> None:
        """Connect.  Raises OSError."""
        host, _, port = probe.address.rpartition(":")
        family = _socket.AF_INET6 if host.startswith("[") else _socket.AF_INET
        self._request = request(probe)
        self._answer = b""
        self._taken = 0
        self._one = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK)
        self.begun = self.asked = self.over = False
        self.status: int | None = None  # 0: what was answered is not HTTP
        try:
            self._one.connect((host.strip("[]"), int(port)))
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            raise

    def far_end(self) -> tuple[int, int] | None:
        """The state and the inode of the other end; None where there is none yet.

        Raises OSError where there will be none.
        """
        number = self._one.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        try:
            return far_end(self._one)
        except OSError as error:
            if error.errno == errno.ENOTCONN:  # its queue is full, or it is far away
                return None
            raise

    def begin(self) -> None:
        """Send what nobody answers yet.  Raises OSError."""
        if not self.begun:
            self.begun = True
            self._send(self._request[:-2])
            self._request = self._request[-2:]

    def ask(self) -> None:
        """Send the rest.  Raises OSError."""
        self.begun = self.asked = True
        self._send(self._request)

    def read(self) -> None:
        """Take in what was answered by now: maybe its `status`, maybe all, so that it is `over`.

        Raises OSError.
        """
        while not self.over:
            try:
                data = self._one.recv(65536)
            except BlockingIOError:
                return
            self._taken += len(data)
            if self.status is None:
                self._answer += data
                self.status = status(self._answer)
                if self.status is None and len(self._answer) > LONGEST:
                    self.status = 0
            self.over = not data or self._taken > MOST

    def close(self) -> None:
        """Let go of it."""
        self._one.close()

    def _send(self, data: bytes) -> None:
        if self._one.send(data, _socket.MSG_NOSIGNAL) < len(data):  # longer than an empty queue
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))


def request(probe: Probe) -> bytes:
    """What is sent: it ends with the line that ends its header."""
    return (
        f"GET {probe.path} HTTP/1.1\r\nHost: {probe.host}\r\nUser-Agent: reloaderd/{__version__}\r\n"
        "Accept: */*\r\nConnection: close\r\n\r\n"
    ).encode("ascii")


def status(answer: bytes) -> int | None:
    """What a server said that has said so much: None as long as it has not, 0 where that is not HTTP."""
    while True:
        line, end, rest = answer.partition(b"\n")
        if not end:
            return None if line[:7] in (b"HTTP/1."[: len(line)], b"HTTP/1.") else 0
        match = _LINE.fullmatch(line)
        if match is None:
            return 0
        if not match[1].startswith(b"1") or match[1] == b"101":
            return int(match[1])
        header = _END.search(b"\n" + rest)  # of one that another follows (RFC 9110, 15.2)
        if header is None:
            return None
        answer = rest[header.end() - 1 :]
