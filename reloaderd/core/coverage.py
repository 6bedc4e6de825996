"""Which parts of what a service watches are polled, why, and what of that a person is told.

Rules:
- A part is named by its topmost directory; what is below for the same reason is not named again.
- A limit that is hit is told once, when all is armed and so what is needed is known; again only when it was
  out of the way in the meantime.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reloaderd.commands import Command, ReadLimit, Report
from reloaderd.core.paths import parent
from reloaderd.core.reasons import LIMITS, MADE_UP
from reloaderd.core.reasons import polled as polled_because
from reloaderd.events import LimitRead


class Coverage:
    """The reasons by path, and what of them was told."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._reasons: dict[str, str] = {}
        self._files: set[str] = set()  # those of the paths that were not armed themselves
        self._told: set[str] = set()
        self._shown: list[dict[str, str]] = []
        self.changed = False

    def __bool__(self) -> bool:
        return bool(self._reasons)

    def note(self, armed: Iterable[str], polled: Mapping[str, str]) -> None:
        """These paths were armed; those in `polled` are, for these reasons, and files in them may be."""
        armed = set(armed)
        former = (armed & self._reasons.keys()) | {file for file in self._files if parent(file) in armed}
        for path in former - polled.keys():
            del self._reasons[path]
            self.changed = True
        for path, why in polled.items():
            if self._reasons.get(path) != why:
                self._reasons[path] = why
                self.changed = True
        self._files = (self._files - former) | (polled.keys() - armed)

    def settle(self, is_watched: Callable[[str], bool]) -> bool:
        """All is armed.  Forget what is not watched any more; returns whether `parts` are others now."""
        self.changed = False
        self._reasons = {path: why for path, why in self._reasons.items() if is_watched(path)}
        self._files &= self._reasons.keys()
        before, self._shown = self._shown, self._parts()
        return before != self._shown

    def parts(self) -> list[dict[str, Any]]:
        """The polled parts as last settled: `path` and `why` of each."""
        return list(self._shown)

    def complain(self) -> list[Command]:
        """Warn of what had to be polled and should not be, or ask for the limit that is why."""
        reasons = {why for why in self._reasons.values() if why in LIMITS or why in MADE_UP}
        untold = sorted(reasons - self._told)
        self._told = reasons
        asks: list[Command] = [ReadLimit(self._service, why) for why in untold if why in LIMITS]
        return asks + [self._warning(why, "", 0) for why in untold if why in MADE_UP]

    def limit_read(self, event: LimitRead) -> list[Command]:
        """Which limit it is that was hit; it may be out of the way by now."""
        return [self._warning(*event[1:])] if event.why in self._reasons.values() else []

    def reason(self, path: str) -> str:
        """Why that is polled; empty where it is not."""
        return self._reasons.get(path, "")

    def is_polled(self, path: str) -> bool:
        """Whether a file's changes are learnt by looking."""
        return path in self._reasons or parent(path) in self._reasons

    def covers(self, paths: int) -> bool:
        """Whether so many paths are all that there are, and each is polled."""
        return 0 < paths <= len(self._reasons)

    def _parts(self) -> list[dict[str, str]]:
        return [
            {"path": path, "why": why}
            for path, why in sorted(self._reasons.items())
            if self._reasons.get(parent(path)) != why or path == "/"
        ]

    def _warning(self, why: str, sysctl: str, value: int) -> Command:
        count = Counter(self._reasons.values())[why]
        return Report("warning", self._service, {"text": polled_because(why, count, sysctl, value)})
