"""Carries out the operations of support.model on a real directory tree.

What is `/w/…` in an operation is below a directory of one's own here, links' targets too.
"""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import stat
from collections.abc import Callable

from tests.support import model, syscalls

TOP = "/w"


class RealFiles:
    """`do` carries out an operation, or raises the OSError that the kernel gives.

    Whatever it writes of its own accord, it writes nowhere else: no two writes leave the same content.
    """

    def __init__(self, base: str) -> None:
        self.base = base
        self._open: dict[str, int] = {}
        self._writes = 0

    def path(self, path: str) -> str:
        """Where the `path` of an operation is in truth."""
        return self.base + path.removeprefix(TOP) if path == TOP or path.startswith(TOP + "/") else path

    def do(self, operation: model.Operation) -> None:
        first, *rest = operation
        _METHODS[type(operation)](self, self.path(first), *rest)

    def descriptor(self, path: str) -> int:
        """The one that the operations call by this (true) path."""
        try:
            return self._open[path]
        except KeyError:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF), path) from None

    def close_all(self) -> None:
        for descriptor in self._open.values():
            os.close(descriptor)
        self._open.clear()

    def _content(self) -> bytes:
        self._writes += 1
        return b"%d\n" % self._writes

    # Files

    def _open_file(self, path: str) -> None:
        if path in self._open:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._open[path] = os.open(path, flags, 0o644)

    def _append(self, path: str) -> None:
        os.write(self.descriptor(path), self._content())

    def _map_write(self, path: str) -> None:
        descriptor = self.descriptor(path)
        if not os.fstat(descriptor).st_size:
            raise OSError(errno.EINVAL, "nothing to map", path)
        next_byte = (os.pread(descriptor, 1, 0)[0] + 1) % 256
        with mmap.mmap(descriptor, 0) as memory:
            # not read through the mapping: on tmpfs no write to a page that was moves the file's time then
            memory[0] = next_byte

    def _close(self, path: str) -> None:
        descriptor = self.descriptor(path)
        del self._open[path]
        os.close(descriptor)

    def _save(self, path: str, text: str) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, text.encode() or self._content())
        finally:
            os.close(descriptor)

    def _replace(self, path: str, text: str) -> None:
        self._save(path + ".new", text)
        os.rename(path + ".new", path)

    def _open_close(self, path: str) -> None:
        os.close(os.open(path, os.O_WRONLY | os.O_CLOEXEC))

    def _read(self, path: str) -> None:
        if os.path.isdir(path):
            os.listdir(path)
            return
        with open(path, "rb", buffering=0) as file:
            file.read()

    def _symlink(self, target: str, path: str) -> None:
        os.symlink(target, self.path(path))

    # Directories

    def _remove_tree(self, path: str) -> None:
        if stat.S_ISDIR(os.lstat(path).st_mode):
            shutil.rmtree(path)
        else:
            os.unlink(path)

    # Names

    def _link(self, path: str, new: str) -> None:
        os.link(path, self.path(new), follow_symlinks=False)

    def _rename(self, path: str, new: str) -> None:
        os.rename(path, self.path(new))

    def _exchange(self, path: str, new: str) -> None:
        syscalls.exchange(path, self.path(new))


def _chmod(_: RealFiles, path: str) -> None:
    os.chmod(path, stat.S_IMODE(os.stat(path).st_mode) ^ stat.S_IXGRP)


_METHODS: dict[type, Callable[..., None]] = {
    model.Open: RealFiles._open_file,
    model.Append: RealFiles._append,
    model.MapWrite: RealFiles._map_write,
    model.Close: RealFiles._close,
    model.Save: RealFiles._save,
    model.Replace: RealFiles._replace,
    model.Truncate: lambda _, path: os.truncate(path, 0),
    model.Touch: lambda _, path: os.utime(path),
    model.Chmod: _chmod,
    model.Read: RealFiles._read,
    model.OpenClose: RealFiles._open_close,
    model.Link: RealFiles._link,
    model.Symlink: RealFiles._symlink,
    model.Remove: lambda _, path: os.unlink(path),
    model.MakeDir: lambda _, path: os.mkdir(path),
    model.MakeDirs: lambda _, path: os.makedirs(path, exist_ok=True),
    model.RemoveDir: lambda _, path: os.rmdir(path),
    model.RemoveTree: RealFiles._remove_tree,
    model.Rename: RealFiles._rename,
    model.Exchange: RealFiles._exchange,
}
