"""What can be done to a file system: operations as data.

An operation is a NamedTuple, so that the same list can be carried out on a model (support.disk) and
on a real file system.
"""

from __future__ import annotations

from typing import NamedTuple


class Open(NamedTuple):
    """Open for writing, made where it is not there; the descriptor is known by this path from then on."""

    path: str


class Append(NamedTuple):
    """Write to the descriptor."""

    path: str


class MapWrite(NamedTuple):
    """Write to a shared mapping of the descriptor."""

    path: str


class Close(NamedTuple):
    path: str


class Save(NamedTuple):
    """Open, truncate, write, close."""

    path: str
    text: str = ""


class Replace(NamedTuple):
    """Save under another name in the same directory, rename into place."""

    path: str
    text: str = ""


class Truncate(NamedTuple):
    """truncate(2)"""

    path: str


class Touch(NamedTuple):
    """utimensat(2)"""

    path: str


class Chmod(NamedTuple):
    path: str


class Read(NamedTuple):
    path: str


class OpenClose(NamedTuple):
    """Open for writing and close, without a write."""

    path: str


class Link(NamedTuple):
    path: str
    new: str


class Symlink(NamedTuple):
    target: str
    path: str


class Remove(NamedTuple):
    """unlink(2)"""

    path: str


class MakeDir(NamedTuple):
    path: str


class MakeDirs(NamedTuple):
    """mkdir -p"""

    path: str


class RemoveDir(NamedTuple):
    path: str


class RemoveTree(NamedTuple):
    path: str


class Rename(NamedTuple):
    path: str
    new: str


class Exchange(NamedTuple):
    """renameat2(2) with RENAME_EXCHANGE"""

    path: str
    new: str


Operation = (
    Open
    | Append
    | MapWrite
    | Close
    | Save
    | Replace
    | Truncate
    | Touch
    | Chmod
    | Read
    | OpenClose
    | Link
    | Symlink
    | Remove
    | MakeDir
    | MakeDirs
    | RemoveDir
    | RemoveTree
    | Rename
    | Exchange
)
