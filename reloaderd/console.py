"""Says on stderr what happens: a line for the person, or with `--log-format json` one object a line.

Facts that shape the writing:
- Descriptor 2 is shared with the child and with whoever started us: its flags are not ours to set.
  It may be a terminal held with Ctrl-S, a pipe that nobody reads, a socket, or closed.
- poll(2) says POLLOUT for a pipe once PIPE_BUF bytes fit, so a write of that size after it does not
  block (pipe(7)); a stopped pseudo terminal never says it.
- A write of at most PIPE_BUF bytes to a pipe is not torn apart by what the child writes (pipe(7)).
So: a line is one write(2), to a pipe at most PIPE_BUF of it at a time, after a poll with little
patience.  A line that finds no room is dropped, and the next one that does says how many were.
"""

from __future__ import annotations

import os
import select
import stat
import time
from collections.abc import Callable

from reloaderd.commands import Report
from reloaderd.core.escaping import escaped
from reloaderd.settings import ConsoleSettings
from reloaderd.wording import Fields, Wording, is_fault, working_directory

PATIENCE_MS = 50
"""How long a full stderr may hold up the loop: a busy terminal catches up in far less, and a person
does not feel it.  Once a line was lost there is none until a line fits again."""

LONGEST_TEXT = 900
"""Characters of a text line: with 4 bytes each it fits in PIPE_BUF (4096)."""

URGENT = frozenset({"warning", "error"})
"""What `-q` leaves, in text and in JSON."""

CLEAR = "\x1b[H\x1b[2J\x1b[3J"
"""Cursor home, erase the screen, erase the scrollback (console_codes(4); 3J is xterm's)."""

BELL = b"\a"

_TAG, _RESET = "\x1b[36m", "\x1b[0m"


class Console:
    """Prints reports on descriptor `fd`; never raises, and hardly ever waits (`PATIENCE_MS`).

    `named` puts the service's name into each text line: for more than one service.

    In JSON, `time` is in seconds since 1970.  Lines are pure ASCII: a byte of a name that is not
    UTF-8 comes as a lone surrogate, `\\udcff` for 0xff, and `os.fsencode` of the decoded string is
    the name as the kernel has it (PEP 383).
    """

    def __init__(self, settings: ConsoleSettings, fd: int = 2, named: bool = False) -> None:
        self._json = settings.log_format == "json"
        self._quiet = settings.verbosity < 0
        self._named = named
        self._terminal = terminal = os.isatty(fd)
        self._color = settings.color == "always" or (settings.color == "auto" and terminal and wants_color())
        self._clear = settings.clear and terminal and not self._json
        self._wording = Wording(settings.verbosity > 0, working_directory())
        self._writer = Writer(fd, self._lost)

    def report(self, report: Report) -> None:
        """Print one report, where the settings want it."""
        event, service, fields = report
        fault = is_fault(event, fields)
        if self._quiet and event not in URGENT and not fault:
            return
        line = self._line(event, service, fields)
        # with the change and not with the start: by then the new child may have written
        if line and self._clear and event == "changed" and restarts(fields):
            line = CLEAR.encode() + line
        if fault and self._terminal and not self._json:
            line = BELL + line
        if line:
            self._writer.write(line)

    def _line(self, event: str, service: str, fields: Fields) -> bytes:
        if self._json:
            return _json_line(event, service, fields)
        text, color = self._wording.say(event, service, fields)
        if not text:
            return b""
        tag = f"[reloaderd {escaped(service)}]" if self._named and service else "[reloaderd]"
        tag = f"{_TAG}{tag}{_RESET}" if self._color else tag
        lines = [text, *self._wording.block(event, fields)]
        return "".join(f"{tag} {self._colored(line, color)}\n" for line in lines).encode()

    def _colored(self, text: str, color: str) -> str:
        text = escaped(text)
        text = text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"
        return f"{color}{text}{_RESET}" if color and self._color else text

    def _lost(self, count: int) -> bytes:
        lines = "1 line was" if count == 1 else f"{count} lines were"
        return self._line("warning", "", {"text": f"{lines} lost here: stderr was not read"})


def wants_color() -> bool:
    """Whether the environment lets a terminal be coloured: https://no-color.org, and TERM."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def restarts(fields: Fields) -> bool:
    """Whether these fields of `changed` announce a restart."""
    return fields.get("action", "restart") == "restart" and not fields.get("dry_run")


def _json_line(event: str, service: str, fields: Fields) -> bytes:
    import json  # 2 ms and 0.3 MB that a text console does without

    entry = Report(event, service, fields).entry(time.time())
    return json.dumps(entry, default=str).encode("ascii") + b"\n"


class Writer:
    """Writes lines to a descriptor that others use too, and drops a line rather than wait.

    A line that was begun is always ended before the next.  `note(n)` is the line that tells of `n`
    lost ones.
    """

    def __init__(self, fd: int, note: Callable[[int], bytes]) -> None:
        self._fd = fd
        self._note = note
        self._rest = b""  # of a line that was begun
        self._lost = 0
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._piece = select.PIPE_BUF if _is_pipe(fd) else None

    def write(self, line: bytes) -> None:
        """Write the line if there is room for it."""
        told = 0 if self._rest else self._lost
        begun = len(self._rest)
        data = self._rest + (self._note(told) if told else b"") + line
        sent = self._send(data)
        if sent > begun:
            self._rest = data[sent:]
            self._lost -= told
        else:
            self._rest = self._rest[sent:]
            self._lost += 1

    def _send(self, data: bytes) -> int:
        """Write what is taken at once; the number of bytes that were."""
        sent = 0
        patience = 0 if self._lost else PATIENCE_MS
        while sent < len(data) and self._poll.poll(patience):
            end = None if self._piece is None else sent + self._piece
            try:
                sent += os.write(self._fd, data[sent:end])
            except OSError:  # EPIPE, EIO (the terminal has gone), EAGAIN, EBADF: nobody to tell
                break
        return sent


def _is_pipe(fd: int) -> bool:
    try:
        return stat.S_ISFIFO(os.fstat(fd).st_mode)
    except OSError:
        return False
