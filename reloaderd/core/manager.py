"""What reloaderd says to its service manager: looks on while the engine works, where there is a manager only.

Rules (sd_notify(3)):
- READY=1 when all is watched and the first run of each service was started; once, and again after each
  RELOADING=1, when nothing of what was asked for is on its way any more.
- A person's SIGHUP is a reload; a configuration file that is edited is none.
- STATUS is what is so at the moment; what passes within `PAUSE` is not told.
- While something is stopped, the manager is asked for as much time as that may take; and at the start for
  more, as long as more and more is found to be watched.
- WATCHDOG=1 only when the source has told of a change that was made for that: a daemon that runs and does not
  hear is of no use.  A pulse that is lost is made again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGHUP
from typing import Protocol

from reloaderd.commands import (
    AddService,
    Command,
    Notify,
    Quit,
    ReadConfig,
    RemoveService,
    Report,
    StartChild,
)
from reloaderd.core.pulse import Pulse
from reloaderd.core.service import Service
from reloaderd.core.status import Note, line
from reloaderd.core.supervisor import UNKILLABLE
from reloaderd.core.transitions import UP, State
from reloaderd.events import (
    Asked,
    ChildEnded,
    ChildStarted,
    ConfigRead,
    EntryChanged,
    Event,
    EventsLost,
    PulseMade,
    RunGone,
    SignalArrived,
    StartFailed,
)

PAUSE = 0.25
"""Seconds from a change of what is so to the STATUS that tells of it, which are at most four a second: a
restart is over by then."""

MARGIN = 5.0
"""Seconds more than a stop needs that the manager is asked for: a machine may be busy, and the next stop
signal of its own is a kill."""

FIRST = 1.0
"""Seconds from the start, and from one request for more time to the next: most are ready by then."""

MORE = 120.0
"""Seconds asked for while all is armed for the first time: directories of one depth are armed at once."""

_ENDING = (State.STOPPING, State.KILLING, State.CLOSING)
_AT_REST = (State.WAITING, State.BACKOFF)
_NEWS = (Report, StartChild, AddService, RemoveService)
_OF_RUNS = (ChildStarted, ChildEnded, RunGone, StartFailed)


class Front(Protocol):
    """The engine, as far as it is asked here."""

    services: dict[str, Service]

    @property
    def closing(self) -> bool: ...
    @property
    def replacing(self) -> bool: ...


class Informant:
    """Looks on while an engine works, and adds what its manager is told."""

    def __init__(self, engine: Front, watchdog: float = 0.0) -> None:
        """`watchdog`: in how many seconds the manager wants a sign of life, 0 if it does not."""
        self._engine = engine
        self._notes: dict[str, Note] = {}
        self._faults: Sequence[str] = ()  # of the configuration that was refused
        self._number = 0  # errno of the last start that failed
        self._ready = False
        self._reloading = False
        self._reads = False  # the configuration, for that reload
        self._stopping = False
        self._promised = 0.0  # until when the manager waits for a stop
        self._asks_at: float | None = None  # for more time, before it is ready
        self._said = ""
        self._status_at: float | None = None
        self._pulse = Pulse(watchdog)

    def uses(self, watch: int) -> bool:
        """Whether a pulse comes back under `watch`."""
        return watch == self._pulse.watch

    def start(self) -> list[Command]:
        """What is said first."""
        return [Notify({"STATUS": self._status(0.0)})]  # nothing is held yet

    @property
    def deadline(self) -> float | None:
        """The next instant at which something is due here; None at rest."""
        instants = (self._status_at, self._pulse.deadline)
        return min((instant for instant in instants if instant is not None), default=None)

    def handled(self, event: Event, commands: list[Command], now: float) -> list[Command]:
        """An event was handled and this followed: that, and what there is to say about it."""
        beat = self._beat(event, now)
        if isinstance(event, PulseMade) or (isinstance(event, EntryChanged) and not commands):
            return beat
        self._note(event, commands, now)
        return [*beat, *self._tell(event, commands, now), *commands]

    def ticked(self, commands: list[Command], now: float) -> list[Command]:
        """The clock moved on and this followed: that, and what is due here."""
        self._note(None, commands, now)
        said = self._tell(None, commands, now)
        if self._status_at is not None and now >= self._status_at:
            status = self._said
            if self._status(now) != status:
                said.append(Notify({"STATUS": self._said}))
        return [*said, *commands, *self._pulse.tick(now)]

    def _beat(self, event: Event, now: float) -> list[Command]:
        """What an event means for the pulse."""
        if isinstance(event, EntryChanged) and event.watch == self._pulse.watch:
            return self._pulse.heard(now)
        if isinstance(event, PulseMade):
            return self._pulse.made(event, now)
        if isinstance(event, EventsLost):
            self._pulse.lost(now)
        return []

    # What is so

    def _note(self, event: Event | None, commands: Sequence[Command], now: float) -> None:
        failed = isinstance(event, StartFailed)
        if isinstance(event, StartFailed):
            self._number = event.errno
        elif isinstance(event, ConfigRead):
            self._faults = event.faults if event.settings is None else ()
        news = isinstance(event, (*_OF_RUNS, Asked, ConfigRead))
        for command in commands:
            news = news or isinstance(command, _NEWS)
            if isinstance(command, (AddService, RemoveService)):
                name = command.settings.name if isinstance(command, AddService) else command.service
                self._notes.pop(name, None)
            elif isinstance(command, Report) and command.service in self._engine.services:
                self._of(command.service).take(command, failed)
        if news and self._status_at is None:
            self._status_at = now + PAUSE

    def _of(self, name: str) -> Note:
        return self._notes.setdefault(name, Note())

    def _status(self, now: float) -> str:
        """What is so now; it counts as said."""
        services = self._engine.services
        trouble = []
        if self._faults:
            more = f" (+{len(self._faults) - 1})" if len(self._faults) > 1 else ""
            trouble = [f"{self._faults[0]}{more}: the configuration stays as it was"]
        self._said = line(services, {name: self._of(name) for name in services}, trouble, now)
        self._status_at = None
        return self._said

    # What is said

    def _tell(self, event: Event | None, commands: Sequence[Command], now: float) -> list[Command]:
        """What changed for the manager."""
        if isinstance(event, SignalArrived) and event.signum == SIGHUP:
            self._reads = any(isinstance(command, ReadConfig) for command in commands)
            if self._ready and not self._engine.closing:
                self._reloading = True
                monotonic = str(int(now * 1e6))
                return [self._notify({"RELOADING": "1", "MONOTONIC_USEC": monotonic, **self._time(now)}, now)]
        if isinstance(event, ConfigRead):
            self._reads = False
        last = next((command for command in commands if isinstance(command, Quit)), None)
        if last is not None:
            return self._ends(last, now)
        if self._engine.closing:
            return self._closes(event, now)
        if self._reloading and not self._reads and self._is_settled():
            self._reloading = False
            return [self._notify({"READY": "1"}, now)]
        if not self._ready and self._is_up():
            self._ready = True
            return [self._notify({"READY": "1"}, now), *self._pulse.begin(now)]
        time = self._time(now) if self._reloading else self._more_time(event, now)
        return [Notify(time)] if time else []

    def _notify(self, variables: Mapping[str, str], now: float) -> Command:
        return Notify({**variables, "STATUS": self._status(now)})

    def _is_up(self) -> bool:
        """Whether all is watched, and the first run of each service was started."""
        for name, service in self._engine.services.items():
            note = self._of(name)
            if not note.watched or not (note.started or service.settings.dry_run):
                return False
        return True

    def _is_settled(self) -> bool:
        """Whether nothing is on its way: each service is up, or there is nothing to be started now."""
        if self._engine.replacing:
            return False
        return all(
            self._of(name).watched and _settled(service) for name, service in self._engine.services.items()
        )

    def _closes(self, event: Event | None, now: float) -> list[Command]:
        time = self._time(now)
        if not self._stopping and (self._ready or isinstance(event, SignalArrived)):
            self._stopping = True
            return [self._notify({"STOPPING": "1", **time}, now)]
        return [Notify(time)] if time else []

    def _ends(self, last: Quit, now: float) -> list[Command]:
        """The last word: why, where it is not because somebody wished it."""
        if not self._ready and any(note.missed for note in self._notes.values()):
            return [self._notify({"ERRNO": str(self._number)}, now)]
        stops = not self._stopping and (self._ready or last.signum)
        self._stopping = True
        return [self._notify({"STOPPING": "1"} if stops else {}, now)]

    def _time(self, now: float) -> dict[str, str]:
        """The time that the stops need which are under way, unless it was asked for already."""
        supervisors = [service.supervisor for service in self._engine.services.values()]
        ends = [one.deadline for one in supervisors if one.state in _ENDING and one.deadline is not None]
        until = max(ends, default=0.0) + UNKILLABLE + MARGIN
        if not ends or until <= self._promised:
            return {}
        self._promised = until
        return {"EXTEND_TIMEOUT_USEC": str(int((until - now) * 1e6))}

    def _more_time(self, event: Event | None, now: float) -> dict[str, str]:
        """Where something has happened before all is ready: a tree is large, or its disk is slow."""
        if self._ready or event is None:
            return {}
        if self._asks_at is None:
            self._asks_at = now + FIRST
        if now < self._asks_at:
            return {}
        self._asks_at = now + FIRST
        return {"EXTEND_TIMEOUT_USEC": str(int(MORE * 1e6))}


def _settled(service: Service) -> bool:
    supervisor = service.supervisor
    return supervisor.alive if supervisor.state in UP else supervisor.state in _AT_REST
