"""Two keepers of one service, for two runs at a time: looks like one to whoever starts and stops runs.

A keeper keeps one run, since "nothing of it is left" is what waitpid(2) says of all that it has.
"""

from __future__ import annotations

import os
import select
from collections.abc import Mapping, Sequence

from reloaderd.events import ChildAnswered, Event, KeeperDied, RunGone, StartFailed
from reloaderd.kernel.child import Child


class Pair:
    """What `Child` is, for `--overlap`."""

    def __init__(self, service: str, children: Sequence[Child], order: int = -1) -> None:
        """`order` is a descriptor that the keepers share (`Kept`), to be closed with them."""
        self._service = service
        self._order = order
        self._environ: Mapping[str, str] = {}  # of the latest run
        self._children = children
        self._runs = [0] * len(children)  # the run of each, until nothing of it is left
        self._epoll = select.epoll()
        for child in children:
            self._epoll.register(child.fileno(), select.EPOLLIN)

    def fileno(self) -> int:
        """Readable when `read` has something."""
        return self._epoll.fileno()

    def read(self) -> list[Event]:
        """What happened, without waiting."""
        events: list[Event] = []
        for at, child in enumerate(self._children):
            for event in child.read():
                if isinstance(event, KeeperDied):
                    event = event._replace(run=self._runs[at])
                if isinstance(event, (KeeperDied, RunGone, StartFailed)):
                    self._runs[at] = 0
                events.append(event)
        return events

    def start(self, run: int, environ: Mapping[str, str], warm: bool = False, *_: object) -> None:
        """Start the command as `run`, by whichever keeper has none; `warm`: of that keeper's copy."""
        at = self._runs.index(0)
        self._runs[at] = run
        self._environ = environ
        self._children[at].start(run, environ, warm)

    def prepare(self) -> None:
        """Have a copy ready in both: what one run has told of goes for the next one in the other, too."""
        for child in self._children:
            child.prepare(self._environ)

    def signal(self, run: int, signum: int, scope: str, ends: bool = False) -> None:
        """Send `signum` to `scope` of the run."""
        for child in self._of(run):
            child.signal(run, signum, scope, ends)

    def relieve(self, run: int) -> list[Event]:
        """Have the run accept no more: answered by `ChildAnswered`."""
        told = [child.relieve() for child in self._of(run)]
        return [] if any(told) else [ChildAnswered(self._service, run)]

    def kill(self, run: int) -> None:
        """SIGKILL all that is left of the run."""
        for child in self._of(run):
            child.kill(run)

    def close(self) -> None:
        """Have both keepers end."""
        for child in self._children:
            child.close()
        self._epoll.close()
        if self._order >= 0:
            os.close(self._order)

    def _of(self, run: int) -> list[Child]:
        return [self._children[self._runs.index(run)]] if run and run in self._runs else []
