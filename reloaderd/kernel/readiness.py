"""When a run serves: as far as the kernel, and the agents in the run, can tell.

Rules:
- A run serves a socket when one of its processes has it in an epoll set, waits in accept, or has accepted;
  or when one has called listen `SETTLED` before and none that it forked has the socket: of a server with
  workers it is these that serve.
- It is ready when it serves all at which the run before it listens; or `ENOUGH` after it serves any, as it
  may have given up the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from reloaderd.kernel import openfiles, proctree

SETTLED = 0.1
"""Seconds after listen in which a server forks its workers (gunicorn: a few ms)."""

ENOUGH = 3.0
"""Seconds: a program with several servers has started them all by then."""

SHORTEST, LONGEST = 0.01, 0.2
"""Seconds between two looks: a tenth of the time that has passed, but not less nor more."""


class Readiness:
    """Looks at one run until it is ready."""

    def __init__(
        self, now: float, processes: Callable[[], list[int]], wanted: Callable[[], Collection[int]]
    ) -> None:
        """`processes` are those of the run by now, `wanted` the inodes of what is to be served."""
        self.due = now + SHORTEST
        self._since = now
        self._processes = processes
        self._wanted = wanted
        self._listening: dict[tuple[int, int], float] = {}  # by process and inode: since when
        self._accepted: set[int] = set()
        self._served_at: float | None = None

    def listens(self, pid: int, inode: int, now: float) -> None:
        """A process has called listen."""
        self._listening.setdefault((pid, inode), now)
        self.due = min(self.due, now + SHORTEST)

    def accepts(self, inode: int) -> None:
        """A process has called accept."""
        self._accepted.add(inode)

    def look(self, now: float) -> bool:
        """Whether it is ready."""
        self.due = now + pace(now - self._since)
        wanted = self._wanted()
        processes = self._processes()
        known = {*wanted, *(inode for _, inode in self._listening)}
        served = self._accepted & known
        for pid in processes:
            if not known <= served:
                served |= openfiles.awaited(pid) & known
        for (pid, inode), since in self._listening.items():
            if inode not in served and now - since >= SETTLED and _has_alone(pid, inode, processes):
                served.add(inode)
        if not served:
            return False
        self._served_at = now if self._served_at is None else self._served_at
        return set(wanted) <= served or now - self._served_at >= ENOUGH

    def close(self) -> None:
        """Look no more: there is nothing to let go of."""


def pace(passed: float) -> float:
    """Seconds until the next look, where so many have passed."""
    return min(max(passed / 10, SHORTEST), LONGEST)


def _has_alone(pid: int, inode: int, processes: Iterable[int]) -> bool:
    """Whether this process has it, and none that it has forked."""
    if pid not in processes or inode not in openfiles.sockets_of(pid).values():
        return False
    return not openfiles.has(proctree.children(pid), inode)
