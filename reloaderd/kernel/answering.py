"""Whether a run has answered what it has accepted: as far as the kernel can tell of its TCP connections.

Rules:
- A connection waits for the run while something that it was sent is unread, was received after the last that
  was sent, or is not taken by the other side; and while anything went over it less than `QUIET` before, as an
  answer comes in pieces.  One that was asked nothing yet waits for `UNASKED`.
- All others are between two requests, and who keeps one of these open knows that it may be closed at any time
  (RFC 9112, 9.3.1).
- Of Unix sockets, and where the kernel does not tell, only `QUIET` is waited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from reloaderd.kernel import openfiles
from reloaderd.kernel.connections import Connection, connections
from reloaderd.kernel.readiness import pace

QUIET = 0.05
"""Seconds between two pieces of an answer: servers send all of it at once, but for streams."""

UNASKED = 1.0
"""Seconds in which who has connected asks.  Browsers connect ahead, and ask by another connection if that one
is closed."""


class Answering:
    """Looks at one run until nobody waits for it."""

    def __init__(self, now: float, processes: Callable[[], list[int]], ports: Collection[int]) -> None:
        """`processes` are those of the run by now, `ports` those at which it accepts no more."""
        self.due = now + QUIET
        self._since = now
        self._processes = processes
        self._ports = ports

    def look(self, now: float) -> bool:
        """Whether all is answered."""
        self.due = now + pace(now - self._since)
        if not self._ports:
            return True
        try:
            waiting = [one for one in connections() if one.port in self._ports and waits(one)]
        except OSError:
            return True
        inodes = {one.inode for one in waiting}
        return all(inodes.isdisjoint(openfiles.sockets_of(pid).values()) for pid in self._processes())


def waits(one: Connection) -> bool:
    """Whether the other side waits for an answer, or is about to."""
    if one.unread or one.unsent or one.since_received < one.since_sent:
        return True
    if not one.received:
        return not one.sent and one.since_received < UNASKED
    return not one.sent or min(one.since_received, one.since_sent) < QUIET
