"""What a settled batch goes through before it is a restart: is any of it different, and does it compile.

Rules:
- With `--skip-unchanged`, paths of which the run found the same are left out; a batch of nothing else does
  nothing.  What was made or is gone counts, and so does what is held already.
- Then the gate (core.gate).
- One batch at a time: changes that come meanwhile settle after it.
- Whatever starts a run takes with it what is on its way through here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from reloaderd.commands import Command
from reloaderd.core.batch import Batch
from reloaderd.core.debounce import Debounce
from reloaderd.core.gate import Gate
from reloaderd.core.supervisor import Supervisor
from reloaderd.core.telling import unchanged
from reloaderd.core.watchtree import WatchTree
from reloaderd.events import Digested, SyntaxChecked
from reloaderd.settings import ServiceSettings

if TYPE_CHECKING:
    from reloaderd.core.digests import Digests


class Passage:
    """The way of one service's batches."""

    def __init__(
        self, settings: ServiceSettings, supervisor: Supervisor, tree: WatchTree, debounce: Debounce
    ) -> None:
        self.gate = Gate(settings, supervisor)
        self.digests: Digests | None = None
        self.signals: Batch | None = None
        """What came through that is no restart; to be taken."""
        self._settings = settings
        self._debounce = debounce
        self._comparing = Batch()
        self._first = 0.0
        self._number = 0
        self._left: list[str] = []  # paths that are still to be compared
        self._same: set[str] = set()
        if settings.skip_unchanged:
            from reloaderd.core.digests import Digests

            self.digests = Digests(settings.name, tree, self.waits)

    @property
    def waiting(self) -> int:
        """How many changes are on their way."""
        return len(self._comparing) + self.gate.waiting

    @property
    def busy(self) -> bool:
        """Whether the next batch has to wait."""
        return bool(self._comparing) or self.gate.busy

    def deadline(self, now: float, knowing: bool) -> float | None:
        """When `tick` has something to do."""
        instants = [self.gate.deadline, now if self._left else None]
        if self.digests is not None and knowing and not self._comparing:
            instants.append(self.digests.deadline)
        return min((instant for instant in instants if instant is not None), default=None)

    def meet(self, batch: Batch, first: float, now: float) -> list[Command]:
        """A batch settled; its first change was seen at `first`."""
        self._first = first
        self._comparing = batch
        self._same = set()
        if self.digests is not None:
            known = self.digests.known
            paths = [path for path in batch.rewritten() if known(path) and not self.gate.holds(path)]
            if paths:
                self._number += 1
                self._left = paths
                return self._compare(self.digests)
        return self._compared(now)

    def digested(self, event: Digested, now: float) -> list[Command]:
        """Files were read, to be compared or to be known."""
        if self.digests is None:
            return []
        if not event.number:
            return self.digests.digested(event, now)
        if not self._comparing or event.number != self._number:
            return []
        self._same |= self.digests.unchanged(event.digests)
        self._left = [*event.left, *self._left]
        return [] if self._left else self._compared(now)

    def checked(self, event: SyntaxChecked) -> list[Command]:
        """Files were compiled."""
        return self.gate.checked(event)

    def tick(self, now: float, knowing: bool) -> list[Command]:
        """Go on with what takes several steps.  `knowing`: nothing happened that is not known.

        Not to be called while events wait for their turn that were read before: see `Digests`.
        """
        if self.digests is not None and self._left:
            return self._compare(self.digests)
        if self.digests is not None and knowing and not self._comparing:
            return self.digests.tick(now)
        return []

    def stop(self) -> list[Command]:
        """Let go of what is under way: reloaderd ends."""
        self._comparing, self._left = Batch(), []
        return self.gate.stop()

    def start(self, paths: Iterable[str], at: float) -> None:
        """A run starts, or takes in what `paths` say: see `Digests.start`."""
        if self.digests is not None:
            self.digests.start(paths, self._settings.roots, at)

    def changed(self, path: str) -> None:
        """A change of it was found."""
        if self.digests is not None:
            self.digests.changed(path)

    def dismissed(self, path: str) -> None:
        """A change of it does not count."""
        if self.digests is not None:
            self.digests.lose(path)

    def drained(self) -> None:
        """The source was, before anything else happened."""
        if self.digests is not None:
            self.digests.trust()

    def lose_track(self) -> None:
        """Events were lost."""
        if self.digests is not None:
            self.digests.lose_track()

    def take(self) -> Batch:
        """All that is on its way, for a run that is about to start."""
        batch, self._comparing, self._left = self._comparing, Batch(), []
        waiting = self.gate.take()
        waiting.absorb(batch)
        return waiting

    def _compare(self, digests: Digests) -> list[Command]:
        command, self._left = digests.ask(self._number, self._left)
        return [command]

    def _compared(self, now: float) -> list[Command]:
        batch, self._comparing = self._comparing, Batch()
        told = [unchanged(self._settings, self._same)] if self._same else []
        for path in self._same:
            batch.discard(path)
        if not batch:
            return told
        if not batch.by_action("restart"):
            self.signals = batch
            return told
        return [*told, *self.gate.meet(batch, self._first, now)]

    def waits(self, path: str) -> bool:
        """Whether a change of it is known that the run has not seen."""
        return path in self._debounce.batch or path in self._comparing or self.gate.holds(path)
