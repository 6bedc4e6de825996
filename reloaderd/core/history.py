"""What became of the latest runs of each service: read off what the engine is told and what it asks for.

Rules:
- It only looks on: nothing depends on it.
- A fixed number of runs is remembered of each service, and a fixed number of changes of each run.
- Instants are monotonic; what they are in the time of day is for whoever tells of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from reloaderd.commands import Command, Report, StartChild
from reloaderd.core.origin import Origin
from reloaderd.core.reasons import start_failure
from reloaderd.events import Event, RunGone, StartFailed

MOST = 50
"""Runs that are remembered of a service: a day of work, or a night of crashes."""


class Run:
    """One run.  Instants are None where it has not come to that, or nobody told of it."""

    __slots__ = (
        *("run", "cause", "by", "origin", "launched", "started", "pid", "ms"),
        *("told", "told_at", "killed", "ended", "status", "signal", "gone", "failed", "unready"),
        "checkpoint",
    )

    def __init__(self, run: int, origin: Origin, now: float) -> None:
        self.run = run
        self.origin = origin
        self.cause = ""  # start, configuration, change, asked, ended, failed
        self.by = ""  # who asked, or how the run before ended
        self.launched = now
        self.started: float | None = None
        self.pid = 0
        self.checkpoint = ""  # the file before which the copy was made that it went on from
        self.ms: float | None = None  # from the change to the start
        self.told = ""  # the signal that asked it to end
        self.told_at: float | None = None
        self.killed = False
        self.ended: float | None = None
        self.status: int | None = None
        self.signal = ""
        self.gone: float | None = None
        self.failed = ""  # why it could not be started
        self.unready = ""  # why it did not take over from the one before

    def explain(self, before: Run | None) -> None:
        """Say what caused it; `before` is the run before."""
        asker = self.origin.asker
        if asker in ("start", "configuration"):
            self.cause = asker
        elif asker:
            self.cause, self.by = "asked", asker
        elif self.origin.total:
            self.cause = "change"
        elif before is not None and before.failed:
            self.cause = "failed"
        else:
            self.cause = "ended"
            self.by = before.end if before is not None else ""

    @property
    def end(self) -> str:
        """How it ended, in a word or two; empty where it has not."""
        return self.signal or (f"status {self.status}" if self.status is not None else "")


class History:
    """The runs by service, oldest first; `origin_of` tells why a service starts its next run."""

    def __init__(self, origin_of: Callable[[str], Origin]) -> None:
        self._origin_of = origin_of
        self._runs: dict[str, deque[Run]] = {}

    def of(self, service: str) -> Iterable[Run]:
        """The runs of one service that are remembered."""
        return self._runs.get(service, ())

    def latest(self, service: str) -> Run | None:
        """The last of them."""
        runs = self._runs.get(service)
        return runs[-1] if runs else None

    def note(self, event: Event | None, commands: Iterable[Command], now: float) -> None:
        """An event was handled, or the clock moved on, and this is what followed."""
        kind = type(event)
        if kind is RunGone or kind is StartFailed:
            assert isinstance(event, RunGone | StartFailed)
            self._happened(event, now)
        for command in commands:
            if isinstance(command, StartChild):
                self._begin(command, now)
            elif isinstance(command, Report) and "run" in command.fields:
                self._reported(command, now)

    def _begin(self, command: StartChild, now: float) -> None:
        runs = self._runs.setdefault(command.service, deque(maxlen=MOST))
        run = Run(command.run, self._origin_of(command.service), now)
        run.explain(runs[-1] if runs else None)
        runs.append(run)

    def _happened(self, event: RunGone | StartFailed, now: float) -> None:
        run = self._find(event.service, event.run)
        if run is None:
            return
        run.gone = now
        if isinstance(event, StartFailed):
            run.failed = f"{event.what}: {start_failure(event.errno, event.what)}"

    def _reported(self, report: Report, now: float) -> None:
        fields = report.fields
        run = self._find(report.service, fields["run"])
        if run is None:
            return
        match report.event:
            case "started":
                run.started, run.pid, run.ms = now, fields["pid"], fields.get("ms")
                run.checkpoint = fields.get("checkpoint", "")
            case "held":
                run.unready = fields["message"]
            case "stopping":
                run.told, run.told_at = fields["signal"], now
            case "killed":
                run.killed = True
                run.told_at = now if run.told_at is None else run.told_at
            case "ended":
                run.ended = now
                run.status, run.signal = fields.get("status"), fields.get("signal", "")

    def _find(self, service: str, number: int) -> Run | None:
        run = self.latest(service)
        return run if run is not None and run.run == number else None
