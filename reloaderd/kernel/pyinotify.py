"""The inotify source through the package pyinotify, for where inotify_simple is not installed.

Facts (pyinotify 0.9.6 of 2015, the last; those of inotify itself are in kernel.inotify and kernel.masks):
- `WatchManager` owns the descriptor.  It makes every call through what `INotifyWrapper.create()` returns.
  The package's own wrapper runs ldconfig to find libc, makes a descriptor that blocks and is inherited, and
  refuses a path that is not UTF-8; of a failed call `add_watch` gives a text, not the errno.
- It keeps a record of each watch until IN_IGNORED is read: for good, if that was lost in an overflow.
- `add_watch` normalizes its path, so "link/.." would be another directory; ours are normal already.
- `Notifier.read_events` decodes names as strict UTF-8: one that is not raises, and what was read with it is
  lost.  Most of its time goes into formatting each event for a log that nobody reads.
- `Notifier.process_events` passes over what comes under a watch without a record: what was done before an
  `rm_watch`, and its IN_IGNORED.  It raises on a mask of several events.  It remembers each rename for a
  minute, by cookie and by path, and looks through all of these whenever it is called, and through all
  watches for a renamed directory.
- It logs to a handler of its own on stderr, an IN_MOVE_SELF as an error.
- It imports asyncore, which is deprecated in 3.11 and gone in 3.12; the package pyasyncore brings it back.

So: `WatchManager` adds and removes, `Notifier` queues and hands over; the system calls below them and the
reading are ours.  No record is kept and every watch counts as known: nothing grows and nothing is passed
over, whatever was lost.  An event is queued with its mask cut down to what says most and, for its cookie,
that mask: the halves of a rename do not find each other under it, and there are no more of them than masks.

Parts of pyinotify that this rests on and that are nobody's promise, hence the pin in setup.cfg:
`INotifyWrapper.create`, and the three methods that `WatchManager` calls of what it returns; `get_watch` as
where `Notifier` has its `Watch` from; `watches` being the dictionary itself; the four fields of a raw event;
an event of an overflow having a mask alone; `log`.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import termios
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from reloaderd.events import Event
from reloaderd.kernel import masks

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import pyinotify as _package

_package.log.disabled = True

_libc = ctypes.CDLL(None, use_errno=True)
_libc.inotify_init1.argtypes = (ctypes.c_int,)
_libc.inotify_add_watch.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
_libc.inotify_rm_watch.argtypes = (ctypes.c_int, ctypes.c_int)

IN_CLOEXEC = os.O_CLOEXEC
IN_NONBLOCK = os.O_NONBLOCK

_HEAD = struct.Struct("iIII")  # struct inotify_event up to its name: wd, mask, cookie, len
_INT = struct.Struct("i")


class _Calls:
    """What `WatchManager` asks of the kernel; each raises OSError, which it lets pass."""

    def inotify_init(self) -> int:
        return _checked(_libc.inotify_init1(IN_CLOEXEC | IN_NONBLOCK))

    def inotify_add_watch(self, fd: int, path: str, mask: int) -> int:
        return _checked(_libc.inotify_add_watch(fd, os.fsencode(path), mask), path)

    def inotify_rm_watch(self, fd: int, watch: int) -> int:
        return _checked(_libc.inotify_rm_watch(fd, watch))


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


_package.INotifyWrapper.create = _Calls

_ANY = _package.Watch(wd=0, path="/", mask=0, proc_fun=None, auto_add=False, exclude_filter=None)


class _Watches(_package.WatchManager):  # type: ignore[misc]  # the package has no types
    """Adds and removes; takes every watch for known and remembers none."""

    def get_watch(self, wd: int) -> Any:
        return _ANY

    def add(self, path: str, mask: int) -> int:
        watch: int = self.add_watch(path, mask)[path]
        self.watches.clear()
        return watch


class _Raw(NamedTuple):
    """What `Notifier` takes into its queue."""

    wd: int
    mask: int
    cookie: int
    name: str


class PyinotifySource:
    """One inotify instance; see kernel.source for what its methods promise."""

    name = "pyinotify"

    def __init__(self) -> None:
        """Raises OSError: EMFILE when the user may have no more instances or descriptors."""
        self._watches = _Watches()
        self._fd: int = self._watches.get_fd()
        self._notifier = _package.Notifier(self._watches, self._take)
        self._taken: list[tuple[int, int, int, str]] = []

    def fileno(self) -> int:
        return self._fd

    def read(self) -> Sequence[Event]:
        self._fill()
        self._notifier.process_events()
        taken, self._taken = self._taken, []
        return masks.translate(taken)

    def arm(self, path: str) -> int:
        return self._watches.add(path, masks.ALL)

    def hold(self, path: str, name: str, interest: int) -> int:
        return self._watches.add(path, masks.INTERESTS[interest])

    def drop(self, watch: int) -> None:
        try:
            self._watches.rm_watch(watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def close(self) -> None:
        self._notifier.stop()

    def _fill(self) -> None:
        """Queue all that can be read now, as `Notifier.read_events` would."""
        (size,) = _INT.unpack(fcntl.ioctl(self._fd, termios.FIONREAD, bytes(_INT.size)))
        data = os.read(self._fd, size) if size else b""
        at = 0
        while at < len(data):
            watch, mask, _, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            name = os.fsdecode(data[at - length : at].rstrip(b"\0"))
            what = mask & masks.IN_ALL_EVENTS
            mask += masks.SEVERAL.get(what, what) - what
            self._notifier.append_event(_Raw(watch, mask, mask, name))

    def _take(self, event: Any) -> None:
        """Called by `Notifier` for each event; that of an overflow has a mask and nothing else."""
        self._taken.append((getattr(event, "wd", -1), event.mask, 0, getattr(event, "name", "")))
