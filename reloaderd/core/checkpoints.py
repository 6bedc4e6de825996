"""From which of the copies that a run has left the next one may go on.

The rule: from the latest copy made before anything was read that has changed since.  What a run reads and
where it leaves a copy is told by it in one row, so that each file has its place among the copies.

Rules:
- What has changed and was not read by the run, as far as it told, may have been looked at by other means:
  then no copy will do.  Nor will one for a start that no change has asked for, or after more than a run may
  tell.
- A run that goes on from a copy tells anew all that was read before it, with the copies in between; so each
  run has its row from the first file on.
- The modules to leave a copy before are those that were edited last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from reloaderd.commands import Command, Report
from reloaderd.events import CheckpointGone, CheckpointPassed, CheckpointReady, FilesLoaded

MOST = 4
"""Modules before which a run leaves a copy, and copies that are kept: the earliest one saves the least."""

LONGEST = 1 << 15
"""Bytes of their names: the copy is told them in one message."""


class Checkpoints:
    """The row of the present run of one service."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._edited: list[str] = []  # modules, the latest first
        self._ready: set[int] = set()
        self._said: set[tuple[str, str]] = set()
        self.begin()

    def begin(self) -> None:
        """A run starts, of which nothing is known."""
        self._passed: list[tuple[int, str]] = []  # in order: number, and the file that came next
        self._places: dict[str, int] = {}  # how many were passed when a file was read first
        self._full = False

    @property
    def edited(self) -> tuple[str, ...]:
        """What the next run is to leave a copy before."""
        return tuple(self._edited)

    def edit(self, modules: Iterable[str]) -> None:
        """These have changed."""
        for path in modules:
            if path in self._edited:
                self._edited.remove(path)
            self._edited.insert(0, path)
        del self._edited[MOST:]
        while sum(len(path.encode("utf-8", "surrogateescape")) for path in self._edited) > LONGEST:
            self._edited.pop()

    def read(self, event: FilesLoaded, spelled: Callable[[str], str]) -> None:
        """A process of the run read these; `spelled` is how a path is spelled below a root."""
        self._full = self._full or event.full
        for file in (*event.modules, *event.data):
            for path in (file.path, file.real, spelled(file.real)):
                self._places.setdefault(path, len(self._passed))

    def choose(self, changed: Iterable[str]) -> int:
        """The number of the copy that a run may go on from which is for these changes; 0: of none."""
        places = [self._places.get(path, 0) for path in changed]
        if self._full or not places:
            return 0
        before = self._passed[: min(places)]
        return next((number for number, _ in reversed(before) if number in self._ready), 0)

    def handle(self, event: CheckpointPassed | CheckpointReady | CheckpointGone) -> list[Command]:
        """One was passed, is ready, or is gone."""
        if isinstance(event, CheckpointReady):
            self._ready.add(event.number)
            return []
        if isinstance(event, CheckpointPassed):
            if event.number:
                self._passed.append((event.number, event.before))
            return self._say(event.before, event.why)
        self._ready.discard(event.number)
        before = dict(self._passed).get(event.number, "")
        return self._say(before, event.why) if before and event.why else []

    def _say(self, before: str, why: str) -> list[Command]:
        if (before, why) in self._said:
            return []
        self._said.add((before, why))
        return [Report("checkpoint", self._service, {"before": before, **({"reason": why} if why else {})})]
