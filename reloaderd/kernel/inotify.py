"""The inotify source, through the package inotify_simple.

Facts (inotify(7); Linux 6.18, the same since 2.6.36 unless noted):
- A watch follows the inode, so only directories are watched: a file that is replaced by rename
  takes its watch with it, its directory does not.
- Without IN_EXCL_UNLINK (2.6.36) a deleted file that is still open keeps reporting under its dead name.
- A second add of the same inode returns the same watch and replaces the mask, unless IN_MASK_ADD is set.
- Watch numbers grow and are not reused until 2**31 were given, so an event under a number that nobody
  knows any more is an old one, and rm_watch of such a number (EINVAL) is not an error.
- IN_IGNORED follows every removal, ours too; IN_Q_OVERFLOW comes under watch -1 after
  fs.inotify.max_queued_events (16,384) unread events, and what came after it is lost.
- Adding a watch never blocks, reading the list of what is in the directory afterwards closes the gap.
- IN_ACCESS, IN_OPEN and IN_CLOSE_NOWRITE are never asked for: reading is no change, and `grep -r`
  would wake us once a file.

So: one instance, directories alone, a mask for each interest, and unknown watches passed over.

Private parts of inotify_simple that this rests on (2.x): `_libc`, which `INotify()` sets by
`find_library` (it runs ldconfig, 15 ms) unless it is set.  The module imports `ctypes.util` for that
alone, which imports subprocess and tempfile: 14 ms and 1 MB that an idle daemon has no use for.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from reloaderd.events import EntryChanged, Event, EventsLost, Kind, WatchEnded, WatchMoved
from reloaderd.kernel.source import COMING, CONTENT, GOING, LEAVING


def _import_inotify_simple() -> Any:
    """The package, with the C library that is loaded already and without `ctypes.util`."""
    stand_in = None
    if "ctypes.util" not in sys.modules:
        stand_in = ModuleType("ctypes.util")
        stand_in.find_library = lambda name: None  # type: ignore[attr-defined]
        sys.modules["ctypes.util"] = stand_in
    try:
        import inotify_simple
    finally:
        if stand_in is not None:
            del sys.modules["ctypes.util"]
    inotify_simple._libc = inotify_simple._libc or ctypes.CDLL(None, use_errno=True)
    return inotify_simple


_package = _import_inotify_simple()
_flags = _package.flags

_SELF = int(_flags.DELETE_SELF | _flags.MOVE_SELF)
_LEAVE = int(_flags.DELETE | _flags.MOVED_FROM | _flags.MOVED_TO)
_COME = _LEAVE | int(_flags.CREATE)
_CONTENT = _COME | int(_flags.MODIFY | _flags.CLOSE_WRITE | _flags.ATTRIB)
_HOW = int(_flags.ONLYDIR | _flags.EXCL_UNLINK)
_ADD = int(_flags.MASK_ADD)
_ALL = _CONTENT | _SELF | _HOW
_INTERESTS = {
    GOING: _SELF | _HOW | _ADD,
    LEAVING: _LEAVE | _SELF | _HOW | _ADD,
    COMING: _COME | _SELF | _HOW | _ADD,
    CONTENT: _CONTENT | _SELF | _HOW | _ADD,
}

_KINDS = {
    int(_flags.CREATE): Kind.CREATED,
    int(_flags.MODIFY): Kind.WRITTEN,
    int(_flags.CLOSE_WRITE): Kind.CLOSED,
    int(_flags.ATTRIB): Kind.TOUCHED,
    int(_flags.MOVED_TO): Kind.ARRIVED,
    int(_flags.MOVED_FROM): Kind.LEFT,
    int(_flags.DELETE): Kind.DELETED,
}
_EVENTS = 0xFFF  # IN_ALL_EVENTS
_IGNORED = int(_flags.IGNORED)
_OVERFLOW = int(_flags.Q_OVERFLOW)
_ISDIR = int(_flags.ISDIR)
_MOVED = _SELF | int(_flags.UNMOUNT)


class InotifySource:
    """One inotify instance; see kernel.source for what its methods promise."""

    name = "inotify"

    def __init__(self) -> None:
        """Raises OSError: EMFILE when the user may have no more instances or descriptors."""
        self._inotify = _package.INotify(nonblocking=True)
        self._fd: int = self._inotify.fileno()
        self._add = _package._libc.inotify_add_watch
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self._add.restype = ctypes.c_int

    def fileno(self) -> int:
        return self._fd

    def read(self) -> Sequence[Event]:
        events: list[Event] = []
        for watch, mask, _, name in self._inotify.read(timeout=0):
            kind = _KINDS.get(mask & _EVENTS)
            if name and kind is not None:
                events.append(EntryChanged(watch, name, kind, bool(mask & _ISDIR)))
            elif mask & _OVERFLOW:
                events.append(EventsLost())
            elif mask & _IGNORED:
                events.append(WatchEnded(watch))
            elif mask & _MOVED:
                events.append(WatchMoved(watch))
        return events

    def arm(self, path: str) -> int:
        return self._watch(path, _ALL)

    def hold(self, path: str, name: str, interest: int) -> int:
        return self._watch(path, _INTERESTS[interest])

    def drop(self, watch: int) -> None:
        try:
            self._inotify.rm_watch(watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def close(self) -> None:
        self._inotify.close()

    def _watch(self, path: str, mask: int) -> int:
        watch: int = self._add(self._fd, path.encode("utf-8", "surrogateescape"), mask)
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return watch
