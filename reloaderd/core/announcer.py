"""Tells what is watched and by which means: when all is, and again when something else is polled."""

from __future__ import annotations

from typing import Any

from reloaderd.commands import Command
from reloaderd.core.telling import means, watching
from reloaderd.core.watcher import Watcher
from reloaderd.settings import ServiceSettings

QUIET = 0.2
"""Seconds after which a change of that is told: a tree is armed anew in slices (20 ms)."""


class Announcer:
    """What was told of one service's watcher."""

    def __init__(self, settings: ServiceSettings, watcher: Watcher, source: str) -> None:
        """`source` is the name of the kernel's source."""
        self.source = source
        self.deadline: float | None = None
        self._settings = settings
        self._watcher = watcher

    def announce(self) -> list[Command]:
        """All is watched for the first time."""
        self._settle()
        return [self._line(), *self._watcher.coverage.complain()]

    def note(self, now: float) -> None:
        """Something may be polled that was not, or the other way round."""
        if self._watcher.coverage.changed:
            self._watcher.coverage.changed = False
            self.deadline = now + QUIET

    def tick(self, now: float) -> list[Command]:
        """Tell of it, where it is so still."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        told = [self._line()] if self._settle() else []
        return [*told, *self._watcher.coverage.complain()]

    def _settle(self) -> bool:
        return self._watcher.coverage.settle(self._watcher.is_watched)

    def fields(self) -> dict[str, Any]:
        """What is watched and how, but for the roots."""
        return means(self._watcher, self.source)

    def _line(self) -> Command:
        return watching(self._settings, self._watcher, self.source)
