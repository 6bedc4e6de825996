"""The repositories that a service watches in: where version control takes its lock.

Rules:
- One is looked for from each root, and from each directory below one that has a `.git` or `.hg`.
- It is looked for again when the directory of its lock goes away, or could be watched in a better way.
"""

from __future__ import annotations

from collections.abc import Iterable

from reloaderd.commands import Command
from reloaderd.core.asks import Asks
from reloaderd.core.paths import is_below
from reloaderd.events import RepositoryFound

NAMES = frozenset({".git", ".hg"})


class Repositories:
    """Directory whose repository was looked for -> where its lock appears: watch (or -1), name."""

    def __init__(self, asks: Asks) -> None:
        self._asks = asks
        self._locks: dict[str, tuple[int, str]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._locks

    def look_for(self, path: str) -> Command:
        """Find the one that directory `path` is in."""
        self._locks.setdefault(path, (-1, ""))
        return self._asks.find_repository(path)

    def look_again(self) -> list[Command]:
        """Find all of them again."""
        return [self.look_for(path) for path in self._locks]

    def look_below(self, points: Iterable[str]) -> list[Command]:
        """Find those of these directories, and of all below them, again."""
        return [self.look_for(path) for path in self._locks if any(is_below(path, one) for one in points)]

    def lock_gone(self, watch: int) -> list[Command]:
        """The directory of a lock went away."""
        return [self.look_for(path) for path, (at, _) in self._locks.items() if at == watch]

    def found(self, event: RepositoryFound) -> int:
        """Take the place of what was known; returns the former watch."""
        former, _ = self._locks.get(event.path, (-1, ""))
        self._locks[event.path] = (event.watch, event.lock)
        return former

    def forget(self, path: str) -> list[int]:
        """Drop those of `path` and below; returns their watches."""
        inside = [one for one in self._locks if is_below(one, path)]
        return [self._locks.pop(one)[0] for one in inside]

    def lock_name(self, watch: int) -> str:
        """The name of the lock that is watched for under `watch`; '' if that is no such watch."""
        return next((lock for at, lock in self._locks.values() if at == watch), "")

    def watches(self) -> set[int]:
        """All watches in use."""
        return {watch for watch, _ in self._locks.values() if watch >= 0}
