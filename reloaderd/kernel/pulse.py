"""A change of our own making, in a directory of our own, by which it shows that the source hears.

Facts
- utimensat(2) of a file is one event in its directory, IN_ATTRIB (inotify(7)), and another mtime for a look.
- inotify_add_watch(2) of a directory that is watched gives the same watch again; of one that was removed and
  made anew, another.
- To arm a directory that is polled is to look at it at once (kernel.poller); what was found is told with the
  next slice of a scan, however long it takes to look at everything.

So: each pulse arms its place anew, and whoever waits for it in vain makes another: nobody has to tell that
the runtime directory was cleared away.
"""

from __future__ import annotations

import os
from contextlib import suppress

from reloaderd.events import PulseMade
from reloaderd.kernel.runtime import PULSE, runtime_directory
from reloaderd.kernel.source import FIRST_POLLED, Source

NAME = "pulse"


class Pulse:
    """The place, and what `source` watches it under."""

    def __init__(self, source: Source, late: float) -> None:
        """`late`: by how many seconds polling may be late."""
        self._source = source
        self._late = late
        self._directory = ""
        self._watch = -1

    def make(self) -> PulseMade:
        """Make one; never raises."""
        try:
            self._have_place()
            self._arm()
            file = f"{self._directory}/{NAME}"
            try:
                os.utime(file, follow_symlinks=False)
            except FileNotFoundError:
                os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            if self._watch >= FIRST_POLLED:
                self._arm()
                return PulseMade(self._watch, self._late)
            return PulseMade(self._watch)
        except OSError as error:
            self._directory = ""
            return PulseMade(-1, trouble=f"{error.filename}: {error.strerror}")

    def close(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            os.unlink(f"{self._directory}/{NAME}")
        with suppress(OSError):
            os.rmdir(self._directory)

    def _have_place(self) -> None:
        for known in (self._directory, ""):
            self._directory = known or f"{runtime_directory()}/{PULSE.format(pid=os.getpid())}"
            try:
                os.mkdir(self._directory, 0o700)
            except FileExistsError:
                return
            except FileNotFoundError:  # it went with all that is above
                continue
            return

    def _arm(self) -> None:
        former, self._watch = self._watch, self._source.arm(self._directory)
        if former >= 0 and former != self._watch:
            self._source.drop(former)
