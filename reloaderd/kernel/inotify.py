"""The inotify source, through the package inotify_simple.

Facts (inotify(7); Linux 6.18, the same since 2.6.36 unless noted):
- Watch numbers grow and are not reused until 2**31 were given, so an event under a number that nobody
  knows any more is an old one, and rm_watch of such a number (EINVAL) is not an error.
- Adding a watch never blocks, reading the list of what is in the directory afterwards closes the gap.

So: one instance, and unknown watches passed over.  What is asked for is in kernel.masks.

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

from reloaderd.events import Event
from reloaderd.kernel import masks


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
        return masks.translate(self._inotify.read(timeout=0))

    def arm(self, path: str) -> int:
        return self._watch(path, masks.ALL)

    def hold(self, path: str, name: str, interest: int) -> int:
        return self._watch(path, masks.INTERESTS[interest])

    def drop(self, watch: int) -> None:
        try:
            self._inotify.rm_watch(watch)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise

    def close(self) -> None:
        self._inotify.close()

    def _watch(self, path: str, mask: int) -> int:
        watch: int = self._add(self._fd, os.fsencode(path), mask)
        if watch < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), path)
        return watch
