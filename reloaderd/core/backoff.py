"""How long to wait before starting again what keeps ending.

Rules (DESIGN 6.4): half a second, doubled each time to 8 s at most, forgotten after a run that
stayed up for 8 s.
"""

from __future__ import annotations

FIRST = 0.5
MOST = 8.0
STABLE = 8.0


class Backoff:
    """The delay before the next start, in seconds."""

    def __init__(self, first: float = FIRST) -> None:
        """`first` is 0 where the first repetition is nobody's fault."""
        self._first = first
        self._delay = first

    def reset(self) -> None:
        """All is well again."""
        self._delay = self._first

    def next(self, up: float = 0.0) -> float:
        """The delay after a run that was up for `up` seconds."""
        if up >= STABLE:
            self.reset()
        delay = self._delay
        self._delay = min(MOST, max(FIRST, delay * 2))
        return delay
