"""The front of the core: turns (event, now) into commands, for all services.

Rules:
- The engine does nothing itself and never waits.
- An event of a source concerns every service; one about a run or an answer names its service.
- reloaderd ends when every service has; by the signal that asked for it, or as its child did.
- Who makes place for whom, when the configuration changes, is core.succession.
"""

from __future__ import annotations

from collections.abc import Iterable
from signal import (
    SIGCONT,
    SIGHUP,
    SIGINT,
    SIGQUIT,
    SIGTERM,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    SIGUSR1,
    SIGWINCH,
    Signals,
)
from typing import TYPE_CHECKING

from reloaderd.commands import (
    Answer,
    Command,
    Drop,
    Quit,
    ReclaimTerminal,
    Report,
    SignalChild,
    StopSelf,
)
from reloaderd.core.configuration import Configuration, difference
from reloaderd.core.foreground import Foreground
from reloaderd.core.history import History
from reloaderd.core.service import Service
from reloaderd.core.succession import Succession
from reloaderd.core.transitions import UP
from reloaderd.events import (
    Anchored,
    Asked,
    ChildEnded,
    ChildStopped,
    ConfigRead,
    EntryChanged,
    Event,
    EventsLost,
    Examined,
    FileDetached,
    KeeperDied,
    Looked,
    MountsChanged,
    RunGone,
    SignalArrived,
    TerminalClosed,
    WatchEnded,
    WatchMoved,
    WatchStale,
)
from reloaderd.settings import Identity, Settings

if TYPE_CHECKING:
    from reloaderd.core.manager import Informant

CLOSING = frozenset({SIGINT, SIGTERM, SIGQUIT, SIGHUP})


class Engine:
    """All services, the signals to reloaderd, and whose turn the terminal is."""

    def __init__(
        self,
        settings: Settings,
        has_terminal: bool,
        source: str = "inotify",
        late: float = 0.0,
        identity: Identity | None = None,
    ) -> None:
        """`source` is the name of the kernel's source, `late` by how many seconds polling may be late."""
        self._identity = identity or Identity()
        self.history = History(lambda name: self.services[name].origin)
        self.services = {one.name: Service(one, source, late) for one in settings.services}
        self._configuration = Configuration(settings)
        self._succession = Succession(self.services, source, late)
        self._has_terminal = has_terminal
        self._foreground = Foreground()
        self.informant: Informant | None = None
        """What tells the service manager, where there is one."""
        self._closing = False
        self._ended = False
        self._signum = 0
        self._status = 0

    @property
    def closing(self) -> bool:
        """Whether all is to end."""
        return self._closing

    @property
    def replacing(self) -> bool:
        """Whether a service makes place, for another or for none."""
        return bool(self._succession.leaving)

    def start(self) -> list[Command]:
        """Begin: each service finds its roots first."""
        said = [] if self.informant is None else self.informant.start()
        services = _of_all(service.start() for service in self.services.values())
        return said + self._configuration.start() + services

    def handle(self, event: Event, now: float) -> list[Command]:
        """What follows from one event."""
        match event:
            case EntryChanged() | WatchEnded() | WatchMoved() | WatchStale() | EventsLost():
                commands = self._of_a_source(event, now)
            case FileDetached() | Looked() | MountsChanged():
                commands = self._of_a_source(event, now)
            case SignalArrived():
                commands = self._signal(event.signum, now)
            case TerminalClosed():
                # It comes beside the SIGHUP for the same: no second Ctrl-C, which kills.
                commands = [] if self._closing else self._close(SIGHUP, now)
            case ChildStopped():
                commands = self._child_stopped(event)
            case ConfigRead():
                commands = self._config_read(event, now)
            case Asked():
                commands = self._asked(event, now)
            case Anchored(service="") | Examined(service=""):
                commands = self._configuration.handle(event, now)
            case _:
                commands = self._about_service(event, now)
        commands = self._finish(commands, now)
        self.history.note(event, commands, now)
        return commands if self.informant is None else self.informant.handled(event, commands, now)

    def _of_a_source(self, event: Event, now: float) -> list[Command]:
        commands = self._configuration.handle(event, now)
        return commands + _of_all(service.handle(event, now) for service in self.services.values())

    def deadline(self, now: float) -> float | None:
        """The next instant at which something is due; None at rest."""
        instants = [service.deadline(now) for service in self.services.values()]
        instants += [self.informant.deadline] if self.informant is not None else []
        if not self._closing:
            instants += [self._configuration.deadline, now if self._succession.due else None]
        return min((instant for instant in instants if instant is not None), default=None)

    def tick(self, now: float) -> list[Command]:
        """Serve what is due.  All that was asked before must have been answered."""
        commands = [] if self._closing else self._succession.tick() + self._configuration.tick(now)
        commands += _of_all(service.tick(now) for service in self.services.values())
        commands = self._finish(commands, now)
        self.history.note(None, commands, now)
        return commands if self.informant is None else self.informant.ticked(commands, now)

    def _asked(self, event: Asked, now: float) -> list[Command]:
        try:
            from reloaderd.core.control import Control

            control = Control(self._identity, self.services, self.history, lambda: self._close(SIGTERM, now))
            return control.answer(event, now)
        except Exception as error:
            # It is loaded when it is asked for: by then another version may be installed than the one that
            # runs, or none.  A question must not be the end of what has run for weeks.
            reason = f"{type(error).__name__}: {error}"
            return [Answer(event.client, {"reason": reason}, "io.reloaderd.Failed")]

    def _config_read(self, event: ConfigRead, now: float) -> list[Command]:
        if event.settings is None:
            return self._configuration.refused(event.faults)
        if self._closing:
            return []
        then = {one.name: one for one in event.settings.services}
        found = difference(self._succession.meant(), then)
        return self._configuration.taken(event, found) + self._succession.begin(then, found, now)

    # One service

    def _about_service(self, event: Event, now: float) -> list[Command]:
        service = self.services.get(getattr(event, "service", ""))
        if service is None:
            return []
        run = getattr(event, "run", 0) or service.supervisor.run
        current = service.supervisor.has(run)
        by_itself = service.supervisor.state in UP
        commands = service.handle(event, now)
        if current and isinstance(event, ChildEnded) and self._foreground.has(event.service, run):
            # what it left may have the terminal still, as the job of a shell: again when the run is gone
            commands = [ReclaimTerminal(), *commands]
            if by_itself and event.status in (-SIGINT, -SIGQUIT):  # Ctrl-C reached the child alone
                commands += self._close(-event.status, now)
        if current and isinstance(event, (RunGone, KeeperDied)):
            commands = [*self._foreground.gone(event.service, run), *commands]
        return commands

    # The terminal

    def _child_stopped(self, event: ChildStopped) -> list[Command]:
        service = self.services.get(event.service)
        if service is None or not service.supervisor.has(event.run):
            return []
        if event.signum in (SIGTTIN, SIGTTOU):
            return self._foreground.asked(event.service, event.run)
        if event.signum == SIGTSTP and self._foreground.holder == event.service:
            return [ReclaimTerminal(), StopSelf(), *self._continue()]
        return []

    def _continue(self) -> list[Command]:
        """After reloaderd was stopped and continued: the children go on, and one has the terminal again."""
        commands = self._foreground.again()
        for name, service in self.services.items():
            commands += [SignalChild(name, run, SIGCONT, "tree") for run in service.supervisor.numbers]
        return commands

    # Signals to reloaderd

    def _signal(self, signum: int, now: float) -> list[Command]:
        if signum == SIGHUP and not self._has_terminal:
            if self._configuration:
                return [] if self._closing else self._configuration.read()
            return self._restart("SIGHUP", now)
        if signum in CLOSING:
            return self._close(signum, now)
        if signum == SIGUSR1:
            return self._restart("SIGUSR1", now)
        if signum == SIGTSTP:
            return [*self._pass_on(SIGTSTP, "tree"), StopSelf(), *self._continue()]
        if signum == SIGCONT:
            return self._continue() if self._foreground.holder is not None else []
        if signum == SIGWINCH:
            return self._pass_on(SIGWINCH, "group")
        return []

    def _restart(self, asker: str, now: float) -> list[Command]:
        return _of_all(service.restart(now, asker) for service in self.services.values())

    def _pass_on(self, signum: int, scope: str) -> list[Command]:
        return [
            SignalChild(name, run, signum, scope)
            for name, service in self.services.items()
            for run in service.supervisor.runs
        ]

    def _close(self, signum: int, now: float) -> list[Command]:
        commands: list[Command] = []
        leaving: Iterable[str] = ()
        if not self._closing:
            self._closing = True
            self._signum = signum
            name = Signals(signum).name if signum else ""
            commands = [Report("closing", one, {"signal": name}) for one in self.services]
            leaving = self._succession.leaving  # asked already: a second time would kill
        for name, service in self.services.items():
            commands += [] if name in leaving else service.close(signum, now)
        if all(service.closed for service in self.services.values()):  # those that were to be replaced, maybe
            commands.append(Quit(0, signum))
        return commands

    # The end

    def _finish(self, commands: list[Command], now: float) -> list[Command]:
        """Keep back what concerns one service alone: its Quit, and a Drop of what another needs."""
        kept: list[Command] = []
        for command in commands:
            if isinstance(command, Drop):
                unused = [watch for watch in command.watches if not self.uses(watch)]
                if unused:
                    kept.append(Drop(unused))
            elif isinstance(command, Quit):
                kept += self._service_ended(now)
            else:
                kept.append(command)
        return kept

    def _service_ended(self, now: float) -> list[Command]:
        if not self._closing:
            leaving = self._succession.leaving
            stay = [service for name, service in self.services.items() if name not in leaving]
            ended = [service for service in stay if service.closed]
            if not ended:  # it makes place
                return []
            self._closing = True
            self._status, self._signum = ended[0].supervisor.result
            others = [service for service in stay if not service.closed]
            commands = self._finish(_of_all(service.close(0, now) for service in others), now)
            if commands:
                return commands
        return self._end() if all(service.closed for service in self.services.values()) else []

    def _end(self) -> list[Command]:
        if self._ended:  # services that end together say so one by one
            return []
        self._ended = True
        status = 128 + self._signum if self._signum else self._status
        reports: list[Command] = [Report("closed", name, {}) for name in self.services]
        return [*self._foreground.take_back(), *reports, Quit(status, self._signum)]

    def uses(self, watch: int) -> bool:
        """Whether any service needs `watch`, or the configuration file, or the pulse."""
        if self.informant is not None and self.informant.uses(watch):
            return True
        of_a_service = any(service.watcher.uses(watch) for service in self.services.values())
        return of_a_service or self._configuration.uses(watch)


def _of_all(commands: Iterable[list[Command]]) -> list[Command]:
    return [command for some in commands for command in some]
