"""Ways to change a file, each by the system calls that its name says."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

Edit = Callable[[Path], object]


def mark(path: Path, number: int) -> bytes:
    """The visible change: eight bytes over eight bytes, by one write; the content it leaves."""
    content = b"# %06d\n" % number
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.pwrite(fd, content, 0)
    finally:
        os.close(fd)
    return content


def write(path: Path, text: str | bytes = "new\n") -> None:
    """Open, truncate, write once, close."""
    data = text.encode() if isinstance(text, str) else text
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def append(path: Path, text: str = "more\n") -> None:
    """Open for appending, write once, close."""
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def replace(path: Path, text: str = "replaced\n") -> None:
    """Write a dropping next to it and rename that over it, as careful programs do."""
    temporary = path.with_name(f".{path.name}.swp")
    write(temporary, text)
    os.replace(temporary, path)


def replace_from(elsewhere: Path, path: Path, text: str = "replaced\n") -> None:
    """Write in another directory and rename over it."""
    write(elsewhere / "replacement", text)
    os.replace(elsewhere / "replacement", path)


def truncate(path: Path, length: int = 0) -> None:
    """truncate(2) by path: gives MODIFY alone."""
    os.truncate(path, length)


def touch(path: Path) -> None:
    """utimensat(2) alone: gives ATTRIB alone."""
    os.utime(path)


def remove_tree(path: Path) -> None:
    shutil.rmtree(path)
