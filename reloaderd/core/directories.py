"""The directories of one service: armed, listed, compared with what was known, and forgotten.

Rules (DESIGN 6.1):
- The order is always arm, then list, then believe: what was there before the watch is in the
  listing, what came after it is in the events.
- Nothing in a directory that is ignored is ever armed, listed or examined.
- File systems whose files are made up when they are read are left out, unless a root is in one.
- A directory that several followed links lead to is watched under the first path, and under another
  when that goes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping

from reloaderd.commands import Command, Report
from reloaderd.core.asks import Asks
from reloaderd.core.changes import Change
from reloaderd.core.coverage import Coverage
from reloaderd.core.ignorefiles import IgnoreFiles
from reloaderd.core.paths import is_below, parent, prefix
from reloaderd.core.reasons import MADE_UP, watch_failure
from reloaderd.core.repositories import NAMES, Repositories
from reloaderd.core.rules import Rules
from reloaderd.core.stamps import Stamps
from reloaderd.core.watchtree import Difference, WatchTree
from reloaderd.events import Armed, Kind, Listing, Why
from reloaderd.settings import ServiceSettings

TELLING = frozenset({Why.APPEARED, Why.LOST, Why.STALE})
"""Reasons to list for which a file that was not known is a change."""

SILENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""Errors of arming that only mean that the directory is gone again; maybe a link is in its place."""

PASSING = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Errors that say nothing of the directory: it is tried again until they are over."""

PAUSE = 1.0
"""Seconds until it is."""

SLICE = 500
"""Directories that are armed and listed at once: what bounds the memory of a large tree's listings."""

TOO_MANY = 50_000
"""Directories from which on a person is told: who named `/` by mistake does not know."""


class Directories:
    """The tree, and how it grows and shrinks."""

    def __init__(self, settings: ServiceSettings, rules: Rules, asks: Asks) -> None:
        self.tree = WatchTree()
        self.changes: list[Change] = []  # found and not yet taken by the service
        self.coverage = Coverage(settings.name)
        self.stamps = Stamps(self.tree, asks)
        self.repositories = Repositories(asks)
        self.ignore_files = IgnoreFiles(rules)
        self.lost = False  # events were, and nothing new is taken for known
        self._name = settings.name
        self._roots = settings.roots
        self._follow_links = settings.follow_links
        self._rules = rules
        self._asks = asks
        self._warned: set[str] = set()
        self._unarmed: dict[str, bool] = {}  # directories to try again; False: one may be armed, not listed
        self.deadline: float | None = None
        """When to."""
        self._twins: dict[int, list[str]] = {}  # watch -> other paths to the directory, by followed links

    def armed(self, event: Armed, now: float) -> list[Command]:
        """Directories are watched and listed: take them in, go on with those below."""
        commands: list[Command] = []
        below: list[str] = []
        files: list[str] = []
        listings = [one for one in event.listings if not self._leave_out(one, event.polled, commands)]
        for listing in listings:
            if not self._has_a_place(listing.path):
                commands += self._asks.drop([listing.watch])
            elif listing.error:
                commands += self._not_armed(listing, event.why, now)
            else:
                self._listed(listing, event.why, commands, below, files)
        if event.polled or self.coverage:
            self.coverage.note([listing.path for listing in listings], event.polled)
        self.stamps.lose_in([listing.path for listing in listings])
        if len(self.tree) > TOO_MANY and "" not in self._warned:
            self._warned.add("")
            commands.append(self._warning(f"more than {TOO_MANY:,} directories to watch: is the PATH right?"))
        if event.why is not Why.START and event.why is not Why.APPEARED:  # those two end in a start
            self.stamps.baseline(now)
        if files:
            commands.append(self._asks.examine(Why.LOST, files))
        for at in range(0, len(below), SLICE):
            commands.append(self._asks.arm(event.why, below[at : at + SLICE]))
        return commands

    def _has_a_place(self, path: str) -> bool:
        """Whether what is above it is known still: else nobody would ever forget it."""
        return path in self._roots or path in self.tree or parent(path) in self.tree

    def _leave_out(self, listing: Listing, polled: Mapping[str, str], commands: list[Command]) -> bool:
        """Whether that is where files begin that are made up when read: nobody who names `/` means /proc."""
        path = listing.path
        if (
            polled.get(path) not in MADE_UP
            or path in self._roots
            or self.coverage.reason(parent(path)) in MADE_UP
        ):
            return False
        commands += self.forget(path, counts=True)
        commands += self._asks.drop([listing.watch])
        return True

    def _listed(
        self, listing: Listing, why: Why, commands: list[Command], below: list[str], files: list[str]
    ) -> None:
        """Take in one listing; adds what follows to the lists.  A large tree comes this way at the start."""
        path, watch, _, dirs, counted, links, _ = listing
        if self._follow_links and self._seen_elsewhere(listing):
            known = self.tree.get(path)
            if known is not None and known.watch != watch:  # what was here is gone, or has changed places
                commands += self.forget(path, counts=True)
            self._twins.setdefault(watch, []).append(path)
            return
        rules_changed = self.ignore_files.load_listed(listing)
        if not (NAMES.isdisjoint(dirs) and NAMES.isdisjoint(counted)):
            commands += [] if path in self.repositories else [self.repositories.look_for(path)]
        if links and self._follow_links:
            dirs = dirs + links
        elif links:
            counted = counted + links
        dirs, counted = self._rules.partition(path, dirs, counted)
        start = prefix(path)
        if path in self.tree:
            self._compare(self.tree.renew(path, watch, dirs, counted), listing, why, commands)
            everything = why is Why.START or why is Why.LOST or why is Why.RULES
            below += [start + name for name in dirs if everything or start + name not in self.tree]
        else:
            node = self.tree.add(path, watch, dirs, counted)
            if self._follow_links:
                self._note_above(path)
            node.untold = why is Why.RULES or why is Why.REREAD
            below += [start + name for name in dirs]
            if why in TELLING or self.lost:
                self.changes += [Change(start + name, Kind.CREATED, existed=False) for name in counted]
        if why is Why.LOST or why is Why.STALE:
            files += [start + name for name in counted]
        if why is Why.REREAD and rules_changed:
            commands += self.sift([path])

    def _note_above(self, path: str) -> None:
        """A link is told of as a file: what is above has to know that there is more below."""
        above, name = self.tree.get(parent(path)), path.rpartition("/")[2]
        if above is not None and name not in above.dirs:
            above.dirs.append(name)

    def _compare(self, difference: Difference, listing: Listing, why: Why, commands: list[Command]) -> None:
        """A directory was listed again: what is different, and whether that is a change.

        What is not there any more is one whatever the reason to look, as the events that tell of it are
        judged by what is known.  What is there and does not count any more is none.
        """
        start = prefix(listing.path)
        commands += [*self._asks.drop(difference.unused), *self._twins_of(difference.unused)]
        for name in difference.gone_dirs:
            commands += self.forget(start + name, counts=name not in listing.dirs)
            if name in listing.dirs:  # it does not count any more, but a root below it does
                inside = [root for root in self._roots if root.startswith(f"{start}{name}/")]
                commands += [self._asks.arm(Why.RULES, inside)] if inside else []
        there = {*listing.files, *listing.links} if difference.vanished else ()
        vanished = [start + name for name in difference.vanished if name not in there]
        self.changes += [Change(path, Kind.DELETED, existed=True) for path in vanished]
        if why in TELLING or self.lost:
            appeared = [start + name for name in difference.appeared]
            self.changes += [Change(path, Kind.CREATED, existed=False) for path in appeared]

    def _seen_elsewhere(self, listing: Listing) -> bool:
        """Whether the same directory is watched under another path already: links may lead in circles."""
        return any(node.path != listing.path for node in self.tree.at(listing.watch))

    def tick(self, now: float) -> list[Command]:
        """Try again what there was no room for, and what was not there for a moment."""
        if self.deadline is None or now < self.deadline:
            return []
        unarmed, self._unarmed, self.deadline = self._unarmed, {}, None
        paths = [path for path, listed in unarmed.items() if self._is_wanted(path, listed)]
        return [self._asks.arm(Why.STALE, paths)] if paths else []

    def _is_wanted(self, path: str, listed: bool) -> bool:
        """Whether there may be a directory that is not armed or not `listed`, as far as was told since."""
        known = self.tree.get(path)
        if known is not None or path in self._roots:
            return known is None or known.watch < 0 or not listed
        above, name = self.tree.get(parent(path)), path.rpartition("/")[2]
        if above is None or (name in above.files and not self._follow_links) or self._rules.prunes(path):
            return False
        if name not in above.dirs:
            above.dirs.append(name)
        return True

    def _not_armed(self, listing: Listing, why: Why, now: float) -> list[Command]:
        if listing.error in SILENT:
            commands = [*self.forget(listing.path, counts=True), *self._asks.drop([listing.watch])]
            if why is not Why.STALE:
                # Maybe a directory above was elsewhere for a moment, and all below it is what it was: nothing
                # else than the way to the root is told then.
                self._unarmed[listing.path] = True
                self.deadline = now + PAUSE
            return commands
        commands = self.forget(listing.path)
        self.tree.add(listing.path, listing.watch, [], [])
        about = listing.path
        if listing.error in PASSING:
            about = errno.errorcode[listing.error]  # it is the same for all: one warning
            self._unarmed[listing.path] = False
            self.deadline = now + PAUSE
        if about in self._warned:
            return commands
        self._warned.add(about)
        return [*commands, self._warning(f"{listing.path} is not watched: {watch_failure(listing.error)}")]

    def forget(self, path: str, counts: bool = False, itself: bool = False) -> list[Command]:
        """Drop a subtree; with `counts`, each of its files is a change.

        A root in it may be elsewhere by now, where a link leads: what became of it says its anchor, and may
        have said so already.  `itself` is for a `path` that may be such a root.
        """
        inside = [root for root in self._roots if root in self.tree and is_below(root, path)]
        again = [root for root in inside if itself or root != path]
        forgotten = self.tree.forget(path)
        self._unarmed.pop(path, None)
        watches = [*forgotten.watches, *self.repositories.forget(path)]
        if counts:
            self.changes += [Change(file, Kind.DELETED, existed=True) for file in forgotten.files]
        commands = self._asks.drop(watches)
        if again:
            commands.append(self._asks.arm(Why.APPEARED, again))
        return commands + self._twins_of(forgotten.watches, path)

    def _twins_of(self, watches: Iterable[int], gone: str = "") -> list[Command]:
        """The first paths to these are gone: watch them under others, but for those below `gone`."""
        twins = [twin for watch in watches for twin in self._twins.pop(watch, ())]
        elsewhere = [twin for twin in twins if not (gone and is_below(twin, gone))]
        return [self._asks.arm(Why.RULES, elsewhere)] if elsewhere else []

    def sift(self, directories: Iterable[str]) -> list[Command]:
        """The rules changed: watch and count below these what counts now."""
        known = [path for path in directories if path in self.tree]
        return [self._asks.arm(Why.RULES, known)] if known else []

    def warn_again(self, path: str) -> None:
        """It is another directory now: what was said of the former is not of this one."""
        self._warned.discard(path)

    def _warning(self, text: str) -> Command:
        return Report("warning", self._name, {"text": text})
