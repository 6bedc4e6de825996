"""What is answered, put for people: aligned lines of plain text, in which nothing is obeyed by a terminal.

Paths below the directory in which a reloaderd was started are shown relative to it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reloaderd.core.escaping import escaped
from reloaderd.wording import counted, duration, listed, words

Fields = Mapping[str, Any]

LABEL = 11
"""Columns of the longest label, with two of space after it."""

SHOWN = 3
"""Changes that are named of one restart; `--json` has more."""

ROOTS = 4

STATES = {
    "waiting": "waiting for a change",
    "held": "running",
    "stopping": "stopping",
    "killing": "killing what does not end",
    "backoff": "waiting for the end of a back-off",
    "closing": "ending",
    "closed": "ended",
}

BY_PERSON = {"control": "reloaderd restart", "warm": "the copy that it came of was not as it is by now"}


def full_name(instance: str, service: str) -> str:
    """`shop/web`; `shop` where the service has the same name."""
    return instance if instance == service else f"{instance}/{service}"


# status


def status(answer: Fields, cwd: str) -> str:
    """One instance with its services."""
    facts = f"pid {answer['pid']}, up {duration(answer['seconds'])}"
    where = answer["config"] or answer["directory"]
    lines = [escaped(f"{answer['name']} ({facts}): {_home(where)}")]
    for service in answer["services"]:
        alone = len(answer["services"]) == 1 and service["name"] == answer["name"]
        lines += [] if alone else [f"  {escaped(service['name'])}"]
        indent = "  " if alone else "    "
        rows = _service(service, answer["directory"])
        lines += [f"{indent}{label:<{LABEL}}{escaped(text)}".rstrip() for label, text in rows if text]
    return "\n".join(lines) + "\n"


def _service(service: Fields, directory: str) -> Iterator[tuple[str, str]]:
    short = Shortener(directory)
    yield "state", _state(service)
    yield "held", _held(service)
    yield "command", words(service["command"])
    facts = [
        counted(service["directories"], "directory", "directories"),
        counted(service["watches"], "watch", "watches"),
        "polling" if service["source"] == "poll" else service["source"],
    ]
    roots = [short.root(path) for path in service["roots"]]
    yield "watching", f"{listed(roots, len(roots), ROOTS)} ({', '.join(facts)})"
    if service["missing"]:
        missing = [short.root(path) for path in service["missing"]]
        yield "missing", f"{listed(missing, len(missing), ROOTS)}: not there, and waited for"
    for part in service["polled"] if service["source"] != "poll" else ():
        yield "polling", f"{short.root(part['path'])}: {part['why']}"
    if service["followed"]:
        loaded = [counted(service["modules"], "module", "modules")]
        loaded += [counted(service["data"], "other file", "other files")] if service["data"] else []
        libraries = f" ({service['libraries']} of libraries do not count)" if service["libraries"] else ""
        yield "follows", f"{', '.join(loaded)}{libraries}"
    elif not service["dry_run"]:
        yield "follows", f"nothing: {service['not_followed']}"
    last = service["last"]
    if last is not None and last["cause"] != "start":
        took = f" in {last['all_ms']:.0f} ms" if last["all_ms"] is not None else ""
        yield "restarted", f"{_when(last['time'])}{took}: {_cause(last, short)}"


def _state(service: Fields) -> str:
    if service["dry_run"]:
        return "dry run: nothing is started"
    run, last = service["run"], service["last"]
    if service["pid"] is not None and service["state"] in ("running", "held"):
        return f"running #{run} for {duration(service['seconds'])} (pid {service['pid']})"
    state = STATES.get(service["state"], "starting")
    if last is None:
        return state
    if last["failed"]:
        return f"{state}; #{run} could not be started: {last['failed']}"
    if last["ended"] is not None:
        return f"{state}; #{run} ended {_when(last['ended'])}: {_end(last)}"
    return f"{state} #{run}"


def _held(service: Fields) -> str:
    waiting = service["waiting"]
    wait = counted(waiting, "change waits", "changes wait") if waiting else "no change waits"
    return f"{service['hold']}; {wait}" if service["hold"] else ""


# restart, pause, resume


def done(command: str, before: Fields) -> str:
    """What was set going; `before` is the service as it was."""
    waiting = before.get("waiting", 0)
    if before.get("state") in ("closing", "closed"):
        return "it is ending"
    if command == "restart":
        return f"restarting (run {before.get('run', 0)})" if before.get("run") else "restarting"
    if command == "pause":
        return "already paused" if before.get("paused") else "paused; `resume` lets go of what changes"
    if not before.get("paused"):
        return "it is not paused"
    return f"resumed; {counted(waiting, 'change', 'changes')} let go" if waiting else "resumed"


# why


def why(runs: Sequence[Fields], directory: str, several: bool) -> str:
    """The runs, under the days on which they were started; with `several` services each by name."""
    if not runs:
        return "nothing was started yet\n"
    short = Shortener(directory)
    lines: list[str] = []
    day = ""
    names = [f"{run['service']} #{run['run']}" if several else f"#{run['run']}" for run in runs]
    width = max(map(len, names))
    for name, run in zip(names, runs, strict=True):
        date = time.strftime("%A %-d %B %Y", time.localtime(run["time"]))
        if date != day:
            lines += ([""] if lines else []) + [date]
            day = date
        first, *rest = [*_story(run, short)]
        start = f"  {_clock(run['time'])}  {escaped(name):<{width}}  "
        lines += [f"{start}{escaped(first)}", *(f"{' ' * len(start)}{escaped(line)}" for line in rest)]
    return "\n".join(lines) + "\n"


def _story(run: Fields, short: Shortener) -> Iterator[str]:
    """One run: why it was started, how long that took, how it ended."""
    changes = run["changes"]
    yield _cause(run, short)
    if run["cause"] == "change" and len(changes) == 1:
        pass
    elif changes:
        for change in changes[:SHOWN]:
            yield f"  {short.path(change['path'])} {change['what']}{_rule(change, short)}"
        more = run["count"] - min(len(changes), SHOWN)
        if more > 0:
            yield f"  and {more} more"
    if run["checkpoint"]:
        yield f"went on from before {short.path(run['checkpoint'])} was imported"
    if run["unready"]:
        yield f"did not take over: {run['unready']}"
    took = _took(run)
    end = _fate(run)
    if run["failed"]:
        yield f"could not be started: {run['failed']}"
    elif took or end:
        yield "; ".join(filter(None, (took, end)))


def _cause(run: Fields, short: Shortener) -> str:
    changes, by = run["changes"], run["by"]
    match run["cause"]:
        case "start":
            return "started with reloaderd"
        case "configuration":
            return "the configuration changed"
        case "asked":
            return f"asked for: {BY_PERSON.get(by, by)}"
        case "failed":
            return "tried again"
        case "ended":
            return f"#{run['run'] - 1} ended by itself" + (f": {_by_itself(by)}" if by else "")
    if len(changes) == 1:
        return f"{short.path(changes[0]['path'])} {changes[0]['what']}{_rule(changes[0], short)}"
    return f"{counted(run['count'], 'file', 'files')} changed"


def _by_itself(by: str) -> str:
    return f"exit {by}" if by.startswith("status") else f"killed by {by}"


def _rule(change: Fields, short: Shortener) -> str:
    """`[pattern, file:line]`; nothing where there is nothing to say but that every file counts."""
    by = [change["rule"], short.origin(change["origin"])]
    return f" [{', '.join(filter(None, by))}]" if any(by) else ""


def _took(run: Fields) -> str:
    parts = [
        f"{what} {run[key]:.0f} ms"
        for what, key in (("stop", "stop_ms"), ("start", "start_ms"))
        if run[key] is not None
    ]
    if run["all_ms"] is None:
        return ", ".join(parts)
    return f"{run['all_ms']:.0f} ms" + (f" ({', '.join(parts)})" if parts else "")


def _fate(run: Fields) -> str:
    if run["ended"] is None:
        return ""
    after = f"{_clock(run['ended'])} after {duration(run['seconds'])}"
    if run["killed"]:
        return f"killed {after}: it had not ended in time"
    if run["stopped"]:
        return f"until {after}"
    return f"ended by itself {after}: {_end(run)}"


def _end(run: Fields) -> str:
    if run["signal"]:
        return f"killed by {run['signal']}"
    return "done" if run["status"] == 0 else f"exit status {run['status']}"


# Times and paths


def _clock(instant: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(instant))


def _when(instant: float) -> str:
    """The time, with the date where that is not today."""
    there, today = time.localtime(instant), time.localtime()
    same = (there.tm_year, there.tm_yday) == (today.tm_year, today.tm_yday)
    return time.strftime("%H:%M:%S" if same else "%a %-d %b %H:%M:%S", there)


def _home(path: str) -> str:
    home = os.environ.get("HOME", "")
    return f"~{path[len(home) :]}" if home and path.startswith(home.rstrip("/") + "/") else path


class Shortener:
    """Shows paths as seen from a directory."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._prefix = directory.rstrip("/") + "/"

    def path(self, path: str) -> str:
        """`src/app.py`."""
        if path == self._directory:
            return "."
        return path.removeprefix(self._prefix)

    def root(self, path: str) -> str:
        """`./src`."""
        text = self.path(path)
        return text if text == "." or text.startswith("/") else f"./{text}"

    def origin(self, origin: str) -> str:
        """`.gitignore:3`, `named ./src`."""
        named = origin.removeprefix("named ")
        return f"named {self.root(named)}" if named != origin else self.path(origin)
