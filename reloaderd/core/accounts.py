"""What is told of a service and of a run to those who ask (core.interface says in which words)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from reloaderd.core.history import Run
from reloaderd.core.reasons import NOT_READY
from reloaderd.core.service import Service
from reloaderd.core.settling import LOCKED
from reloaderd.core.transitions import State
from reloaderd.settings import ServiceSettings

NOT_FOLLOWED = "it is no Python of 3.8 or later, or lost PYTHONPATH on its way"

_PYTHON = re.compile(r"(?:.*/)?(?:python|pypy)[0-9.]*$")
_ISOLATED = re.compile(r"-[a-zA-Z]*[IES]")


class Clock:
    """Tells what an instant is in the time of day, by what `Asked` knows of it."""

    def __init__(self, steps: Sequence[tuple[float, float]]) -> None:
        self._steps = steps

    def time(self, instant: float) -> float:
        """Seconds since 1970."""
        offset = self._steps[0][1] if self._steps else 0.0
        for since, later in self._steps:
            if since > instant:
                break
            offset = later
        return round(instant + offset, 3)

    def maybe(self, instant: float | None) -> float | None:
        """The same, where it is known."""
        return None if instant is None else self.time(instant)


def account_of_service(service: Service, runs: Sequence[Run], clock: Clock, now: float) -> dict[str, Any]:
    """How it is."""
    settings, supervisor, watcher = service.settings, service.supervisor, service.watcher
    at = next((at for at, one in enumerate(runs) if one.run == supervisor.run), None)
    last = runs[at] if at is not None else None
    modules = watcher.modules
    tells = modules.exact.followed
    hold, waiting = held(service, now)
    return {
        "name": settings.name,
        "state": supervisor.state.value,
        "dry_run": settings.dry_run,
        "command": list(settings.command),
        "run": supervisor.run,
        "pid": last.pid if last and supervisor.alive else None,
        "seconds": round(now - supervisor.since, 3) if supervisor.alive else None,
        "roots": list(settings.roots),
        "missing": list(watcher.missing),
        **service.announcer.fields(),
        "followed": tells,
        "not_followed": None if tells else why_not_followed(settings),
        **dict(zip(("modules", "data", "libraries"), modules.counts, strict=True)),
        "paused": service.pause.on,
        "hold": hold or None,
        "waiting": waiting,
        "last": account_of_run(settings.name, last, runs[at - 1] if at else None, clock) if last else None,
    }


def held(service: Service, now: float) -> tuple[str, int]:
    """Why changes wait, if they do, and how many do."""
    debounce, waiting = service.debounce, len(service.debounce.batch) + service.passage.waiting
    if service.pause.on:
        return "paused", waiting
    if service.supervisor.stale and service.supervisor.state is State.HELD:
        return NOT_READY, waiting
    if service.gate.failing:
        return "syntax", waiting
    if debounce.batch and debounce.locked(now):
        return LOCKED, waiting
    return ("slowing down" if service.settling.delayed else ""), waiting


def why_not_followed(settings: ServiceSettings) -> str:
    """Why a command does not tell what it loads, as far as that can be known."""
    if not settings.modules:
        return "--no-modules"
    if settings.dry_run:
        return "--dry-run"
    words = settings.command
    if words and _PYTHON.fullmatch(words[0]):
        for word in words[1:]:
            if not word.startswith("-") or word in ("-c", "-m", "-"):
                break
            if _ISOLATED.fullmatch(word):
                return f"{word}: such a Python passes over PYTHONPATH or sitecustomize"
    return NOT_FOLLOWED


def account_of_run(service: str, run: Run, before: Run | None, clock: Clock) -> dict[str, Any]:
    """What became of it, and of the one before where that made place for it."""
    stop = before and _ms(before.told_at, before.gone)
    return {
        "service": service,
        "run": run.run,
        "cause": run.cause,
        "by": run.by,
        "changes": [reason._asdict() for reason in run.origin.reasons],
        "count": run.origin.total,
        "time": clock.time(run.launched),
        "started": clock.maybe(run.started),
        "pid": run.pid or None,
        "checkpoint": run.checkpoint or None,
        "all_ms": run.ms,
        "stop_ms": stop,
        "start_ms": _ms(run.launched, run.started),
        "stopped": run.told or None,
        "killed": run.killed,
        "ended": clock.maybe(run.ended),
        "status": run.status,
        "signal": run.signal or None,
        "seconds": None if run.ended is None else round(run.ended - run.launched, 3),
        "failed": run.failed or None,
        "unready": run.unready or None,
    }


def _ms(begin: float | None, end: float | None) -> float | None:
    return None if begin is None or end is None else round((end - begin) * 1000, 1)
