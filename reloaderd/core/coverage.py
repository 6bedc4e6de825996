"""Which parts of what a service watches are polled, why, and what of that a person is told.

Rules:
- A part is named by its topmost directory; what is below for the same reason is not named again.
- A limit that is hit is told once, when all is armed and so what is needed is known; again only when it was
  out of the way in the meantime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from reloaderd.core.reasons import LIMITS, MADE_UP


class Coverage:
    """The reasons by path, and what of them was told."""

    def __init__(self) -> None:
        self._reasons: dict[str, str] = {}
        self._told: set[str] = set()
        self._shown: list[dict[str, str]] = []
        self.changed = False

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def note(self, path: str, why: str) -> None:
        """`path` was armed: it is polled for this reason, empty where it is not."""
        if self._reasons.get(path, "") == why:
            return
        self.changed = True
        if why:
            self._reasons[path] = why
        else:
            del self._reasons[path]

    def settle(self, is_watched: Callable[[str], bool]) -> bool:
        """All is armed.  Forget what is not watched any more; returns whether `parts` are others now."""
        self.changed = False
        self._reasons = {path: why for path, why in self._reasons.items() if is_watched(path)}
        before, self._shown = self._shown, self._parts()
        return before != self._shown

    def parts(self) -> list[dict[str, Any]]:
        """The polled parts as last settled: `path` and `why` of each."""
        return list(self._shown)

    def count(self, why: str) -> int:
        """How many paths are polled for this reason."""
        return Counter(self._reasons.values())[why]

    def untold(self) -> list[str]:
        """The reasons that a person is to be warned of now."""
        reasons = {why for why in self._reasons.values() if why in LIMITS or why in MADE_UP}
        untold = reasons - self._told
        self._told = reasons
        return sorted(untold)

    def covers(self, paths: int) -> bool:
        """Whether so many paths are all that there are, and each is polled."""
        return 0 < paths <= len(self._reasons)

    def _parts(self) -> list[dict[str, str]]:
        return [
            {"path": path, "why": why}
            for path, why in sorted(self._reasons.items())
            if self._reasons.get(path.rpartition("/")[0] or "/") != why or path == "/"
        ]
