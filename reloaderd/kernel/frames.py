"""Frames: what the daemon and a keeper say to each other through two pipes.

Facts
- A frame is a length (4 bytes, little endian) and that many bytes of marshal.  Both ends are one forked
  interpreter, so its format need not be stable, and neither end reads anything that a child wrote.
- marshal keeps lone surrogates (file names that are not UTF-8) and knows only builtin types: records
  travel as plain tuples.
- A blocking write(2) to a pipe is short when a signal interrupts it half way: pipe(7).
- pipe(2) gives the lowest free numbers: with standard input closed that is 0.
"""

from __future__ import annotations

import fcntl
import marshal
import os
from collections.abc import Iterable
from typing import Any

_HEAD = 4


def open_pipe() -> tuple[int, int]:
    """A pipe (read end, write end) whose numbers are above 2, close-on-exec."""
    ends: list[int] = []
    for low in os.pipe():
        ends.append(fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3) if low < 3 else low)
        if low < 3:
            os.close(low)
    return ends[0], ends[1]


def in_lines(parts: Iterable[str]) -> str:
    """One text of several that may have line breaks: a line each, with these as %0A and % as %25."""
    return "\n".join(part.replace("%", "%25").replace("\n", "%0A") for part in parts)


def send(fd: int, *records: tuple[Any, ...]) -> None:
    """Write a frame for each, all of it.  `fd` blocks.  Raises OSError (EPIPE: the other end is gone)."""
    bodies = [marshal.dumps(record) for record in records]
    data = b"".join([len(body).to_bytes(_HEAD, "little") + body for body in bodies])
    while data:
        data = data[os.write(fd, data) :]


class Frames:
    """Puts frames together again from whatever pieces a pipe gives."""

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> list[tuple[Any, ...]]:
        """Take the next piece; returns the records that are complete with it."""
        self._data += data
        records: list[tuple[Any, ...]] = []
        while len(self._data) >= _HEAD:
            end = _HEAD + int.from_bytes(self._data[:_HEAD], "little")
            if len(self._data) < end:
                break
            records.append(marshal.loads(self._data[_HEAD:end]))
            self._data = self._data[end:]
        return records
