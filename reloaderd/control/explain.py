"""What `reloaderd explain PATH` does: asks those that run, or goes by the rules that one would have here."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

from reloaderd import assembly, cli, paths
from reloaderd.control import target
from reloaderd.control.client import Failure, Fields, connections, each, in_words
from reloaderd.control.tables import Shortener, full_name
from reloaderd.core.escaping import escaped
from reloaderd.core.explanation import AWAY, explain
from reloaderd.doctor.survey import Survey
from reloaderd.errors import ReloaderdError
from reloaderd.settings import DoctorSettings, ExplainSettings, ServiceSettings

NOT_CONCERNED = "does nothing: it is below no PATH"
NOT_THERE = "its directory is not there, and is watched as soon as it is"


def visit(settings: ExplainSettings, say: Callable[[str], object]) -> int:
    """`say` what was found; the exit status.  Raises ReloaderdError, also for one that did not answer."""
    silent: list[ReloaderdError] = []
    try:
        answers = [] if settings.given else _ask(settings, silent)
    except Failure as failure:
        raise in_words(failure) from None
    if silent and not answers:
        raise silent[0]
    say(_text(settings, answers))
    for fault in silent:
        raise fault
    return 0


def _text(settings: ExplainSettings, answers: list[Fields]) -> str:
    if settings.name is None and not answers:
        answers = [_by_the_rules(settings)]
    if settings.json:
        return "".join(json.dumps(answer) + "\n" for answer in answers)
    shown = Shortener(paths.working_directory())
    by_rules = "" if answers[0]["name"] else " (by the rules alone: none runs that is concerned)"
    lines = [f"{shown.path(settings.path)}{by_rules}"]
    lines += [f"  {line}" for line in _lines(answers, settings.path, shown)]
    return "".join(f"{escaped(line)}\n" for line in lines)


def _ask(settings: ExplainSettings, silent: list[ReloaderdError]) -> list[Fields]:
    """What those say that are concerned, or else those of this directory: they do not what `watch` would."""
    asked = {"path": settings.path, "real": settings.real, "directory": settings.is_dir}
    with ExitStack() as stack:
        if settings.name is not None:
            found = target.find(settings.name, stack).connection
            return each([found], "Explain", silent, **asked)
        running = [stack.enter_context(one) for one in connections(silent)]
        answers = each(running, "Explain", silent, **asked)
        concerned = [answer for answer in answers if any(one["concerned"] for one in answer["services"])]
        if concerned:
            return concerned
        answered = {answer["name"] for answer in answers}
        statuses = each([one for one in running if one.name in answered], "Status", silent)
        here = {status["name"] for status in statuses if target.is_of_here(status)}
        return [answer for answer in answers if answer["name"] in here]


def _by_the_rules(settings: ExplainSettings) -> Fields:
    """As an answer of one that does not run."""
    services, backend = _services(settings)
    found = []
    for service in services:
        with Survey(DoctorSettings(service._replace(dry_run=True), backend)) as survey:
            now = time.monotonic()
            found.append(explain(survey.found, settings.path, settings.real, settings.is_dir, now))
    return {"name": None, "services": found}


def _services(settings: ExplainSettings) -> tuple[tuple[ServiceSettings, ...], str]:
    """The services that `watch` would run here, or one that has the options given; and the backend."""
    given = dict(settings.given)
    cwd = paths.working_directory()
    rules_alone = {"name": "watch", **given}
    if given.keys() <= {"config"}:
        try:
            words = ["watch", *(("--config", given["config"]) if given else ())]
            found = cli.parse(words)
            return found.services, found.backend  # type: ignore[union-attr]
        except ReloaderdError as error:
            if given or error.exit_code != 2:
                raise
    elif "config" in given:
        raise ReloaderdError("--config and options of what to watch contradict each other", "leave one out")
    service = assembly.service(rules_alone, (), paths.roots([], cwd), cwd)
    return (service,), given.get("backend", "auto")


def _lines(answers: list[Fields], path: str, shown: Shortener) -> Iterator[str]:
    rows = []
    for answer in answers:
        for one in answer["services"]:
            name = full_name(answer["name"], one["service"]) if answer["name"] else one["service"]
            rows.append((name, one))
    width = max(len(name) for name, _ in rows)
    for name, one in rows:
        start = f"{name:<{width}}  "
        for text in _verdict(one, path, shown):
            yield f"{start}{text}"
            start = " " * len(start)


def _verdict(one: Fields, path: str, shown: Shortener) -> Iterator[str]:
    if not one["concerned"]:
        yield NOT_CONCERNED
        return
    by = ", ".join(filter(None, (one["rule"], shown.origin(one["origin"]))))
    yield f"{_effect(one['action'])} [{by}]"
    if one["watched"]:
        why = f" ({one['why']})" if one["why"] else ""
        yield f"watched by {'polling' if one['watched'] == 'poll' else one['watched']}{why}"
    elif one["action"] != "ignore":
        is_there = os.path.lexists(os.path.dirname(one["path"]))
        yield f"not watched: {one['why']}" if is_there or one["why"] != AWAY else NOT_THERE
    if one["loaded"]:
        yield f"the command has loaded it, as {'code' if one['loaded'] == 'module' else 'data'}"
    if one["waiting"]:
        yield f"a change of it waits: {one['waiting']}"
    if one["path"] != path:
        yield f"known as {shown.path(one['path'])}"


def _effect(action: str) -> str:
    verb, _, signal = action.partition(":")
    effects = {"restart": "restarts it", "ignore": "does nothing: it is ignored", "notify": "is told to it"}
    return effects.get(verb, f"sends it SIG{signal}")
