"""What one service watches: turns what a source tells into changes that count.

Rules (DESIGN 6.1):
- The order is always arm, then list, then believe: what was there before the watch is in the
  listing, what came after it is in the events.
- The event alone decides where it can; where it cannot, the file is in doubt (core.stamps).
- Nothing in a directory that is ignored is ever armed, listed or examined.
- A root that is gone takes its pending changes with it and is waited for: what counts is that it is back.
- A directory that several followed links lead to is watched under the first path, and under another
  when that goes.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from reloaderd.commands import Command, Drain, Drop, ReadLimit, Report
from reloaderd.core.asks import Asks
from reloaderd.core.coverage import Coverage
from reloaderd.core.ignorefiles import NAMES, IgnoreFiles
from reloaderd.core.reasons import LIMITS, polled, watch_failure
from reloaderd.core.roots import Found, Roots
from reloaderd.core.rules import Rules
from reloaderd.core.stamps import Stamps
from reloaderd.core.watchtree import Difference, Node, WatchTree
from reloaderd.events import (
    Anchored,
    Armed,
    EntryChanged,
    Examined,
    Kind,
    LimitRead,
    Listing,
    MountsChanged,
    RepositoryFound,
    WatchEnded,
    WatchMoved,
    WatchStale,
    Why,
)
from reloaderd.settings import ServiceSettings

NAMING = frozenset({Kind.CREATED, Kind.ARRIVED, Kind.LEFT, Kind.DELETED})
GONE = frozenset({Kind.LEFT, Kind.DELETED})
VERSION_CONTROL = frozenset({".git", ".hg"})
TELLING = frozenset({Why.APPEARED, Why.LOST, Why.STALE})
"""Reasons to list for which a file that was not known is a change."""

SILENT = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors of arming that only mean that the directory is gone again."""

SLICE = 500
"""Directories that are armed and listed at once: what bounds the memory of a large tree's listings."""

TOO_MANY = 50_000
"""Directories from which on a person is told: who named `/` by mistake does not know."""


class Change(NamedTuple):
    """Something happened to a path that counts; `existed` tells whether it was there before."""

    path: str
    kind: Kind
    existed: bool


class Watcher:
    """The roots, rules and tree of one service."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.rules = Rules(settings.rules, settings.roots)
        self.tree = WatchTree()
        self.changes: list[Change] = []  # found and not yet taken by the service
        self.withdrawn: list[str] = []  # roots that are gone with all below them, not yet taken either
        self.coverage = Coverage()
        self._name = settings.name
        self._follow_links = settings.follow_links
        self._asks = Asks(settings.name, settings.rules.gitignore)
        self._roots = Roots(settings.roots)
        self._stamps = Stamps(self.tree, self._asks)
        self._ignore_files = IgnoreFiles(self.rules)
        # directory whose repository was looked for -> where its lock appears: watch (or -1), name
        self._repositories: dict[str, tuple[int, str]] = {}
        self._armed_roots: set[str] = set()
        self._warned: set[str] = set()
        self._lost = False
        self._twins: dict[int, list[str]] = {}  # watch -> other paths to the directory, by followed links

    def start(self) -> list[Command]:
        """Find the roots; all else follows from the answers."""
        return [self._asks.anchor(root) for root in self._roots.paths]

    def lose_track(self) -> None:
        """Events were lost: until everything was looked at, nothing new is taken for known."""
        self._lost = True
        self._stamps.distrust_all()

    def look_everywhere(self) -> list[Command]:
        """Events were lost: compare everything with what is known of it."""
        self._lost = False
        commands = self.start()
        commands += [self._find_repository(path) for path in self._repositories]
        directories = [root for root in self._roots.paths if root in self.tree]
        files = [root for root in self._stamps.roots() if self._roots.here(root)]
        if directories:
            commands.append(self._asks.arm(Why.LOST, directories))
        if files:
            commands.append(self._asks.examine(Why.LOST, files))
        return commands

    def baseline(self, at: float) -> None:
        """A run starts: see `Stamps.baseline`."""
        self._stamps.baseline(at)

    def tick(self, now: float) -> list[Command]:
        """Serve what is due: tell of roots that stay away, take stamps that are missing."""
        gone = self._roots.stay_away(now)
        told = [self._warning(f"{root} is gone; waiting for it to come back") for root in gone]
        return told + ([] if self._lost else self._stamps.tick(now))

    # What it knows

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        stamps = None if self._lost else self._stamps.deadline
        return min((at for at in (self._roots.deadline, stamps) if at is not None), default=None)

    @property
    def busy(self) -> bool:
        """Whether something that it asked was not answered yet."""
        return self._asks.outstanding > 0

    def uses(self, watch: int) -> bool:
        """Whether this service needs `watch`."""
        return self.tree.uses(watch) or bool(self.lock_name(watch)) or self._roots.anchors.uses(watch)

    def watches(self) -> int:
        """How many of the kernel's watches it holds."""
        locks = {watch for watch, _ in self._repositories.values() if watch >= 0}
        return len({*self.tree.watches(), *self._roots.anchors.watches(), *locks})

    def lock_name(self, watch: int) -> str:
        """The name of the lock that is watched for under `watch`; '' if that is no such watch."""
        return next((lock for at, lock in self._repositories.values() if at == watch), "")

    def _drop(self, watches: Iterable[int]) -> list[Command]:
        unused = [watch for watch in watches if watch >= 0 and not self.uses(watch)]
        return [Drop(unused)] if unused else []

    def _warning(self, text: str) -> Command:
        return Report("warning", self._name, {"text": text})

    # Roots, and ignore files outside them

    def anchored(self, event: Anchored, now: float) -> list[Command]:
        """A path was found, or found missing."""
        self._asks.answered()
        former, unused = self._roots.anchors.put(event)
        commands = self._drop(unused)
        if event.path in self._roots and not event.is_dir:
            self.coverage.note(event.path, event.polled)
        if self._ignore_files.is_outside(event.path):
            changed = self._ignore_files.load_again(event.path, event.text)
            return commands + (self._sift(self._roots.paths) if changed else [])
        match self._roots.judge(event, former, now):
            case Found.FIRST:
                return commands + self._root_at_start(event)
            case Found.GONE:
                self.withdrawn.append(event.path)
                if self._stamps.is_root(event.path):
                    self._stamps.lose(event.path)
                return commands + self._forget(event.path)
            case Found.BACK | Found.REPLACED:
                return commands + self._root_replaced(event)
            case Found.SAME:
                return commands

    def _root_at_start(self, event: Anchored) -> list[Command]:
        if event.identity is None:
            return [self._warning(f"{event.path} is not there; waiting for it")]
        if event.is_dir:
            return [self._find_repository(event.path)]
        self._stamps.add_root(event.path)
        return [self._find_repository(_parent(event.path))]

    def _root_replaced(self, event: Anchored) -> list[Command]:
        self.changes.append(Change(event.path, Kind.ARRIVED, existed=not event.is_dir))
        commands = self._forget(event.path)
        if not event.is_dir:
            self._stamps.add_root(event.path)
            return commands
        self._stamps.remove_root(event.path)
        return [*commands, self._find_repository(event.path), self._asks.arm(Why.APPEARED, [event.path])]

    def _sift(self, directories: Iterable[str]) -> list[Command]:
        """The rules changed: watch and count below these what counts now."""
        known = [path for path in directories if path in self.tree]
        return [self._asks.arm(Why.RULES, known)] if known else []

    # Repositories

    def _find_repository(self, path: str) -> Command:
        self._repositories.setdefault(path, (-1, ""))
        return self._asks.find_repository(path)

    def repository_found(self, event: RepositoryFound) -> list[Command]:
        """What version control says about a root, or about a directory below one."""
        self._asks.answered()
        former, _ = self._repositories.get(event.path, (-1, ""))
        self._repositories[event.path] = (event.watch, event.lock)
        changed = self._ignore_files.load_found(event.files)
        anchors = self._roots.anchors
        commands = self._drop([former])
        commands += [
            self._asks.anchor(file.path, read=True) for file in event.files if anchors.get(file.path) is None
        ]
        if event.path in self._roots and event.path not in self._armed_roots:
            self._armed_roots.add(event.path)
            return [*commands, self._asks.arm(Why.START, [event.path])]
        return commands + (self._sift([event.path]) if changed else [])

    def _lock_gone(self, watch: int) -> list[Command]:
        """The directory of a lock went away: look for its repository again."""
        return [self._find_repository(path) for path, (at, _) in self._repositories.items() if at == watch]

    # Directories

    def armed(self, event: Armed, now: float) -> list[Command]:
        """Directories are watched and listed: take them in, go on with those below."""
        self._asks.answered()
        commands: list[Command] = []
        below: list[str] = []
        files: list[str] = []
        for listing in event.listings:
            if listing.error:
                commands += self._not_armed(listing)
            else:
                self._listed(listing, event.why, commands, below, files)
        if event.polled or self.coverage:
            for listing in event.listings:
                self.coverage.note(listing.path, event.polled.get(listing.path, ""))
        self._stamps.lose_in([listing.path for listing in event.listings])
        if len(self.tree) > TOO_MANY and "" not in self._warned:
            self._warned.add("")
            commands.append(self._warning(f"more than {TOO_MANY:,} directories to watch: is the PATH right?"))
        if event.why is not Why.START and event.why is not Why.APPEARED:  # those two end in a start
            self._stamps.baseline(now)
        if files:
            commands.append(self._asks.examine(Why.LOST, files))
        for start in range(0, len(below), SLICE):
            commands.append(self._asks.arm(event.why, below[start : start + SLICE]))
        return commands

    def _listed(
        self, listing: Listing, why: Why, commands: list[Command], below: list[str], files: list[str]
    ) -> None:
        """Take in one listing; adds what follows to the lists.  A large tree comes this way at the start."""
        path, watch, _, dirs, counted, links, _ = listing
        if self._follow_links and self._seen_elsewhere(listing):
            self._twins.setdefault(watch, []).append(path)
            return
        rules_changed = self._ignore_files.load_listed(listing)
        if not (VERSION_CONTROL.isdisjoint(dirs) and VERSION_CONTROL.isdisjoint(counted)):
            commands += [] if path in self._repositories else [self._find_repository(path)]
        if links and self._follow_links:
            dirs = dirs + links
        elif links:
            counted = counted + links
        dirs, counted = self.rules.partition(path, dirs, counted)
        prefix = path if path == "/" else path + "/"
        if path in self.tree:
            self._compare(self.tree.renew(path, watch, dirs, counted), listing, why, commands)
            everything = why is Why.START or why is Why.LOST or why is Why.RULES
            below += [prefix + name for name in dirs if everything or prefix + name not in self.tree]
        else:
            node = self.tree.add(path, watch, dirs, counted)
            node.untold = why is Why.RULES or why is Why.REREAD
            below += [prefix + name for name in dirs]
            if why in TELLING or self._lost:
                self.changes += [Change(prefix + name, Kind.CREATED, existed=False) for name in counted]
        if why is Why.LOST or why is Why.STALE:
            files += [prefix + name for name in counted]
        if why is Why.REREAD and rules_changed:
            commands += self._sift([path])

    def _compare(self, difference: Difference, listing: Listing, why: Why, commands: list[Command]) -> None:
        """A directory was listed again: what is different, and whether that is a change.

        What is not there any more is one whatever the reason to look, as the events that tell of it are
        judged by what is known.  What is there and does not count any more is none.
        """
        prefix = listing.path if listing.path == "/" else listing.path + "/"
        commands += self._drop(difference.unused)
        for name in difference.gone_dirs:
            commands += self._forget(prefix + name, counts=name not in listing.dirs)
            if name in listing.dirs:  # it does not count any more, but a root below it does
                inside = [root for root in self._roots.paths if root.startswith(f"{prefix}{name}/")]
                commands += [self._asks.arm(Why.RULES, inside)] if inside else []
        there = {*listing.files, *listing.links} if difference.vanished else ()
        vanished = [prefix + name for name in difference.vanished if name not in there]
        self.changes += [Change(path, Kind.DELETED, existed=True) for path in vanished]
        if why in TELLING or self._lost:
            appeared = [prefix + name for name in difference.appeared]
            self.changes += [Change(path, Kind.CREATED, existed=False) for path in appeared]

    def _seen_elsewhere(self, listing: Listing) -> bool:
        """Whether the same directory is watched under another path already: links may lead in circles."""
        return any(node.path != listing.path for node in self.tree.at(listing.watch))

    def _not_armed(self, listing: Listing) -> list[Command]:
        if listing.error in SILENT:
            return [*self._forget(listing.path, counts=True), *self._drop([listing.watch])]
        commands = self._forget(listing.path)
        self.tree.add(listing.path, listing.watch, [], [])
        if listing.path in self._warned:
            return commands
        self._warned.add(listing.path)
        return [*commands, self._warning(f"{listing.path} is not watched: {watch_failure(listing.error)}")]

    def _forget(self, path: str, counts: bool = False) -> list[Command]:
        """Drop a subtree; with `counts`, each of its files is a change."""
        forgotten = self.tree.forget(path)
        inside = [one for one in self._repositories if _is_below(one, path)]
        watches = [*forgotten.watches, *(self._repositories.pop(one)[0] for one in inside)]
        if counts:
            self.changes += [Change(file, Kind.DELETED, existed=True) for file in forgotten.files]
        twins = [twin for watch in forgotten.watches for twin in self._twins.pop(watch, ())]
        again = [twin for twin in twins if not _is_below(twin, path)]
        return self._drop(watches) + ([self._asks.arm(Why.RULES, again)] if again else [])

    # Events of a source

    def entry_changed(self, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        """One name in one watched directory changed."""
        commands: list[Command] = []
        for path in self._roots.anchors.through(event.watch, event.name):
            commands += self._on_the_way(path, event, in_batch)
        for node in list(self.tree.at(event.watch)):
            if event.is_dir:
                commands += self._directory(node, event)
            else:
                commands += self._file(node, event, in_batch)
        return commands

    def watch_ended(self, event: WatchEnded) -> list[Command]:
        """The kernel dropped a watch that is still needed: an unmount, or a deletion told out of turn."""
        paths = self._roots.anchors.resting_on(event.watch)
        nodes = [node.path for node in self.tree.lose(event.watch)]
        roots = [path for path in nodes if path in self._roots]
        for root in roots:
            self._roots.suspect(root)
        commands: list[Command] = [self._look(path) for path in dict.fromkeys([*paths, *roots])]
        commands += self._lock_gone(event.watch)
        rest = [path for path in nodes if path not in roots]
        return [*commands, self._asks.arm(Why.LOST, rest)] if rest else commands

    def watch_moved(self, event: WatchMoved) -> list[Command]:
        """A directory on the way to a path went away itself."""
        looks: list[Command] = [self._look(path) for path in self._roots.anchors.resting_on(event.watch)]
        return looks + self._lock_gone(event.watch)

    def watch_stale(self, event: WatchStale) -> list[Command]:
        """Another source may have room for this directory now."""
        commands: list[Command] = [self._look(path) for path in self._roots.anchors.resting_on(event.watch)]
        commands += self._lock_gone(event.watch)
        paths = [node.path for node in self.tree.at(event.watch)]
        return [*commands, self._asks.arm(Why.STALE, paths)] if paths else commands

    def mounts_changed(self, event: MountsChanged) -> list[Command]:
        """Another file system may be at some of the paths, and another directory or file with it."""
        commands: list[Command] = []
        for root in self._roots.paths:
            real = self._roots.real(root)
            if any(_is_below(real, point) for point in event.points):
                commands.append(self._look(root))
            below = [point for point in event.points if point != real and _is_below(point, real)]
            for point in below:
                commands += self._mount_changed(_join(root, point[len(real.rstrip("/")) + 1 :]))
        if self._follow_links:  # which may lead there from anywhere
            commands += self.look_everywhere()
        return commands

    def _mount_changed(self, path: str) -> list[Command]:
        if path in self.tree:
            return [self._asks.arm(Why.LOST, [path])]
        node = self.tree.get(_parent(path))
        if node is None or path.rpartition("/")[2] not in node.files:
            return []
        return [self._asks.examine(Why.LOST, [path])]

    # What is polled

    def limits(self) -> list[Command]:
        """All is armed: warn of what had to be polled and should not, or ask for the limit that is why."""
        commands: list[Command] = []
        for why in self.coverage.untold():
            if why in LIMITS:
                commands.append(ReadLimit(self._name, why))
            else:
                commands.append(self._warning(polled(why, self.coverage.count(why), "", 0)))
        return commands

    def limit_read(self, event: LimitRead) -> list[Command]:
        """Which limit it is that was hit."""
        count = self.coverage.count(event.why)
        return [self._warning(polled(event.why, count, event.name, event.value))] if count else []

    def is_watched(self, path: str) -> bool:
        """Whether it is a directory of the tree, or a root."""
        return path in self.tree or path in self._roots

    def _on_the_way(self, path: str, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        last = self._roots.anchors.ends_at(path, event.watch, event.name)
        if event.kind in NAMING:
            if last:
                self._roots.suspect(path)
            return [self._look(path)]
        if last and self._ignore_files.is_outside(path):
            return [self._look(path)] if event.kind is Kind.CLOSED else []
        if last and self._stamps.is_root(path):
            return self._content(path, event.kind, in_batch)
        return []

    def _look(self, path: str) -> Command:
        """Find a root, or an ignore file outside them, again."""
        return self._asks.anchor(path, read=self._ignore_files.is_outside(path))

    def _directory(self, node: Node, event: EntryChanged) -> list[Command]:
        path = _join(node.path, event.name)
        if event.kind is Kind.DELETED:
            return self._forget(path, counts=True)
        if event.kind is Kind.LEFT:  # another may have come in its place: two names can be exchanged
            return self._forget(path, counts=True) + self._appeared(node, event.name)
        known = self.tree.get(path)
        if event.kind is Kind.TOUCHED and (known is None or known.watch >= 0):
            return []
        if self.rules.prunes(path):
            appeared = event.name in VERSION_CONTROL and event.kind is not Kind.TOUCHED
            return [self._find_repository(node.path)] if appeared else []
        commands: list[Command] = []
        if known is not None and (known.untold or event.kind is Kind.ARRIVED):
            commands = self._forget(path, counts=event.kind is Kind.ARRIVED)
        return commands + self._appeared(node, event.name)

    def _appeared(self, node: Node, name: str) -> list[Command]:
        """There may be a directory of that name now."""
        path = _join(node.path, name)
        if self.rules.prunes(path):
            return []
        if name not in node.dirs:
            node.dirs.append(name)
        self._warned.discard(path)
        return [self._asks.arm(Why.APPEARED, [path])]

    def _file(self, node: Node, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        path = _join(node.path, event.name)
        commands: list[Command] = []
        if event.name in NAMES and event.kind not in (Kind.WRITTEN, Kind.TOUCHED):
            commands = [self._asks.arm(Why.REREAD, [node.path])]
        if self.rules.verdict(path).action == "ignore":
            return commands
        if event.kind in NAMING and path in self.tree:  # it was a link that is followed
            commands += self._forget(path, counts=event.kind in GONE)
            if event.kind is Kind.LEFT:
                commands += self._appeared(node, event.name)
        if event.kind in GONE:
            existed = self.tree.remove_file(node, event.name)
            if existed or path in in_batch:
                self.changes.append(Change(path, event.kind, existed))
            if event.kind is Kind.LEFT:  # another may have come in its place
                commands += self._stamps.doubt(path, Kind.ARRIVED)
            return commands
        if event.kind in NAMING or event.kind is Kind.WRITTEN:
            existed = self.tree.add_file(node, event.name)
            self._stamps.lose_in([node.path])
            self.changes.append(Change(path, event.kind, existed))
            if self._follow_links and event.kind in NAMING:
                commands.append(self._asks.arm(Why.APPEARED, [path]))
            return commands
        return commands + self._content(path, event.kind, in_batch)

    def _content(self, path: str, kind: Kind, in_batch: BatchView) -> list[Command]:
        """The file is there: is this the end of a write that we saw, a write that we did not see, or none."""
        if kind is Kind.WRITTEN or (kind is Kind.CLOSED and in_batch.being_written(path)):
            self._stamps.lose(path)
            self.changes.append(Change(path, kind, existed=True))
            return []
        if path in in_batch and kind is Kind.TOUCHED:
            return []
        return self._stamps.doubt(path, kind)

    def examined(self, event: Examined, now: float) -> list[Command]:
        """How files look."""
        self._asks.answered()
        for path, kind in self._stamps.examined(event, now):
            self.changes.append(Change(path, kind, existed=True))
            node = self.tree.get(_parent(path))
            if kind is Kind.ARRIVED and node is not None:
                self.tree.add_file(node, path.rpartition("/")[2])
        # Not in answer to a doubt: events that were read with the one that raised it may still be waiting
        # for their turn, and those that come now are later.
        return [Drain(self._name)] if self._stamps.first_look else []

    def drained(self) -> None:
        """No event is left that is older than the stamps just taken."""
        self._stamps.trust()


class BatchView(Protocol):
    """What is asked of the pending batch."""

    def __contains__(self, path: str) -> bool: ...

    def being_written(self, path: str) -> bool: ...


def _join(directory: str, name: str) -> str:
    return f"{directory}{name}" if directory == "/" else f"{directory}/{name}"


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")
