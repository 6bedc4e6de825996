"""The one loop: carries events from the adapters to the engine, and its commands back to them.

Rules:
- One thread, one wait.  With nothing due the wait has no limit.
- What a command brings about at once (a listing, a stamp) is handled before anything else, so
  that the engine's answers are never out of turn.
- A line for the person never delays the stop of a child: it is written when the commands around it
  are carried out, but before anything that may take long or has a say on the screen.
"""

from __future__ import annotations

import errno
import gc
import os
import time
from collections.abc import Callable, Sequence
from signal import SIGCHLD, SIGCONT
from typing import TYPE_CHECKING, Any

from reloaderd import commands as do
from reloaderd.answers import ANSWERS
from reloaderd.core.engine import Engine
from reloaderd.core.reasons import SHORT_OF, start_failure
from reloaderd.errors import ReloaderdError
from reloaderd.events import (
    ChildStarted,
    ConfigRead,
    EntryChanged,
    Event,
    MountsChanged,
    RunGone,
    SignalArrived,
    TerminalClosed,
)
from reloaderd.kernel.child import working_directory
from reloaderd.kernel.control import Control
from reloaderd.kernel.helpers import reap_strays
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.signals import Signals
from reloaderd.kernel.sources import Sources
from reloaderd.kernel.terminal import Terminal, TerminalGone
from reloaderd.kernel.waiting import wait
from reloaderd.processes import RUNS, Processes
from reloaderd.settings import Identity, Settings

if TYPE_CHECKING:
    from reloaderd.servicemanager import ServiceManager

ReadAgain = Callable[[], Settings]


def run(
    settings: Settings,
    console: Any,
    read_again: ReadAgain | None = None,
    manager: ServiceManager | None = None,
) -> tuple[int, int]:
    """Watch and supervise until the end: the exit status, and the signal to die of instead (or 0).

    `console` has `report(Report)`; `read_again` reads the configuration file and `manager` is the service
    manager, if there is one.  Raises ReloaderdError where the machine refuses what is needed.
    """
    ready = False
    try:
        with Processes(console.report, manager) as processes:
            processes.start(settings.services)
            with (
                Control(settings.name, settings.named, console.report) as control,
                Signals() as signals,
                Terminal() as terminal,
                Loop(settings, processes, signals, terminal, control, read_again, manager) as loop,
            ):
                ready = True
                return loop.run()
    except OSError as error:
        # once the loop runs, EAGAIN is what a read says too early: our fault
        if error.errno not in SHORT_OF or (ready and error.errno == errno.EAGAIN):
            raise
        message = f"cannot go on: {start_failure(error.errno)}"
        raise ReloaderdError(message, SHORT_OF[error.errno], exit_code=1) from None


class Loop:
    """The adapters and the engine."""

    def __init__(
        self,
        settings: Settings,
        processes: Processes,
        signals: Signals,
        terminal: Terminal,
        control: Control,
        read_again: ReadAgain | None,
        manager: ServiceManager | None,
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._children = processes.children
        self._read_again = read_again
        self._manager = manager
        self._signals = signals
        self._terminal = terminal
        self._control = control
        self._tell = control.report
        self._leaders: dict[tuple[str, int], int] = {}  # service, run -> pid of the child
        self._woken = time.monotonic()
        self._untold: list[do.Report] = []
        self._end: do.Quit | None = None
        self._adapters: list[Any] = []
        self._engine: Engine
        self._mounts = Mounts()
        links = any(one.follow_links for one in settings.services)
        self._source = Sources(settings.backend, settings.poll_interval, self._mounts, everywhere=links)
        processes.forget_inodes(self._source.forgetful)

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
        self._mounts.close()

    def run(self) -> tuple[int, int]:
        """Until the engine says Quit: the exit status and the signal to die of, 0 for none."""
        late = self._settings.poll_interval
        config = self._settings.config.path if self._settings.config is not None else ""
        here = os.path.realpath(working_directory())
        identity = Identity(self._control.name, os.getpid(), here, config, time.monotonic())
        self._engine = Engine(self._settings, bool(self._terminal), self._source.name, late, identity)
        if self._manager is not None:
            self._manager.look_on(self._engine)
        self._gather_adapters()
        # Collecting garbage while 50,000 directories are armed takes a third of the time and finds none.
        gc.disable()
        self._carry(self._engine.start())
        gc.freeze()
        gc.enable()
        while self._end is None:
            self._wait()
        return self._end.status, self._end.signum

    def _gather_adapters(self) -> None:
        agents = self._processes.agents
        # the agents come before the source: a child tells what it opens before it does anything to it
        self._adapters = [self._signals, self._mounts, *([agents] if agents is not None else [])]
        self._adapters += [self._source, *self._children.values(), *self._processes.compilers.values()]
        self._adapters += self._processes.porters.values()
        self._adapters += [self._manager] if self._manager is not None else []
        self._adapters += [self._control] if self._control else []  # the last: who asks is never in the way

    def _wait(self) -> None:
        now = time.monotonic()
        deadline, look = self._engine.deadline(now), self._source.deadline
        if look is not None:
            deadline = look if deadline is None else min(look, deadline)
        limit = None if deadline is None else max(0.0, deadline - now)
        ready = wait(self._adapters, limit)
        self._woken = time.monotonic()
        for adapter in ready:
            self._carry(adapter.read())
        if look is not None and look <= self._woken:
            self._carry(self._source.read())
        self._carry(self._engine.tick(time.monotonic()))

    def _carry(self, items: Sequence[Event | do.Command]) -> None:
        """Events to the engine, commands to the adapters, and what comes of each before the next."""
        stack = list(reversed(items))
        while stack:
            item = stack.pop()
            perform = _PERFORM.get(type(item))
            if perform is not None:
                stack += reversed(perform(self, item))
            else:
                stack += reversed(self._handle(item))
        self._say()

    def _say(self) -> None:
        for report in self._untold:
            self._tell(report)
        self._untold.clear()

    def _handle(self, event: Event) -> Sequence[do.Command]:
        if isinstance(event, ChildStarted):
            self._leaders[event.service, event.run] = event.pid
        elif isinstance(event, RunGone):
            self._leaders.pop((event.service, event.run), None)
        elif isinstance(event, EntryChanged):  # it happened before we woke, however long the others took
            return self._engine.handle(event, self._woken)
        elif isinstance(event, SignalArrived) and event.signum == SIGCHLD:
            reap_strays()
        elif isinstance(event, MountsChanged):
            self._source.mounts_changed()
        return self._engine.handle(event, time.monotonic())

    # Watching

    def _ask(self, command: do.Command) -> Sequence[Event | do.Command]:
        return ANSWERS[type(command)](self._source, command)

    def _arm(self, command: do.Arm) -> Sequence[Event | do.Command]:
        self._say()
        return self._ask(command)

    def _drop(self, command: do.Drop) -> Sequence[Event | do.Command]:
        # Asked again now that it is its turn: what was armed since it was decided may have the same watch.
        unused = [watch for watch in command.watches if not self._engine.uses(watch)]
        return self._ask(do.Drop(unused))

    # Runs

    def _start_child(self, command: do.StartChild) -> Sequence[Event]:
        self._say()
        self._processes.begin(command)
        return ()

    def _of_runs(self, command: do.Command) -> Sequence[Event]:
        return RUNS[type(command)](self._processes, command)

    # Services that come and go

    def _read_config(self, command: do.ReadConfig) -> Sequence[Event]:
        self._say()
        assert self._read_again is not None
        try:
            settings = self._read_again()
            self._processes.prepare(settings.services)
            return [ConfigRead(settings)]
        except ReloaderdError as error:
            return [ConfigRead(None, error.lines)]

    def _add_service(self, command: do.AddService) -> Sequence[Event]:
        if command.settings.follow_links:
            self._source.follow_links()
        self._processes.add(command.settings)
        self._gather_adapters()
        return ()

    def _remove_service(self, command: do.RemoveService) -> Sequence[Event]:
        self._processes.remove(command.service)
        self._leaders = {of: pid for of, pid in self._leaders.items() if of[0] != command.service}
        self._gather_adapters()
        return ()

    # The terminal

    def _lend_terminal(self, command: do.LendTerminal) -> Sequence[Event]:
        try:
            lent = self._terminal.lend(self._leaders[command.service, command.run])
        except TerminalGone:
            return [TerminalClosed()]
        if lent:
            self._children[command.service].signal(command.run, SIGCONT, "group")
        return ()

    def _reclaim_terminal(self, command: do.ReclaimTerminal) -> Sequence[Event]:
        try:
            self._terminal.reclaim()
        except TerminalGone:
            return [TerminalClosed()]
        return ()

    def _stop_self(self, command: do.StopSelf) -> Sequence[Event]:
        self._say()
        self._signals.stop_self()
        return ()

    # The service manager

    def _notify(self, command: do.Notify) -> Sequence[Event]:
        assert self._manager is not None
        self._manager.say(*command)
        return ()

    def _make_pulse(self, command: do.MakePulse) -> Sequence[Event]:
        assert self._manager is not None
        return self._manager.make_pulse(self._source, self._settings.poll_interval)

    # What a person sees

    def _answer(self, command: do.Answer) -> Sequence[Event]:
        self._control.answer(command)
        return ()

    def _follow(self, command: do.Follow) -> Sequence[Event]:
        self._control.follow(command.client)
        return ()

    def _report(self, command: do.Report) -> Sequence[Event]:
        self._untold.append(command)
        return ()

    def _quit(self, command: do.Quit) -> Sequence[Event]:
        self._end = command
        return ()


_PERFORM: dict[type, Callable[[Loop, Any], Sequence[Event | do.Command]]] = {
    **dict.fromkeys(ANSWERS, Loop._ask),
    **dict.fromkeys(RUNS, Loop._of_runs),
    do.Arm: Loop._arm,
    do.Drop: Loop._drop,
    do.StartChild: Loop._start_child,
    do.ReadConfig: Loop._read_config,
    do.AddService: Loop._add_service,
    do.RemoveService: Loop._remove_service,
    do.Answer: Loop._answer,
    do.Follow: Loop._follow,
    do.LendTerminal: Loop._lend_terminal,
    do.ReclaimTerminal: Loop._reclaim_terminal,
    do.StopSelf: Loop._stop_self,
    do.Notify: Loop._notify,
    do.MakePulse: Loop._make_pulse,
    do.Report: Loop._report,
    do.Quit: Loop._quit,
}
