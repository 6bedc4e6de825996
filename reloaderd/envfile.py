"""Reads an environment file: a KEY=VALUE a line, as an `.env` of most tools is written.

    # a comment                    blank lines and lines that start with # are passed over
    PORT=8000                      unquoted: ends at a # after a space, spaces at the end go
    export NAME=web                `export` is allowed, for files that a shell reads too
    GREETING="two\\nlines, $5"      double quotes: \\n \\t \\r \\" \\\\ \\$ are understood
    PATTERN='^\\w+$'                single quotes: as it stands

Nothing is expanded: `$HOME` stays `$HOME`.  A value ends on its line.
"""

from __future__ import annotations

import os
import re
import stat

from reloaderd.errors import ReloaderdError

LARGEST = 1 << 20
"""Bytes.  An environment beyond it is no mistake execve(2) would forgive: its limit is near 2 MiB."""

MOST_FAULTS = 5
"""How many are listed: more are of the same kind, or this is no environment file."""

_LINE = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*(.*)")
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"[ \t]*(?:#.*)?')
_SINGLE = re.compile(r"'([^']*)'[ \t]*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*$")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


def read(path: str, asked: str = "--env-file") -> tuple[tuple[str, str], ...]:
    """The variables of the file in its order; `asked` is who asks for it.

    Raises `ReloaderdError` where it cannot be read (a FIFO, a directory and what is larger than
    `LARGEST` are refused unread) and, with every fault as FILE:LINE, where it is not well formed.
    """
    try:
        text = _text(path)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ReloaderdError(f"{asked} {path}: {reason}", "name a file of KEY=VALUE lines") from None
    variables, faults = parse(text)
    if faults:
        listed = "; ".join(f"{path}:{line}: {fault}" for line, fault in faults[:MOST_FAULTS])
        more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
        raise ReloaderdError(listed + more, "a line is KEY=VALUE or a # comment")
    return tuple(variables)


def parse(text: str) -> tuple[list[tuple[str, str]], list[tuple[int, str]]]:
    """The variables and the faults, these with their line; no fault repeats a value."""
    variables: list[tuple[str, str]] = []
    faults: list[tuple[int, str]] = []
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            faults.append((number, "no KEY= at its start"))
        elif "\0" in line:
            faults.append((number, f"{match[1]} holds a NUL byte"))
        elif (value := _value(match[2])) is None:
            faults.append((number, f"the quotes of {match[1]} do not end with the line"))
        else:
            variables.append((match[1], value))
    return variables, faults


def _value(text: str) -> str | None:
    if text.startswith('"'):
        match = _DOUBLE.fullmatch(text)
        return match and re.sub(r"\\(.)", _unescape, match[1])
    if text.startswith("'"):
        match = _SINGLE.fullmatch(text)
        return match and match[1]
    return _COMMENT.sub("", text)


def _unescape(match: re.Match[str]) -> str:
    char = match[1]
    return _ESCAPES.get(char) or (char if char in '"\\$' else match[0])


def _text(path: str) -> str:
    # O_NONBLOCK: a FIFO without a writer must not hold us up; a regular file does not mind
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(0, f"larger than {LARGEST} bytes")
    return content.decode("utf-8", "surrogateescape")
