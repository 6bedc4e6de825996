"""What befalls whole directories: their watches end, move or grow stale, mounts come and go.

Rules:
- What rested on a watch is found again; what it stood for is armed again.
- Other mounts are there: so is what they cover or lay bare.
"""

from __future__ import annotations

from collections.abc import Callable

from reloaderd.commands import Command, Report
from reloaderd.core.asks import Asks
from reloaderd.core.directories import Directories
from reloaderd.core.paths import is_below, join, parent
from reloaderd.core.roots import Roots
from reloaderd.core.rules import Rules
from reloaderd.events import FileDetached, MountsChanged, WatchEnded, WatchMoved, WatchStale, Why
from reloaderd.settings import ServiceSettings


class Upheavals:
    """Turns such events into what must be looked at again."""

    def __init__(
        self,
        settings: ServiceSettings,
        directories: Directories,
        roots: Roots,
        rules: Rules,
        asks: Asks,
        look: Callable[[str], Command],
        look_everywhere: Callable[[], list[Command]],
    ) -> None:
        """`look` finds a path that is anchored again, `look_everywhere` compares everything."""
        self._name = settings.name
        self._follow_links = settings.follow_links
        self._tree = directories.tree
        self._repositories = directories.repositories
        self._roots = roots
        self._rules = rules
        self._asks = asks
        self._look = look
        self._look_everywhere = look_everywhere

    def watch_ended(self, event: WatchEnded) -> list[Command]:
        """The kernel dropped a watch that is still needed: an unmount, or a deletion told out of turn."""
        paths = self._roots.anchors.resting_on(event.watch)
        nodes = [node.path for node in self._tree.lose(event.watch)]
        roots = [path for path in nodes if path in self._roots]
        for root in roots:
            self._roots.suspect(root)
        commands: list[Command] = [self._look(path) for path in dict.fromkeys([*paths, *roots])]
        commands += self._repositories.lock_gone(event.watch)
        rest = [path for path in nodes if path not in roots]
        return [*commands, self._asks.arm(Why.LOST, rest)] if rest else commands

    def watch_moved(self, event: WatchMoved) -> list[Command]:
        """A directory on the way to a path went away itself."""
        paths = self._roots.anchors.resting_on(event.watch)
        for path in paths:
            self._roots.stir(path)
        looks: list[Command] = [self._look(path) for path in paths]
        return looks + self._repositories.lock_gone(event.watch)

    def file_detached(self, event: FileDetached) -> list[Command]:
        """A file that is mounted by itself was replaced where it comes from."""
        paths = [join(node.path, event.name) for node in self._tree.at(event.watch)]
        paths += self._roots.anchors.through(event.watch, event.name)
        text = "is mounted by itself and was replaced: it is the old file still (mount its directory instead)"
        counted = [path for path in paths if self._rules.verdict(path).action != "ignore"]
        return [Report("warning", self._name, {"text": f"{path} {text}"}) for path in counted]

    def watch_stale(self, event: WatchStale) -> list[Command]:
        """Another source may have room for this directory now, or it is another directory."""
        commands: list[Command] = [self._look(path) for path in self._roots.anchors.resting_on(event.watch)]
        commands += self._repositories.lock_gone(event.watch)
        paths = [node.path for node in self._tree.at(event.watch)]
        return [*commands, self._asks.arm(Why.STALE, paths)] if paths else commands

    def mounts_changed(self, event: MountsChanged) -> list[Command]:
        """Another file system may be at some of the paths, and another directory or file with it."""
        commands: list[Command] = [self._look(path) for path in self._roots.anchors.paths()]
        commands += self._repositories.look_below(event.points)
        for root in self._roots.paths:
            real = self._roots.real(root)
            if any(is_below(real, point) for point in event.points):
                commands += self._mount_changed(root)  # the same directory, maybe, with other mounts below
                continue
            for point in event.points:
                if is_below(point, real):
                    commands += self._mount_changed(join(root, point[len(real.rstrip("/")) + 1 :]))
        if self._follow_links:  # which may lead there from anywhere
            commands += self._look_everywhere()
        return commands

    def _mount_changed(self, path: str) -> list[Command]:
        if path in self._tree:
            return [self._asks.arm(Why.LOST, [path])]
        above = parent(path)  # of a file that is mounted by itself
        return [self._asks.arm(Why.STALE, [above])] if self._tree.has_file(path) else []
