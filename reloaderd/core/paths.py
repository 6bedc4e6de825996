"""Paths as text: what the core does with them without asking the file system."""

from __future__ import annotations


def join(directory: str, name: str) -> str:
    """The path of `name` in `directory`."""
    return f"{directory}{name}" if directory == "/" else f"{directory}/{name}"


def parent(path: str) -> str:
    """The directory that `path` is in; `/` is in itself."""
    return path.rpartition("/")[0] or "/"


def prefix(directory: str) -> str:
    """What the paths of all that is in `directory` begin with."""
    return directory if directory == "/" else directory + "/"


def is_below(path: str, directory: str) -> bool:
    """Whether `path` is `directory` or somewhere in it."""
    return path == directory or path.startswith(prefix(directory))
