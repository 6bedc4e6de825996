"""An independent opinion on which changes count: which paths did change since the child last started?

It knows nothing of events.  After every operation it compares how every file looks with how it looked,
and remembers the paths that count and that the child started too early to see.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tests.support.disk import Files, Inode

Looks = dict[str, tuple[int, int | str]]
Texts = dict[str, str]

NEVER_FILES = {".gitignore", ".reloaderdignore"}
NEVER = {".git", "__pycache__"}
"""The default ignores that the walks use."""


class Judge:
    """One service's roots."""

    def __init__(self, files: Files, roots: list[str], follow: bool = False) -> None:
        """With `follow`, links to directories are followed, and ignore files are not looked at."""
        self._files = files
        self._follow = follow
        self._roots = roots
        self._looks: Looks = {}
        self._texts: Texts = {}
        self._in_force: list[Texts] = []  # those that the daemon may go by: all since it last read its events
        self._missed: dict[str, tuple[int, int | str] | None] = {}  # path -> its look when the child started
        self.changed()
        self.handled()

    def changed(self) -> None:
        """Something may have happened."""
        before, texts_before = self._looks, self._texts
        self._looks, self._texts = self._look()
        for path in before.keys() | self._looks.keys():
            if before.get(path) == self._looks.get(path):
                continue
            texts = self._texts if path in self._looks else texts_before
            if all(self.counts(path, texts) for texts in (texts, *self._in_force)):
                self._missed.setdefault(path, before.get(path))
        if self._texts != texts_before:
            self._in_force.append(self._texts)
            self._missed = {path: look for path, look in self._missed.items() if self.counts(path)}

    def handled(self) -> None:
        """All events of all that happened have been read: the ignore files as they are now are in force."""
        self._in_force = [self._texts]

    def started(self) -> None:
        """The child starts, and will see everything as it is now."""
        self.changed()
        self._missed.clear()

    def took_in(self, paths: Iterable[str]) -> None:
        """The child has read these as they are now."""
        self.changed()
        for path in paths:
            self._missed.pop(path, None)

    def missed(self) -> list[str]:
        """The paths that count and that the child saw otherwise; none below a root that is gone."""
        if self._follow and self._gone():
            return []
        return [
            path
            for path, look in self._missed.items()
            if self._looks.get(path) != look and not any(self._under(path, root) for root in self._gone())
        ]

    def watched(self) -> set[int]:
        """The directories (by serial) that are to be watched."""
        if self._follow:
            return set(self._reached())
        serials: set[int] = set()
        stack = [(root, inode) for root in self._roots if (inode := self._files.look_up(root)) is not None]
        while stack:
            path, inode = stack.pop()
            if inode.entries is None:
                continue
            serials.add(inode.serial)
            for name, entry in inode.entries.items():
                full = os.path.join(path, name)
                if entry.is_dir and self.counts(full, is_dir=True):
                    stack.append((full, entry))
        return serials

    def counts(self, path: str, texts: Texts | None = None, is_dir: bool = False) -> bool:
        """Whether `path` does, by the ignore files in `texts`."""
        if self._follow:
            return True
        return any(self._counts_under(path, root, texts, is_dir) for root in self._roots)

    def _counts_under(self, path: str, root: str, texts: Texts | None, is_dir: bool) -> bool:
        if path == root:
            return True
        if not self._under(path, root):
            return False
        at = root
        names = path[len(root) + 1 :].split("/")
        for number, name in enumerate(names, 1):
            below = number < len(names) or is_dir
            if at + "/" + name in self._roots:
                at = f"{at}/{name}"
                continue
            if self._ignored(root, at, name, below, self._texts if texts is None else texts):
                return False
            at = f"{at}/{name}"
        return True

    def _ignored(self, root: str, directory: str, name: str, is_dir: bool, texts: Texts) -> bool:
        if name in NEVER:
            return True
        at = directory
        while True:
            relative = f"{directory}/{name}"[len(at) + 1 :]
            for line in reversed(texts.get(at, "").split()):
                if _matches(line.removeprefix("!"), relative, name, is_dir):
                    return not line.startswith("!")
            if at == root:
                return name in NEVER_FILES
            at = os.path.dirname(at)

    def _gone(self) -> list[str]:
        return [root for root in self._roots if self._files.look_up(root) is None]

    def _under(self, path: str, root: str) -> bool:
        return path == root or path.startswith(root + "/")

    def _reached(self) -> dict[int, Inode]:
        """All directories that a root or a link leads to, each once."""
        found: dict[int, Inode] = {}
        stack = [(root, self._files.look_up(root)) for root in self._roots]
        while stack:
            path, inode = stack.pop()
            if inode is not None and inode.is_dir and inode.serial not in found:
                found[inode.serial] = inode
                names = [name for name in inode.entries or {} if name not in NEVER]
                stack += [(f"{path}/{name}", self._files.look_up(f"{path}/{name}")) for name in names]
        return found

    def _look(self) -> tuple[Looks, Texts]:
        looks: Looks = {}
        texts: Texts = {}
        if self._follow:
            for serial, directory in self._reached().items():
                looks |= {
                    f"{serial}/{name}": entry.look
                    for name, entry in (directory.entries or {}).items()
                    if not entry.is_dir
                }
            return looks, texts
        for root in self._roots:
            inode = self._files.look_up(root)
            if inode is None:
                continue
            if inode.entries is None:
                looks[root] = inode.look
                continue
            for path, entry in self._files.below(root):
                looks[path] = entry.look
                if os.path.basename(path) == ".gitignore":
                    there: Inode | None = self._files.look_up(path)
                    if there is not None:
                        texts[os.path.dirname(path)] = there.text
        return looks, texts


def _matches(pattern: str, relative: str, name: str, is_dir: bool) -> bool:
    """gitignore, as far as the walks use it: a name, `*.ending`, `name/`, `/name`."""
    if pattern.endswith("/"):
        if not is_dir:
            return False
        pattern = pattern[:-1]
    if pattern.startswith("/"):
        return relative == pattern[1:]
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return name == pattern
