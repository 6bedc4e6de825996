"""What the files that count said when the run found them, for `--skip-unchanged`: digests of their content.

Rules:
- A digest tells what the run found only if nothing happened to the file since the run started: it is trusted
  when the source was drained after it was taken and told of nothing, and not taken of what waits.  It is
  asked for when no event is waiting for its turn.
- Taking them never delays a start: a file whose digest is not known counts whatever happens to it.
- It is done in slices, so that an event never waits for more than one of them.
- What changed before a run started is forgotten and taken anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from reloaderd.commands import Command, Digest, Drain
from reloaderd.core.watchtree import WatchTree
from reloaderd.events import Digested

SLICE = 200
"""Files a command: opening as many takes some ms.  How much of them is read is bounded in kernel.digests."""

SETTLING = 0.100
"""Seconds until a file that changed just now is tried again, doubled each time."""

TRIES = 7
"""Of those: 6.3 s in all, which is more than any clock of a file system and any look by polling needs."""


class Digests:
    """The digests in a tree, and those of roots that are files themselves."""

    def __init__(self, service: str, tree: WatchTree, waits: Callable[[str], bool]) -> None:
        """`waits` tells of a path whether a change of it waits, which the run has not seen."""
        self.deadline: float | None = None
        """When to take some; None when all are known."""
        self._service = service
        self._tree = tree
        self._waits = waits
        self._loose: dict[str, bytes] = {}  # of roots that are files
        self._fresh: dict[str, bytes] = {}  # not trusted yet
        self._started = False
        self._directories: list[str] = []  # to take all of
        self._files: list[str] = []  # to take
        self._lost: set[str] = set()  # to take when the next run starts
        self._young: dict[str, int] = {}  # to take later, each with the number of tries

    def known(self, path: str) -> bytes | None:
        """What the run found; None where that is not known."""
        node, name = self._tree.locate(path)
        if node is None or name not in node.files:
            return self._loose.get(path)
        return node.digests.get(name)

    def start(self, changed: Iterable[str], roots: Iterable[str], at: float) -> None:
        """A run starts and finds what `changed` as it is now: take what is missing, from `at` on."""
        files = dict.fromkeys([*changed, *self._young, *self._lost])
        self._lost.clear()
        for path in files:
            self._forget(path)
        if not self._started:
            self._started = True
            self._directories = [node.path for node in self._tree]
            files |= dict.fromkeys(roots)
        self._files += files
        self._young.clear()
        if self._files or self._directories:
            self.deadline = at

    def changed(self, path: str) -> None:
        """Something happened to it, before or after its digest was taken."""
        self._fresh.pop(path, None)

    def ask(self, number: int, paths: list[str]) -> tuple[Command, list[str]]:
        """Read the first of these for a comparison of that number; and those that are left."""
        return Digest(self._service, number, paths[:SLICE]), paths[SLICE:]

    def lose(self, path: str) -> None:
        """A change of it did not count, and may be found by the run yet."""
        self._forget(path)
        self._lost.add(path)

    def lose_track(self) -> None:
        """Events were lost."""
        self._fresh.clear()

    def tick(self, now: float) -> list[Command]:
        """Take some of those that are missing."""
        if self.deadline is None or now < self.deadline:
            return []
        if not self._files and not self._directories:
            self._files, self.deadline = list(self._young), None
        while self._directories and len(self._files) < SLICE:
            node = self._tree.get(self._directories.pop())
            if node is not None:
                start = node.path.rstrip("/") + "/"
                self._files += [start + name for name in node.files if name not in node.digests]
        paths = [path for path in self._files[:SLICE] if not self._waits(path)]
        for path in set(self._files[:SLICE]) - set(paths):
            self._young.pop(path, None)  # the next run finds it otherwise
        del self._files[:SLICE]
        self._plan(now)
        return [Digest(self._service, 0, paths)] if paths else []

    def digested(self, event: Digested, now: float) -> list[Command]:
        """Some were taken."""
        self._files = [*event.left, *self._files]
        for path in event.digests.keys() | event.young:
            tries = self._young.pop(path, 0) + 1
            if path in event.young and tries < TRIES:
                self._young[path] = tries
        self._fresh |= {path: digest for path, digest in event.digests.items() if digest is not None}
        self._plan(now)
        return [Drain(self._service)] if self._fresh else []

    def trust(self) -> None:
        """The source was drained: what is fresh still is how the run found it."""
        fresh, self._fresh = self._fresh, {}
        for path, digest in fresh.items():
            node, name = self._tree.locate(path)
            if node is None:
                self._loose[path] = digest
            elif name in node.files:
                if not node.digests:
                    node.digests = {}
                node.digests[name] = digest

    def unchanged(self, digests: Mapping[str, bytes | None]) -> set[str]:
        """Those of which the run found the same."""
        return {path for path, digest in digests.items() if digest and digest == self.known(path)}

    def _forget(self, path: str) -> None:
        self._fresh.pop(path, None)
        self._loose.pop(path, None)
        node, name = self._tree.locate(path)
        if node is not None and name in node.digests:
            del node.digests[name]

    def _plan(self, now: float) -> None:
        if self._files or self._directories:
            self.deadline = now
        elif self._young:
            self.deadline = now + SETTLING * 2 ** (max(self._young.values()) - 1)
        else:
            self.deadline = None
