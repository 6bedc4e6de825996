"""What the services have of processes: their keepers, compilers, and the socket to which agents tell.

Rules:
- The keepers of the start are forked before anything heavy is imported: they stay small.
- A service may come later; what it needs and the first ones did not is made then.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reloaderd import commands as do
from reloaderd.events import ChildTold, Event
from reloaderd.kernel import proctree
from reloaderd.kernel.agents import Agents, without_agent
from reloaderd.kernel.child import Child, working_directory
from reloaderd.kernel.helpers import become_subreaper
from reloaderd.kernel.spawn import given_environment
from reloaderd.settings import ServiceSettings

if TYPE_CHECKING:
    from reloaderd.handover import Handed, Handover
    from reloaderd.kernel.compiler import Compiler
    from reloaderd.kernel.pair import Pair
    from reloaderd.kernel.porters import Porter
    from reloaderd.servicemanager import ServiceManager

Tell = Callable[[do.Report], None]

NOT_PASSED_ON = (
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "LISTEN_PIDFDID",
    "FDSTORE",
    "RELOADERD_AGENT",
    "RELOADERD_PORTER",
)
"""Variables by which a service manager speaks to reloaderd itself (sd_notify(3), sd_listen_fds(3)), and by
which another reloaderd, whose child we are, has its children speak to it."""


BLIND = (
    "/proc does not show our processes: what a run starts in process groups of its own is not found when it"
    " ends (mount it in this namespace: unshare --mount-proc, bwrap --proc /proc)"
)


class Processes:
    """By the name of the service; with `dry_run` it has none."""

    def __init__(self, tell: Tell, manager: ServiceManager | None = None) -> None:
        self.children: dict[str, Child | Pair] = {}
        self.compilers: dict[str, Compiler] = {}
        self.porters: dict[str, Porter] = {}
        self.agents: Agents | None = None
        self._handover: Handover | None = None
        self._cgroup = ""
        self._tell = tell
        self._manager = manager
        self._forgetful: Container[int] = ()

    def __enter__(self) -> Processes:
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*self.children]:
            self.remove(name)
        if self.agents is not None:
            self.agents.close()
        if self._handover is not None:
            self._handover.close()
        if self._cgroup:
            from reloaderd.kernel import cgroups

            cgroups.clear(self._cgroup)

    def start(self, services: Sequence[ServiceSettings]) -> None:
        """Have ready what these need.  Raises OSError, and ReloaderdError where one cannot listen."""
        real = [one for one in services if not one.dry_run]
        self.prepare(real)
        self._listen(real)
        if real and os.environ.get("SYSTEMD_EXEC_PID") == str(os.getpid()):
            from reloaderd.kernel import cgroups

            self._cgroup = cgroups.delegated(os.environ)
            if self._cgroup:
                cgroups.clear(self._cgroup)
        become_subreaper()
        if real and proctree.children is proctree.no_children:
            self._tell(do.Report("warning", "", {"text": BLIND}))
        for one in real:
            self.children[one.name] = self._child(one, early=True)
        for one in real:
            self._compiler(one)

    def prepare(self, services: Sequence[ServiceSettings]) -> None:
        """Listen where these want to.  Raises ReloaderdError, and then all is as it was."""
        if self._handover is None:
            wanted = any(one.listen for one in services) or "LISTEN_FDS" in os.environ
            if not wanted or all(one.dry_run for one in services):
                return
            from reloaderd.handover import Handover, inherited

            self._handover = Handover(
                self._tell, inherited(os.environ), None if self._manager is None else self._manager.say
            )
        self._handover.prepare(services)

    def add(self, service: ServiceSettings) -> None:
        """One more.  That no keeper can be forked is told when it starts.  Raises OSError."""
        if service.dry_run:
            return
        if self.agents is None:
            self._listen([service])
        self.children[service.name] = self._child(service, early=False)
        self._compiler(service)

    def begin(self, command: do.StartChild) -> None:
        """Start the command of a service."""
        name = command.service
        if self._handover is not None:
            self._handover.mend(name)
        self.children[name].start(*command[1:])

    def remove(self, name: str) -> None:
        """Let go of what it had; nothing of it is alive."""
        if name in self.compilers:
            self.compilers.pop(name).close()
        if name in self.children:
            self.children.pop(name).close()
        if name in self.porters:
            self.porters.pop(name).close()
        if self._handover is not None:
            self._handover.release(name)

    def forget_inodes(self, forgetful: Container[int]) -> None:
        """`forgetful`: the devices on which an inode number tells nothing."""
        self._forgetful = forgetful
        if self.agents is not None:
            self.agents.forgetful = forgetful

    def _listen(self, services: Sequence[ServiceSettings]) -> None:
        """Have what Python children speak to, if any of them is to be followed."""
        followed = [one for one in services if _speaks(one)]
        if not followed:
            return
        try:
            self.agents = Agents(self._forgetful)
        except OSError as error:
            text = f"Python children are not listened to: {error.filename}: {error.strerror}"
            for service in followed:
                self._tell(do.Report("warning", service.name, {"text": text}))

    def _child(self, service: ServiceSettings, early: bool) -> Child | Pair:
        environ = _environ(service)
        if self.agents is not None and _speaks(service):
            given = environ.get("PYTHONPATH")
            agent = service.modules or service.keep_sockets or service.overlap
            environ |= self.agents.environ(given, service.roots, agent)
        handed: Handed = () if self._handover is None else self._handover.take(service.name)
        porter = self._porter(service, handed)
        order = _order(service)
        children = [
            Child(
                service.name,
                service.command,
                service.chdir,
                {**environ, **(porter.environ(slot) if porter is not None else {})},
                early,
                handed,
                self._cgroup,
                porter,
                slot,
                service.overlap,
                service.warm,
                service.checkpoints,
                order,
            )
            for slot in range(2 if service.overlap else 1)
        ]
        if not service.overlap:
            return children[0]
        from reloaderd.kernel.pair import Pair

        return Pair(service.name, children, order)

    def _porter(self, service: ServiceSettings, handed: Handed) -> Porter | None:
        if self.agents is None or not (service.keep_sockets or service.overlap):
            return None
        from reloaderd.kernel.porters import Porter

        words = {"keep": service.keep_sockets, "accept": service.overlap, "alone": not service.modules}
        wants = service.ready if service.overlap and not isinstance(service.ready, float) else ""
        slots = 2 if service.overlap else 1
        try:
            porter = Porter(service.name, slots, [*filter(words.get, words)], [fd for fd, _ in handed], wants)
        except OSError as error:
            text = f"its sockets are not kept: {error.strerror}"
            self._tell(do.Report("warning", service.name, {"text": text}))
            return None
        self.porters[service.name] = porter
        return porter

    def _compiler(self, service: ServiceSettings) -> None:
        if service.gate is None:
            return
        from reloaderd.kernel.compiler import Compiler

        directory = service.chdir or working_directory()
        compiler = Compiler(service.name, service.command, directory, _environ(service))
        self.compilers[service.name] = compiler

    # What is asked of runs

    def _warm_up(self, command: do.WarmUp) -> Sequence[Event]:
        self.children[command.service].prepare()
        return ()

    def _signal(self, command: do.SignalChild) -> Sequence[Event]:
        self.children[command.service].signal(*command[1:])
        return ()

    def _relieve(self, command: do.RelieveChild) -> Sequence[Event]:
        child = self.children[command.service]  # two of them: one run alone is not relieved
        return () if isinstance(child, Child) else child.relieve(command.run)

    def _kill(self, command: do.KillTree) -> Sequence[Event]:
        self.children[command.service].kill(command.run)
        return ()

    def _tell_child(self, command: do.TellChild) -> Sequence[Event]:
        return [ChildTold(*command)] if self.agents is None else self.agents.tell(*command)

    def _check(self, command: do.CheckSyntax) -> Sequence[Event]:
        return self.compilers[command.service].start(*command[1:])

    def _end_check(self, command: do.EndCheck) -> Sequence[Event]:
        self.compilers[command.service].end()
        return ()


def _order(service: ServiceSettings) -> int:
    """What two keepers share of what runs tell of their imports; -1 where there is nothing to share."""
    if not (service.warm and service.overlap):
        return -1
    from reloaderd.kernel.warm import new_order

    return new_order()


def _speaks(service: ServiceSettings) -> bool:
    """Whether its children may have something to say: what they load, or that they listen."""
    sockets = service.keep_sockets or service.overlap
    return service.modules or sockets or any(on.action == "notify" for on in service.rules.on)


def _environ(service: ServiceSettings) -> dict[str, str]:
    """What every run of the service gets."""
    given = given_environment()
    environ = {name: value for name, value in given.items() if name not in NOT_PASSED_ON}
    return without_agent({**environ, **dict(service.environ)})


RUNS: Mapping[type, Callable[[Processes, Any], Sequence[Event]]] = {
    do.WarmUp: Processes._warm_up,
    do.SignalChild: Processes._signal,
    do.RelieveChild: Processes._relieve,
    do.KillTree: Processes._kill,
    do.TellChild: Processes._tell_child,
    do.CheckSyntax: Processes._check,
    do.EndCheck: Processes._end_check,
}
"""By the command: what is done to runs, and to the files that they would run."""
