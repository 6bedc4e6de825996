"""What holds up a batch: a pause, version control at work, a command that restarts itself.

Rules:
- That something waits is said once, and again when what was held is done with.
- A pause is before all else; what it lets go of may still have to wait.
- Only a restart can be one too many (core.storms), and no restart waits twice.
"""

from __future__ import annotations

from reloaderd.commands import Command, Report
from reloaderd.core.debounce import Debounce
from reloaderd.core.pause import Pause
from reloaderd.core.storms import Storms
from reloaderd.core.telling import storm
from reloaderd.events import EntryChanged, Kind
from reloaderd.settings import ServiceSettings

LOCKED = "version control is at work"


class Settling:
    """Whether the batch of one service may be acted on by now."""

    def __init__(self, settings: ServiceSettings, debounce: Debounce, pause: Pause) -> None:
        self.delayed = False
        """Whether the batch waits because the command seems to restart itself."""
        self._settings = settings
        self._debounce = debounce
        self._pause = pause
        self._storms = Storms()
        self._told = False  # that version control is at work

    def lock_changed(self, event: EntryChanged, now: float) -> None:
        """Something happened to the lock of a repository."""
        if event.kind in (Kind.CREATED, Kind.ARRIVED):
            self._debounce.lock(event.watch, now)
        elif event.kind in (Kind.LEFT, Kind.DELETED):
            self._debounce.unlock(event.watch, now)
            self._told = False

    def deadline(self, now: float) -> float | None:
        """When `tick` has something to do."""
        debounce = self._debounce
        instants = [self._pause.deadline(debounce, now)]
        if debounce.batch and debounce.locked(now) and not self._told and not self._pause.on:
            instants.append(debounce.undisturbed(now))
        return min((instant for instant in instants if instant is not None), default=None)

    def tick(self, now: float, up: float | None) -> list[Command] | None:
        """What there is to be said while it waits; None when it is to be taken.

        `up` is for how long the run is up of whose restart it could be one too many, if there is one.
        """
        debounce = self._debounce
        if self._pause.on:
            return self._pause.tick(debounce, now)
        deadline = debounce.deadline(now)
        if deadline is None:
            self.delayed = False
            return []
        if now < deadline:
            if debounce.locked(now) and not self._told and now >= debounce.undisturbed(now):
                self._told = True
                return [Report("held", self._settings.name, {"reason": LOCKED})]
            return []
        if debounce.batch.by_action("restart") and not self.delayed and up is not None:
            delay = self._storms.delay(debounce.batch.paths, up)
            if delay:
                self.delayed = True
                debounce.hold_until(now + delay)
                path = self._storms.to_name()
                return [] if path is None else [storm(self._settings, path)]
        self.delayed = False
        return None
