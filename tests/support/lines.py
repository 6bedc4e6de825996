"""The two kinds of lines that tests read: the probe's log and reloaderd's own."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any, NamedTuple

Event = dict[str, Any]


class Record(NamedTuple):
    """One line of the probe's log."""

    word: str
    pid: int
    run: int
    at: float
    payload: Any


def new_lines(path: Path, offset: int) -> tuple[int, list[bytes]]:
    """The whole lines after `offset`, and the offset after them."""
    with open(path, "rb") as file:
        file.seek(offset)
        data = file.read()
    end = data.rfind(b"\n") + 1
    return offset + end, data[:end].splitlines() if end else []


def parse_record(line: bytes) -> Record:
    """A line of the probe's log."""
    word, pid, run, at, payload = line.decode().split(" ", 4)
    return Record(word, int(pid), int(run), float(at), ast.literal_eval(payload))


def parse_event(line: bytes) -> Event | None:
    """A log line of reloaderd; None for a line that is none."""
    try:
        event = json.loads(line)
    except ValueError:
        return None
    if not isinstance(event, dict) or "event" not in event:
        return None
    assert {"time", "service"} <= event.keys(), f"a log line without time or service: {line!r}"
    return event


def tail(path: Path, count: int, begin: bytes = b"") -> str:
    """The last lines of a file that begin so, shortened, for people who read a failure."""
    lines = [line for line in path.read_bytes().splitlines() if line.startswith(begin)][-count:]
    return "\n".join(line[:600].decode(errors="backslashreplace") for line in lines)
