"""The one loop: carries events from the adapters to the engine, and its commands back to them.

Rules:
- One thread, one wait.  With nothing due the wait has no limit.
- What a command brings about at once (a listing, a stamp) is handled before anything else, so
  that the engine's answers are never out of turn.
- A line for the person never delays the stop of a child: it is written when the commands around it
  are carried out, but before anything that may take long or has a say on the screen.
- The keepers are forked before anything heavy is imported: they stay small.
"""

from __future__ import annotations

import errno
import gc
import select
import time
from collections.abc import Callable, Mapping, Sequence
from signal import SIGCHLD, SIGCONT
from typing import TYPE_CHECKING, Any

from reloaderd import commands as do
from reloaderd.answers import ANSWERS
from reloaderd.core.engine import Engine
from reloaderd.core.reasons import SHORT_OF, start_failure
from reloaderd.errors import ReloaderdError
from reloaderd.events import (
    ChildStarted,
    ChildTold,
    EntryChanged,
    Event,
    MountsChanged,
    SignalArrived,
    TerminalClosed,
)
from reloaderd.kernel.agents import Agents, without_agent
from reloaderd.kernel.child import Child, become_subreaper, reap_strays, working_directory
from reloaderd.kernel.mounts import Mounts
from reloaderd.kernel.signals import Signals
from reloaderd.kernel.sources import Sources
from reloaderd.kernel.spawn import given_environment
from reloaderd.kernel.terminal import Terminal, TerminalGone
from reloaderd.settings import ServiceSettings, Settings

if TYPE_CHECKING:
    from reloaderd.kernel.compiler import Compiler

Tell = Callable[[do.Report], None]

NOT_PASSED_ON = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "RELOADERD_AGENT",
)
"""Variables by which a service manager speaks to reloaderd itself (sd_notify(3), sd_listen_fds(3)), and by
which another reloaderd, whose child we are, has its children speak to it."""


def run(settings: Settings, console: Any) -> tuple[int, int]:
    """Watch and supervise until the end: the exit status, and the signal to die of instead (or 0).

    `console` has `report(Report)`.  Raises ReloaderdError where the machine refuses what is needed.
    """
    children: dict[str, Child] = {}
    ready = False
    agents = _agents(settings, console.report)
    try:
        become_subreaper()
        children.update((one.name, _keeper(one, agents)) for one in settings.services if not one.dry_run)
        with (
            Signals() as signals,
            Terminal() as terminal,
            Loop(settings, children, signals, terminal, agents, console.report) as loop,
        ):
            ready = True
            return loop.run()
    except OSError as error:
        # once the loop runs, EAGAIN is what a read says too early: our fault
        if error.errno not in SHORT_OF or (ready and error.errno == errno.EAGAIN):
            raise
        message = f"cannot go on: {start_failure(error.errno)}"
        raise ReloaderdError(message, SHORT_OF[error.errno], exit_code=1) from None
    finally:
        for child in children.values():
            child.close()
        if agents is not None:
            agents.close()


def _agents(settings: Settings, tell: Tell) -> Agents | None:
    """What Python children speak to, if any of them is to be followed."""
    followed = [one for one in settings.services if _speaks(one) and not one.dry_run]
    if not followed:
        return None
    try:
        return Agents()
    except OSError as error:
        text = f"Python children are not listened to: {error.filename}: {error.strerror}"
        for service in followed:
            tell(do.Report("warning", service.name, {"text": text}))
        return None


def _speaks(service: ServiceSettings) -> bool:
    """Whether its children may have something to say: what they load, or that they listen."""
    return service.modules or any(on.action == "notify" for on in service.rules.on)


def _keeper(service: ServiceSettings, agents: Agents | None) -> Child:
    environ = _environ(service)
    if agents is not None and _speaks(service):
        environ |= agents.environ(environ.get("PYTHONPATH"), service.roots, follow=service.modules)
    return Child(service.name, service.command, service.chdir, environ)


def _environ(service: ServiceSettings) -> dict[str, str]:
    """What every run of the service gets."""
    given = given_environment()
    environ = {name: value for name, value in given.items() if name not in NOT_PASSED_ON}
    return without_agent({**environ, **dict(service.environ)})


def _compilers(services: Sequence[ServiceSettings]) -> dict[str, Compiler]:
    """Of those that have a gate."""
    gated = [one for one in services if one.gate is not None and not one.dry_run]
    if not gated:
        return {}
    from reloaderd.kernel.compiler import Compiler

    here = working_directory()
    return {one.name: Compiler(one.name, one.command, one.chdir or here, _environ(one)) for one in gated}


class Loop:
    """The adapters and the engine."""

    def __init__(
        self,
        settings: Settings,
        children: Mapping[str, Child],
        signals: Signals,
        terminal: Terminal,
        agents: Agents | None,
        tell: Tell,
    ) -> None:
        self._settings = settings
        self._children = children
        self._signals = signals
        self._terminal = terminal
        self._tell = tell
        self._leaders: dict[str, int] = {}  # service -> pid of its latest child
        self._woken = time.monotonic()
        self._untold: list[do.Report] = []
        self._end: do.Quit | None = None
        self._adapters: list[Any] = []
        self._mounts = Mounts()
        self._compilers = _compilers(settings.services)
        links = any(one.follow_links for one in settings.services)
        self._source = Sources(settings.backend, settings.poll_interval, self._mounts, everywhere=links)
        self._agents = agents
        if agents is not None:
            agents.forgetful = self._source.forgetful

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()
        for compiler in self._compilers.values():
            compiler.close()
        self._mounts.close()

    def run(self) -> tuple[int, int]:
        """Until the engine says Quit: the exit status and the signal to die of, 0 for none."""
        late = self._settings.poll_interval
        self._engine = Engine(self._settings, bool(self._terminal), self._source.name, late)
        self._adapters = [self._signals, self._mounts, self._source, *self._children.values()]
        self._adapters += self._compilers.values()
        if self._agents is not None:
            self._adapters.append(self._agents)
        # Collecting garbage while 50,000 directories are armed takes a third of the time and finds none.
        gc.disable()
        self._carry(self._engine.start())
        gc.freeze()
        gc.enable()
        while self._end is None:
            self._wait()
        return self._end.status, self._end.signum

    def _wait(self) -> None:
        now = time.monotonic()
        deadline, look = self._engine.deadline(now), self._source.deadline
        if look is not None:
            deadline = look if deadline is None else min(look, deadline)
        # epoll and poll count in milliseconds and round up; select(2) does not, and we wait for few.  It is
        # asked without the module selectors, which is 0.1 MB for what it does by itself.
        limit = None if deadline is None else max(0.0, deadline - now)
        ready, _, _ = select.select(self._adapters, (), (), limit)
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
            self._leaders[event.service] = event.pid
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
        self._children[command.service].start(command.run, command.environ)
        return ()

    def _signal_child(self, command: do.SignalChild) -> Sequence[Event]:
        child = self._children[command.service]
        child.signal(command.run, command.signum, command.scope, command.ends)
        return ()

    def _kill_tree(self, command: do.KillTree) -> Sequence[Event]:
        self._children[command.service].kill(command.run)
        return ()

    def _tell_child(self, command: do.TellChild) -> Sequence[Event]:
        if self._agents is None:
            return [ChildTold(*command)]
        return self._agents.tell(*command)

    def _check_syntax(self, command: do.CheckSyntax) -> Sequence[Event]:
        return self._compilers[command.service].start(command.number, command.python, command.paths)

    def _end_check(self, command: do.EndCheck) -> Sequence[Event]:
        self._compilers[command.service].end()
        return ()

    # The terminal

    def _lend_terminal(self, command: do.LendTerminal) -> Sequence[Event]:
        try:
            lent = self._terminal.lend(self._leaders[command.service])
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

    # What a person sees

    def _report(self, command: do.Report) -> Sequence[Event]:
        self._untold.append(command)
        return ()

    def _quit(self, command: do.Quit) -> Sequence[Event]:
        self._end = command
        return ()


_PERFORM: dict[type, Callable[[Loop, Any], Sequence[Event | do.Command]]] = {
    **dict.fromkeys(ANSWERS, Loop._ask),
    do.Arm: Loop._arm,
    do.Drop: Loop._drop,
    do.StartChild: Loop._start_child,
    do.SignalChild: Loop._signal_child,
    do.KillTree: Loop._kill_tree,
    do.TellChild: Loop._tell_child,
    do.CheckSyntax: Loop._check_syntax,
    do.EndCheck: Loop._end_check,
    do.LendTerminal: Loop._lend_terminal,
    do.ReclaimTerminal: Loop._reclaim_terminal,
    do.StopSelf: Loop._stop_self,
    do.Report: Loop._report,
    do.Quit: Loop._quit,
}
