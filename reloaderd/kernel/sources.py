"""All sources as one: which of them watches what, and what happens when one has had enough.

Facts:
- inotify_add_watch(2) says ENOSPC when the user has as many watches as allowed (or the kernel no memory for
  its bookkeeping), ENOMEM when there is none at all.  No event tells that there is room again.

Rules (DESIGN 6.1):
- What is polled because others write there is heard of by the kernel's source as well (kernel.beside).
- A source that is asked for by name watches everything; else kernel.choice says what is polled.
- What inotify has no room for is polled until it has: from time to time one of those is tried again.
"""

from __future__ import annotations

import errno
import select
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from reloaderd.core.reasons import LIMITS
from reloaderd.events import Event, WatchEnded, WatchStale
from reloaderd.kernel.choice import Choice
from reloaderd.kernel.filemounts import BY_ITSELF, FileMounts
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.opening import limit_of, open_source
from reloaderd.kernel.reach import reaching
from reloaderd.kernel.source import CONTENT, FIRST_POLLED, GOING, Source

if TYPE_CHECKING:  # it is imported when it is needed, which in most trees is never
    from reloaderd.kernel.beside import Beside
    from reloaderd.kernel.poller import Poller

RETRY = 5.0
"""Seconds between two attempts to do without polling, five looks at most: it costs one call."""

SLICE = 500
"""Directories that go back to inotify at once."""


class Armed(Protocol):
    """A directory and its watch."""

    @property
    def path(self) -> str: ...

    @property
    def watch(self) -> int: ...


class Sources:
    """See kernel.source for what the methods of a source promise.

    `fileno` stands for the kernel's source, so that it may be opened later.
    """

    def __init__(
        self,
        backend: str,
        interval: float,
        mounts: Mounts,
        everywhere: bool = False,
        instead: Callable[[Any], Any] | None = None,
    ) -> None:
        """With `everywhere` any path may lead to any mount (links are followed).

        `instead` gives what takes the place of each source, as one that only counts does (kernel.dry).
        Raises ReloaderdError where the package of a backend that was asked for is missing.
        """
        self._backend = backend
        self._mounts = mounts
        self._choice = Choice(mounts, everywhere)
        self._instead = instead or (lambda source: source)
        self._interval = interval
        self._pause = min(RETRY, 5 * interval)
        self._poller: Poller | None = None
        self._beside: Beside | None = None
        self._files = FileMounts(interval)
        self._reasons: dict[int, str] = {}  # watch of the poller -> why it is polled
        self._retry_at: float | None = None
        self._epoll = select.epoll()
        self._kernel: Source | None = None
        self._open()
        self._point()

    @property
    def name(self) -> str:
        """The source of what is not polled."""
        return self._kernel.name if self._kernel else "poll"

    @property
    def deadline(self) -> float | None:
        """When `read` has something to do though no descriptor is readable."""
        look = self._poller.deadline if self._poller else None
        instants = (look, self._files.deadline, self._retry_at)
        return min((instant for instant in instants if instant is not None), default=None)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def read(self) -> Sequence[Event]:
        events = self._kernel.read() if self._kernel else ()
        if self._beside and events:
            events = self._beside.translate(events)
        if self.deadline is not None:
            events = [*events, *self._look(), *self._files.read(), *self._try_again()]
        return events

    def _look(self) -> Sequence[Event]:
        events = self._poller.read() if self._poller else ()
        for event in events:
            if isinstance(event, WatchEnded):
                self._let_go(event.watch)
        return events

    def arm(self, path: str) -> int:
        why = self._why(path) if path.startswith(self._unlike) else ""
        if not why:
            try:
                watch = self._kernel.arm(path)  # type: ignore[union-attr]
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    return self._arm_far(path)
                why = limit_of(error)
            else:
                if self._mounts_inside and self._files.concern(path, watch):
                    self._files.armed(path, watch)
                return watch
        watch = self._polled(self._polling().arm(path), why)
        if self._kernel and why in self._choice.types:
            self._listen(watch, partial(self._kernel.arm, path))
        return watch

    def hold(self, path: str, name: str, interest: int) -> int:
        why = BY_ITSELF if interest == CONTENT and self._files.is_one(path, name) else self._why(path)
        if not why:
            try:
                return self._kernel.hold(path, name, interest)  # type: ignore[union-attr]
            except OSError as error:
                why = limit_of(error)
        watch = self._polled(self._polling().hold(path, name, interest), why)
        if self._kernel and why in self._choice.types:
            self._listen(watch, partial(self._kernel.hold, path, name, interest))
        return watch

    def drop(self, watch: int) -> None:
        if watch >= FIRST_POLLED:
            self._polling().drop(watch)
            self._let_go(watch)
        elif self._kernel:
            self._kernel.drop(watch)
            self._files.drop(watch)

    def _let_go(self, watch: int) -> None:
        """Nothing is polled under that watch any more."""
        self._reasons.pop(watch, None)
        heard = self._beside.drop(watch) if self._beside else None
        if self._kernel and heard is not None:
            self._kernel.drop(heard)

    def close(self) -> None:
        if self._poller:
            self._poller.close()
        self._files.close()
        self._epoll.close()
        if self._kernel:
            self._kernel.close()

    def reason(self, watch: int) -> str:
        """Why the directory that `watch` stands for is polled; empty where it is not."""
        return self._reasons.get(watch, "") if watch >= FIRST_POLLED else ""

    def polled(self, armed: Sequence[Armed]) -> Mapping[str, str]:
        """Of these directories, and of the files in them, those that are polled, and why."""
        found = {one.path: self._reasons.get(one.watch, "") for one in armed if one.watch >= FIRST_POLLED}
        if self._mounts_inside:
            for one in armed:
                if one.watch < FIRST_POLLED:
                    found |= self._files.in_directory(one.path)
        return found

    def is_settled(self, path: str) -> bool:
        """Whether whatever happens to the file from now on is told: not if a look is to find out first."""
        above, _, name = path.rpartition("/")
        if self._files.deadline is not None and self._files.is_one(above or "/", name):
            return False
        return self._poller is None or self._poller.is_settled(above or "/", name)

    # Which source

    @property
    def forgetful(self) -> Container[int]:
        """The devices on which an inode number tells nothing."""
        return self._choice.forgetful

    def leads_to(self, path: str, real: str) -> None:
        """`path` was found to lead to `real`, which is another name where links are on the way."""
        if self._choice.leads_to(path, real):
            self._point()

    def follow_links(self) -> None:
        """From now on any path may lead to any mount."""
        self._choice.everywhere = True
        self.mounts_changed()

    def mounts_changed(self) -> None:
        """Other mounts are there."""
        self._choice.look_again()
        self._point()

    def unsettled(self, watches: Iterable[int]) -> Sequence[Event]:
        """What is to be armed anew of what was just armed, as mounts came or went meanwhile.

        One that came and is gone again is not in the table, and its directories may be what was armed.
        """
        if not self._mounts.moved():
            return ()
        return [*self._mounts.read(), *(WatchStale(watch, self.name) for watch in watches if watch >= 0)]

    def _point(self) -> None:
        """Know which paths are for the kernel's source without a question: all but those that begin so."""
        near = self._choice.near if self._backend == "auto" else ()
        self._unlike = near if self._kernel else ("",)
        points = [mount.point for mount in self._mounts.table]
        below = self._choice.below_given(points)
        self._files.are_at([*points, *below])
        self._mounts_inside = bool(below) or self._files.deadline is not None

    def _why(self, path: str) -> str:
        """Why `path` is to be polled; empty where inotify is to be asked."""
        if self._kernel is None:
            return self._without
        return self._choice.why(path) if self._backend == "auto" else ""

    def _arm_far(self, path: str) -> int:
        assert self._kernel is not None
        with reaching(path) as there:
            try:
                return self._kernel.arm(there)
            except OSError as error:
                why = limit_of(error)
        return self._polled(self._polling().arm(path), why)

    def _polling(self) -> Poller:
        if self._poller is None:
            from reloaderd.kernel.poller import Poller

            self._poller = self._instead(Poller(self._interval, self._choice.forgetful))
        return self._poller

    def _listen(self, watch: int, listen: Callable[[], int]) -> None:
        if self._beside is None:
            from reloaderd.kernel.beside import Beside

            self._beside = Beside(self._polling())
        self._beside.add(watch, listen)

    def _polled(self, watch: int, why: str) -> int:
        self._reasons[watch] = why
        if why in LIMITS and self._retry_at is None:
            self._retry_at = time.monotonic() + self._pause
        return watch

    # When there is room again

    def _try_again(self) -> Sequence[Event]:
        now = time.monotonic()
        if self._retry_at is None or now < self._retry_at:
            return ()
        limited = [watch for watch, why in self._reasons.items() if why in LIMITS]
        self._retry_at = now + self._pause if limited else None
        if not limited or not self._has_room(limited[0]):
            return ()
        if len(limited) > SLICE:
            self._retry_at = now
        for watch in limited[:SLICE]:
            self._reasons[watch] = ""  # asked to be armed anew: not a candidate until that fails
        return [WatchStale(watch, self.name) for watch in limited[:SLICE]]

    def _has_room(self, watch: int) -> bool:
        path = self._polling().path(watch)
        if self._kernel is None:
            self._open()
            self._point()
        if self._kernel is None or path is None:
            return self._kernel is not None
        try:
            self._kernel.hold(path, "", GOING)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0) not in LIMITS
        return True

    def _open(self) -> None:
        kernel, self._without = open_source(self._backend)
        if kernel is not None:
            self._kernel = self._instead(kernel)
            self._epoll.register(kernel.fileno(), select.EPOLLIN)
