"""The polling source: learns of changes by looking again, where the kernel does not tell of them.

Facts:
- stat(2) is all that every file system answers: kernel.looks says what a look is, and when it is too little.
- A scan sees states, not acts: what lies between two of them is one change, and an act that is cut in two by
  one is two.  So a scan that finds something is soon followed by another.
- A directory that cannot be read for a while (its mode, a server that does not answer) has not changed.

So: one look a name, compared whole, in slices that take 5 % of a core at most.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Container, Iterable, Sequence

from reloaderd.events import EntryChanged, Event, FileDetached, Kind, Looked, WatchEnded, WatchMoved
from reloaderd.kernel.looks import Look, Youth, digest, kinds, look_at, youth
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


Identity = tuple[int, int | str]
"""Of a directory: its device, and its inode or, where that tells nothing, its real path."""


class _Directory:
    """One watched directory: what is looked at in it, and how that looked."""

    __slots__ = ("armed", "forgetful", "held", "identity", "looks", "path", "young")

    def __init__(self, path: str, identity: Identity, forgetful: Container[int]) -> None:
        self.path = path
        self.identity = identity
        self.forgetful = forgetful
        self.armed = False  # all names count, not only those held
        self.held: set[str] = set()
        self.looks: dict[str, Look] = {}
        self.young: dict[str, Youth] = {}

    def look(self, there: str) -> dict[str, Look]:
        """How everything looks now in the directory at `there`.  Raises OSError."""
        looks: dict[str, Look] = {}
        if self.armed:
            with os.scandir(there) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                        looks[entry.name] = look_at(entry.path, status, self.forgetful)
                    except OSError:  # gone since it was listed
                        pass
        for name in self.held - looks.keys():
            path = f"{there}/{name}"
            try:
                looks[name] = look_at(path, os.lstat(path), self.forgetful)
            except OSError:
                pass
        return looks

    def believe(self, there: str, looks: dict[str, Look], names: Iterable[str]) -> None:
        """These names are known now; what became of the others is still to be told."""
        for name in names:
            if name in looks:
                self.looks[name] = looks[name]
                self.read_if_young(there, name, seen=False)

    def compare(self, there: str, looks: dict[str, Look]) -> list[tuple[str, Kind, bool]]:
        """What became of which name since it was last looked at, and whether that is a directory."""
        before, self.looks = self.looks, looks
        found = [(name, Kind.DELETED, known.is_dir) for name, known in before.items() if name not in looks]
        for name, _, _ in found:
            self.young.pop(name, None)
        for name, look in looks.items():
            known = before.get(name)
            if known == look and name not in self.young:
                continue
            became = kinds(known, look, name in self.held) if known != look else self._rewritten(there, name)
            for kind in became:
                found.append((name, kind, look.is_dir if kind is not Kind.DELETED else not look.is_dir))
            if became:
                self.read_if_young(there, name, seen=True)
        return found

    def detached(self, looks: dict[str, Look]) -> list[str]:
        """The names of those held whose file has no name of its own any more (kernel.filemounts)."""
        return [
            name
            for name in self.held
            if name in looks
            and not looks[name].is_dir
            and looks[name].links == 0
            and name in self.looks
            and self.looks[name].links > 0
        ]

    def read_if_young(self, there: str, name: str, seen: bool) -> None:
        """Remember what the file says, where that is needed to notice that it was written again."""
        self.young.pop(name, None)
        young = youth(f"{there}/{name}", self.looks[name], seen)
        if young is not None:
            self.young[name] = young

    def _rewritten(self, there: str, name: str) -> Sequence[Kind]:
        """Whether a young file that looks as it did says something else."""
        now = time.monotonic()
        young = self.young[name]
        if digest(f"{there}/{name}") != young.digest:
            return (Kind.REWRITTEN,)
        if now >= young.until:
            del self.young[name]
        return ()


class Poller:
    """Directories that are looked at again and again; see kernel.source for what its methods promise."""

    name = "poll"

    def __init__(self, interval: float, forgetful: Container[int] = ()) -> None:
        """`interval`: seconds from the beginning of one scan of everything to that of the next.

        `forgetful`: the devices on which an inode number tells nothing.
        """
        self._interval = interval
        self._forgetful = forgetful
        self._directories: dict[int, _Directory] = {}
        self._watches: dict[Identity, int] = {}
        self._at: dict[str, int] = {}  # path -> watch
        self._latest = FIRST_POLLED
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
        events: list[Event] = []
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
            if name and name not in directory.held:
                directory.held.add(name)
                if not directory.armed:
                    directory.believe(there, directory.look(there), (name,))
            return watch

    def drop(self, watch: int) -> None:
        directory = self._directories.pop(watch, None)
        if directory is not None:
            del self._watches[directory.identity]
            if self._at.get(directory.path) == watch:
                del self._at[directory.path]
        if not self._directories:
            self.deadline = None

    def close(self) -> None:
        self._directories.clear()
        self._watches.clear()
        self._at.clear()

    def path(self, watch: int) -> str | None:
        """The path of the directory that `watch` stands for."""
        directory = self._directories.get(watch)
        return directory.path if directory else None

    def _directory(self, path: str, there: str) -> tuple[int, _Directory]:
        status = os.stat(there)
        if not stat.S_ISDIR(status.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        identity = self._identity(path, status)
        watch = self._watches.get(identity)
        if watch is None:
            self._latest += 1
            watch = self._watches[identity] = self._latest
            self._directories[watch] = _Directory(path, identity, self._forgetful)
            self._at[path] = watch
            if self.deadline is None:
                self.deadline = time.monotonic() + self._interval
        return watch, self._directories[watch]

    def _scan(self, watch: int, directory: _Directory) -> Sequence[Event]:
        """What is different in one directory."""
        with reaching(directory.path) as there:
            try:
                status = os.stat(there)
                if self._is_same(directory, status):
                    looks = directory.look(there)
                    detached = directory.detached(looks)
                    found = directory.compare(there, looks)
                    events: list[Event] = [EntryChanged(watch, *one) for one in found]
                    return events + [FileDetached(watch, name) for name in detached]
            except OSError as error:
                if error.errno not in GONE:
                    return ()
        self.drop(watch)
        return [*self._gone(directory.path), WatchMoved(watch), WatchEnded(watch)]

    def _identity(self, path: str, status: os.stat_result) -> Identity:
        if status.st_dev in self._forgetful:
            return status.st_dev, os.path.realpath(path)
        return status.st_dev, status.st_ino

    def _is_same(self, directory: _Directory, status: os.stat_result) -> bool:
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
