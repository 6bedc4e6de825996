"""What an event about one name in a watched directory means.

Rules:
- The event alone decides where it can; where it cannot, the file is in doubt (core.stamps).
- What is ignored is passed over, but for the names that say what is: ignore files, and repositories.
"""

from __future__ import annotations

from typing import Protocol

from reloaderd.commands import Command
from reloaderd.core.asks import Asks
from reloaderd.core.changes import GONE, NAMING, WRITING, Change
from reloaderd.core.directories import Directories
from reloaderd.core.ignorefiles import NAMES
from reloaderd.core.paths import join, parent
from reloaderd.core.repositories import NAMES as VERSION_CONTROL
from reloaderd.core.rules import Rules
from reloaderd.core.watchtree import Node
from reloaderd.events import EntryChanged, Examined, Kind, Why


class BatchView(Protocol):
    """What is asked of the pending batch."""

    def __contains__(self, path: str) -> bool: ...

    def being_written(self, path: str) -> bool: ...


class Entries:
    """Turns events about names into changes, and into what must be looked at."""

    def __init__(self, directories: Directories, rules: Rules, asks: Asks, follow_links: bool) -> None:
        self._directories = directories
        self._tree = directories.tree
        self._stamps = directories.stamps
        self._rules = rules
        self._asks = asks
        self._follow_links = follow_links

    def changed(self, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        """One name in one watched directory changed."""
        commands: list[Command] = []
        for node in list(self._tree.at(event.watch)):
            commands += self._directory(node, event) if event.is_dir else self._file(node, event, in_batch)
        return commands

    def _directory(self, node: Node, event: EntryChanged) -> list[Command]:
        path = join(node.path, event.name)
        if event.kind is Kind.DELETED:
            return self._directories.forget(path, counts=True, itself=True)
        if event.kind is Kind.LEFT:
            return self._left(node, event.name)
        known = self._tree.get(path)
        if event.kind is Kind.TOUCHED and (known is None or known.watch >= 0):
            return []
        if self._rules.prunes(path):
            appeared = event.name in VERSION_CONTROL and event.kind is not Kind.TOUCHED
            return [self._directories.repositories.look_for(node.path)] if appeared else []
        commands: list[Command] = []
        if known is not None and (known.untold or event.kind is Kind.ARRIVED):
            commands = self._directories.forget(path, counts=event.kind is Kind.ARRIVED)
        return commands + self._appeared(node, event.name)

    def _left(self, node: Node, name: str) -> list[Command]:
        """A directory did, and another may have come in its place: two names can be exchanged.

        If it was a file or a link, that was told first: to arm there would be to go through the link.
        """
        commands = self._directories.forget(join(node.path, name), counts=True, itself=True)
        if name in node.files and not self._follow_links:
            return commands
        return commands + self._appeared(node, name)

    def _appeared(self, node: Node, name: str) -> list[Command]:
        """There may be a directory of that name now."""
        path = join(node.path, name)
        if self._rules.prunes(path):
            return []
        if name not in node.dirs:
            node.dirs.append(name)
        self._directories.warn_again(path)
        return [self._asks.arm(Why.APPEARED, [path])]

    def _file(self, node: Node, event: EntryChanged, in_batch: BatchView) -> list[Command]:
        path = join(node.path, event.name)
        commands: list[Command] = []
        if event.name in NAMES and event.kind not in (Kind.WRITTEN, Kind.TOUCHED):
            commands = [self._asks.arm(Why.REREAD, [node.path])]
        if self._rules.verdict(path).action == "ignore":
            return commands
        if event.kind in NAMING and path in self._tree:
            # a link that is followed, or a directory that this was exchanged for
            counts = event.kind is not Kind.CREATED
            commands += self._directories.forget(path, counts=counts, itself=True)
            if event.kind is Kind.LEFT:
                commands += self._appeared(node, event.name)
        if event.kind in GONE:
            existed = self._tree.remove_file(node, event.name)
            if existed or path in in_batch:
                self._directories.changes.append(Change(path, event.kind, existed))
            if event.kind is Kind.LEFT:  # another may have come in its place
                commands += self._stamps.doubt(path, Kind.ARRIVED)
            return commands
        if event.kind in NAMING or event.kind in WRITING:
            existed = self._tree.add_file(node, event.name)
            self._stamps.lose_in([node.path])
            self._directories.changes.append(Change(path, event.kind, existed))
            if self._follow_links and event.kind in NAMING:
                commands.append(self._asks.arm(Why.APPEARED, [path]))
            return commands
        return commands + self.content(path, event.kind, in_batch)

    def content(self, path: str, kind: Kind, in_batch: BatchView) -> list[Command]:
        """The file is there: is this the end of a write that we saw, a write that we did not see, or none."""
        if kind in WRITING or (kind is Kind.CLOSED and in_batch.being_written(path)):
            self._stamps.lose(path)
            self._directories.changes.append(Change(path, kind, existed=True))
            return []
        if path in in_batch and kind is Kind.TOUCHED:
            return []
        return self._stamps.doubt(path, kind)

    def examined(self, event: Examined, now: float) -> None:
        """How files look."""
        for path, kind in self._stamps.examined(event, now):
            self._directories.changes.append(Change(path, kind, existed=True))
            node = self._tree.get(parent(path))
            if kind is Kind.ARRIVED and node is not None:
                self._tree.add_file(node, path.rpartition("/")[2])
