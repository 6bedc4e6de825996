"""Which interpreter loaded which file: a run may have several, as when a launcher is of another Python.

Rules:
- A process has told its interpreter before it loads anything, and tells it again when it becomes another
  program.  One that was forked has told nothing, and has its parent's, which is not known here: that of the
  first process of the run stands for it, and for files that nobody has loaded.
"""

from __future__ import annotations

from collections.abc import Sequence

MOST = 1000
"""Processes of a run that are remembered: one more than that has the interpreter of the first."""


class Pythons:
    """The interpreters of the present run, and the first one of the run before until it has told of any."""

    def __init__(self) -> None:
        self._first = ""
        self._by_pid: dict[int, str] = {}
        self._by_path: dict[str, str] = {}

    def begin(self) -> None:
        """A run is about to start."""
        self._by_pid.clear()
        self._by_path.clear()

    def tell(self, pid: int, python: str) -> None:
        """A process has that interpreter."""
        if not self._by_pid or (len(self._by_pid) == 1 and pid in self._by_pid):
            self._first = python
        if len(self._by_pid) < MOST or pid in self._by_pid:
            self._by_pid[pid] = python

    def load(self, pid: int, path: str) -> None:
        """A process loaded a module."""
        python = self._by_pid.get(pid, self._first)
        if python != self._first or path in self._by_path:
            self._by_path[path] = python

    def of(self, paths: Sequence[str]) -> str:
        """The interpreter that loaded one of these, else the first; empty where none is known."""
        return next((self._by_path[path] for path in paths if path in self._by_path), self._first)
