"""How the given paths are held on to: every name on the way to one, so that none is lost.

Rules:
- A path is found again whenever a name on its way is made, renamed or deleted, or a directory
  above it goes away: a deleted root says nothing itself while some process works in it.
- A path that leads nowhere is waited for in the nearest directory that exists.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reloaderd.events import Anchored


class Anchors:
    """The latest `Anchored` of each path, by the names and by the watches that it rests on.

    There may be thousands: each module that a child loads from elsewhere is one.
    """

    def __init__(self) -> None:
        self._by_path: dict[str, Anchored] = {}
        self._by_step: dict[tuple[int, str], dict[str, None]] = {}
        self._by_watch: dict[int, dict[str, None]] = {}

    def put(self, anchored: Anchored) -> tuple[Anchored | None, list[int]]:
        """Take the place of the former one: returns it, and the watches that are not needed any more."""
        former = self._by_path.get(anchored.path)
        if former is not None:
            self._unmap(former)
        self._by_path[anchored.path] = anchored
        for step in anchored.steps:
            self._by_step.setdefault(step, {})[anchored.path] = None
        for watch in _watches(anchored):
            self._by_watch.setdefault(watch, {})[anchored.path] = None
        return former, self._unused(former)

    def let_go(self, path: str) -> list[int]:
        """Hold on to `path` no more; returns the watches that are not needed any more."""
        former = self._by_path.pop(path, None)
        if former is not None:
            self._unmap(former)
        return self._unused(former)

    def _unmap(self, anchored: Anchored) -> None:
        for step in set(anchored.steps):
            _remove(self._by_step, step, anchored.path)
        for watch in _watches(anchored):
            _remove(self._by_watch, watch, anchored.path)

    def _unused(self, former: Anchored | None) -> list[int]:
        return [watch for watch in _watches(former) if not self.uses(watch)] if former else []

    def get(self, path: str) -> Anchored | None:
        """How `path` resolved when last looked at."""
        return self._by_path.get(path)

    def paths(self) -> list[str]:
        """All that is held on to."""
        return list(self._by_path)

    def through(self, watch: int, name: str) -> list[str]:
        """The paths that lead through `name` in the directory of `watch`."""
        return list(self._by_step.get((watch, name), ()))

    def ends_at(self, path: str, watch: int, name: str) -> bool:
        """Whether that name is the last on the way: the file or directory itself."""
        anchored = self._by_path[path]
        return bool(anchored.steps) and anchored.steps[-1] == (watch, name)

    def resting_on(self, watch: int) -> list[str]:
        """The paths for which `watch` stands for a directory on the way."""
        return list(self._by_watch.get(watch, ()))

    def uses(self, watch: int) -> bool:
        """Whether any path needs `watch`."""
        return watch in self._by_watch

    def watches(self) -> Iterable[int]:
        """All watches in use."""
        return self._by_watch.keys()


def _watches(anchored: Anchored) -> Iterable[int]:
    return {step.watch for step in anchored.steps} | set(anchored.ancestors)


def _remove(table: dict[Any, dict[str, None]], key: Any, path: str) -> None:
    paths = table[key]
    del paths[path]
    if not paths:
        del table[key]
