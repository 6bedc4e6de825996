"""The polling source: learns of changes by looking again, where the kernel does not tell of them.

Facts:
- stat(2) is all that every file system answers: kernel.looks says what a look is, and when it is too little.
- A scan sees states, not acts: what lies between two of them is one change, and an act that is cut in two by
  one is two.  So a scan that finds something is soon followed by another.
- A directory that cannot be read for a while (its mode, a server that does not answer) has not changed.
- What goes and comes back between two looks may look the same (an inode number is given away again).  Whoever
  arms or holds goes by what is there at that moment, so what is different by then is told, too.

So: one look a name, compared whole, in slices that take 5 % of a core at most.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Container, Sequence

from reloaderd.events import EntryChanged, Event, FileDetached, Kind, Looked, WatchEnded, WatchMoved
from reloaderd.kernel.looks import Directory, Identity, Look, look_at
from reloaderd.kernel.reach import reaching
from reloaderd.kernel.source import FIRST_POLLED

SLICE = 0.005
"""Seconds of scanning after which events of others get their turn: an editor's save takes as long."""

REST = 19
"""Seconds of rest for each of scanning: 5 % of a core."""

SOON = 0.025
"""Seconds from a scan that found something to the next: half of what settles a batch (core.debounce)."""

GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors that mean that a path leads nowhere; any other may pass."""


class Poller:
    """Directories that are looked at again and again; see kernel.source for what its methods promise."""

    name = "poll"

    def __init__(self, interval: float, forgetful: Container[int] = ()) -> None:
        """`interval`: seconds from the beginning of one scan of everything to that of the next.

        `forgetful`: the devices on which an inode number tells nothing.
        """
        self._interval = interval
        self._forgetful = forgetful
        self._directories: dict[int, Directory] = {}
        self._watches: dict[Identity, int] = {}
        self._at: dict[str, int] = {}  # path -> watch
        self._latest = FIRST_POLLED
        self._untold: list[Event] = []  # seen out of turn
        self._left: list[int] = []  # of the scan that goes on
        self._began = 0.0
        self._found = False
        self._settled = True
        self.deadline: float | None = None
        """When `read` has something to look at; None while nothing is watched."""

    def fileno(self) -> int:
        return -1

    def read(self) -> Sequence[Event]:
        """A slice of a scan, where one is due."""
        now = time.monotonic()
        if self.deadline is None or now < self.deadline:
            return ()
        if not self._left:
            self._left = list(self._directories)[::-1]
            self._began = now
            self._found = False
        cpu = time.thread_time()
        events, self._untold = self._untold, []
        while self._left and time.monotonic() - now < SLICE:
            watch = self._left.pop()
            directory = self._directories.get(watch)
            if directory is not None:
                events += self._scan(watch, directory)
        self._found = self._found or bool(events)
        events += self._looked()
        self._plan((time.thread_time() - cpu) * REST)
        return events

    def _looked(self) -> Sequence[Event]:
        """What a whole scan says, or the first of it that finds something."""
        settled = not self._found and (self._settled or not self._left)
        if settled == self._settled:
            return ()
        self._settled = settled
        return (Looked(settled),)

    def arm(self, path: str) -> int:
        with reaching(path) as there:
            watch, directory = self._directory(path, there)
            if directory.armed:
                self._look_again(watch, directory)
                return watch
            directory.armed = True
            try:
                looks = directory.look(there)
            except OSError:
                directory.armed = False
                if not directory.held:
                    self.drop(watch)
                raise
            directory.believe(there, looks, looks.keys() - directory.held)
            return watch

    def hold(self, path: str, name: str, interest: int) -> int:
        with reaching(path) as there:
            watch, directory = self._directory(path, there)
            known = directory.armed or name in directory.held
            if name:
                directory.held.add(name)
            if name and known:
                self._look_again(watch, directory, name)
            elif name:
                directory.believe(there, directory.look_one(there, name), (name,))
            return watch

    def drop(self, watch: int) -> None:
        directory = self._directories.pop(watch, None)
        if directory is not None:
            del self._watches[directory.identity]
            if self._at.get(directory.path) == watch:
                del self._at[directory.path]
        if not self._directories:
            self.deadline = None

    def told(self, watch: int, name: str) -> None:
        """The kernel told of this name: how it looks now is no news."""
        directory = self._directories.get(watch)
        if directory is not None and (directory.armed or name in directory.held):
            with reaching(directory.path) as there:
                directory.told(there, name)

    def is_settled(self, path: str, name: str) -> bool:
        """Whether `name` in `path` looks as it did at the last look, or is not looked at here."""
        try:
            with reaching(path) as there:
                watch = self._watches.get(self._identity(path, os.stat(there)))
                directory = self._directories.get(watch or 0)
                if directory is None or not (directory.armed or name in directory.held):
                    return True
                file = os.path.join(there, name)
                look = look_at(file, os.lstat(file), self._forgetful)
        except OSError:
            return False
        untold = any(isinstance(one, EntryChanged) and one[:2] == (watch, name) for one in self._untold)
        return directory.looks.get(name) == look and name not in directory.young and not untold

    def close(self) -> None:
        self._directories.clear()
        self._watches.clear()
        self._at.clear()

    def path(self, watch: int) -> str | None:
        """The path of the directory that `watch` stands for."""
        directory = self._directories.get(watch)
        return directory.path if directory else None

    def _directory(self, path: str, there: str) -> tuple[int, Directory]:
        status = os.stat(there)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        identity = self._identity(path, status)
        watch = self._watches.get(identity)
        if watch is None:
            self._latest += 1
            watch = self._watches[identity] = self._latest
            self._directories[watch] = Directory(path, identity, self._forgetful)
            self._at[path] = watch
            if self.deadline is None:
                self.deadline = time.monotonic() + self._interval
        return watch, self._directories[watch]

    def _scan(self, watch: int, directory: Directory) -> Sequence[Event]:
        """What is different in one directory."""
        with reaching(directory.path) as there:
            try:
                status = os.stat(there)
                if self._is_same(directory, status):
                    return self._news(watch, directory, there, directory.look(there))
            except OSError as error:
                if error.errno not in GONE:
                    return ()
        self.drop(watch)
        return [*self._gone(directory.path), WatchMoved(watch), WatchEnded(watch)]

    def _look_again(self, watch: int, directory: Directory, only: str | None = None) -> None:
        """Out of turn, for somebody who asked by some path; at its own one, as the scans do.

        By another, other mounts may be below: a directory would seem to change with each that asks.
        """
        try:
            with reaching(directory.path) as there:
                if self._is_same(directory, os.stat(there)):
                    looks = directory.look(there) if only is None else directory.look_one(there, only)
                    self._untold += self._news(watch, directory, there, looks, only)
        except OSError:
            pass  # a scan finds out what it is about

    def _news(
        self, watch: int, directory: Directory, there: str, looks: dict[str, Look], only: str | None = None
    ) -> Sequence[Event]:
        """What is different of the names that were looked at."""
        detached = directory.detached(looks)
        events: list[Event] = [EntryChanged(watch, *one) for one in directory.compare(there, looks, only)]
        return events + [FileDetached(watch, name) for name in detached]

    def _identity(self, path: str, status: os.stat_result) -> Identity:
        if status.st_dev in self._forgetful:
            return status.st_dev, os.path.realpath(path)
        return status.st_dev, status.st_ino

    def _is_same(self, directory: Directory, status: os.stat_result) -> bool:
        """Whether that is the directory that is watched."""
        device, number = directory.identity
        if status.st_dev != device or not stat.S_ISDIR(status.st_mode):
            return False
        return device in self._forgetful or status.st_ino == number

    def _gone(self, path: str) -> list[Event]:
        """Tell where it was seen that a directory went or was replaced, before that is looked at again.

        By then it may look as it did: the inode of a removed directory is given to the next one.
        """
        above, _, name = path.rpartition("/")
        watch = self._at.get(above or "/", 0)
        directory = self._directories.get(watch)
        if directory is None or name not in directory.looks:
            return []
        try:
            directory.looks[name] = look_at(path, os.lstat(path), self._forgetful)
        except OSError:
            return [EntryChanged(watch, name, Kind.DELETED, directory.looks.pop(name).is_dir)]
        return []

    def _plan(self, rest: float) -> None:
        """When to go on, after a slice that earned so many seconds of rest."""
        now = time.monotonic()
        if not self._directories:
            return
        if self._left:
            self.deadline = now + rest
        else:
            pause = min(SOON, self._interval) if self._found else self._interval
            self.deadline = max(self._began + pause, now + rest)
