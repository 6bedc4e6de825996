"""Counts the directories below others, for no longer than somebody likes to wait."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

PATIENCE = 3.0
"""Seconds that may go by: 300,000 directories of a warm disk."""

SLICE = 100
"""Directories of one tree after which the next has its turn, so that the largest is known to be large."""


class Extent(NamedTuple):
    """The directories found, the one at the top included; `complete` where there are no more."""

    directories: int
    complete: bool


class _Walk:
    """A tree that is counted bit by bit.  What cannot be read has nothing below it."""

    def __init__(self, path: str) -> None:
        self.directories = 1
        self.todo = [path]

    def go_on(self, passed_over: Callable[[str], bool]) -> None:
        for _ in range(SLICE):
            if not self.todo:
                break
            try:
                with os.scandir(self.todo.pop()) as entries:
                    below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
            except OSError:
                continue
            below = [path for path in below if not passed_over(path)]
            self.directories += len(below)
            self.todo += below


def extents(
    paths: Iterable[str],
    passed_over: Callable[[str], bool],
    patience: float = PATIENCE,
    clock: Callable[[], float] = time.monotonic,
) -> dict[str, Extent]:
    """How many directories there are at and below each of `paths`, without those to be passed over."""
    walks = {path: _Walk(path) for path in paths}
    deadline = clock() + patience
    turn = list(walks.values())
    while turn and clock() < deadline:
        for walk in turn:
            walk.go_on(passed_over)
            if clock() >= deadline:
                break
        turn = [walk for walk in turn if walk.todo]
    return {path: Extent(walk.directories, not walk.todo) for path, walk in walks.items()}
