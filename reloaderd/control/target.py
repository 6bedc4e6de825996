"""Finds whom a NAME means: an instance, INSTANCE/SERVICE, or a service that only one instance has."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import NamedTuple

from reloaderd.control.client import EX_NOT_RUNNING, Connection, Fields, connections, each
from reloaderd.errors import ReloaderdError
from reloaderd.paths import working_directory


class Target(NamedTuple):
    """One instance, what it says of itself, and which of its services are meant (none: all)."""

    connection: Connection
    status: Fields
    services: list[str]


def find(name: str | None, stack: ExitStack) -> Target:
    """The one that is meant; without a name the only one, or the one of this directory.

    Connections are closed with the stack.  Raises ReloaderdError where it is none, or not clear which.
    """
    silent: list[ReloaderdError] = []
    running = [stack.enter_context(one) for one in connections(silent)]
    if name is None:
        return _of_here(running, silent)
    instance, _, service = name.partition("/")
    for connection in running:
        if connection.name == instance:
            status = connection.call("Status")
            return Target(connection, status, [_checked(service, status)] if service else [])
    if service or not running:
        raise silent[0] if silent else _no_such(name, running)
    return _of_service(name, running, silent)


def _of_here(running: Sequence[Connection], silent: list[ReloaderdError]) -> Target:
    """One that does not answer is passed over, where that leaves no doubt."""
    if not running and silent:
        raise silent[0]
    if not running:
        raise ReloaderdError("no reloaderd is running", exit_code=EX_NOT_RUNNING)
    if len(running) == 1 and not silent:
        return Target(running[0], running[0].call("Status"), [])
    all_of_them = _statuses(running, silent)
    here = [(one, status) for one, status in all_of_them if is_of_here(status)]
    if len(here) == 1:
        return Target(*here[0], [])
    if silent and not here:
        raise silent[0]
    names = ", ".join(one.name for one, _ in here or all_of_them)
    raise ReloaderdError(f"which one: {names}?", "give a NAME")


def _statuses(running: Sequence[Connection], silent: list[ReloaderdError]) -> list[tuple[Connection, Fields]]:
    return [(one, status) for one in running for status in each([one], "Status", silent)]


def is_of_here(status: Fields) -> bool:
    """Whether it was started in the working directory, or has its configuration file there."""
    return working_directory() in (status["directory"], (status["config"] or "").rpartition("/")[0])


def _of_service(name: str, running: Sequence[Connection], silent: list[ReloaderdError]) -> Target:
    found = []
    for connection, status in _statuses(running, silent):
        if any(service["name"] == name for service in status["services"]):
            found.append(Target(connection, status, [name]))
    if len(found) > 1:
        names = ", ".join(f"{target.connection.name}/{name}" for target in found)
        raise ReloaderdError(f"which {name}: {names}?", "give INSTANCE/SERVICE")
    if not found:
        raise silent[0] if silent else _no_such(name, running)
    return found[0]


def _checked(service: str, status: Fields) -> str:
    names = [one["name"] for one in status["services"]]
    if service not in names:
        has = f"it has {', '.join(names)}"
        raise ReloaderdError(f"{status['name']} has no service {service}", has, EX_NOT_RUNNING)
    return service


def _no_such(name: str, running: Sequence[Connection]) -> ReloaderdError:
    others = ", ".join(one.name for one in running)
    return ReloaderdError(
        f"no reloaderd called {name} is running", f"running: {others}" if others else "", EX_NOT_RUNNING
    )
