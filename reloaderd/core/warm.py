"""When a paused copy of the command's Python is asked for, and what is said of it.

Rules:
- A run that has been quiet for a second has started: then a copy is made ready for the next one, or the one
  that there is renewed.  Once a run is enough, until it imports something more.
- A start takes a copy where one is ready and nothing that it has imported has changed since.  Whether that
  is so is seen at the start itself.
- A run that turns out not to be as one that is executed is restarted as one.
- What could not be had three times in a row is not asked for any more; what can never be had, not once more.
- What is said is said once, until it is something else.
"""

from __future__ import annotations

from collections.abc import Iterable

from reloaderd.commands import Command, Report, StartChild, WarmUp
from reloaderd.core.checkpoints import Checkpoints
from reloaderd.events import ZygoteGone, ZygoteReady

QUIET = 1.2
"""Seconds without news of a run after which it has imported what it needs: servers pause for less.

A library that was changed before the run started is then older than the second within which a compiled file
may be taken for that of a later change (agent._reloaderd_agent).
"""

ATTEMPTS = 3
"""So often a copy may be lost before one was ready."""


class Warm:
    """The copies of one service."""

    def __init__(self, service: str, checkpoints: bool = False) -> None:
        self._service = service
        self.checkpoints = Checkpoints(service) if checkpoints else None
        self._failures = 0
        self._ready = False
        self._said = ""
        self.deadline: float | None = None

    def news(self, now: float) -> None:
        """A run started, or told of what it loaded."""
        if self._failures < ATTEMPTS:
            self.deadline = now + QUIET

    def tick(self, now: float) -> list[Command]:
        """Ask for a copy, once it is time."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        return [WarmUp(self._service)]

    def handle(self, event: ZygoteReady | ZygoteGone) -> list[Command]:
        """There is a copy now, or there is none."""
        if isinstance(event, ZygoteReady):
            self._ready = True
            self._failures = 0
            return self._say(
                {"modules": event.modules, "left": dict(event.left)}, f"{event.modules} {sorted(event.left)}"
            )
        was_ready, self._ready = self._ready, False
        if not was_ready:
            self._failures = ATTEMPTS if event.final else self._failures + 1
        if self._failures >= ATTEMPTS:
            self.deadline = None
        fields = {"reason": event.why, "given_up": self._failures >= ATTEMPTS}
        return self._say(fields, f"{fields}")

    def furnish(
        self, commands: list[Command], changed: Iterable[str], modules: Iterable[str]
    ) -> list[Command]:
        """The commands of a start, of which a run is to come for these changes, some of `modules`."""
        if self.checkpoints is None:
            return commands
        self.checkpoints.edit(modules)
        number, edited = self.checkpoints.choose(changed), self.checkpoints.edited
        self.checkpoints.begin()
        return [
            one._replace(checkpoint=number, edited=edited)
            if isinstance(one, StartChild) and one.warm
            else one
            for one in commands
        ]

    def unsound(self, why: str) -> list[Command]:
        """The run that came of a copy is not as it should be: another one is to be executed."""
        return [Report("warm", self._service, {"reason": why, "given_up": False})]

    def _say(self, fields: dict[str, object], gist: str) -> list[Command]:
        if gist == self._said:
            return []
        self._said = gist
        return [Report("warm", self._service, fields)]
