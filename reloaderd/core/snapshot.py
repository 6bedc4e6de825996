"""When to look at which files again, so that a later `touch` and a later `chmod` can be told apart.

Rules:
- Looking never delays a start: a file whose looks are not known counts as changed when in doubt.
- It is done in slices, so that an event never waits for more than one of them.
- A stamp that is too young is not trusted and taken again a little later, a few times at most.
"""

from __future__ import annotations

from collections.abc import Iterable

from reloaderd.core.watchtree import WatchTree

SLICE = 500
"""Files a look: 1-2 ms of stat(2)."""

SETTLING = 0.050
"""Seconds after a change until its stamp is worth taking: more than a stamp is young for (kernel.files)."""

TRIES = 4


class Snapshot:
    """The directories that hold files without a stamp, and when to look at them."""

    def __init__(self, tree: WatchTree) -> None:
        self.deadline: float | None = None
        self._tree = tree
        self._waiting: dict[str, None] = {}
        self._tries: dict[str, int] = {}  # directory -> looks at it that were too early
        self._files: list[str] = []

    def want(self, directories: Iterable[str], files: list[str], at: float) -> None:
        """Look at `files`, and at the files without a stamp in `directories`, from `at` on."""
        self._waiting.update(dict.fromkeys(directories))
        self._tries.clear()
        self._files += files
        if self._waiting or self._files:
            self.deadline = at

    def again(self, directory: str, now: float) -> None:
        """A stamp in there was too young."""
        if directory in self._waiting:
            return
        tries = self._tries[directory] = self._tries.get(directory, 0) + 1
        if tries < TRIES:
            self._waiting[directory] = None
            self.deadline = now + SETTLING * 2**tries

    def slice(self, now: float) -> list[str]:
        """The next files to examine, where that is due."""
        if self.deadline is None or now < self.deadline:
            return []
        paths, self._files = self._files, []
        while self._waiting and len(paths) < SLICE:
            directory, _ = self._waiting.popitem()
            node = self._tree.get(directory)
            if node is not None:
                prefix = directory if directory == "/" else directory + "/"
                paths += [prefix + name for name, stamp in node.files.items() if stamp is None]
        self._files = paths[SLICE:]
        self.deadline = now if self._waiting or self._files else None
        return paths[:SLICE]
