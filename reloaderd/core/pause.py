"""A service that is paused: its batches wait, while its run goes on.

Rules:
- What is held is released as one batch.
- Only batches are held.  What a person asks for, the end of a run and what `--on-exit` makes of it are not; a
  run that is started for such a reason finds the files as they are, and what was held is done with.
"""

from __future__ import annotations

from reloaderd.commands import Command, Report
from reloaderd.core.debounce import Debounce


class Pause:
    """Whether one service is paused, and whether it was told that something waits because of that."""

    def __init__(self, service: str) -> None:
        self.on = False
        self._service = service
        self._told = False

    def set(self, on: bool) -> None:
        """Pause, or let go."""
        self.on, self._told = on, False

    def deadline(self, debounce: Debounce, now: float) -> float | None:
        """When the pending batch is due, or when to tell that it is held."""
        if not self.on:
            return debounce.deadline(now)
        return debounce.undisturbed(now) if debounce.batch and not self._told else None

    def tick(self, debounce: Debounce, now: float) -> list[Command]:
        """Tell, once, that a batch is held; again after what was held is done with."""
        if not debounce.batch:
            self._told = False
            return []
        if self._told or now < debounce.undisturbed(now):
            return []
        self._told = True
        return [Report("held", self._service, {"reason": "paused"})]
