"""Carries out the commands that talk to a running reloaderd: asks, and prints what is answered."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Any

from reloaderd.control import tables, target
from reloaderd.control.client import (
    EX_FAILURE,
    EX_NOT_RUNNING,
    Answer,
    Failure,
    Fields,
    connections,
    each,
    in_words,
)
from reloaderd.errors import ReloaderdError
from reloaderd.settings import ControlSettings
from reloaderd.wording import working_directory

Say = Callable[[str], Any]


def visit(settings: ControlSettings, say: Say) -> int:
    """Do it, and `say` what came of it; the exit status.  Raises ReloaderdError."""
    with ExitStack() as stack:
        try:
            return COMMANDS[settings.command](settings, stack, say)
        except Failure as failure:
            raise in_words(failure) from None


def status(settings: ControlSettings, stack: ExitStack, say: Say) -> int:
    """Show all that run, or one."""
    silent: list[ReloaderdError] = []
    if settings.name is not None:
        found = target.find(settings.name, stack)
        answers = [_only(found.status, found.services)]
    else:
        answers, silent = _ask_all(stack)
        if not answers and not silent:
            raise ReloaderdError("no reloaderd is running", exit_code=EX_NOT_RUNNING)
    for fault in silent + _show(settings, answers, tables.status, say):
        raise fault
    return 0


def _ask_all(stack: ExitStack) -> tuple[list[Fields], list[ReloaderdError]]:
    silent: list[ReloaderdError] = []
    running = [stack.enter_context(one) for one in connections(silent)]
    return each(running, "Status", silent), silent


def _only(status: Fields, services: list[str]) -> Fields:
    chosen = [one for one in status["services"] if not services or one["name"] in services]
    return Answer(status["name"], {**status, "services": chosen})


def _show(
    settings: ControlSettings, answers: Iterable[Fields], table: Callable[[Fields, str], str], say: Say
) -> list[ReloaderdError]:
    """Show them, and return why some are not."""
    if settings.json:
        for answer in answers:
            say(_line(answer))
        return []
    shown, faults = [], []
    for answer in answers:
        try:
            shown.append(table(answer, working_directory()))
        except ReloaderdError as fault:
            faults.append(fault)
    say("\n".join(shown))
    return faults


def act(settings: ControlSettings, stack: ExitStack, say: Say) -> int:
    """Restart, pause or resume."""
    found = target.find(settings.name, stack)
    answer = found.connection.call(settings.command.capitalize(), services=found.services)
    if settings.json:
        say(_line(answer))
        return 0
    before = {one["name"]: one for one in found.status["services"]}
    for name in answer["services"]:
        what = tables.done(settings.command, before.get(name, {}))
        say(f"{tables.full_name(found.connection.name, name)}: {what}\n")
    return 0


def why(settings: ControlSettings, stack: ExitStack, say: Say) -> int:
    """Tell of the latest runs."""
    found = target.find(settings.name, stack)
    answer = found.connection.call("Why", services=found.services, count=settings.last)
    if settings.json:
        say(_line(answer))
    else:
        several = len(found.status["services"]) > 1 and len(found.services) != 1
        say(tables.why(answer["runs"], found.status["directory"], several))
    return 0


def stop(settings: ControlSettings, stack: ExitStack, say: Say) -> int:
    """End it, and wait for that."""
    found = target.find(settings.name, stack)
    name = found.connection.name
    if found.services and len(found.status["services"]) > 1:
        all_of_them = ", ".join(one["name"] for one in found.status["services"])
        message = f"stop ends a whole reloaderd: {name} has {all_of_them}"
        raise ReloaderdError(message, f"reloaderd stop {name}")
    answer = found.connection.call("Stop")
    found.connection.wait_for_end()
    say(_line(answer) if settings.json else f"{name}: stopped\n")
    return 0


def events(settings: ControlSettings, stack: ExitStack, say: Say) -> int:
    """Print what happens, until it ends."""
    found = target.find(settings.name, stack)
    for answer in found.connection.follow("Events"):
        entry = answer["entry"]
        if not found.services or entry.get("service") in found.services:
            say(_line(entry))
    if found.connection.still_runs():
        message = f"{found.connection.name} goes on, and hung up: what happened was not read in time"
        raise ReloaderdError(message, exit_code=EX_FAILURE)
    return 0


COMMANDS: dict[str, Callable[[ControlSettings, ExitStack, Say], int]] = {
    "status": status,
    "restart": act,
    "pause": act,
    "resume": act,
    "stop": stop,
    "why": why,
    "events": events,
}


def _line(fields: Fields) -> str:
    return json.dumps(fields) + "\n"
