"""When a batch has settled: adaptive quiet time, a limit, and holds while git is at work.

Rules (DESIGN 6.3):
- The quiet time runs from the latest change: 10 ms for a lone save, 50 ms for anything else.
- Each restart, and each time git let go of its lock, within the last second doubles it, to
  500 ms at most: who restarts in storms or works in steps is given time to finish.
- A batch never waits longer than the limit after its first change, but for a hold.
- While a version control lock is held the batch is held, 60 s at most: one checkout, one restart.
- What was learnt by polling waits for the look that finds nothing more, half a second at most: a look may
  have cut one act in two.
- A number instead of `auto` is a plain quiet time, and the limit grows with it; 0 acts on the first event.
"""

from __future__ import annotations

from collections.abc import Callable

from reloaderd.core.batch import Batch
from reloaderd.core.rules import Verdict
from reloaderd.events import Kind

LONE_QUIET = 0.010
"""Seconds: longer than the gap between the last two events of any editor's save (vim: 1-3 ms)."""

QUIET = 0.050
"""Seconds: watchexec and entr use the same for every change."""

MAX_QUIET = 0.500
LIMIT = 2.0
PATIENCE = 4
"""A plain quiet time of more than half a second: the limit is so many of it."""

LOOKING = 0.500
"""Seconds after the first change for which another look is waited for: in trees of up to 5,000 files or so it
comes before (kernel.poller rests for 19 times as long as it looks)."""

MEMORY = 1.0
"""Seconds for which a restart or a released lock makes the quiet time longer."""

LOCK_CAP = 60.0
"""Seconds after which a lock is taken for a stale one (git itself never removes those)."""


class Debounce:
    """The pending batch of one service, and the instant it is due."""

    def __init__(self, quiet: float | None) -> None:
        """`quiet` in seconds, None for the adaptive one."""
        self._quiet = quiet
        self._first = 0.0
        self._last = 0.0
        self._recent: list[float] = []
        self._locks: dict[int, float] = {}
        self._held_until = 0.0
        self._looking = False  # a source that polls found something and looks again
        self._waits_for_looks = False
        self.batch = Batch()

    @property
    def first(self) -> float:
        """When the first change of the pending batch was seen."""
        return self._first

    def add(
        self, path: str, kind: Kind, verdict: Verdict, existed: bool, now: float, found: bool = False
    ) -> None:
        """One more change; see `Batch.add`."""
        if not self.batch:  # also after a batch that came to nothing
            self._first = now
            self._held_until = 0.0
        self.batch.add(path, kind, verdict, existed, found)
        self._last = now

    def take(self) -> Batch:
        """The pending batch; an empty one takes its place."""
        batch, self.batch = self.batch, Batch()
        self._held_until = 0.0
        self._waits_for_looks = False
        return batch

    def restart_clock(self, now: float) -> None:
        """What is pending was held back until now."""
        self._first = now

    def looked(self, settled: bool) -> None:
        """A source that polls found something, or nothing more."""
        self._looking = not settled

    def wait_for_looks(self) -> None:
        """Something of the pending batch was learnt by polling."""
        self._waits_for_looks = self._quiet is None

    def restarted(self, now: float) -> None:
        """A restart was set going: the next ones may well be of the same storm."""
        self._remember(now)

    def lock(self, watch: int, now: float) -> None:
        """A repository's lock was taken; `watch` tells the repository."""
        self._locks.setdefault(watch, now)

    def unlock(self, watch: int, now: float) -> None:
        """It was let go: the quiet time starts now."""
        if self._locks.pop(watch, None) is not None:
            self._last = max(self._last, now)
            self._first = max(self._first, now)
            self._remember(now)

    def keep_locks(self, is_watched: Callable[[int], object], now: float) -> None:
        """Let go of those whose watch was dropped: nobody would tell that they were."""
        for watch in [watch for watch in self._locks if not is_watched(watch)]:
            self.unlock(watch, now)

    def hold_until(self, instant: float) -> None:
        """Let the pending batch wait until then at least."""
        self._held_until = instant

    def locked(self, now: float) -> bool:
        """Whether version control is at work."""
        return any(now < since + LOCK_CAP for since in self._locks.values())

    def quiet(self, now: float) -> float:
        """Seconds without a change that settle the batch."""
        if self._quiet is not None:
            return self._quiet
        base = LONE_QUIET if self.batch.lone_save else QUIET
        recent = sum(1 for instant in self._recent if now - instant < MEMORY)
        return min(MAX_QUIET, base * 2.0 ** min(recent, 8))

    def deadline(self, now: float) -> float | None:
        """When the batch is due; None when there is none."""
        if not self.batch:
            return None
        due = self.undisturbed(now)
        if self._looking and self._waits_for_looks:
            due = max(due, self._first + LOOKING)
        if self._locks:
            caps = [since + LOCK_CAP for since in self._locks.values()]
            due = max([due, *(cap for cap in caps if now < cap)])
        return max(due, self._held_until)

    def undisturbed(self, now: float) -> float:
        """When the batch would be due if nothing held it."""
        quiet = self.quiet(now)
        return min(self._last + quiet, self._first + max(LIMIT, PATIENCE * quiet))

    def _remember(self, now: float) -> None:
        self._recent = [instant for instant in self._recent if now - instant < MEMORY]
        self._recent.append(now)
