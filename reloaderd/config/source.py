"""Finds the configuration file and reads its text, or says why it is not to be read.

Rules:
- Without --config it is `reloaderd.toml` in the working directory, else `pyproject.toml` there, if that has
  a table [tool.reloaderd].
- What it says is run.  So one that was found and not named must be ours or root's, and nobody else may be
  able to write it.
- It is a regular file of text: nothing else is waited for or read to its end.
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from typing import Any, NamedTuple

from reloaderd.config.lines import Path
from reloaderd.errors import ConfigError

FILE = "reloaderd.toml"
PROJECT = "pyproject.toml"

LARGEST = 1 << 20
"""Bytes.  Ten thousand services would fit."""

_PLACE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


class Source(NamedTuple):
    """What was read.  `shown` is the file as a person has it; `table` is where in it the configuration is."""

    path: str
    shown: str
    text: str
    document: dict[str, Any]
    table: Path
    stamp: int


def find(named: str | None, cwd: str) -> Source | None:
    """The configuration of this directory, or the one that is `named`; None where there is none.

    Raises ConfigError where there is one that cannot be used.
    """
    if named is not None:
        return read_again(_located(named, cwd), cwd, True)
    if os.path.lexists(FILE):
        return read(FILE, cwd, False)
    return read(PROJECT, cwd, False, needed=False) if os.path.lexists(PROJECT) else None


def _located(name: str, cwd: str) -> str:
    directory, own = os.path.split(name)
    if ".." in directory.split("/"):  # which may climb out of a symlink
        name = os.path.join(os.path.realpath(directory), own)
    return os.path.normpath(os.path.join(cwd, name))


def read_again(path: str, cwd: str, named: bool) -> Source | None:
    """The file at this absolute path, shown as it is called from here.  Raises ConfigError."""
    return read(path.removeprefix(cwd.rstrip("/") + "/"), cwd, named)


def read(shown: str, cwd: str, named: bool, needed: bool = True) -> Source | None:
    """Read one file; None where it is not `needed` and does not concern us.  Raises ConfigError."""
    try:
        content, status = _content(shown)
        link = os.lstat(shown)
    except OSError as error:
        if not needed:
            return None
        raise ConfigError([f"{shown}: {(error.strerror or str(error)).lower()}"]) from None
    ours = os.path.basename(shown) != PROJECT
    if not needed and b"reloaderd" not in content:
        return None
    text = _decoded(content, shown)
    document = _parsed(text, shown)
    table: Path = () if ours else ("tool", "reloaderd")
    tools = document.get("tool")
    if not ours and not (isinstance(tools, dict) and "reloaderd" in tools):
        if not needed:
            return None
        raise ConfigError([f"{shown}: it has no table [tool.reloaderd]"])
    if not named:
        _check_hands(shown, status, link)
    return Source(os.path.normpath(os.path.join(cwd, shown)), shown, text, document, table, _stamp(status))


def _content(shown: str) -> tuple[bytes, os.stat_result]:
    # O_NONBLOCK: a FIFO without a writer must not hold us up; a regular file does not mind
    fd = os.open(shown, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(fd, "rb") as file:
        status = os.fstat(fd)
        if stat.S_ISDIR(status.st_mode):
            raise OSError(0, "is a directory")
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise OSError(0, f"larger than {LARGEST} bytes")
    return content, status


def stamp_at(path: str) -> int:
    """How the file at this path looks; 0 where none can be looked at."""
    try:
        return _stamp(os.stat(path))
    except OSError:
        return 0


def _stamp(look: os.stat_result) -> int:
    """The value of `Stamp.of`, which is not loaded for that: what reads the file leaves nothing behind."""
    return hash((look.st_ino, look.st_size, look.st_mtime_ns))


def _decoded(content: bytes, shown: str) -> str:
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigError([f"{shown}:{line}: not UTF-8"]) from None


def _parsed(text: str, shown: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        place = _PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.rstrip("\n").count("\n") + 1
        what = _PLACE.sub("", message)
        raise ConfigError([f"{shown}:{line}: not TOML: {what[:1].lower()}{what[1:]}"]) from None
    except RecursionError:
        raise ConfigError([f"{shown}: nested too deeply"]) from None
    except ValueError as error:  # a date that there is not, a number of more digits than int() takes
        raise ConfigError([f"{shown}: not TOML: {error}"]) from None


def _check_hands(shown: str, status: os.stat_result, link: os.stat_result) -> None:
    """Raises ConfigError where somebody else decides, or may decide, what is run."""
    mend = f"name it if you trust it: --config {shown}"
    for look in (status, link):
        if look.st_uid not in (os.geteuid(), 0):
            raise ConfigError([f"{shown}: it is of another user, and says what is run ({mend})"])
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(
            [f"{shown}: others may write it, and it says what is run (chmod go-w {shown}; or {mend})"]
        )
