"""What any source of events offers: the seam between inotify and whatever else can tell of changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reloaderd.events import Event


class Source(Protocol):
    """Watches directories, each under a number of its own (a *watch*)."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    def fileno(self) -> int:
        """Readable when there are events; -1 for a source that has to be asked."""

    def read(self) -> Sequence[Event]:
        """What happened since the last call; never blocks."""

    def arm(self, path: str) -> int:
        """Watch directory `path` for all that can count.  Returns the watch; raises OSError."""

    def hold(self, path: str, name: str, interest: int) -> int:
        """Watch directory `path` for what may happen to `name` in it, on top of what it is watched for.

        `interest` is one of those below; `name` is empty with GOING.  Events about other names may come
        as well.  Returns the watch; raises OSError.
        """

    def drop(self, watch: int) -> None:
        """Stop watching; a watch that is not known is passed over."""

    def close(self) -> None:
        """Give back all that the kernel lent."""


GOING = 0
"""Interest: that the directory itself is renamed, deleted or unmounted."""

LEAVING = 1
"""Interest: that the name is renamed, replaced or deleted."""

COMING = 2
"""Interest: the same, and that the name appears."""

CONTENT = 3
"""Interest: the same, and that the file of that name is written or touched."""

FIRST_POLLED = 1 << 32
"""The watches of the poller are above this: inotify counts up from 1 and ends at 2**31 (inotify(7))."""
