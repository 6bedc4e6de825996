"""The roots of one service, and whatever else is anchored: is it there, and is it what it was.

Rules:
- A root is what its path leads to.  Another file or directory there is a change, even with the same content.
- An inode number may be given away again at once: a root whose own name was made, renamed or deleted
  was replaced, whatever its number says.
- A root that is gone is told only when it stays away: an editor that replaces a file takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from reloaderd.core.anchors import Anchors
from reloaderd.core.paths import is_below, join, prefix
from reloaderd.events import Anchored

GONE_FOR = 0.5
"""Seconds without a root before a person is told."""


class Found(Enum):
    """What a look at a root says."""

    FIRST = "first"
    SAME = "same"
    GONE = "gone"
    BACK = "back"
    REPLACED = "replaced"


class Roots:
    """The paths that were given, and the names that lead to them, to ignore files outside and to modules."""

    def __init__(self, paths: Sequence[str]) -> None:
        self.paths = paths
        self.anchors = Anchors()
        self.deadline: float | None = None  # when to tell of those that are gone
        self._suspected: set[str] = set()
        self._stirred: set[str] = set()
        self._gone: set[str] = set()

    def __contains__(self, path: str) -> bool:
        return path in self.paths

    def here(self, path: str) -> bool:
        """Whether the root is there."""
        anchored = self.anchors.get(path)
        return anchored is not None and anchored.identity is not None

    def missing(self) -> list[str]:
        """Those that were looked for and are not there."""
        return [path for path in self.paths if self.anchors.get(path) is not None and not self.here(path)]

    def real(self, path: str) -> str:
        """The path without links that the root was last found under."""
        anchored = self.anchors.get(path)
        return anchored.identity[2] if anchored is not None and anchored.identity is not None else path

    def spelled(self, real: str) -> str:
        """A path without links as the root has it that it is below; empty where it is below none."""
        for root in self.paths:
            there = self.real(root)
            if is_below(real, there):
                return root if real == there else join(root, real[len(prefix(there)) :])
        return ""

    def suspect(self, path: str) -> None:
        """Its own name was made, renamed or deleted."""
        self._suspected.add(path)

    def stir(self, path: str) -> None:
        """Something on the way to it was elsewhere: another directory may have been there for a moment."""
        self._stirred.add(path)

    def settle(self, path: str) -> bool:
        """It was found again; whether anything on the way was elsewhere before."""
        stirred = path in self._stirred
        self._stirred.discard(path)
        return stirred

    def judge(self, event: Anchored, former: Anchored | None, now: float) -> Found:
        """What became of a path that is anchored."""
        suspected = event.path in self._suspected
        self._suspected.discard(event.path)
        if former is None:
            return Found.FIRST
        if event.identity is None:
            if former.identity is None:
                return Found.SAME
            if event.path in self.paths:
                self._gone.add(event.path)
                self.deadline = now + GONE_FOR
            return Found.GONE
        if former.identity is None:
            return Found.BACK
        return Found.REPLACED if suspected or former.identity != event.identity else Found.SAME

    def stay_away(self, now: float) -> list[str]:
        """The roots to tell of now."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        gone, self._gone = sorted(self._gone), set()
        return [path for path in gone if not self.here(path)]
