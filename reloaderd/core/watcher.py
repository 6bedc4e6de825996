"""What one service watches: turns what a source tells into changes that count.

Rules (DESIGN 6.1):
- The order is always arm, then list, then believe: what was there before the watch is in the
  listing, what came after it is in the events.
- The event alone decides where it can.  A file that was closed without a write that we saw, or whose
  inode was touched, is examined, and counts if it does not look as it did.
- Nothing in a directory that is ignored is ever armed, listed or examined.
- A root that is gone takes its pending changes with it and is waited for: what counts is that it is back.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from reloaderd.commands import Anchor, Arm, Command, Drop, Examine, FindRepository, Report
from reloaderd.core.anchors import Anchors
from reloaderd.core.reasons import watch_failure
from reloaderd.core.rules import Rules
from reloaderd.core.snapshot import Snapshot
from reloaderd.core.watchtree import Node, WatchTree
from reloaderd.events import (
    Anchored,
    Armed,
    EntryChanged,
    Examined,
    Kind,
    Listing,
    RepositoryFound,
    WatchEnded,
    WatchMoved,
    Why,
)
from reloaderd.settings import ServiceSettings

IGNORE_FILES = frozenset({".gitignore", ".reloaderdignore"})
NAMING = frozenset({Kind.CREATED, Kind.ARRIVED, Kind.LEFT, Kind.DELETED})
GONE = frozenset({Kind.LEFT, Kind.DELETED})
VERSION_CONTROL = frozenset({".git", ".hg"})
SILENT = frozenset({errno.ENOENT, errno.ENOTDIR})
"""Errors of arming that only mean that the directory is gone again."""

TOO_MANY = 50_000
"""Directories from which on a person is told: who named `/` by mistake does not know."""

GONE_FOR = 0.5
"""Seconds without a root before a person is told: an editor that replaces a file takes milliseconds."""


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
        self.anchors = Anchors()
        self.snapshot = Snapshot(self.tree)
        self.changes: list[Change] = []  # found and not yet taken by the service
        self.withdrawn: list[str] = []  # roots that are gone with all below them, not yet taken either
        self.deadline: float | None = None  # when to tell of roots that are gone
        self.outstanding = 0  # commands of ours that were not answered yet
        self._settings = settings
        self._locks: dict[int, str] = {}  # watch -> name of the lock
        self._root_files: dict[str, int | None] = {}
        self._replaced: set[str] = set()
        self._doubts: dict[str, Kind] = {}
        self._warned: set[str] = set()
        self._ignore_bases: dict[str, tuple[str, str]] = {}  # ignore file outside the roots -> (base, kind)
        self._repositories: set[str] = set()
        self._loaded: set[str] = set()
        self._unknown: set[str] = set()  # directories with files that have no stamp
        self._twins: dict[int, list[str]] = {}  # watch -> other paths to the directory, by followed links
        self._gone: set[str] = set()  # roots that are gone, not yet told

    # Commands; each that is answered is counted

    def start(self) -> list[Command]:
        """Find the roots; all else follows from the answers."""
        return [self._anchor(root) for root in self._settings.roots]

    def look_everywhere(self) -> list[Command]:
        """Events were lost: compare everything with what is known of it."""
        commands: list[Command] = [self._anchor(root) for root in self._settings.roots]
        directories = [root for root in self._settings.roots if root in self.tree]
        files = [root for root in self._root_files if self._here(root)]
        if directories:
            commands.append(self._arm(Why.LOST, directories))
        if files:
            commands.append(self._examine(Why.LOST, files))
        return commands

    def baseline(self, at: float) -> None:
        """A run starts: how the files look now is what it sees.  Look at those not known, from `at` on."""
        files = [root for root, stamp in self._root_files.items() if stamp is None and self._here(root)]
        self.snapshot.want(self._unknown, files, at)
        self._unknown.clear()

    def _anchor(self, path: str) -> Command:
        self.outstanding += 1
        return Anchor(self._settings.name, path, path in self._ignore_bases)

    def _arm(self, why: Why, paths: Sequence[str]) -> Command:
        self.outstanding += 1
        return Arm(self._settings.name, why, paths)

    def _examine(self, why: Why | None, paths: Sequence[str]) -> Command:
        self.outstanding += 1
        return Examine(self._settings.name, why, paths)

    def _find_repository(self, path: str) -> Command:
        self.outstanding += 1
        self._repositories.add(path)
        return FindRepository(self._settings.name, path, self._settings.rules.gitignore)

    def _drop(self, watches: Iterable[int]) -> list[Command]:
        unused = [watch for watch in watches if watch >= 0 and not self.uses(watch)]
        return [Drop(unused)] if unused else []

    # What it knows

    def uses(self, watch: int) -> bool:
        """Whether this service needs `watch`."""
        return self.tree.uses(watch) or watch in self._locks or self.anchors.uses(watch)

    def watches(self) -> int:
        """How many of the kernel's watches it holds."""
        return len({*self.tree.watches(), *self.anchors.watches(), *self._locks})

    def lock_name(self, watch: int) -> str:
        """The name of the lock that is watched for under `watch`; '' if that is no such watch."""
        return self._locks.get(watch, "")

    def missing(self) -> list[str]:
        """The roots that are not there now."""
        return [root for root in self._settings.roots if not self._here(root)]

    def _here(self, root: str) -> bool:
        anchored = self.anchors.get(root)
        return anchored is not None and anchored.identity is not None

    # Roots, and ignore files outside them

    def anchored(self, event: Anchored, now: float) -> list[Command]:
        """A path was found, or found missing."""
        self.outstanding -= 1
        former, unused = self.anchors.put(event)
        commands = self._drop(unused)
        if event.path in self._ignore_bases:
            return commands + self._ignore_file(event.path, event.text)
        replaced = event.path in self._replaced
        self._replaced.discard(event.path)
        if former is None:
            return commands + self._root_at_start(event)
        if event.identity is None:
            return commands + (self._root_gone(event.path, now) if former.identity is not None else [])
        if former.identity == event.identity and not replaced:
            return commands
        if not event.is_dir:
            self.changes.append(Change(event.path, Kind.ARRIVED, existed=True))
            self._root_files[event.path] = None
            return commands + self._forget(event.path)
        if former.is_dir and former.identity is not None:
            return commands + self._root_replaced(event)
        self._root_files.pop(event.path, None)
        self.changes.append(Change(event.path, Kind.CREATED, existed=False))
        return [*commands, self._arm(Why.APPEARED, [event.path])]

    def _root_at_start(self, event: Anchored) -> list[Command]:
        if event.identity is None:
            return [self._warning(f"{event.path} is not there; waiting for it")]
        if event.is_dir:
            return [self._find_repository(event.path)]
        self._root_files[event.path] = None
        return [self._find_repository(_parent(event.path))]

    def _root_gone(self, root: str, now: float) -> list[Command]:
        self.withdrawn.append(root)
        self._gone.add(root)
        self.deadline = now + GONE_FOR
        if root in self._root_files:
            self._root_files[root] = None
        return self._forget(root)

    def tick(self, now: float) -> list[Command]:
        """Serve what is due: tell of roots that stay away, take stamps that are missing."""
        commands: list[Command] = []
        if self.deadline is not None and now >= self.deadline:
            self.deadline = None
            gone, self._gone = sorted(self._gone), set()
            texts = [f"{root} is gone; waiting for it to come back" for root in gone if not self._here(root)]
            commands += [self._warning(text) for text in texts]
        paths = self.snapshot.slice(now)
        if paths:
            commands.append(self._examine(None, paths))
        return commands

    def _root_replaced(self, event: Anchored) -> list[Command]:
        self.changes.append(Change(event.path, Kind.CREATED, existed=True))
        return [*self._forget(event.path), self._arm(Why.APPEARED, [event.path])]

    def repository_found(self, event: RepositoryFound) -> list[Command]:
        """What version control says about a root, or about a directory below one."""
        self.outstanding -= 1
        if event.watch >= 0:
            self._locks[event.watch] = event.lock
        commands: list[Command] = []
        changed = False
        for file in event.files:
            changed = self.rules.load(file.path, file.base, file.text, file.kind) or changed
            self._ignore_bases[file.path] = (file.base, file.kind)
            if self.anchors.get(file.path) is None:
                commands.append(self._anchor(file.path))
        if event.path in self._settings.roots:
            commands.append(self._arm(Why.START, [event.path]))
        elif changed and event.path in self.tree:
            commands.append(self._arm(Why.RULES, [event.path]))
        return commands

    def _ignore_file(self, path: str, text: str | None) -> list[Command]:
        base, kind = self._ignore_bases[path]
        if not self.rules.load(path, base, text, kind):
            return []
        directories = [root for root in self._settings.roots if root in self.tree]
        return [self._arm(Why.RULES, directories)] if directories else []

    # Directories

    def armed(self, event: Armed, now: float) -> list[Command]:
        """Directories are watched and listed: take them in, go on with those below."""
        self.outstanding -= 1
        commands: list[Command] = []
        below: list[str] = []
        files: list[str] = []
        for listing in event.listings:
            if listing.error:
                commands += self._not_armed(listing, event.why)
            else:
                commands += self._listed(listing, event.why, below, files)
        self._unknown.update(listing.path for listing in event.listings)
        if len(self.tree) > TOO_MANY and "" not in self._warned:
            self._warned.add("")
            commands.append(self._warning(f"more than {TOO_MANY:,} directories to watch: is the PATH right?"))
        if event.why is not Why.START and event.why is not Why.APPEARED:  # those two end in a start
            self.baseline(now)
        if files:
            commands.append(self._examine(Why.LOST, files))
        if below:
            commands.append(self._arm(event.why, below))
        return commands

    def _listed(self, listing: Listing, why: Why, below: list[str], files: list[str]) -> list[Command]:
        path = listing.path
        if self._settings.follow_links and self._seen_elsewhere(listing):
            self._twins.setdefault(listing.watch, []).append(path)
            return []
        rules_changed = self._load_texts(listing)
        subdirs, plain = listing.dirs, listing.files
        if listing.links and self._settings.follow_links:
            subdirs = subdirs + listing.links
        elif listing.links:
            plain = plain + listing.links
        dirs, counted = self.rules.partition(path, subdirs, plain)
        difference = self.tree.take(listing, dirs, counted)
        prefix = path if path == "/" else path + "/"
        commands = self._drop(difference.unused)
        for name in difference.gone_dirs:
            commands += self._forget(prefix + name, counts=why is not Why.RULES)
        if why in (Why.APPEARED, Why.LOST):
            self.changes += [Change(file, Kind.CREATED, existed=False) for file in difference.appeared]
            self.changes += [Change(file, Kind.DELETED, existed=True) for file in difference.vanished]
        if why is Why.LOST:
            files += [prefix + name for name in counted]
        if why is Why.REREAD and rules_changed:
            commands.append(self._arm(Why.RULES, [path]))
        everything = why is not Why.APPEARED and why is not Why.REREAD
        below += [prefix + name for name in dirs if everything or prefix + name not in self.tree]
        at_top = not (VERSION_CONTROL.isdisjoint(listing.dirs) and VERSION_CONTROL.isdisjoint(listing.files))
        if at_top and path not in self._repositories:
            commands.append(self._find_repository(path))
        return commands

    def _load_texts(self, listing: Listing) -> bool:
        if not listing.texts and not self._loaded:
            return False
        changed = False
        for name in IGNORE_FILES:
            file = _join(listing.path, name)
            text = listing.texts.get(name)
            if text is not None or file in self._loaded:
                changed = self.rules.load(file, listing.path, text, name[1:]) or changed
                self._loaded.add(file)
        return changed

    def _seen_elsewhere(self, listing: Listing) -> bool:
        """Whether the same directory is watched under another path already: links may lead in circles."""
        return any(node.path != listing.path for node in self.tree.at(listing.watch))

    def _not_armed(self, listing: Listing, why: Why) -> list[Command]:
        if listing.error in SILENT:
            return self._forget(listing.path, counts=why is not Why.RULES)
        self.tree.take(listing, [], [])
        if listing.path in self._warned:
            return []
        self._warned.add(listing.path)
        return [self._warning(f"{listing.path} is not watched: {watch_failure(listing.error)}")]

    def _forget(self, path: str, counts: bool = False) -> list[Command]:
        """Drop a subtree; with `counts`, each of its files is a change."""
        forgotten = self.tree.forget(path)
        if counts:
            self.changes += [Change(file, Kind.DELETED, existed=True) for file in forgotten.files]
        twins = [twin for watch in forgotten.watches for twin in self._twins.pop(watch, ())]
        again = [twin for twin in twins if twin != path and not twin.startswith(path + "/")]
        return self._drop(forgotten.watches) + ([self._arm(Why.RULES, again)] if again else [])

    # Events of a source

    def entry_changed(self, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        """One name in one watched directory changed."""
        commands: list[Command] = []
        for path in self.anchors.through(event.watch, event.name):
            commands += self._on_the_way(path, event, in_batch)
        for node in list(self.tree.at(event.watch)):
            if event.is_dir:
                commands += self._directory(node, event)
            else:
                commands += self._file(node, event, in_batch)
        return commands

    def watch_ended(self, event: WatchEnded) -> list[Command]:
        """The kernel dropped a watch that is still needed: an unmount, or a deletion told out of turn."""
        paths = self.anchors.resting_on(event.watch)
        nodes = [node.path for node in self.tree.lose(event.watch)]
        roots = [path for path in nodes if path in self._settings.roots]
        self._replaced.update(roots)
        commands = [self._anchor(path) for path in dict.fromkeys([*paths, *roots])]
        rest = [path for path in nodes if path not in roots]
        return [*commands, self._arm(Why.LOST, rest)] if rest else commands

    def watch_moved(self, event: WatchMoved) -> list[Command]:
        """A directory on the way to a path went away itself."""
        return [self._anchor(path) for path in self.anchors.resting_on(event.watch)]

    def _on_the_way(self, path: str, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        last = self.anchors.ends_at(path, event.watch, event.name)
        if event.kind in NAMING:
            if last:
                self._replaced.add(path)
            return [self._anchor(path)]
        if not last:
            return []
        if path in self._ignore_bases:
            return [self._anchor(path)] if event.kind is Kind.CLOSED else []
        if path in self._root_files:
            return self._content(path, event.kind, in_batch)
        return []

    def _directory(self, node: Node, event: EntryChanged) -> list[Command]:
        path = _join(node.path, event.name)
        if event.kind in GONE:
            return self._forget(path, counts=True)
        known = self.tree.get(path)
        if event.kind is Kind.TOUCHED and (known is None or known.watch >= 0):
            return []
        if self.rules.prunes(path):
            return []
        commands: list[Command] = []
        if event.kind is Kind.ARRIVED and known is not None:
            commands = self._forget(path, counts=True)
        if event.name not in node.dirs:
            node.dirs.append(event.name)
        self._warned.discard(path)
        return [*commands, self._arm(Why.APPEARED, [path])]

    def _file(self, node: Node, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        path = _join(node.path, event.name)
        commands: list[Command] = []
        if event.name in IGNORE_FILES and event.kind not in (Kind.CREATED, Kind.WRITTEN, Kind.TOUCHED):
            commands = [self._arm(Why.REREAD, [node.path])]
        if self.rules.verdict(path).action == "ignore":
            return commands
        if event.kind in NAMING and path in self.tree:  # it was a link that is followed
            commands += self._forget(path)
        if event.kind in GONE:
            existed = self.tree.remove_file(node, event.name)
            if existed or path in in_batch:
                self.changes.append(Change(path, event.kind, existed))
            return commands
        if event.kind in NAMING or event.kind is Kind.WRITTEN:
            existed = self.tree.add_file(node, event.name)
            self._unknown.add(node.path)
            self.changes.append(Change(path, event.kind, existed))
            if self._settings.follow_links and event.kind in NAMING:
                commands.append(self._arm(Why.APPEARED, [path]))
            return commands
        return commands + self._content(path, event.kind, in_batch)

    def _content(self, path: str, kind: Kind, in_batch: BatchView) -> list[Command]:
        """The file is there: is this the end of a write that we saw, a write that we did not see, or none."""
        if kind is Kind.WRITTEN or (kind is Kind.CLOSED and in_batch.being_written(path)):
            self._set_stamp(path, None)
            self.changes.append(Change(path, kind, existed=True))
            return []
        if path in in_batch and kind is Kind.TOUCHED:
            return []
        self._doubts[path] = kind
        return [self._examine(None, [path])]

    # Stamps

    def examined(self, event: Examined, now: float) -> list[Command]:
        """How files look: an answer to a doubt, or the first look."""
        self.outstanding -= 1
        for path, stamp in event.stamps.items():
            kind = self._doubts.pop(path, None)
            if stamp is None:
                continue
            if kind is not None or event.why is Why.LOST:
                if self._stamp(path) != stamp.value:
                    self._set_stamp(path, None)
                    self.changes.append(Change(path, kind or Kind.CLOSED, existed=True))
            elif stamp.young:
                self.snapshot.again(_parent(path), now)
            else:
                self._set_stamp(path, stamp.value)
        return []

    def _stamp(self, path: str) -> int | None:
        if path in self._root_files:
            return self._root_files[path]
        return self.tree.stamp(path)

    def _set_stamp(self, path: str, value: int | None) -> None:
        if path in self._root_files:
            self._root_files[path] = value
        else:
            self.tree.set_stamp(path, value)
            if value is None:
                self._unknown.add(_parent(path))

    def _warning(self, text: str) -> Command:
        return Report("warning", self._settings.name, {"text": text})


class BatchView(Protocol):
    """What is asked of the pending batch."""

    def __contains__(self, path: str) -> bool: ...

    def being_written(self, path: str) -> bool: ...


def _join(directory: str, name: str) -> str:
    return f"{directory}{name}" if directory == "/" else f"{directory}/{name}"


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
