"""What a packet of a Python child says: checked, and made an event of.

    a packet      a JSON object of at most LONGEST bytes, with any of these keys
        service, run   whose process it is: of every packet
        python         the interpreter, in the first packet of a process
        modules, data  lists of [path, real path or "" if it is the same, dev, ino, size, mtime_ns, ctime_ns];
                       numbers that are all 0 stand for a file that could not be looked at
        own, missing,
        absent         lists of paths
        libraries      a number
        full           true, once there was more than may be told
        unsound        why the run must not go on: a list of texts
        checkpoint     a list of one [number, path, why], in a packet by itself: CheckpointPassed

A child may say anything: all of it is data, checked by type and length, and goes no further than to stat(2)
and to inotify.  Where no Python child runs, nothing of this is loaded.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container
from typing import Any

from reloaderd.events import CheckpointPassed, FilesLoaded, Loaded, Stamp
from reloaderd.kernel.reach import PATH_MAX

LONGEST = 65_536
"""Bytes of a packet."""

LARGEST = 1 << 64
"""More than any figure of stat(2).  Numbers of 4300 digits and more cannot be written: sums grow to that."""


def parse(data: bytes) -> dict[str, Any] | None:
    """One packet, whose process it is of being known; None for what nobody sends who means it."""
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    known = type(said) is dict and type(said.get("service")) is str and type(said.get("run")) is int
    return said if known else None


def event_of(
    said: dict[str, Any], forgetful: Container[int], pid: int
) -> FilesLoaded | CheckpointPassed | None:
    """The event of one packet of the agent in process `pid`; None for one that no agent sends."""
    try:
        if "checkpoint" in said:
            [[number, path, why]] = said["checkpoint"]
            passed = _number(number), _path(path), _text(why)
            return CheckpointPassed(said["service"], said["run"], *passed)
        return FilesLoaded(
            said["service"],
            said["run"],
            _text(said.get("python", "")),
            [_loaded(item, forgetful) for item in said.get("modules", ())],
            [_loaded(item, forgetful) for item in said.get("data", ())],
            [_path(item) for item in said.get("own", ())],
            [_path(item) for item in said.get("missing", ())],
            [_path(item) for item in said.get("absent", ())],
            max(_number(said.get("libraries", 0)), 0),
            said.get("full") is True,
            pid,
            "; ".join(map(_text, said.get("unsound", ()))),
        )
    except (ValueError, TypeError):
        return None


def _loaded(item: Any, forgetful: Container[int]) -> Loaded:
    path, real, device, inode, size, mtime, ctime = item
    path = _path(path)
    real = _path(real) if real else path
    numbers = [_number(one) for one in (device, inode, size, mtime, ctime)]
    if not any(numbers):
        return Loaded(path, real, None)
    return Loaded(path, real, Stamp.of(0 if device in forgetful else inode, size, mtime, ctime))


def _path(value: Any) -> str:
    text = _text(value)
    if not text.startswith("/") or len(text) > PATH_MAX:
        raise ValueError("no path")
    return text


def _text(value: Any) -> str:
    if type(value) is not str or "\0" in value:
        raise ValueError("no text")
    os.fsencode(value)  # lone surrogates that stand for no byte raise a ValueError, too
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not -LARGEST <= value <= LARGEST:
        raise ValueError("no number")
    return value
