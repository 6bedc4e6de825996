"""What a run is told of: by signals, and by notices, which it may not handle.

Rules:
- A notice that is not answered within `PATIENCE` was not handled, nor was one of which nobody took notice.
- What was not handled is a restart, by the rule that made it a notice.
- The next run sees everything as it is: what the one before was told of does not matter to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from reloaderd.commands import Command, SignalChild, TellChild
from reloaderd.core.batch import Batch
from reloaderd.core.reasons import NOT_HANDLED
from reloaderd.core.rules import Verdict
from reloaderd.events import ChildTold

PATIENCE = 5.0
"""Seconds: as long as a command may take by default to end by itself (`--stop-timeout`)."""

Unhandled = list[tuple[str, Verdict]]


class _Notice(NamedTuple):
    due: float
    verdicts: Mapping[str, Verdict]  # by path


class Notices:
    """The notices to one service's run that are not answered yet."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._latest = 0
        self._open: dict[int, _Notice] = {}

    def tell(self, run: int, batch: Batch, now: float) -> list[Command]:
        """Tell the run of those paths of the batch that are to be told of."""
        verdicts = dict(batch.by_action("notify"))
        if not verdicts:
            return []
        self._latest += 1
        self._open[self._latest] = _Notice(now + PATIENCE, verdicts)
        return [TellChild(self._service, run, self._latest, list(verdicts))]

    def told(self, event: ChildTold) -> Unhandled:
        """It was answered: the restarts that follow.  One that nobody waits for any more has none."""
        notice = self._open.pop(event.notice, None)
        verdicts = notice.verdicts if notice is not None else {}
        return [(path, _restart(verdicts[path])) for path in event.unhandled if path in verdicts]

    def overdue(self, now: float) -> Unhandled:
        """The restarts that follow from what was not answered in time."""
        late = [number for number, notice in self._open.items() if now >= notice.due]
        notices = [self._open.pop(number) for number in late]
        return [(path, _restart(one)) for notice in notices for path, one in notice.verdicts.items()]

    def forget(self) -> None:
        """Another run is about to start."""
        self._open.clear()

    @property
    def deadline(self) -> float | None:
        """When the oldest one is overdue."""
        return min((notice.due for notice in self._open.values()), default=None)


def signals(service: str, run: int, batch: Batch) -> list[Command]:
    """Send the run each signal that the batch asks for, once."""
    signums = dict.fromkeys(verdict.signum for _, verdict in batch.by_action("signal"))
    return [SignalChild(service, run, signum, "child") for signum in signums]


def _restart(verdict: Verdict) -> Verdict:
    return verdict._replace(action="restart", rule=verdict.rule + NOT_HANDLED)
