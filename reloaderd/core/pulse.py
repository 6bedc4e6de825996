"""When the service manager's watchdog is told that we live: when a change of our own making was heard of.

Rules:
- A pulse is made at half the interval (sd_watchdog_enabled(3)), and again soon where it does not come back:
  it may be lost with other events, or somebody removed the place.
- Where there is no place to make one, that the loop goes round has to do.
"""

from __future__ import annotations

from reloaderd.commands import Command, MakePulse, Notify, Report
from reloaderd.events import PulseMade

TRIES = 4
"""Pulses in the time in which one has to come back."""


class Pulse:
    """The pulses of one reloaderd; without an interval there are none."""

    def __init__(self, interval: float) -> None:
        """`interval`: in how many seconds the manager wants to hear of us, 0 for never."""
        self.watch = -1
        """What the source tells of it under."""
        self.deadline: float | None = None
        self._half = interval / 2
        self._made_at: float | None = None  # when the first was made that did not come back
        self._said = False

    def begin(self, now: float) -> list[Command]:
        """The manager counts from now on."""
        if self._half:
            self.deadline = now
        return []

    def tick(self, now: float) -> list[Command]:
        """Make one, if it is time."""
        if self.deadline is None or now < self.deadline:
            return []
        self._made_at = now if self._made_at is None else self._made_at
        self.deadline = now + self._half / TRIES
        return [MakePulse()]

    def made(self, event: PulseMade, now: float) -> list[Command]:
        """One was made, or cannot be."""
        self.watch = event.watch
        text = ""
        if event.watch < 0:
            text = f"the watchdog sees only whether reloaderd runs, not whether it hears: {event.trouble}"
        elif event.late > self._half:
            text = (
                f"the watchdog of the service manager is faster than polling: WatchdogSec={self._half * 2:g} "
                f"has to be more than {event.late * 2:g}"
            )
        told = [Report("warning", "", {"text": text})] if text and not self._said else []
        self._said = self._said or bool(text)
        return [*told, *(self.heard(now) if event.watch < 0 else [])]

    def heard(self, now: float) -> list[Command]:
        """The source told of it."""
        if self._made_at is None:
            return []
        self.deadline = max(self._made_at + self._half, now + self._half / TRIES)
        self._made_at = None
        return [Notify({"WATCHDOG": "1"})]

    def lost(self, now: float) -> None:
        """Events were lost, and it may be with them."""
        if self._made_at is not None:
            self.deadline = now
