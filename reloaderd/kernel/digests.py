"""Reads files and tells their content by a digest, a bounded part of them at a time.

Facts:
- BLAKE2b digests about 1 GB/s; opening and closing a file takes 10-20 us.
- write(2) moves the times of a file before it changes it, and tells inotify after that: a file that is read
  in between has its times of just now.  So what changed that lately is called young (kernel.files).
- open(2) of a FIFO without a writer waits, unless it is told not to; of a symlink it is what that leads to.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Sequence

from reloaderd.events import Digested
from reloaderd.kernel.files import YOUNG

LARGEST = 16 << 20
"""Bytes of a file that is compared: reading more would hold up the loop."""

BUDGET = 8 << 20
"""Bytes that are read at once, but for the last file: 10 ms, as long as a save takes to settle."""

COST = 16 << 10
"""Bytes that could be read while a file is opened and closed."""

PIECE = 1 << 20

SIZE = 16
"""Bytes of a digest: by chance two are the same once in 2**64 files."""


def digest_files(
    service: str, number: int, paths: Sequence[str], settled: Callable[[str], bool] | None
) -> Digested:
    """Read as many of `paths` as may be read at once.

    With `settled` a file is young unless that says of it that whatever happens to it will be told.
    """
    digests: dict[str, bytes | None] = {}
    young: list[str] = []
    spent = 0
    left = list(paths[::-1])
    while left and spent < BUDGET:
        path = left.pop()
        digest, size, recent = _digest(path)
        if settled is not None and digest is not None and (recent or not settled(path)):
            young.append(path)
        else:
            digests[path] = digest
        spent += size + COST
    return Digested(service, number, digests, left[::-1], young)


def _digest(path: str) -> tuple[bytes | None, int, bool]:
    """The digest, None where there is none to be had; how much was read; whether it is young."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return None, 0, False
    size = 0
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None, 0, False
        state = hashlib.blake2b(digest_size=SIZE)
        while piece := os.read(descriptor, PIECE):
            size += len(piece)
            if size > LARGEST:
                return None, size, False
            state.update(piece)
        status = os.fstat(descriptor)
    except OSError:
        return None, size, False
    finally:
        os.close(descriptor)
    age = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
    return state.digest(), size, -YOUNG < age < YOUNG
