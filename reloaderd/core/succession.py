"""Which services make place for others, when the configuration is another than it was.

Rules:
- A service that is to go is closed, and stays known until nothing of it is left and all that it asked is
  answered: what takes its place begins with the next tick, and goes on counting its runs.
- What only stands on another line by now is not touched.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from reloaderd.commands import AddService, Command, Drop, RemoveService
from reloaderd.core.configuration import Difference
from reloaderd.core.service import Service
from reloaderd.settings import ServiceSettings


class Succession:
    """Those services that are on their way out, and what is to come."""

    def __init__(self, services: dict[str, Service], source: str, late: float) -> None:
        """`services` are all that there are, and are changed here; the others are as in `Service`."""
        self._services = services
        self._source, self._late = source, late
        self._next: dict[str, ServiceSettings | None] = {}  # what takes the place of a service
        self._read_at = 0.0  # when that was asked for
        self._runs: dict[str, int] = {}  # the number of the last run of those that went

    @property
    def leaving(self) -> Collection[str]:
        """The names of services that make place, for another or for none, and of those that are to come."""
        return self._next.keys()

    def meant(self) -> dict[str, ServiceSettings]:
        """What there is when all of them went and came."""
        meant = {name: service.settings for name, service in self._services.items()}
        for name, settings in self._next.items():  # on its way from what was read before
            meant.pop(name, None)
            meant |= {name: settings} if settings is not None else {}
        return meant

    def begin(self, then: Mapping[str, ServiceSettings], found: Difference, now: float) -> list[Command]:
        """It is to be as it is in `then`, which is so different from what was meant."""
        self._read_at = now
        for name in then.keys() & self._services.keys() - {*found.changed, *self._next}:
            self._services[name].renumber(then[name])
        commands: list[Command] = []
        for name in (*found.changed, *found.added, *found.removed):
            leaves = name in self._next or name not in self._services
            self._next[name] = then.get(name)
            commands += [] if leaves else self._services[name].close(0, now)
        return commands

    @property
    def due(self) -> list[str]:
        """The names under which another service, or none, can begin."""
        services = self._services
        return [name for name in self._next if name not in services or services[name].closed]

    def tick(self) -> list[Command]:
        """Let those begin."""
        commands: list[Command] = []
        for name in self.due:
            settings, former = self._next.pop(name), self._services.pop(name, None)
            if former is not None:
                self._runs[name] = former.supervisor.latest
                commands.append(RemoveService(name))
            if settings is not None:
                run = self._runs.get(name, 0)
                service = Service(settings, self._source, self._late, self._read_at, run)
                self._services[name] = service
                if former is not None:
                    service.pause.on = former.pause.on
                commands += [AddService(settings), *service.start()]
            if former is not None:  # last: most of them are armed again
                commands.append(Drop(sorted(former.watcher.watches())))
        return commands
