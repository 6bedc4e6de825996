"""Makes the adapters that services need: keepers, compilers, and the socket of their Python children."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from reloaderd import commands as do
from reloaderd.kernel.agents import Agents, without_agent
from reloaderd.kernel.child import Child, working_directory
from reloaderd.kernel.spawn import given_environment
from reloaderd.settings import ServiceSettings

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


def new_agents(services: Sequence[ServiceSettings], tell: Tell) -> Agents | None:
    """What Python children speak to, if any of them is to be followed."""
    followed = [one for one in services if _speaks(one) and not one.dry_run]
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


def new_child(service: ServiceSettings, agents: Agents | None) -> Child:
    """The keeper of a service, and its runs."""
    environ = _environ(service)
    if agents is not None and _speaks(service):
        environ |= agents.environ(environ.get("PYTHONPATH"), service.roots, follow=service.modules)
    return Child(service.name, service.command, service.chdir, environ)


def _environ(service: ServiceSettings) -> dict[str, str]:
    """What every run of the service gets."""
    given = given_environment()
    environ = {name: value for name, value in given.items() if name not in NOT_PASSED_ON}
    return without_agent({**environ, **dict(service.environ)})


def new_compilers(services: Sequence[ServiceSettings]) -> dict[str, Compiler]:
    """Of those that have a gate."""
    gated = [one for one in services if one.gate is not None and not one.dry_run]
    if not gated:
        return {}
    from reloaderd.kernel.compiler import Compiler

    here = working_directory()
    return {one.name: Compiler(one.name, one.command, one.chdir or here, _environ(one)) for one in gated}
