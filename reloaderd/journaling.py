"""Says what happens to the journal: an entry for each line, with fields to find it by.

Facts that shape the fields are in kernel.journal.  A block of lines (what does not compile) is one entry.
Where no journal is, the same goes to stderr as lines with their priority.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from reloaderd.commands import Report
from reloaderd.console import LONGEST_TEXT, URGENT, Writer
from reloaderd.core.escaping import escaped
from reloaderd.kernel.journal import ERROR, INFO, NOTICE, SOCKET, WARNING, Journal, prefixed
from reloaderd.settings import ConsoleSettings
from reloaderd.wording import BAD, Wording, is_fault, working_directory

IDENTIFIER = "reloaderd"

PATHS = 64
"""Paths of a change that an entry is found by: what is more came with one act, and is counted."""

_REMARKABLE = frozenset({"closing", "configured", "ended", "held"})
"""What is of interest the next morning, and nothing went wrong."""

_PATIENT = frozenset({"warning", "killed"})

_FIELDS = {"run": "RUN", "path": "PATH", "rule": "RULE", "origin": "ORIGIN"}


class JournalConsole:
    """As `console.Console`, for the journal.  `fd` is where lines go if there is none."""

    def __init__(
        self, settings: ConsoleSettings, fd: int = 2, named: bool = False, path: str = SOCKET
    ) -> None:
        self._quiet = settings.verbosity < 0
        self._named = named
        self._wording = Wording(settings.verbosity > 0, working_directory())
        self._journal = Journal(path)
        self._writer = Writer(fd, self._note)
        self._lost = 0

    def report(self, report: Report) -> None:
        """Make an entry of one report, where the settings want it."""
        event, service, fields = report
        if self._quiet and event not in URGENT and not is_fault(event, fields):
            return
        text, color = self._wording.say(event, service, fields)
        if not text:
            return
        lines = [_cut(escaped(line)) for line in (text, *self._wording.block(event, fields))]
        if self._named and service:
            lines[0] = f"{escaped(service)}: {lines[0]}"
        if self._lost and not self._put([_lost(self._lost)], WARNING, Report("warning", "", {})):
            self._lost += 1
            return
        self._lost = 0 if self._put(lines, _priority(event, color == BAD), report) else 1

    def _put(self, lines: Sequence[str], priority: int, report: Report) -> bool:
        """False where the journal has no room for it."""
        fields = [
            ("MESSAGE", "\n".join(lines)),
            ("PRIORITY", str(priority)),
            ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ]
        taken = self._journal.send([*fields, *_fields(report)])
        if taken is False:
            tagged = "\n".join(f"[{IDENTIFIER}] {line}" for line in lines)
            self._writer.write(prefixed(tagged, priority).encode() + b"\n")
        return taken is not None

    def _note(self, count: int) -> bytes:
        return prefixed(f"[{IDENTIFIER}] warning: {_lost(count)}", WARNING).encode() + b"\n"


def _fields(report: Report) -> Iterator[tuple[str, str]]:
    """What an entry is found by.  Paths are as the kernel has them, whatever is in them."""
    event, service, fields = report
    yield "RELOADERD_EVENT", event
    if service:
        yield "RELOADERD_SERVICE", service
    for key, name in _FIELDS.items():
        if fields.get(key):
            yield f"RELOADERD_{name}", str(fields[key])
    for path in _paths(fields):
        yield "RELOADERD_PATH", path


def _paths(fields: Mapping[str, Any]) -> list[str]:
    return [str(path) for path in fields.get("paths", ())][:PATHS]


def _priority(event: str, bad: bool) -> int:
    if event == "error":
        return ERROR
    if bad or event in _PATIENT:
        return WARNING
    return NOTICE if event in _REMARKABLE else INFO


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _lost(count: int) -> str:
    return f"{'1 line was' if count == 1 else f'{count} lines were'} lost here: the log was not read"
