"""The front of the core: turns (event, now) into commands, for all services.

Rules:
- The engine does nothing itself and never waits.
- An event of a source concerns every service; one about a run or an answer names its service.
- reloaderd ends when every service has; by the signal that asked for it, or as its child did.
"""

from __future__ import annotations

from collections.abc import Sequence
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

from reloaderd.commands import (
    Command,
    Drop,
    LendTerminal,
    Quit,
    ReclaimTerminal,
    Report,
    SignalChild,
    StopSelf,
)
from reloaderd.core.service import Service
from reloaderd.core.transitions import UP, State
from reloaderd.events import (
    ChildEnded,
    ChildStopped,
    EntryChanged,
    Event,
    EventsLost,
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
from reloaderd.settings import ServiceSettings

CLOSING = frozenset({SIGINT, SIGTERM, SIGQUIT, SIGHUP})


class Engine:
    """All services, the signals to reloaderd, and whose turn the terminal is."""

    def __init__(
        self,
        settings: Sequence[ServiceSettings],
        has_terminal: bool,
        source: str = "inotify",
        late: float = 0.0,
    ) -> None:
        """`source` is the name of the kernel's source, `late` by how many seconds polling may be late."""
        self.services = {one.name: Service(one, source, late) for one in settings}
        self._has_terminal = has_terminal
        self._asks: str | None = None  # the service whose child asked for the terminal
        self._lent = False
        self._closing = False
        self._ended = False
        self._signum = 0
        self._status = 0

    def start(self) -> list[Command]:
        """Begin: each service finds its roots first."""
        return [command for service in self.services.values() for command in service.start()]

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
            case _:
                commands = self._about_service(event, now)
        return self._finish(commands, now)

    def _of_a_source(self, event: Event, now: float) -> list[Command]:
        return [command for service in self.services.values() for command in service.handle(event, now)]

    def deadline(self, now: float) -> float | None:
        """The next instant at which something is due; None at rest."""
        instants = [service.deadline(now) for service in self.services.values()]
        return min((instant for instant in instants if instant is not None), default=None)

    def tick(self, now: float) -> list[Command]:
        """Serve what is due."""
        return self._finish([c for service in self.services.values() for c in service.tick(now)], now)

    # One service

    def _about_service(self, event: Event, now: float) -> list[Command]:
        service = self.services.get(getattr(event, "service", ""))
        if service is None:
            return []
        current = getattr(event, "run", service.supervisor.run) == service.supervisor.run
        by_itself = service.supervisor.state in UP
        commands = service.handle(event, now)
        if current and isinstance(event, ChildEnded) and self._lent and self._asks == event.service:
            # what it left may have the terminal still, as the job of a shell: again when the run is gone
            commands = [ReclaimTerminal(), *commands]
            if by_itself and event.status in (-SIGINT, -SIGQUIT):  # Ctrl-C reached the child alone
                commands += self._close(-event.status, now)
        if current and isinstance(event, (RunGone, KeeperDied)) and self._asks == event.service:
            commands = [*self._take_back(), *commands]
        return commands

    def _take_back(self) -> list[Command]:
        self._asks = None
        lent, self._lent = self._lent, False
        return [ReclaimTerminal()] if lent else []

    # The terminal

    def _child_stopped(self, event: ChildStopped) -> list[Command]:
        service = self.services[event.service]
        if event.run != service.supervisor.run:
            return []
        if event.signum in (SIGTTIN, SIGTTOU):
            self._asks, self._lent = event.service, True
            return [LendTerminal(event.service, event.run)]
        if event.signum == SIGTSTP and self._lent and self._asks == event.service:
            return [ReclaimTerminal(), StopSelf(), *self._continue()]
        return []

    def _continue(self) -> list[Command]:
        """After reloaderd was stopped and continued: the children go on, and one has the terminal again."""
        commands: list[Command] = []
        for name, service in self.services.items():
            if service.supervisor.run:
                commands.append(SignalChild(name, service.supervisor.run, SIGCONT, "tree"))
        if self._asks is not None:
            commands.insert(0, LendTerminal(self._asks, self.services[self._asks].supervisor.run))
        return commands

    # Signals to reloaderd

    def _signal(self, signum: int, now: float) -> list[Command]:
        if signum == SIGHUP and not self._has_terminal:
            return [c for service in self.services.values() for c in service.restart(now)]
        if signum in CLOSING:
            return self._close(signum, now)
        if signum == SIGUSR1:
            return [c for service in self.services.values() for c in service.restart(now)]
        if signum == SIGTSTP:
            return [*self._pass_on(SIGTSTP, "tree"), StopSelf(), *self._continue()]
        if signum == SIGCONT:
            return self._continue() if self._asks is not None else []
        if signum == SIGWINCH:
            return self._pass_on(SIGWINCH, "group")
        return []

    def _pass_on(self, signum: int, scope: str) -> list[Command]:
        return [
            SignalChild(name, service.supervisor.run, signum, scope)
            for name, service in self.services.items()
            if service.supervisor.alive
        ]

    def _close(self, signum: int, now: float) -> list[Command]:
        commands: list[Command] = []
        if not self._closing:
            self._closing = True
            self._signum = signum
            name = Signals(signum).name if signum else ""
            commands = [Report("closing", one, {"signal": name}) for one in self.services]
        for service in self.services.values():
            commands += service.close(signum, now)
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
                kept += self._service_ended(command, now)
            else:
                kept.append(command)
        return kept

    def _service_ended(self, quit: Quit, now: float) -> list[Command]:
        if not self._closing:
            self._closing = True
            self._status, self._signum = quit.status, quit.signum
            others = [
                service for service in self.services.values() if service.supervisor.state is not State.CLOSED
            ]
            commands = [c for service in others for c in service.close(0, now)]
            return self._finish(commands, now) if others else self._end()
        done = all(service.supervisor.state is State.CLOSED for service in self.services.values())
        return self._end() if done else []

    def _end(self) -> list[Command]:
        if self._ended:  # services that end together say so one by one
            return []
        self._ended = True
        status = 128 + self._signum if self._signum else self._status
        reports: list[Command] = [Report("closed", name, {}) for name in self.services]
        return [*self._take_back(), *reports, Quit(status, self._signum)]

    def uses(self, watch: int) -> bool:
        """Whether any service needs `watch`."""
        return any(service.watcher.uses(watch) for service in self.services.values())
