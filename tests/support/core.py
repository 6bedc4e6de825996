"""Short ways to say what the tests of the core need: settings, verdicts, a world at rest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from reloaderd.commands import Command, Report
from reloaderd.core.rules import Verdict
from reloaderd.events import Listing
from reloaderd.settings import ServiceSettings
from tests.support.model import Operation
from tests.support.world import Manner, World

RESTART = Verdict("restart", 0, "every file", "named /p")

NOTIFY = Verdict("notify", 0, "--on *.mo=notify", "command line")

C = TypeVar("C")


def signalling(signum: int) -> Verdict:
    return Verdict("signal", signum, "*.conf", "command line")


def service(name: str = "web", roots: Sequence[str] = ("/p",), **more: Any) -> ServiceSettings:
    return ServiceSettings(name, ("command",), tuple(roots), **more)


def listing(path: str, watch: int, dirs: Iterable[str] = (), files: Iterable[str] = ()) -> Listing:
    return Listing(path, watch, 0, list(dirs), list(files), [], {})


def only(commands: Iterable[object], kind: type[C]) -> list[C]:
    """Those of one type."""
    return [command for command in commands if type(command) is kind]  # type: ignore[misc]


def reports(commands: Iterable[Command], event: str) -> list[dict[str, Any]]:
    """The fields of the log lines of one name."""
    return [dict(report.fields) for report in only(commands, Report) if report.event == event]


def at_rest(
    *operations: Operation,
    services: Sequence[ServiceSettings] | None = None,
    runs: Iterable[Manner] = (),
    terminal: bool = False,
    **settings: Any,
) -> World:
    """A world in which `operations` were done, reloaderd was started, and all is quiet."""
    chosen = services or [service(**settings)]
    world = World(chosen, {chosen[0].name: runs}, terminal)
    world.do(*operations)
    world.start()
    world.settle()
    return world
