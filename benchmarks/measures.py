"""What the measures share: the room they work in, the rows they make, and order of work."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from benchmarks import trees
from benchmarks.build import Programs
from benchmarks.running import Running, Start
from benchmarks.tools import Tool
from benchmarks.trees import Tree

Value = float | int | str | None


class Row(NamedTuple):
    """What one tool came to in one measure; figures carry their unit in their name."""

    measure: str
    tool: str
    figures: dict[str, Value]


class Room(NamedTuple):
    """Where measures work and with what."""

    tools: Sequence[Tool]
    programs: Programs
    scratch: str
    quick: bool
    idle_seconds: float
    say: Callable[[str], None]

    def run(self, tool: Tool, tree: Tree) -> Running:
        """Start `tool` on `tree`."""
        return Running(tool, tree, self.programs.child, self.scratch)

    @contextlib.contextmanager
    def tree(self, dirs: int, files: int, *, gitignore: bool = False, ignored: int = 0) -> Iterator[Tree]:
        """A tree on disk, removed afterwards however large."""
        holder = tempfile.mkdtemp(prefix="tree-", dir=self.scratch)
        try:
            root = os.path.join(holder, "tree")
            yield trees.make(root, dirs, files, gitignore=gitignore, ignored=ignored)
        finally:
            shutil.rmtree(holder)


def any_start(start: Start) -> bool:
    """Wanted: whatever starts."""
    return start.at > 0


def median(values: Sequence[float]) -> float | None:
    """The middle value (the mean of the two middle ones); None of nothing."""
    ordered = sorted(values)
    half = len(ordered) // 2
    if not ordered:
        return None
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(values: Sequence[float], percent: int) -> float | None:
    """The smallest value that `percent` of all do not exceed (nearest rank); None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)] if ordered else None
