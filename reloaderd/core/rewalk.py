"""When everything is looked at again because events were lost.

Rules:
- At most once a second, however often the queue overflows.
- No batch settles between the loss and the look: what was lost may belong to it.
"""

from __future__ import annotations

PAUSE = 1.0
"""Seconds between two looks at everything."""

OVERFLOWED = (
    "the kernel dropped events (more than fs.inotify.max_queued_events at once); looking at everything again"
)


class Rewalk:
    """Whether a look at everything is due."""

    def __init__(self) -> None:
        self.deadline: float | None = None
        self._last = -PAUSE

    @property
    def pending(self) -> bool:
        """Whether something was lost and not looked for yet."""
        return self.deadline is not None

    def lose(self, now: float) -> None:
        """Events were lost."""
        self.deadline = max(now, self._last + PAUSE)

    def due(self, now: float) -> bool:
        """Whether to look now; says so once."""
        if self.deadline is None or now < self.deadline:
            return False
        self.deadline, self._last = None, now
        return True
