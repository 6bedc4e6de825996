"""All sources as one: which of them watches what, and what happens when one has had enough.

Facts:
- inotify_init1(2) says EMFILE for the user's limit of instances and for the process's of descriptors alike.
- inotify_add_watch(2) says ENOSPC when the user has as many watches as allowed (or the kernel no memory for
  its bookkeeping), ENOMEM when there is none at all.  No event tells that there is room again.

Rules (DESIGN 6.1):
- A source that is asked for by name watches everything; else kernel.choice says what is polled.
- What inotify has no room for is polled until it has: from time to time one of those is tried again.
"""

from __future__ import annotations

import errno
import os
import select
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reloaderd.core.reasons import ASKED_FOR, LIMITS, NO_PACKAGE
from reloaderd.errors import ReloaderdError
from reloaderd.events import Event, WatchStale
from reloaderd.kernel.choice import Choice
from reloaderd.kernel.filemounts import BY_ITSELF, FileMounts
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.reach import reaching
from reloaderd.kernel.source import CONTENT, FIRST_POLLED, GOING, Source

if TYPE_CHECKING:  # it is imported when it is needed, which in most trees is never
    from reloaderd.kernel.poller import Poller

RETRY = 5.0
"""Seconds between two attempts to do without polling: it costs one call."""

SLICE = 500
"""Directories that go back to inotify at once."""

ORDER: Mapping[str, Sequence[str]] = {
    "auto": ("inotify", "pyinotify"),
    "inotify": ("inotify",),
    "pyinotify": ("pyinotify",),
    "poll": (),
}

_PACKAGES = {"inotify": "inotify_simple", "pyinotify": "pyinotify"}
_INSTALLED_BY = {"inotify": "inotify_simple", "pyinotify": "'reloaderd[pyinotify]'"}


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
        self._poller: Poller | None = None
        self._files = FileMounts(interval)
        self._reasons: dict[int, str] = {}  # watch of the poller -> why it is polled
        self._retry_at: float | None = None
        self._epoll = select.epoll()
        self._kernel: Source | None = None
        self._without = ASKED_FOR if backend == "poll" else NO_PACKAGE
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
        if self.deadline is not None:
            looked = self._poller.read() if self._poller else ()
            events = [*events, *looked, *self._files.read(), *self._try_again()]
        return events

    def arm(self, path: str) -> int:
        why = self._why(path) if path.startswith(self._unlike) else ""
        if not why:
            try:
                watch = self._kernel.arm(path)  # type: ignore[union-attr]
            except OSError as error:
                if error.errno == errno.ENAMETOOLONG:
                    return self._arm_far(path)
                why = _limit(error)
            else:
                if self._files.concern(path, watch):
                    self._files.armed(path, watch)
                return watch
        return self._polled(self._polling().arm(path), why)

    def hold(self, path: str, name: str, interest: int) -> int:
        why = BY_ITSELF if interest == CONTENT and self._files.is_one(path, name) else self._why(path)
        if not why:
            try:
                return self._kernel.hold(path, name, interest)  # type: ignore[union-attr]
            except OSError as error:
                why = _limit(error)
        return self._polled(self._polling().hold(path, name, interest), why)

    def drop(self, watch: int) -> None:
        if watch >= FIRST_POLLED:
            self._polling().drop(watch)
            self._reasons.pop(watch, None)
        elif self._kernel:
            self._kernel.drop(watch)
            self._files.drop(watch)

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

    def polled(self, directories: Iterable[tuple[str, int]]) -> Mapping[str, str]:
        """Of these paths and watches, and of the files in them, those that are polled, and why."""
        found: dict[str, str] = {}
        for path, watch in directories:
            if watch >= FIRST_POLLED:
                found[path] = self._reasons.get(watch, "")
            else:
                found |= self._files.in_directory(path)
        return found

    # Which source

    @property
    def forgetful(self) -> Container[int]:
        """The devices on which an inode number tells nothing."""
        return self._choice.forgetful

    def leads_to(self, path: str, real: str) -> None:
        """`path` was found to lead to `real`, which is another name where links are on the way."""
        if self._choice.leads_to(path, real):
            self._point()

    def mounts_changed(self) -> None:
        """Other mounts are there."""
        self._choice.look_again()
        self._point()

    def _point(self) -> None:
        """Know which paths are for the kernel's source without a question: all but those that begin so."""
        near = self._choice.near if self._backend == "auto" else ()
        self._unlike = near if self._kernel else ("",)
        points = [mount.point for mount in self._mounts.table]
        self._files.are_at([*points, *self._choice.below_given(points)])

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
                why = _limit(error)
        return self._polled(self._polling().arm(path), why)

    def _polling(self) -> Poller:
        if self._poller is None:
            from reloaderd.kernel.poller import Poller

            self._poller = self._instead(Poller(self._interval, self._choice.forgetful))
        return self._poller

    def _polled(self, watch: int, why: str) -> int:
        self._reasons[watch] = why
        if why in LIMITS and self._retry_at is None:
            self._retry_at = time.monotonic() + RETRY
        return watch

    # When there is room again

    def _try_again(self) -> Sequence[Event]:
        now = time.monotonic()
        if self._retry_at is None or now < self._retry_at:
            return ()
        limited = [watch for watch, why in self._reasons.items() if why in LIMITS]
        self._retry_at = now + RETRY if limited else None
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
        for name in ORDER[self._backend]:
            try:
                self._kernel = self._instead(_source(name))
            except ImportError:
                if self._backend != "auto":
                    message = f"--backend {name}: the package {_PACKAGES[name]} is not installed"
                    raise ReloaderdError(message, f"python -m pip install {_INSTALLED_BY[name]}") from None
                continue
            except OSError as error:
                self._without = _limit(error)
                _check_descriptors()
                return
            self._epoll.register(self._kernel.fileno(), select.EPOLLIN)
            return


def _source(name: str) -> Source:
    if name == "inotify":
        from reloaderd.kernel.inotify import InotifySource

        return InotifySource()
    from reloaderd.kernel.pyinotify import PyinotifySource

    return PyinotifySource()


def _limit(error: OSError) -> str:
    """The name of a limit; raises any other error again."""
    name = errno.errorcode.get(error.errno or 0, "")
    if name not in LIMITS:
        raise error
    return name


def _check_descriptors() -> None:
    """Raises OSError where it is this process that may open no more."""
    os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
