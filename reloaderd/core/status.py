"""What all services do now, in one line that a person reads in `systemctl status`.

Rules:
- It is made of what services are and of the reports about them: who tells of something tells it here, too.
- A service that is not as it should be stands before those that are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reloaderd.commands import Report
from reloaderd.core.accounts import held
from reloaderd.core.escaping import escaped
from reloaderd.core.service import Service
from reloaderd.core.transitions import UP, State

LONGEST = 600
"""Characters of the line: a few lines of a terminal, and with 4 bytes each far below what systemd reads."""


class Note:
    """What was last reported of one service."""

    __slots__ = ("directories", "held", "missed", "pid", "rest", "started", "watched")

    def __init__(self) -> None:
        self.watched = False  # all of it is
        self.started = False  # a child was, for the first time
        self.directories = 0
        self.pid = 0
        self.held = ""
        self.rest = ""  # why there is no run, and what it waits for
        self.missed = ""  # why the command could not be started

    def take(self, report: Report, starting: bool) -> None:
        """Remember what is of use; `starting`: it is about a start that failed."""
        event, _, fields = report
        match event:
            case "watching":
                self.watched = True
                self.directories = fields["directories"]
            case "started":
                self.started = True
                self.pid = fields["pid"]
                self.held = self.rest = self.missed = ""
            case "held" if fields.get("reason") == "syntax":
                line = f":{fields['line']}" if fields["line"] else ""
                self.held = f"syntax in {_short(fields['path'])}{line}"
            case "ended":
                how = fields.get("signal") or f"exit status {fields.get('status')}"
                self.rest = f"run {fields['run']} ended: {how}"
                self.missed = ""
            case "warning" if starting:
                self.missed = str(fields["text"])


def _short(path: str) -> str:
    """The end of a path: enough to know it by, in a line with others."""
    return "/".join(path.split("/")[-2:])


def line(
    services: Mapping[str, Service], notes: Mapping[str, Note], trouble: Sequence[str], now: float
) -> str:
    """The status; `trouble` is what is to be said before that."""
    said = [_of(service, notes[name], now) for name, service in services.items()]
    ordered = sorted(zip(services, said, strict=True), key=lambda one: one[1][1])
    phrases = [f"{name}: {phrase}" for name, (phrase, _) in ordered]
    text = escaped("; ".join([*trouble, *phrases]))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _of(service: Service, note: Note, now: float) -> tuple[str, bool]:
    """What one service does, and whether that is what it is for."""
    supervisor = service.supervisor
    run, state = supervisor.run, supervisor.state
    if not note.watched:
        return "finding what to watch", False
    if service.settings.dry_run:
        return f"dry run, {_watching(note)}", True
    if supervisor.starting:
        return f"starting run {run + 1}", False
    if state in UP:
        if not supervisor.alive:
            return f"starting run {run}", False
        reason, waiting = held(service, now)
        if reason == "syntax":
            reason = note.held or reason
        phrases = [f"run {run}", f"pid {note.pid}", _watching(note)]
        if reason == "paused":
            phrases += ["paused", *([_waiting(waiting)] if waiting else [])]
        elif reason:
            phrases.append(f"held: {reason}")
        return ", ".join(phrases), not reason
    match state:
        case State.STOPPING | State.CLOSING:
            return f"stopping run {run}", False
        case State.KILLING:
            return f"killing run {run}", False
        case State.CLOSED:
            return note.missed or "; ".join(["stopped", *([note.rest] if note.rest else [])]), False
        case State.BACKOFF:
            return f"{note.missed or note.rest}; it is tried again soon", False
        case _:
            return f"{note.missed or note.rest}; waiting for a change", not note.missed


def _waiting(count: int) -> str:
    return "1 file waits" if count == 1 else f"{count} files wait"


def _watching(note: Note) -> str:
    count = note.directories
    return "watching 1 directory" if count == 1 else f"watching {count} directories"
