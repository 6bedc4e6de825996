"""What is told: of a batch to the person and to the run that it causes, and of what is watched."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from reloaderd.commands import Command, Report
from reloaderd.core.batch import Batch
from reloaderd.core.reasons import signal_name
from reloaderd.core.watcher import Watcher
from reloaderd.settings import ServiceSettings

LISTED = 100
"""Paths that a log line names at most."""

ENVIRON_LIMIT = 32 * 1024
"""Bytes of RELOADERD_CHANGED: execve(2) allows 128 KiB a string and 6 MB in all."""


def watching(settings: ServiceSettings, watcher: Watcher, source: str) -> Command:
    """What is watched, and by which means; `source` is the name of the kernel's source."""
    return Report("watching", settings.name, {"roots": list(settings.roots), **means(watcher, source)})


def means(watcher: Watcher, source: str) -> dict[str, Any]:
    """By which means it watches, and how much."""
    return {
        "source": "poll" if watcher.coverage.covers(len(watcher.tree)) else source,
        "directories": len(watcher.tree),
        "watches": len(watcher.watches()),
        "polled": watcher.coverage.parts(),
    }


def changed(settings: ServiceSettings, batch: Batch, action: str) -> Command:
    """A batch has settled: a `restart`, or it only has to `tell` the run, by signals and notices."""
    paths = batch.paths
    deciding = batch.by_action("restart")
    if action == "tell":
        signals, notices = batch.by_action("signal"), batch.by_action("notify")
        deciding = signals + notices
        signums = dict.fromkeys(verdict.signum for _, verdict in signals)
        actions = [f"signal:{signal_name(signum).removeprefix('SIG')}" for signum in signums]
        action = ",".join([*actions, "notify"] if notices else actions)
    rule, origin = (deciding[0][1].rule, deciding[0][1].origin) if deciding else ("", "")
    fields = {
        "paths": paths[:LISTED],
        "count": len(paths),
        "rule": rule,
        "origin": origin,
        "action": action,
        "dry_run": settings.dry_run,
    }
    return Report("changed", settings.name, fields)


def unchanged(settings: ServiceSettings, paths: Collection[str]) -> Command:
    """These paths were written, and the run found the same in them."""
    return Report("unchanged", settings.name, {"paths": sorted(paths)[:LISTED], "count": len(paths)})


def storm(settings: ServiceSettings, path: str) -> Command:
    """The command seems to restart itself by writing `path`."""
    root = next((root for root in settings.roots if path.startswith(root + "/")), "")
    pattern = path[len(root) :] if root else path
    text = (
        f"{path} restarts the command right after each start, again and again; slowing down"
        f" (if the command writes it itself, add: --ignore '{pattern}')"
    )
    return Report("warning", settings.name, {"text": text, "path": path})


def environ(paths: Collection[str]) -> dict[str, str]:
    """The variables that tell a run what it was started for: as many whole paths as fit, one a line."""
    size = 0
    kept: list[str] = []
    for path in paths:
        size += len(path.encode("utf-8", "surrogateescape")) + 1
        if size > ENVIRON_LIMIT:
            break
        kept.append(path)
    return {"RELOADERD_CHANGED": "\n".join(kept), "RELOADERD_CHANGED_COUNT": str(len(paths))}
