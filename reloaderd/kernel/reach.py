"""Reaches what lies deeper than the kernel takes a path for.

Facts (path_resolution(7), proc(5); Linux 6.18):
- A path of 4096 bytes (PATH_MAX, its NUL among them) and more is ENAMETOOLONG, though trees may be deeper.
- Every part of it can be opened from the one before by openat(2), and /proc/self/fd/N stands for what is
  open under N, for inotify_add_watch(2) too.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

PATH_MAX = 4096
NAME_MAX = 255

_FAR = PATH_MAX - NAME_MAX - 2
"""Bytes of a directory's path from which on a name in it may be out of reach."""

NEAR = _FAR // 4
"""Characters of a path that is not that long, whatever they are: UTF-8 has four bytes for one at most."""


@contextmanager
def reaching(path: str) -> Iterator[str]:
    """A path to the same that is short enough for a name to be added, good until the end of the block.

    Raises OSError where there is no way to a path that is longer.
    """
    if len(path) < NEAR or len(os.fsencode(path)) < _FAR:
        yield path
        return
    descriptor, rest = _open_above(path)
    try:
        yield f"/proc/self/fd/{descriptor}/{rest}"
    finally:
        os.close(descriptor)


def _open_above(path: str) -> tuple[int, str]:
    """A directory that `path` is not far below of, open, and the rest of the way."""
    at: int | None = None
    rest = path
    try:
        while len(os.fsencode(rest)) >= _FAR:
            part, rest = _divided(rest)
            below = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=at)
            if at is not None:
                os.close(at)
            at = below
    except OSError:
        if at is not None:
            os.close(at)
        raise
    assert at is not None
    return at, rest


def _divided(path: str) -> tuple[str, str]:
    """As many whole names of `path` as may be walked at once, and those after them."""
    text = os.fsencode(path)
    end = text.rfind(b"/", 1, _FAR)
    if end < 0:  # no name is so long
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
    return os.fsdecode(text[:end]), os.fsdecode(text[end + 1 :])
