"""Says what happened in words: one sentence for each event, for the lines that people read.

Which fields an event has is in DESIGN section 8; a sentence makes do with those that are there, and
an event that has no sentence is shown with its fields as they are.  Nothing is escaped here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from reloaderd.core.reasons import ASKED_FOR, NOT_HANDLED, NOT_READY

Fields = Mapping[str, Any]

SHOWN = 2
"""Names that a sentence lists: more are counted, `a.py, b.py (+48)`."""

SHOWN_ROOTS = 4
"""The same for roots: a person typed them, and wants to see them once."""

DETAILS = frozenset({"stopping", "armed", "closed", "unchanged"})
"""What is shown with `-v` only."""

CONFIGURED = ("changed", "added", "removed")
"""What `configured` lists services under."""

GOOD, BAD, CAUTION = "\x1b[32m", "\x1b[31m", "\x1b[33m"


class Wording:
    """Puts events into words; `details` is `-v`.  Paths below `cwd` are shown relative to it."""

    def __init__(self, details: bool, cwd: str) -> None:
        self._details = details
        self._cwd = cwd
        self._stopped: dict[str, object] = {}  # the run that each service was last told to stop
        self._announced: dict[str, object] = {}  # the run whose `started` said that it is a restart
        self._copied: set[str] = set()  # services whose first copy was told of
        self._sentences: dict[str, Callable[[Fields], str]] = {
            "listening": _listening,
            "watching": self._watching,
            "changed": self._changed,
            "unchanged": lambda fields: self._changed(fields).replace("changed", "unchanged", 1),
            "started": _started,
            "restarted": _restarted,
            "ended": _ended,
            "stopping": lambda fields: f"stopping #{fields.get('run')} with {fields.get('signal')}",
            "killed": lambda fields: f"killed #{fields.get('run')}: it had not ended in time",
            "armed": _armed,
            "waiting": _waiting,
            "warm": self._warm,
            "checkpoint": self._checkpoint,
            "held": self._held,
            "configured": self._configured,
            "warning": lambda fields: f"warning: {fields.get('text')}",
            "error": lambda fields: f"error: {fields.get('text')}",
            "closing": lambda fields: f"closing ({fields['signal']})" if fields.get("signal") else "closing",
            "closed": lambda fields: "closed",
        }

    def say(self, event: str, service: str, fields: Fields) -> tuple[str, str]:
        """The sentence, empty where there is none at this verbosity, and its colour (SGR) or none."""
        detail = self._is_detail(event, service, fields)
        if detail and not self._details:
            return "", ""
        sentence = self._sentences.get(event)
        text = sentence(fields) if sentence else generic(event, fields)
        return text, "" if detail else _color(event, fields)

    def _is_detail(self, event: str, service: str, fields: Fields) -> bool:
        """Whether only `-v` shows it: what was to be expected after what was shown before.

        That is the end of a run that was told to stop, `killed` where no signal came before it
        (`--stop-timeout 0`), `restarted` where `started` had its `ms` already, a configuration file
        that was read again and changes nothing, copies for warm restarts after the first, and those that runs
        leave.
        """
        run = fields.get("run")
        if event == "started":
            if "ms" in fields:
                self._announced[service] = run
            return False
        if event == "restarted":
            return self._announced.get(service) == run
        if event == "warm" and "modules" in fields:
            known, self._copied = self._copied, {*self._copied, service}
            return service in known
        if event == "checkpoint":
            return "reason" not in fields
        if event == "configured":
            return not any(fields.get(key) for key in CONFIGURED)
        told = self._stopped.get(service) == run
        if event in ("stopping", "killed"):
            self._stopped[service] = run
        return event in DETAILS or (event == "killed" and not told) or (event == "ended" and told)

    def _watching(self, fields: Fields) -> str:
        roots = [self._root(path) for path in fields.get("roots", ())]
        count = fields.get("directories")
        facts = [] if count is None else [counted(count, "directory", "directories")]
        source = fields.get("source")
        facts += ["polling" if source == "poll" else str(source)] if source else []
        more = "; ".join([", ".join(facts), *self._polled(fields.get("polled", ()), source == "poll")])
        return f"watching {listed(roots, len(roots), SHOWN_ROOTS)}" + (f" ({more})" if more else "")

    def _polled(self, parts: Iterable[Mapping[str, str]], everything: bool) -> list[str]:
        """What is polled, for each reason why; nothing where everything is, as was asked for."""
        paths: dict[str, list[str]] = {}
        for part in parts:
            paths.setdefault(part["why"], []).append(self._root(part["path"]))
        if everything:
            paths.pop(ASKED_FOR, None)
        return [f"polling {listed(names, len(names), SHOWN)}: {why}" for why, names in paths.items()]

    def _changed(self, fields: Fields) -> str:
        paths = [self._path(path) for path in fields.get("paths", ())]
        count = max(int(fields.get("count", 0)), len(paths))
        many = [counted(count, "file", "files")] if count > SHOWN else []
        names = [listed(paths, count, SHOWN)] if paths else []
        text = ": ".join(["changed", *many, *names])
        action = str(fields.get("action") or "restart").replace(":", " ")
        if fields.get("dry_run"):
            text += f" -> would {action}"
        elif action != "restart":
            text += f" -> {'ignored' if action == 'ignore' else action}"
        elif str(fields.get("rule")).endswith(NOT_HANDLED):
            text += " -> restart, as the command did not handle it"
        by = [str(fields[key]) for key in ("rule", "origin") if fields.get(key)]
        if self._details and by:
            text += f" [{', '.join(by)}]"
        return text

    def _held(self, fields: Fields) -> str:
        """One line, or a block of them: what does not compile is to be seen, the first time."""
        if fields.get("reason") == NOT_READY:
            return f"held: #{fields.get('run')} {fields.get('message')}; #{fields.get('serving')} goes on"
        if fields.get("reason") != "syntax":
            return f"held: {fields.get('reason')}"
        line = fields.get("line")
        where = self._path(fields.get("path")) + (f":{line}" if line else "")
        more = fields.get("count", 1) - 1
        others = f" (and {counted(more, 'other file', 'other files')})" if more > 0 else ""
        if fields.get("again"):
            return f"still held: {where}: {fields.get('message')}{others}"
        return f"held: {where} does not compile{others}; the old run stays"

    def _configured(self, fields: Fields) -> str:
        kinds = [f"{', '.join(fields[key])} {key}" for key in CONFIGURED if fields.get(key)]
        return f"{self._path(fields.get('path'))}: {'; '.join(kinds) or 'no service changed'}"

    def _warm(self, fields: Fields) -> str:
        if "reason" in fields:
            what = "no warm restarts" if fields.get("given_up") else "the next start is a cold one"
            return f"{what}: {fields['reason']}"
        modules = counted(fields.get("modules", 0), "module", "modules")
        left = (
            [f"{name} ({why})" for name, why in (fields.get("left") or {}).items()] if self._details else []
        )
        more = f"; left to it: {listed(left, len(left), SHOWN)}" if left else ""
        return f"warm: {modules} imported ahead of the next start{more}"

    def _checkpoint(self, fields: Fields) -> str:
        before = self._path(fields.get("before"))
        if "reason" in fields:
            return f"no copy from before {before} is imported: {fields['reason']}"
        return f"left a copy from before {before} is imported"

    def block(self, event: str, fields: Fields) -> list[str]:
        """The lines that follow the sentence."""
        if not is_fault(event, fields) or fields.get("reason") == NOT_READY:
            return []
        from reloaderd.excerpt import excerpt

        return [*excerpt(fields), f"{fields.get('message')}"]

    def _path(self, path: object) -> str:
        text = str(path)
        if text == self._cwd:
            return "."
        below = len(self._cwd) > 1 and text.startswith(self._cwd + "/")
        return text[len(self._cwd) + 1 :] if below else text

    def _root(self, path: object) -> str:
        text = self._path(path)
        return text if text == "." or text.startswith("/") else f"./{text}"


def working_directory() -> str:
    """The working directory, or an empty string where it was deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def is_fault(event: str, fields: Fields) -> bool:
    """Whether a person has to be told, whatever they are looking at: what they saved does not run."""
    if event == "held" and fields.get("reason") == NOT_READY:
        return True
    return event == "held" and fields.get("reason") == "syntax" and not fields.get("again")


def _color(event: str, fields: Fields) -> str:
    match event:
        case "started" | "restarted":
            return GOOD
        case "warning" | "killed":
            return CAUTION
        case "error":
            return BAD
        case "held" if fields.get("reason") in ("syntax", NOT_READY):
            return BAD
        case "ended" if fields.get("status") != 0:
            return BAD
    return ""


def _listening(fields: Fields) -> str:
    return f"listening on {fields.get('address')}" + (" (handed to us)" if fields.get("inherited") else "")


def _started(fields: Fields) -> str:
    if "ms" in fields:
        return _restarted(fields)
    command = fields.get("command")
    return f"started #{fields.get('run')}" + (f": {words(command)}" if command else "") + _pid(fields)


def _restarted(fields: Fields) -> str:
    ms = fields.get("ms")
    took = f" in {ms:.0f} ms" if isinstance(ms, (int, float)) else ""
    return f"restarted #{fields.get('run')}{took}{_pid(fields)}"


def _pid(fields: Fields) -> str:
    return f" (pid {fields['pid']})" if fields.get("pid") else ""


def _ended(fields: Fields) -> str:
    if fields.get("signal"):
        how = f"killed by {fields['signal']}"
    elif fields.get("status") == 0:
        how = "done"
    else:
        how = f"exit status {fields.get('status')}"
    seconds = fields.get("seconds")
    after = f" after {duration(seconds)}" if seconds is not None else ""
    return f"ended #{fields.get('run')}: {how}{after}"


def _armed(fields: Fields) -> str:
    modules = fields.get("modules", 0)
    return f"armed {counted(modules if isinstance(modules, int) else len(modules), 'module', 'modules')}"


def _waiting(fields: Fields) -> str:
    what = fields.get("for", "something")
    if "seconds" in fields:
        return f"waiting {duration(fields['seconds'])} ({what})"
    return f"waiting for {'a change' if what == 'change' else what}"


def generic(event: str, fields: Fields) -> str:
    """What no sentence was written for: the event, and its fields as they are."""
    pairs = []
    for key, value in fields.items():
        plural = isinstance(value, (list, tuple, set, frozenset))
        pairs.append(f"{key}={listed(list(map(str, value)), len(value), SHOWN) if plural else value}")
    return f"{event}: {', '.join(pairs)}" if pairs else event


def listed(names: list[str], count: int, most: int) -> str:
    """`a.py, b.py (+48)`: the first `most` of `count` names."""
    shown = names[:most]
    more = count - len(shown)
    return ", ".join(shown) + (f" (+{more})" if more > 0 else "")


def counted(number: int, one: str, many: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {one if number == 1 else many}"


def words(command: object) -> str:
    """A command as one would type it."""
    if isinstance(command, str) or not isinstance(command, Iterable):
        return str(command)
    import shlex

    return shlex.join(map(str, command))


def duration(seconds: float) -> str:
    """`0.31 s`, `12.4 s`, `3 min 5 s`, `2 h 10 min`."""
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds >= 0.001 else "0 s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
