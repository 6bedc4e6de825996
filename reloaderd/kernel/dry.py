"""Sources that watch nothing and only count what they are asked to watch.

Facts (inotify_add_watch(2); Linux 6.18):
- It takes a directory that may be read, and follows the links on the way to it.
- One inode has one watch in an instance, whatever the paths that lead to it and the events that are wanted.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Any

from reloaderd.events import Event
from reloaderd.kernel.poller import Poller
from reloaderd.kernel.reach import reaching
from reloaderd.kernel.source import FIRST_POLLED, Source


class DrySource:
    """Stands in for a source of the kernel, whose instance is only kept open."""

    deadline: float | None = None
    """There is never anything to read (see kernel.poller)."""

    def __init__(self, real: Source, latest: int = 0) -> None:
        """`latest`: the watch before the first."""
        self.name = real.name
        self._real = real
        self._latest = latest
        self._watches: dict[tuple[int, int], int] = {}
        self._identities: dict[int, tuple[int, int]] = {}

    def fileno(self) -> int:
        return self._real.fileno()

    def read(self) -> Sequence[Event]:
        return ()

    def arm(self, path: str) -> int:
        status = os.stat(path)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        if not os.access(path, os.R_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        identity = status.st_dev, status.st_ino
        watch = self._watches.get(identity)
        if watch is None:
            self._latest += 1
            watch = self._watches[identity] = self._latest
            self._identities[watch] = identity
        return watch

    def hold(self, path: str, name: str, interest: int) -> int:
        return self.arm(path)

    def drop(self, watch: int) -> None:
        identity = self._identities.pop(watch, None)
        if identity is not None:
            del self._watches[identity]

    def close(self) -> None:
        self._real.close()

    def watches(self) -> Iterable[int]:
        """All that would be held by now."""
        return self._identities.keys()


class DryPoller(DrySource):
    """Stands in for the poller, which reaches what is too deep for a path."""

    def arm(self, path: str) -> int:
        with reaching(path) as there:
            return super().arm(there)


def stand_in(source: Any) -> DrySource:
    """What takes the place of `source` and only counts."""
    return DryPoller(source, FIRST_POLLED) if isinstance(source, Poller) else DrySource(source)
