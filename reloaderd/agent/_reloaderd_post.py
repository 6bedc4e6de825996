"""Sends to reloaderd what the agent found: one connection a message, nothing read back, no waiting.

Facts
- unix(7): connect(2) to a SOCK_SEQPACKET socket whose queue is full is EAGAIN when it does not block, and a
  message is sent whole or not at all.  It stays in the queue when the sender closes or ends.
- No descriptor is kept: a program that closes all of them, or that counts them, does not meet ours.
- send(2) on a connection that the other side closed may raise SIGPIPE, which a program may have set to its
  default.  Linux raises none for SOCK_SEQPACKET; MSG_NOSIGNAL does not leave it to that.
- list.append, list.pop and dict operations are atomic under the GIL and with the locks of a free-threaded
  build.  So there is no lock that a fork could leave taken: what two threads do at once is sent twice or
  counted wrongly, never lost.
"""

import sys
from _json import encode_basestring_ascii
from _socket import AF_UNIX, MSG_NOSIGNAL, SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_SEQPACKET, socket

PACKET = 65536
"""The most that reloaderd reads as one message."""

ALONE = "checkpoint"
"""What is sent by itself, as it stands in a row with all that is read."""

PATIENCE = 5
"""So often the socket may be missing in a row: by then reloaderd is gone, it does not come back."""

_GONE = (FileNotFoundError, ConnectionRefusedError, PermissionError)

_TOO_LARGE = (90, 105)
"""EMSGSIZE and ENOBUFS: the send buffer was made smaller than a packet."""

quote = encode_basestring_ascii
_JOIN = ", ".join


class Post:
    """What is to be sent, and where.  `libraries` counts the files that are known without being named."""

    def __init__(self, address: str, service: str, run: int) -> None:
        self.address = address
        self.of(service, run)
        self.introduce()
        self.pending: list[tuple[str, str]] = []
        self.libraries = 0
        self.told = 0  # of these
        self.log: list[tuple[str, str]] | None = None  # all that was sent, where it may be said again
        self.held = False  # in a copy that waits, and is no process of a run
        self.room = PACKET
        self.missed = 0

    def of(self, service: str, run: int) -> None:
        """Whose process it is."""
        self.head = f'{{"service": {quote(service)}, "run": {run}'

    def introduce(self) -> None:
        """Say first who it is."""
        self.python = f', "python": {quote(sys.executable or "")}'

    def object(self, reason: str) -> None:
        """Say why this run must not go on: it was begun by what does not hold for it."""
        self.pending.append(("unsound", quote(reason)))

    def send(self) -> bool:
        """Send all that is pending, as far as it goes.  False: there is nobody to send to any more."""
        while not self.held:
            batch: list[tuple[str, str]] = []
            libraries, python = self.libraries, self.python
            try:
                connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC)
                try:
                    connection.connect(self.address)
                    connection.send(self._message(batch, libraries), MSG_NOSIGNAL)
                finally:
                    connection.close()
            except OSError as error:
                self.pending[:0] = batch
                return self._put_off(error)
            except BaseException:
                self.pending[:0] = batch
                raise
            self.missed = 0
            self.libraries -= libraries
            self.told += libraries
            if self.log is not None:
                self.log += batch
            if python:
                self.python = ""
            if not self.pending:
                break
        return True

    def _put_off(self, fault: OSError) -> bool:
        if fault.errno in _TOO_LARGE:
            self.room = max(self.room // 2, 4096)
        self.missed = self.missed + 1 if isinstance(fault, _GONE) else 0
        return self.missed < PATIENCE

    def _message(self, batch: "list[tuple[str, str]]", libraries: int) -> bytes:
        """Moves from `pending` to `batch` what one packet can hold, at least one item if it can at all."""
        parts: dict[str, list[str]] = {"modules": [], "data": [], "own": [], "missing": [], "absent": []}
        end = f', "libraries": {libraries}}}'
        room = self.room - len(self.head) - len(self.python) - len(end) - 100
        pending, full = self.pending, ""
        while pending:
            try:
                kind, text = item = pending.pop(0)
            except IndexError:  # another thread took the last
                break
            if kind == ALONE and batch:
                pending.insert(0, item)
                break
            if len(text) + 2 > room:
                if batch or self.python:
                    pending.insert(0, item)
                    break
                kind = "full"  # it fits into no message
            batch.append(item)
            if kind == "full":
                full = ', "full": true'
            else:
                room -= len(text) + 2
                parts.setdefault(kind, []).append(text)
                if kind == ALONE:
                    break
        lists = "".join([f', "{kind}": [{_JOIN(texts)}]' for kind, texts in parts.items()])
        return (self.head + self.python + lists + full + end).encode("ascii")
