"""The configuration file: when it is to be read again, and what follows from what it says then.

Rules:
- It is held on to like a root, by every name on the way, and so is every environment file that is read with
  it: however one of them is edited, that is noticed.
- A service whose settings are others restarts: its run is stopped, and it begins anew.  That they stand on
  another line now is only told by it.  One that is not there
  any more is stopped, a new one starts, and the others are left alone.
- What is wrong with the file is told, and nothing changes.
- What is no service's own stays as it was at the start: that it is another is told once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from reloaderd.commands import Anchor, Command, Drop, Examine, ReadConfig, Report
from reloaderd.core.anchors import Anchors
from reloaderd.core.changes import NAMING
from reloaderd.events import (
    Anchored,
    ConfigRead,
    EntryChanged,
    Event,
    EventsLost,
    Examined,
    MountsChanged,
    WatchEnded,
    WatchMoved,
    WatchStale,
)
from reloaderd.settings import ServiceSettings, Settings

OWNER = ""
"""The service that asks for it: none, as no service has this name."""

QUIET = 0.1
"""Seconds without a change of the file until it is read: an editor that replaces it takes milliseconds."""

LIMIT = 2.0
"""Seconds after the first change when it is read in any case."""


class Difference(NamedTuple):
    """The names of services that a new configuration concerns."""

    changed: list[str]
    added: list[str]
    removed: list[str]


def difference(now: Mapping[str, ServiceSettings], then: Mapping[str, ServiceSettings]) -> Difference:
    """What there is to do to get from one to the other."""
    return Difference(
        [name for name, one in then.items() if name in now and not now[name].same_as(one)],
        [name for name in then if name not in now],
        [name for name in now if name not in then],
    )


class Configuration:
    """The file of one reloaderd: is it still what was read."""

    def __init__(self, settings: Settings) -> None:
        """`settings` are what was read at the start; without a file nothing is watched."""
        self._settings = settings
        self._path = settings.config.path if settings.config is not None else ""
        self._stamps = _stamps(settings)  # of each file
        self._anchors = Anchors()
        self._first: float | None = None  # when the first change was seen that was not read yet
        self.deadline: float | None = None
        self._fixed: list[str] = []  # what was told of

    def __bool__(self) -> bool:
        """Whether there is a file."""
        return bool(self._path)

    def start(self) -> list[Command]:
        """Hold on to the files."""
        return self._look()

    def uses(self, watch: int) -> bool:
        """Whether it needs `watch`."""
        return self._anchors.uses(watch)

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from an event of a source, or from an answer to what was asked here."""
        if not self._path:
            return []
        match event:
            case EntryChanged():
                return self._entry_changed(event, now)
            case WatchEnded() | WatchMoved() | WatchStale():
                rests = self._anchors.resting_on(event.watch)
                return [Anchor(OWNER, path) for path in rests]
            case EventsLost() | MountsChanged():
                return self._look()
            case Anchored():
                return self._anchored(event, now)
            case Examined():
                self._examined(event, now)
        return []

    def _look(self) -> list[Command]:
        """Find each file again."""
        return [Anchor(OWNER, path) for path in self._stamps]

    def _entry_changed(self, event: EntryChanged, now: float) -> list[Command]:
        through = self._anchors.through(event.watch, event.name)
        if not through:
            return []
        if event.kind in NAMING:
            self._wait(now)
            return [Anchor(OWNER, path) for path in through]
        if any(self._anchors.ends_at(path, event.watch, event.name) for path in through):
            self._wait(now)  # its modes count, too
        return []

    def _anchored(self, event: Anchored, now: float) -> list[Command]:
        former, unused = self._anchors.put(event)
        if event.path not in self._stamps:  # it was read without it since
            unused += self._anchors.let_go(event.path)
        commands: list[Command] = [Drop(unused)] if unused else []
        if former is not None and former.identity != event.identity:
            self._wait(now)
        if self.deadline is None:  # it may have changed while nobody looked, as between the start and now
            commands.append(Examine(OWNER, None, [event.path]))
        return commands

    def _examined(self, event: Examined, now: float) -> None:
        for path, stamp in event.stamps.items():
            value = stamp.value if stamp is not None else 0
            if self._stamps.get(path, value) != value:
                self._stamps[path] = value
                self._wait(now)

    def _wait(self, now: float) -> None:
        self._first = now if self._first is None else self._first
        self.deadline = min(now + QUIET, self._first + LIMIT)

    def tick(self, now: float) -> list[Command]:
        """Read it, if it is time."""
        return self.read() if self.deadline is not None and now >= self.deadline else []

    def read(self) -> list[Command]:
        """Read it now."""
        self._first = self.deadline = None
        return [ReadConfig()]

    # What it says

    def refused(self, faults: Sequence[str]) -> list[Command]:
        """It cannot be used as it is."""
        text = "the configuration stays as it was"
        return [_warning(fault) for fault in faults] + [_warning(text)]

    def taken(self, event: ConfigRead, found: Difference) -> list[Command]:
        """It was read, and this is what it changes."""
        assert event.settings is not None
        fixed = _fixed(self._settings, event.settings)
        held = self._hold(_stamps(event.settings) or self._stamps)
        told = fixed if fixed != self._fixed else []
        self._fixed = fixed
        commands: list[Command] = [Report("configured", OWNER, {"path": self._path, **found._asdict()})]
        if told:
            text = f"{', '.join(told)}: what it says now counts when reloaderd is started again"
            commands.append(_warning(f"{self._path}: {text}"))
        return commands + held

    def _hold(self, stamps: dict[str, int]) -> list[Command]:
        """Hold on to these files, and let go of others."""
        gone = [path for path in self._stamps if path not in stamps]
        unused = [watch for path in gone for watch in self._anchors.let_go(path)]
        new = [path for path in stamps if path not in self._stamps]
        self._stamps = stamps
        return [*(Anchor(OWNER, path) for path in new), *([Drop(unused)] if unused else [])]


def _stamps(settings: Settings) -> dict[str, int]:
    """How the files looked when they were read."""
    config = settings.config
    return {} if config is None else {config.path: config.stamp, **dict(config.beside)}


def _fixed(was: Settings, now: Settings) -> list[str]:
    """The options that cannot change and would."""
    before, after = _of_all(was), _of_all(now)
    return [name for name in before if before[name] != after[name]]


def _of_all(settings: Settings) -> dict[str, object]:
    console = settings.console._asdict()
    return {
        "backend": settings.backend,
        "poll_interval": settings.poll_interval,
        "quiet or verbose": console.pop("verbosity"),
        **console,
    }


def _warning(text: str) -> Command:
    return Report("warning", OWNER, {"text": text})
