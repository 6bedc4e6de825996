"""What a change of one path would do to one service, and what is known of that path."""

from __future__ import annotations

from typing import Any

from reloaderd.core.accounts import held
from reloaderd.core.modules import CONFIGURATION
from reloaderd.core.paths import is_below, parent
from reloaderd.core.reasons import signal_name
from reloaderd.core.rules import Verdict
from reloaderd.core.service import Service
from reloaderd.core.watcher import Watcher

IGNORED = "what is ignored is not watched"
AWAY = "its directory is not watched"
NOT_ARMED = "its directory cannot be watched"


def explain(service: Service, path: str, real: str, is_dir: bool, now: float) -> dict[str, Any]:
    """As core.interface describes it.  `real` is the path without links; `is_dir`: it is a directory."""
    watcher = service.watcher
    path = _known_as(watcher, path, real)
    rules = watcher.rules
    verdict = rules.verdict(path, is_dir=True) if is_dir else watcher.modules.verdict(path, now)
    loaded = watcher.modules.loaded_as(path)
    watched, why = _watched(service, path, is_dir, verdict)
    reason, _ = held(service, now)
    known = _is_below_a_root(watcher, path) or bool(loaded) or path in watcher.modules
    return {
        "service": service.settings.name,
        "path": path,
        "concerned": known or verdict == CONFIGURATION,
        "action": action(verdict),
        "rule": verdict.rule,
        "origin": verdict.origin,
        "watched": watched or None,
        "why": why or None,
        "loaded": loaded or None,
        "waiting": (reason or "settling") if service.passage.waits(path) else None,
    }


def action(verdict: Verdict) -> str:
    """In a word: `restart`, `ignore`, `notify`, `signal:USR1`."""
    if verdict.action != "signal":
        return verdict.action
    return f"signal:{signal_name(verdict.signum).removeprefix('SIG')}"


def _known_as(watcher: Watcher, path: str, real: str) -> str:
    if _is_below_a_root(watcher, path) or path in watcher.modules:
        return path
    return watcher.spelled(real) or (real if real in watcher.modules else path)


def _is_below_a_root(watcher: Watcher, path: str) -> bool:
    return any(is_below(path, root) for root in watcher.roots)


def _watched(service: Service, path: str, is_dir: bool, verdict: Verdict) -> tuple[str, str]:
    """By which source it is watched, empty where it is not; and why so."""
    watcher, coverage = service.watcher, service.watcher.coverage
    if verdict.action == "ignore":
        return "", IGNORED
    polled = coverage.reason(path) or (coverage.reason(parent(path)) if not is_dir else "")
    source = "poll" if polled else service.announcer.source
    if watcher.is_watched(path) and (not is_dir or path not in watcher.tree):
        return source, polled
    node = watcher.tree.get(path) if is_dir else watcher.tree.get(parent(path))
    if node is None:
        return "", AWAY
    return (source, polled) if node.watch >= 0 else ("", NOT_ARMED)
