"""Lets the core decide what it would watch, by sources that only count, and notes what it is told."""

from __future__ import annotations

import errno
import gc
import time

from reloaderd.answers import ANSWERS
from reloaderd.commands import Report
from reloaderd.core.engine import Engine
from reloaderd.core.paths import join, parent
from reloaderd.core.reasons import MADE_UP
from reloaderd.events import Anchored, Armed, Event, Listing, RepositoryFound
from reloaderd.kernel.dry import DrySource, stand_in
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.sources import Sources
from reloaderd.settings import DoctorSettings, ServiceSettings, Settings

GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors of arming that only mean that the directory is gone again."""


class Survey:
    """Everything that one service would watch.

    `skipped` are the numbers of files that do not count, by the directory that they are in; `unreadable` the
    errnos of directories; `held` the watches that all sources would hold at rest; `found` is the service.
    """

    def __init__(self, settings: DoctorSettings) -> None:
        """Look at all of it.  Raises what `kernel.sources.Sources` raises."""
        self.service: ServiceSettings = settings.service
        self.mounts = Mounts()
        self.skipped: dict[str, int] = {}
        self.unreadable: dict[str, int] = {}
        self.left_out: dict[str, str] = {}  # where files begin that are made up -> type of the file system
        self.anchored: dict[str, Anchored] = {}
        self.repositories: dict[str, RepositoryFound] = {}
        self._dropped: dict[str, list[str]] = {}  # names of directories that are ignored
        self._dry: list[DrySource] = []
        links = self.service.follow_links
        self.source = Sources(settings.backend, 1.0, self.mounts, links, instead=self._stand_in)
        self._engine = Engine(Settings((self.service,)), False, self.source.name)
        self.found = self._engine.services[self.service.name]
        self.watcher = self.found.watcher
        gc.disable()  # as the loop does
        self._run()
        gc.freeze()
        gc.enable()
        self.held = {watch for source in self._dry for watch in source.watches()}
        self._refused: dict[str, list[str]] = {}
        for path in self.unreadable:
            self._refused.setdefault(parent(path), []).append(path)

    def __enter__(self) -> Survey:
        return self

    def __exit__(self, *_: object) -> None:
        self.source.close()
        self.mounts.close()

    def ignored_in(self, directory: str) -> list[str]:
        """The directories right below this one that are ignored."""
        return [join(directory, name) for name in self._dropped.get(directory, ())]

    def unreadable_in(self, directory: str) -> list[str]:
        """The directories right below this one that cannot be watched."""
        return self._refused.get(directory, [])

    def _stand_in(self, source: object) -> DrySource:
        self._dry.append(stand_in(source))
        return self._dry[-1]

    def _run(self) -> None:
        stack = [*reversed(self._engine.start())]
        while stack:
            item = stack.pop()
            answer = ANSWERS.get(type(item))
            if answer is not None:
                stack += reversed(answer(self.source, item))
            elif not isinstance(item, Report):
                stack += reversed(self._engine.handle(item, time.monotonic()))
                self._note(item)

    def _note(self, event: Event) -> None:
        match event:
            case Anchored():
                self.anchored[event.path] = event
            case RepositoryFound():
                self.repositories[event.path] = event
            case Armed():
                for listing in event.listings:
                    self._note_listing(listing)
                for path, why in event.polled.items():
                    if why in MADE_UP and path not in self.watcher.tree:
                        self._dropped.setdefault(parent(path), []).append(path.rpartition("/")[2])
                        self.left_out[path] = why

    def _note_listing(self, listing: Listing) -> None:
        path = listing.path
        for notes in (self.unreadable, self._dropped, self.skipped):
            notes.pop(path, None)
        node = self.watcher.tree.get(path)
        if listing.error and listing.error not in GONE:
            self.unreadable[path] = listing.error
        if listing.error or node is None:
            return
        links = self.service.follow_links
        if node.dirs is not listing.dirs:  # the same list where none is ignored
            kept = set(node.dirs)
            there = listing.dirs + listing.links if links else listing.dirs
            dropped = [name for name in there if name not in kept]
            if dropped:
                self._dropped[path] = dropped
        skipped = len(listing.files) + (0 if links else len(listing.links)) - len(node.files)
        if skipped:
            self.skipped[path] = skipped
