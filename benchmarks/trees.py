"""Makes the trees that are watched, and saves files in them as editors do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

FAN = 10
"""Subdirectories in a directory: 5,000 of them come out four deep, as large projects are."""

PADDING = b"# " + b"x" * 1021 + b"\n"
"""Makes a saved file one that takes a page: about the size of a small module."""

GITIGNORE = "*.log\n/out/\nbuild-*/\n!keep.log\n**/generated/*.py\ndocs/_build\n*.tmp\n.cache/\n"
"""A usual one: endings, anchored and nested directories, an exception."""


class Tree:
    """A directory to watch; `stamp` is the file in it that is saved and that the child reads."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.stamp = os.path.join(root, "d0", "app.py")
        self._saves = 0

    def save(self, *, atomic: bool = False) -> tuple[int, str]:
        """Save the stamp file: when that began (CLOCK_MONOTONIC, ns), and the new first word in it.

        `atomic` writes a new file beside it and renames that over it.
        """
        self._saves += 1
        word = f"{self._saves:08d}"
        content = word.encode() + b"\n" + PADDING
        target = self.stamp
        if atomic:
            target = os.path.join(os.path.dirname(target), f".app.py.{self._saves}-tmp")
        began = time.monotonic_ns()
        with open(target, "wb", buffering=0) as file:
            file.write(content)
        if atomic:
            os.rename(target, self.stamp)
        return began, word

    def files(self) -> Iterator[str]:
        """Every file of the tree, in no order."""
        for directory, _, names in os.walk(self.root):
            yield from (os.path.join(directory, name) for name in names)


def directories(root: str, count: int) -> Iterator[str]:
    """`count` directories below `root`, FAN in each, parents first."""
    queue = [root]
    made = 0
    for parent in queue:  # grows while it is walked
        for number in range(FAN):
            if made == count:
                return
            made += 1
            path = f"{parent}/d{number}"
            queue.append(path)
            yield path


IGNORED = "node_modules"
"""A directory that is ignored by default (benchmarks/c/walk.h skips it, too)."""


def make(root: str, dirs: int, files: int, *, gitignore: bool = False, ignored: int = 0) -> Tree:
    """A tree of `dirs` directories with `files` small files in each, and `ignored` more that are ignored."""
    os.mkdir(root)
    _fill(root, dirs, files)
    if ignored:
        os.mkdir(f"{root}/{IGNORED}")
        _fill(f"{root}/{IGNORED}", ignored, files)
    if gitignore:
        # The least that git takes for a repository, so that .gitignore has its meaning.
        for name in ("objects", "refs", "info"):
            os.makedirs(f"{root}/.git/{name}")
        _put(f"{root}/.git/HEAD", "ref: refs/heads/main\n")
        _put(f"{root}/.gitignore", GITIGNORE)
        _put(f"{root}/d1/.gitignore", "/local-*\n")
    tree = Tree(root)
    if dirs:
        tree.save()
    return tree


def _fill(root: str, dirs: int, files: int) -> None:
    for path in directories(root, dirs):
        os.mkdir(path)
        for number in range(files):
            fd = os.open(f"{path}/f{number}.py", os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(fd, b"pass\n")
            os.close(fd)


def _put(path: str, text: str) -> None:
    with open(path, "w", encoding="ascii") as file:
        file.write(text)
