"""Files that are mounted by themselves: polled, as the directory they are seen in knows nothing of them.

Facts (mount(8), inotify(7); Linux 6.18):
- A bind mount of a file shows one inode.  Events about it go to the directory that its own name is in, which
  is another than that of the mount point, whichever of the two paths was used: a watch there is silent.
- Who replaces the file by rename (most editors) replaces the name: the mount shows the old inode, which has
  no name any more and so no link, for as long as it is mounted.
- A mount point can neither be renamed nor removed while it is one (EBUSY).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from reloaderd.events import EntryChanged, Event, FileDetached
from reloaderd.kernel.source import CONTENT

if TYPE_CHECKING:  # it is imported when it is needed, which in most trees is never
    from reloaderd.kernel.poller import Poller

BY_ITSELF = "mounted by itself"
"""Why such a file is polled."""


class FileMounts:
    """Looks at them on behalf of the directories they are seen in, with a poller of its own."""

    def __init__(self, interval: float) -> None:
        """`interval` as of `Poller`."""
        self._interval = interval
        self._poller: Poller | None = None
        self._points: dict[str, list[str]] = {}  # directory -> names in it that are mount points
        self._looks: dict[int, int] = {}  # watch of a directory -> that of the poller
        self._seen_in: dict[int, int] = {}  # the other way round

    @property
    def deadline(self) -> float | None:
        """When `read` has something to look at."""
        return self._poller.deadline if self._poller else None

    def are_at(self, points: Iterable[str]) -> None:
        """The mount points that there are; which of them are files is asked where it matters."""
        self._points = {}
        for point in points:
            directory, _, name = point.rpartition("/")
            if name:
                self._points.setdefault(directory or "/", []).append(name)

    def is_one(self, directory: str, name: str) -> bool:
        """Whether `name` is a file that is mounted there."""
        if name not in self._points.get(directory, ()):
            return False
        try:
            return not stat.S_ISDIR(os.lstat(os.path.join(directory, name)).st_mode)
        except OSError:
            return False

    def in_directory(self, directory: str) -> Mapping[str, str]:
        """The path of each there, and why it is polled."""
        names = self._points.get(directory)
        if not names:
            return {}
        return {os.path.join(directory, name): BY_ITSELF for name in names if self.is_one(directory, name)}

    def concern(self, directory: str, watch: int) -> bool:
        """Whether there are any, or were, in a directory that was armed."""
        return directory in self._points or watch in self._looks

    def armed(self, directory: str, watch: int) -> None:
        """`directory` was armed: look at those in it, and at no others any more."""
        self.drop(watch)
        for name in self._points.get(directory, ()):
            if self.is_one(directory, name):
                self._looks[watch] = look = self._look_at(directory, name)
                self._seen_in[look] = watch

    def _look_at(self, directory: str, name: str) -> int:
        if self._poller is None:
            from reloaderd.kernel.poller import Poller

            self._poller = Poller(self._interval)
        return self._poller.hold(directory, name, CONTENT)

    def drop(self, watch: int) -> None:
        """The directory is not watched any more."""
        look = self._looks.pop(watch, None)
        if self._poller and look is not None:
            del self._seen_in[look]
            self._poller.drop(look)

    def read(self) -> Sequence[Event]:
        """What became of them, under the watches of the directories."""
        if self._poller is None:
            return ()
        return [
            event._replace(watch=self._seen_in[event.watch])
            for event in self._poller.read()
            if isinstance(event, (EntryChanged, FileDetached)) and event.watch in self._seen_in
        ]

    def close(self) -> None:
        """Look no more."""
        if self._poller:
            self._poller.close()
