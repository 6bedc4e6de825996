"""Directories that are polled and heard of as well: what this machine does there is told at once.

Facts:
- inotify works on network and FUSE file systems for what goes through this kernel (inotify(7), "Limitations
  and caveats"): whoever edits there on this machine need not wait for the next look.
- A watch keeps its inode in memory, so on FUSE it keeps its number too.
- NFS and FUSE send what was written to their server when a descriptor is closed, before inotify tells of the
  closing (filp_close and __fput in Linux): a look after that event finds times that stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reloaderd.events import EntryChanged, Event, EventsLost
from reloaderd.kernel.poller import Poller


class Beside:
    """Which of the kernel's watches stand beside which of the poller's."""

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._polled: dict[int, int] = {}  # the kernel's watch -> the poller's
        self._heard: dict[int, int] = {}  # the other way round

    def add(self, polled: int, listen: Callable[[], int]) -> None:
        """Hear of what is polled under that watch, too; `listen` asks the kernel's source, and may fail."""
        try:
            watch = listen()
        except OSError:
            return
        self._polled[watch] = polled
        self._heard[polled] = watch

    def drop(self, polled: int) -> int | None:
        """That is polled no more; returns the kernel's watch that is not needed then."""
        watch = self._heard.pop(polled, None)
        if watch is None or self._polled.get(watch) != polled:
            return None
        del self._polled[watch]
        return watch

    def translate(self, events: Sequence[Event]) -> list[Event]:
        """What the kernel tells, under the poller's watches; the poller then takes it for told.

        That a directory went is for the poller to tell: it knows the path.
        """
        told: dict[tuple[int, str], None] = {}
        translated: list[Event] = []
        for event in events:
            polled = None if isinstance(event, EventsLost) else self._polled.get(getattr(event, "watch", -1))
            if polled is None:
                translated.append(event)
            elif isinstance(event, EntryChanged):
                translated.append(event._replace(watch=polled))
                told[polled, event.name] = None
        for watch, name in told:
            self._poller.told(watch, name)
        return translated
