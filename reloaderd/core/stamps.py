"""How the files that count looked: told apart are a `touch` and a `chmod`, a write and none.

Rules:
- A file that was closed without a write that we saw, or whose inode was touched, is in doubt: it is
  examined, and counts if it does not look as it did, or if how it did is not known.
- A first look says how the run found the file only if no event is on its way that tells otherwise: it is
  trusted when the source was drained after it.
- Events were lost: every file is in doubt.
"""

from __future__ import annotations

from collections.abc import Iterable

from reloaderd.commands import Command
from reloaderd.core.asks import Asks
from reloaderd.core.snapshot import SETTLING, Snapshot
from reloaderd.core.watchtree import WatchTree
from reloaderd.events import Examined, Kind, Why


class Stamps:
    """The stamps in a tree, and those of files that are anchored: roots, and modules from elsewhere."""

    def __init__(self, tree: WatchTree, asks: Asks) -> None:
        self._tree = tree
        self._asks = asks
        self._root_files: dict[str, int | None] = {}
        self._doubts: dict[str, Kind] = {}
        self._unknown: set[str] = set()  # directories with files that have no stamp
        self._fresh: dict[str, int] = {}  # stamps that are not trusted yet
        self.first_look = False  # the latest answer brought some
        self._snapshot = Snapshot(tree)

    @property
    def deadline(self) -> float | None:
        """When stamps are to be taken; None when all are known."""
        return self._snapshot.deadline

    def add_root(self, path: str) -> None:
        """A root that is a file: how it looks is not known."""
        self._root_files[path] = None
        self.distrust(path)

    def remove_root(self, path: str) -> None:
        """It is a directory now."""
        self._root_files.pop(path, None)

    def is_root(self, path: str) -> bool:
        """Whether it is one of those."""
        return path in self._root_files

    def roots(self) -> list[str]:
        """The roots that are files, whether they are there now or not."""
        return list(self._root_files)

    def lose(self, path: str) -> None:
        """The file changed: how it looks is not known any more."""
        self.distrust(path)
        self._set(path, None)
        if path not in self._root_files:
            self.lose_in([path.rpartition("/")[0] or "/"])

    def know(self, path: str, value: int) -> None:
        """The run found it like this, and so it still is."""
        self.distrust(path)
        self._set(path, value)

    def lose_in(self, directories: Iterable[str]) -> None:
        """There may be files without a stamp in these."""
        self._unknown.update(directories)

    def baseline(self, at: float) -> None:
        """A run starts: how the files look now is what it sees.  Look at those not known, from `at` on."""
        files = [path for path, stamp in self._root_files.items() if stamp is None]
        self._snapshot.want(self._unknown, files, at)
        self._unknown.clear()

    def tick(self, now: float) -> list[Command]:
        """Take some of the stamps that are missing."""
        paths = self._snapshot.slice(now)
        return [self._asks.examine(None, paths)] if paths else []

    def distrust(self, path: str) -> None:
        """Something happened to it, before or after its stamp was taken."""
        self._fresh.pop(path, None)

    def distrust_all(self) -> None:
        """Events were lost."""
        self._fresh.clear()

    def trust(self) -> None:
        """The source was drained: what is fresh still is how the run found it."""
        fresh, self._fresh = self._fresh, {}
        for path, value in fresh.items():
            self._set(path, value)

    def doubt(self, path: str, kind: Kind) -> list[Command]:
        """Something happened to it that may have changed it."""
        self._doubts[path] = kind
        return [self._asks.examine(None, [path])]

    def examined(self, event: Examined, now: float) -> list[tuple[str, Kind]]:
        """How files look: an answer to a doubt, or the first look.  Returns those that have changed."""
        changed: list[tuple[str, Kind]] = []
        self.first_look = False
        for path, stamp in event.stamps.items():
            kind = self._doubts.pop(path, Kind.CLOSED if event.why is Why.LOST else None)
            if stamp is None:
                # Gone, which counts by itself; or elsewhere for that moment, with a directory above it.
                if kind is not None and kind is not Kind.ARRIVED:
                    changed.append((path, kind))
                continue
            if kind is not None:
                if self._get(path) != stamp.value:
                    self.lose(path)
                    changed.append((path, kind))
            elif stamp.young and path in self._root_files:
                self._snapshot.want((), [path], now + SETTLING)
            elif stamp.young:
                self._snapshot.again(path.rpartition("/")[0] or "/", now)
            else:
                self._fresh[path] = stamp.value
                self.first_look = True
        return changed

    def _get(self, path: str) -> int | None:
        if path in self._root_files:
            return self._root_files[path]
        return self._tree.stamp(path)

    def _set(self, path: str, value: int | None) -> None:
        if path in self._root_files:
            self._root_files[path] = value
        else:
            self._tree.set_stamp(path, value)
