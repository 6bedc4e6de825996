"""An independent opinion on what the child must have seen and what must be watched, from the disk alone.

Rules:
- What counts is told by names: those in IGNORED never do, those in EITHER do as the ignore files have it
  at the time, so nothing is asked about them.
- Below a root that is gone nothing is asked: it is waited for.
- A link is judged by what it leads to only if every name on the way counts: what happens at the others
  is a limit of inotify (docs/limits.md).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator

from tests.support import model, probe
from tests.support.probe import Content
from tests.support.real import RealFiles

IGNORED = (
    "x.tmp",
    "one.tmp",
    "two.tmp",
    ".m.py.swp",
    "m.pyc",
    "m.log",
    "__pycache__",
    "node_modules",
    ".git",
)
"""Some by the default ignores, `*.tmp` by an option."""

EITHER = ("maybe", "maybe.py")

BACKUP = "~"
"""How the names of backups end, which do not count either."""

LINK_LIMIT = 40


class Judge:
    """One daemon's roots, as absolute paths."""

    def __init__(self, files: RealFiles, roots: list[str]) -> None:
        self._files = files
        self._roots = roots

    # What the child sees

    def disk(self) -> Content:
        """What a child that started now would tell."""
        return probe.snapshot(self._roots, looks=True)

    def differences(self, seen: Content, disk: Content) -> list[str]:
        """The paths that the child had to see and did not see as they are, each with what it saw."""
        gone = [root for root in self._roots if not os.path.exists(root)]
        return [
            f"{path}: seen {seen.get(path, 'nothing')!r}, on disk {disk.get(path, 'nothing')!r}"
            for path in sorted(seen.keys() | disk.keys())
            if self._differs(path, seen.get(path, b"nothing"), disk.get(path, b"nothing"))
            and not any(_is_below(path, root) for root in gone)
        ]

    def _differs(self, path: str, seen: bytes | None, disk: bytes | None) -> bool:
        if seen == disk or not self.counts(path):
            return False
        if seen and disk and seen.startswith(b"-> ") and seen.split(b"\0")[0] == disk.split(b"\0")[0]:
            return all(self.counts(place) or self._leads_to_root(place) for place in _way(path))
        return True

    def _leads_to_root(self, place: str) -> bool:
        """Whether `place` is above a root, or on the way to one by its links: those are held by name."""
        return any(_is_below(one, place) for root in self._roots for one in (root, *_way(root)))

    def counts(self, path: str) -> bool:
        """Whether what is at `path` counts, for certain."""
        for root in self._roots:
            for top in {root, os.path.realpath(root)}:
                names = path[len(top) :].split("/")
                if _is_below(path, top) and not any(_is_ignored(name) or name in EITHER for name in names):
                    return True
        return False

    # What inotify cannot tell

    def silent(self, operation: model.Operation) -> bool:
        """Whether it writes to a file that may count by a name that does not."""
        path = self._files.path(operation.path if not isinstance(operation, model.Symlink) else "")
        try:
            if isinstance(operation, model.Append | model.MapWrite):
                descriptor = self._files.descriptor(path)
                look = os.fstat(descriptor)
                real = os.readlink(
                    f"/proc/self/fd/{descriptor}"
                )  # ends in " (deleted)" once that name is gone
            else:
                look = os.stat(path)
                real = os.path.realpath(path)
        except OSError:
            return False
        hidden = real.endswith(" (deleted)") or not self.counts(real)
        return look.st_nlink > 1 and stat.S_ISREG(look.st_mode) and hidden

    # What is watched

    def watched(self) -> set[str]:
        """The directories that must be."""
        return set(self._directories(certain=True))

    def allowed(self) -> set[str]:
        """Those that may be: on the way to a root, of ignore files, of a repository's lock."""
        found = set(self._directories(certain=False))
        for root in self._roots:
            for place in _way(root):
                while place != "/":
                    place = os.path.dirname(place)
                    found.add(place)
        above = {os.path.join(place, ".git") for place in found}
        return found | above | {os.path.join(place, "info") for place in above}

    def _directories(self, certain: bool) -> Iterator[str]:
        unsure = EITHER if certain else ()
        stack = [root for root in self._roots if os.path.isdir(root)]
        while stack:
            path = stack.pop()
            yield path
            with os.scandir(path) as entries:
                stack += [
                    entry.path
                    for entry in entries
                    if entry.is_dir(follow_symlinks=False)
                    and not _is_ignored(entry.name)
                    and entry.name not in unsure
                ]


def _is_ignored(name: str) -> bool:
    return name in IGNORED or name.endswith(BACKUP)


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory + "/")


def _way(path: str) -> Iterable[str]:
    """Every place that decides where `path` leads: each link on it, and its end, there or not."""
    todo = [name for name in path.split("/") if name][::-1]
    current = "/"
    links = 0
    while todo:
        name = todo.pop()
        if name in (".", ".."):
            current = current if name == "." else os.path.dirname(current)
            continue
        full = os.path.join(current, name)
        try:
            target = os.readlink(full)
        except OSError:
            current = full
            continue
        yield full
        links += 1
        if links > LINK_LIMIT:
            return
        todo += [part for part in target.split("/") if part][::-1]
        current = "/" if target.startswith("/") else current
    yield current
