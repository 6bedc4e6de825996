"""What one service watches: turns what a source tells into changes that count.

Rules (DESIGN 6.1):
- A root that is gone takes its pending changes with it and is waited for: what counts is that it is back.
- Events were lost: everything is compared with what is known of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from reloaderd.commands import Command, Drain, Report
from reloaderd.core.asks import Asks
from reloaderd.core.changes import NAMING, Change
from reloaderd.core.directories import Directories
from reloaderd.core.entries import BatchView, Entries
from reloaderd.core.modules import Modules
from reloaderd.core.paths import is_below, parent
from reloaderd.core.roots import Found, Roots
from reloaderd.core.rules import Rules
from reloaderd.core.upheavals import Upheavals
from reloaderd.events import (
    Anchored,
    Armed,
    EntryChanged,
    Event,
    Examined,
    FileDetached,
    Kind,
    MountsChanged,
    RepositoryFound,
    WatchEnded,
    WatchMoved,
    WatchStale,
    Why,
)
from reloaderd.settings import ServiceSettings


class Watcher:
    """The roots, rules and tree of one service."""

    def __init__(self, settings: ServiceSettings) -> None:
        self.rules = Rules(settings.rules, settings.roots)
        self.withdrawn: list[str] = []  # roots that are gone with all below them, not yet taken
        self._name = settings.name
        self._follow_links = settings.follow_links
        self._asks = Asks(settings.name, settings.rules.gitignore)
        self._roots = Roots(settings.roots)
        self._directories = Directories(settings, self.rules, self._asks)
        self._entries = Entries(self._directories, self.rules, self._asks, settings.follow_links)
        self._stamps = self._directories.stamps
        self._repositories = self._directories.repositories
        self._ignore_files = self._directories.ignore_files
        self.modules = Modules(settings, self._directories, self._roots, self.rules, self._asks)
        self._upheavals = Upheavals(
            settings, self._directories, self._roots, self.rules, self._asks, self._look, self.look_everywhere
        )
        self._armed_roots: set[str] = set()
        self.tree = self._directories.tree
        self.coverage = self._directories.coverage

    def start(self) -> list[Command]:
        """Find the roots; all else follows from the answers."""
        return [self._asks.anchor(root) for root in self._roots.paths]

    def lose_track(self) -> None:
        """Events were lost: until everything was looked at, nothing new is taken for known."""
        self._directories.lost = True
        self._stamps.distrust_all()

    def look_everywhere(self) -> list[Command]:
        """Events were lost: compare everything with what is known of it."""
        self._directories.lost = False
        commands: list[Command] = [self._look(path) for path in self._roots.anchors.paths()]
        commands += self._repositories.look_again()
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
        told += self._directories.tick(now) + self.modules.tick(now)
        return told + ([] if self._directories.lost else self._stamps.tick(now))

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from an event that is the business of nobody else."""
        match event:
            case Armed():
                return self.armed(event, now)
            case Anchored():
                return self.anchored(event, now)
            case Examined():
                return self.examined(event, now)
            case WatchEnded():
                return self._upheavals.watch_ended(event)
            case WatchMoved():
                return self._upheavals.watch_moved(event)
            case WatchStale():
                return self._upheavals.watch_stale(event)
            case MountsChanged():
                return self._upheavals.mounts_changed(event)
            case FileDetached():
                return self._upheavals.file_detached(event)
            case _:
                return []

    # What it knows

    @property
    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        stamps = None if self._directories.lost else self._stamps.deadline
        instants = (self._roots.deadline, self._directories.deadline, self.modules.deadline, stamps)
        return min((at for at in instants if at is not None), default=None)

    @property
    def busy(self) -> bool:
        """Whether something that it asked was not answered yet."""
        return self._asks.outstanding > 0

    def uses(self, watch: int) -> bool:
        """Whether this service needs `watch`."""
        return self.tree.uses(watch) or bool(self.lock_name(watch)) or self._roots.anchors.uses(watch)

    def watches(self) -> set[int]:
        """The watches that it holds."""
        return {*self.tree.watches(), *self._roots.anchors.watches(), *self._repositories.watches()}

    def lock_name(self, watch: int) -> str:
        """The name of the lock that is watched for under `watch`; '' if that is no such watch."""
        return self._repositories.lock_name(watch)

    def is_watched(self, path: str) -> bool:
        """Whether it is a directory or a file of the tree, a root, or a module from elsewhere."""
        return path in self.tree or path in self._roots or path in self.modules or self.tree.has_file(path)

    @property
    def missing(self) -> Sequence[str]:
        """The paths that were given and are not there."""
        return self._roots.missing()

    @property
    def roots(self) -> Sequence[str]:
        """The PATHs."""
        return self._roots.paths

    def spelled(self, real: str) -> str:
        """See `Roots.spelled`."""
        return self._roots.spelled(real)

    def take_changes(self) -> list[Change]:
        """What was found and not taken yet."""
        changes, self._directories.changes = self._directories.changes, []
        return changes

    def _warning(self, text: str) -> Command:
        return Report("warning", self._name, {"text": text})

    # Roots, and ignore files outside them

    def anchored(self, event: Anchored, now: float) -> list[Command]:
        """A path was found, or found missing."""
        self._asks.answered()
        stirred = self._roots.settle(event.path)
        former, unused = self._roots.anchors.put(event)
        commands = self._asks.drop(unused)
        if (event.path in self._roots or event.path in self.modules) and not event.is_dir:
            self.coverage.note([event.path], {event.path: event.polled} if event.polled else {})
        if self._ignore_files.is_outside(event.path):
            if not self._is_needed(event.path):
                self._ignore_files.let_go(event.path)
                return commands + self._asks.drop(self._roots.anchors.let_go(event.path))
            changed = self._ignore_files.load_again(event.path, event.text)
            return commands + (self._directories.sift(self._roots.paths) if changed else [])
        if event.path in self.modules:
            return commands + self.modules.found(event, self._roots.judge(event, former, now))
        if event.path not in self._roots:  # it was let go before this answer came
            return commands + self._asks.drop(self._roots.anchors.let_go(event.path))
        match self._roots.judge(event, former, now):
            case Found.FIRST:
                return commands + self._root_at_start(event)
            case Found.SAME if event.identity is not None or event.path not in self.tree:
                again = stirred and event.path in self.tree  # armed below another directory, maybe
                return commands + ([self._asks.arm(Why.LOST, [event.path])] if again else [])
            case Found.GONE | Found.SAME:  # the latter was armed when it was back for a moment
                self.withdrawn.append(event.path)
                if self._stamps.is_root(event.path):
                    self._stamps.lose(event.path)
                return commands + self._directories.forget(event.path)
            case Found.BACK | Found.REPLACED:
                return commands + self._root_replaced(event)

    def _is_needed(self, path: str) -> bool:
        """Whether an ignore file outside of the tree bears on it: not if its repository went."""
        base = self._ignore_files.bears_on(path)
        if base is None or base in self.tree or base in self._roots:
            return True
        return not any(is_below(base, root) for root in self._roots.paths)

    def _root_at_start(self, event: Anchored) -> list[Command]:
        if event.identity is None:
            return [self._warning(f"{event.path} is not there; waiting for it")]
        if event.is_dir:
            return [self._repositories.look_for(event.path)]
        self._stamps.add_root(event.path)
        return [self._repositories.look_for(parent(event.path))]

    def _root_replaced(self, event: Anchored) -> list[Command]:
        self._directories.changes.append(Change(event.path, Kind.ARRIVED, existed=not event.is_dir))
        commands = self._directories.forget(event.path)
        if not event.is_dir:
            self._stamps.add_root(event.path)
            return commands
        self._stamps.remove_root(event.path)
        return [
            *commands,
            self._repositories.look_for(event.path),
            self._asks.arm(Why.APPEARED, [event.path]),
        ]

    # Repositories

    def repository_found(self, event: RepositoryFound) -> list[Command]:
        """What version control says about a root, or about a directory below one."""
        self._asks.answered()
        former = self._repositories.found(event)
        changed = self._ignore_files.load_found(event.files)
        anchors = self._roots.anchors
        commands = self._asks.drop([former])
        commands += [
            self._asks.anchor(file.path, read=True) for file in event.files if anchors.get(file.path) is None
        ]
        if event.path in self._roots and event.path not in self._armed_roots:
            self._armed_roots.add(event.path)
            return [*commands, self._asks.arm(Why.START, [event.path])]
        return commands + (self._directories.sift([event.path]) if changed else [])

    # Events of a source

    def entry_changed(self, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        """One name in one watched directory changed."""
        commands: list[Command] = []
        for path in self._roots.anchors.through(event.watch, event.name):
            commands += self._on_the_way(path, event, in_batch)
        return commands + self._entries.changed(event, in_batch)

    def _on_the_way(self, path: str, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        last = self._roots.anchors.ends_at(path, event.watch, event.name)
        if event.kind in NAMING:
            self._roots.stir(path)
            if last:
                self._roots.suspect(path)
            return [self._look(path)]
        if last and self._ignore_files.is_outside(path):
            return [self._look(path)] if event.kind in (Kind.CLOSED, Kind.REWRITTEN) else []
        if last and self._stamps.is_root(path):
            return self._entries.content(path, event.kind, in_batch)
        return []

    def _look(self, path: str) -> Command:
        """Find a root, or an ignore file outside them, again."""
        return self._asks.anchor(path, read=self._ignore_files.is_outside(path))

    # Answers that others know what to do with

    def armed(self, event: Armed, now: float) -> list[Command]:
        """Directories are watched and listed."""
        self._asks.answered()
        return self._directories.armed(event, now)

    def examined(self, event: Examined, now: float) -> list[Command]:
        """How files look."""
        self._asks.answered()
        if event.why is Why.LOADED:
            self.modules.examined(event)
            return []
        self._entries.examined(event, now)
        # Not in answer to a doubt: events that were read with the one that raised it may still be waiting
        # for their turn, and those that come now are later.
        return [Drain(self._name)] if self._stamps.first_look else []

    def drained(self) -> None:
        """No event is left that is older than the stamps just taken."""
        self._stamps.trust()
