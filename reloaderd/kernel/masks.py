"""The masks that sources of inotify ask with, and the records that the answers become.

Facts (inotify(7), linux/inotify.h; Linux 6.18, the same since 2.6.36 unless noted):
- A watch follows the inode, so only directories are watched: a file that is replaced by rename
  takes its watch with it, its directory does not.
- Without IN_EXCL_UNLINK (2.6.36) a deleted file that is still open keeps reporting under its dead name, and
  with it only of fchmod(2), ftruncate(2) and their like.
- A second add of the same inode returns the same watch and replaces the mask, unless IN_MASK_ADD is set.
- IN_IGNORED follows every removal, ours too; IN_Q_OVERFLOW comes under watch -1 after
  fs.inotify.max_queued_events (16,384) unread events, and what came after it is lost.
- IN_ACCESS, IN_OPEN and IN_CLOSE_NOWRITE are never asked for: reading is no change, and `grep -r`
  would wake us once a file.
- One setattr that does several things is one event of several bits, asked for or not (fsnotify_change):
  truncating a set-uid file is IN_MODIFY | IN_ATTRIB, and no IN_CLOSE_WRITE follows truncate(2).

So: directories alone, a mask for each interest, and one of them for all that can count.
"""

from __future__ import annotations

from collections.abc import Iterable

from reloaderd.events import EntryChanged, Event, EventsLost, Kind, WatchEnded, WatchMoved
from reloaderd.kernel.source import COMING, CONTENT, GOING, LEAVING

IN_ACCESS = 0x001
IN_MODIFY = 0x002
IN_ATTRIB = 0x004
IN_CLOSE_WRITE = 0x008
IN_MOVED_FROM = 0x040
IN_MOVED_TO = 0x080
IN_CREATE = 0x100
IN_DELETE = 0x200
IN_DELETE_SELF = 0x400
IN_MOVE_SELF = 0x800
IN_ALL_EVENTS = 0xFFF
IN_UNMOUNT = 0x2000
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x01000000
IN_EXCL_UNLINK = 0x04000000
IN_MASK_ADD = 0x20000000
IN_ISDIR = 0x40000000

_GOING = IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR | IN_EXCL_UNLINK
_LEAVING = _GOING | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO
_COMING = _LEAVING | IN_CREATE
ALL = _COMING | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB
"""All that can count in a directory."""

INTERESTS = {
    GOING: _GOING | IN_MASK_ADD,
    LEAVING: _LEAVING | IN_MASK_ADD,
    COMING: _COMING | IN_MASK_ADD,
    CONTENT: ALL | IN_MASK_ADD,
}
"""What each interest adds to what a directory is watched for."""

SEVERAL = {
    IN_MODIFY | IN_ACCESS: IN_MODIFY,
    IN_MODIFY | IN_ATTRIB: IN_MODIFY,
    IN_MODIFY | IN_ATTRIB | IN_ACCESS: IN_MODIFY,
    IN_ATTRIB | IN_ACCESS: IN_ATTRIB,
}
"""For the events that come as one, the one that says most."""

_KINDS = {
    IN_CREATE: Kind.CREATED,
    IN_MODIFY: Kind.WRITTEN,
    IN_CLOSE_WRITE: Kind.CLOSED,
    IN_ATTRIB: Kind.TOUCHED,
    IN_MOVED_TO: Kind.ARRIVED,
    IN_MOVED_FROM: Kind.LEFT,
    IN_DELETE: Kind.DELETED,
}
_KINDS |= {several: _KINDS[one] for several, one in SEVERAL.items()}
_MOVED = IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT


def translate(seen: Iterable[tuple[int, int, int, str]]) -> list[Event]:
    """The records for what the kernel told: watch, mask, cookie and name, '' for the directory itself."""
    events: list[Event] = []
    for watch, mask, _, name in seen:
        kind = _KINDS.get(mask & IN_ALL_EVENTS)
        if name and kind is not None:
            events.append(EntryChanged(watch, name, kind, bool(mask & IN_ISDIR)))
        elif mask & IN_Q_OVERFLOW:
            events.append(EventsLost())
        elif mask & IN_IGNORED:
            events.append(WatchEnded(watch))
        elif mask & _MOVED:
            events.append(WatchMoved(watch))
    return events
