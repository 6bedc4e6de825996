"""What is watched below the roots of one service: directories, and the files in them that count.

Rules:
- A node is a directory that is not ignored.  It knows its watch and the names of its files that
  count, each with a stamp, or None where how the file looked is not known (any more).
- Two nodes may share a watch: two paths, one inode.
- A directory that is renamed is forgotten under its old path and armed anew under the new one.
- With `--skip-unchanged` it knows of some files what they said, too (core.digests).
- A file whose stamp is not known counts as changed whenever that is asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

NONE: dict[str, bytes] = {}
"""Shared by all nodes that know none."""


class Node:
    """One watched directory."""

    __slots__ = ("digests", "dirs", "files", "path", "untold", "watch")

    def __init__(self, path: str, watch: int) -> None:
        self.path = path
        self.watch = watch
        self.untold = False  # taken in because the rules changed: its files were no change
        self.dirs: list[str] = []
        self.files: dict[str, int | None] = {}
        self.digests: dict[str, bytes] = NONE


class Difference(NamedTuple):
    """What a listing told: names of files, names of directories that are gone, and the watch of the
    directory that was there before, if nobody here needs it any more."""

    appeared: list[str]
    vanished: list[str]
    gone_dirs: list[str]
    unused: list[int]


class Forgotten(NamedTuple):
    """What went with a subtree: the files that counted, and the watches nobody here needs any more."""

    files: list[str]
    watches: list[int]


class WatchTree:
    """The nodes of one service by path and by watch."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._by_watch: dict[int, list[Node]] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def __contains__(self, path: str) -> bool:
        return path in self._nodes

    def __iter__(self) -> Iterator[Node]:
        return iter(self._nodes.values())

    def get(self, path: str) -> Node | None:
        """The node of directory `path`."""
        return self._nodes.get(path)

    def at(self, watch: int) -> list[Node]:
        """The nodes that `watch` stands for."""
        return self._by_watch.get(watch, [])

    def uses(self, watch: int) -> bool:
        """Whether any node needs `watch`."""
        return watch in self._by_watch

    def add(self, path: str, watch: int, dirs: list[str], files: list[str]) -> Node:
        """A directory that was not known; `dirs` and `files` are those of its names that count."""
        node = self._nodes[path] = Node(path, watch)
        node.dirs = dirs
        node.files = dict.fromkeys(files)
        self._map(node)
        return node

    def renew(self, path: str, watch: int, dirs: list[str], files: list[str]) -> Difference:
        """A known directory was listed again, maybe under another watch: what is different."""
        node = self._nodes[path]
        unused: list[int] = []
        if node.watch != watch:
            if self._unmap(node):
                unused.append(node.watch)
            node.watch = watch
            self._map(node)
        known = node.files
        present = set(files)
        vanished = [name for name in known if name not in present]
        appeared = [name for name in files if name not in known]
        node.files = {name: known.get(name) for name in files}
        if vanished and node.digests:
            node.digests = {name: digest for name, digest in node.digests.items() if name in present}
        gone = [name for name in node.dirs if name not in dirs]
        node.dirs = dirs
        return Difference(appeared, vanished, gone, unused)

    def add_file(self, node: Node, name: str) -> bool:
        """A file was made or changed: how it looks is not known now.  Returns whether it was there."""
        existed = name in node.files
        node.files[name] = None
        return existed

    def remove_file(self, node: Node, name: str) -> bool:
        """A file went away.  Returns whether it was there."""
        if name not in node.files:
            return False
        del node.files[name]
        return True

    def has_file(self, path: str) -> bool:
        """Whether a file that counts is known there."""
        node, name = self.locate(path)
        return node is not None and name in node.files

    def stamp(self, path: str) -> int | None:
        """How the file at `path` looked; None where that is not known."""
        node, name = self.locate(path)
        return node.files.get(name) if node else None

    def set_stamp(self, path: str, value: int | None) -> None:
        """How it looks; passed over where the file is not known at all."""
        node, name = self.locate(path)
        if node is not None and name in node.files:
            node.files[name] = value

    def forget(self, path: str) -> Forgotten:
        """Drop the node of `path` and all below it."""
        files: list[str] = []
        watches: list[int] = []
        stack = [path]
        while stack:
            node = self._nodes.pop(stack.pop(), None)
            if node is None:
                continue
            prefix = node.path if node.path == "/" else node.path + "/"
            files += [prefix + name for name in node.files]
            stack += [prefix + name for name in node.dirs]
            if self._unmap(node):
                watches.append(node.watch)
        parent, _, name = path.rpartition("/")
        above = self._nodes.get(parent or "/")
        if above is not None and name in above.dirs:
            above.dirs = [other for other in above.dirs if other != name]
        return Forgotten(files, watches)

    def lose(self, watch: int) -> list[Node]:
        """The kernel dropped `watch`: its nodes stay, unwatched.  Returns them."""
        nodes = self._by_watch.pop(watch, [])
        for node in nodes:
            node.watch = -1
        return nodes

    def watches(self) -> Iterable[int]:
        """All watches in use."""
        return self._by_watch.keys()

    def locate(self, path: str) -> tuple[Node | None, str]:
        """The node of the directory that `path` is in, and its name there."""
        parent, _, name = path.rpartition("/")
        return self._nodes.get(parent or "/"), name

    def _map(self, node: Node) -> None:
        if node.watch >= 0:
            self._by_watch.setdefault(node.watch, []).append(node)

    def _unmap(self, node: Node) -> bool:
        """Take `node` off its watch; whether that leaves the watch without any."""
        nodes = self._by_watch.get(node.watch)
        if nodes is None:
            return False
        if len(nodes) > 1:
            nodes.remove(node)
            return False
        del self._by_watch[node.watch]
        return True
