"""A file system in memory: carries out operations, and tells a listener what inotify would be told.

In the order of the kernel (measured on Linux 6.18):
- rmdir of a directory: DELETE_SELF and IGNORED of its own watch, then DELETE in its parent.  While some
  process works in it or below it, its own watch says nothing at all.
- rename: MOVED_FROM, MOVED_TO, MOVE_SELF of what moved, then the end of what was replaced.
- RENAME_EXCHANGE: MOVED_FROM a, MOVED_TO b, MOVED_FROM b, MOVED_TO a.
- A descriptor that writes reports under the name that its file has now, and under none once that is gone
  (IN_EXCL_UNLINK); a write through a mapping is reported by nobody.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import Protocol

from reloaderd.events import Kind
from tests.support import model
from tests.support.model import Operation


class Inode:
    """A file, directory or symlink.  `serial` is never given twice, `number` is, as on ext4."""

    __slots__ = ("changed", "entries", "links", "mtime", "number", "parent", "serial", "target", "text")

    def __init__(self, serial: int, number: int) -> None:
        self.serial = serial
        self.number = number
        self.links = 1
        self.mtime = 0  # a count: every write and every touch has its own
        self.changed = 0.0  # when, as st_ctime
        self.text = ""
        self.target: str | None = None  # of a symlink
        self.entries: dict[str, Inode] | None = None  # of a directory
        self.parent: Inode | None = None  # of a directory, also after its end

    @property
    def is_dir(self) -> bool:
        return self.entries is not None

    @property
    def look(self) -> tuple[int, int | str]:
        """Unequal whenever a child that reads the file could find something else."""
        return self.serial, self.mtime if self.target is None else self.target


class Listener(Protocol):
    """What the file system tells, and to whom."""

    def entry(self, directory: Inode, name: str, kind: Kind, is_dir: bool) -> None: ...

    def moved(self, directory: Inode) -> None: ...

    def ended(self, directory: Inode) -> None: ...


class _Descriptor:
    """An open file, and the name that its events go under (None: that name is gone)."""

    def __init__(self, inode: Inode, directory: Inode, name: str) -> None:
        self.inode = inode
        self.directory = directory
        self.name: str | None = name


LINK_LIMIT = 40


class Files:
    """The file system: `do` carries out an operation or raises the OSError that the kernel would."""

    def __init__(self, clock: Callable[[], float] = lambda: 0.0) -> None:
        self.listener: Listener | None = None
        self._clock = clock
        self._serial = 0
        self._writes = 0
        self._free: list[int] = []
        self._open: dict[str, _Descriptor] = {}
        self._pinned: list[Inode] = []
        self.root = self._inode(directory=True)

    def do(self, operation: Operation) -> None:
        name = _METHODS[type(operation)]
        getattr(self, name)(*operation)

    def pin(self, path: str) -> None:
        """Some process works in directory `path`, for good."""
        self._pinned.append(self.at(path))

    # Looking

    def find(self, path: str, follow: bool = True) -> tuple[Inode, str, Inode | None]:
        """The directory that `path` is in, its name there, and what is there."""
        todo = [name for name in path.split("/") if name][::-1]
        current = self.root
        links = 0
        if not todo:
            return self.root, "", self.root
        while True:
            name = todo.pop()
            if current.entries is None:
                raise _error(errno.ENOTDIR, path)
            inode = current.entries.get(name)
            if inode is not None and inode.target is not None and (todo or follow):
                links += 1
                if links > LINK_LIMIT:
                    raise _error(errno.ELOOP, path)
                if inode.target.startswith("/"):
                    current = self.root
                todo += [part for part in inode.target.split("/") if part][::-1]
                continue
            if not todo:
                return current, name, inode
            if inode is None:
                raise _error(errno.ENOENT, path)
            current = inode

    def at(self, path: str, follow: bool = True) -> Inode:
        inode = self.find(path, follow)[2]
        if inode is None:
            raise _error(errno.ENOENT, path)
        return inode

    def look_up(self, path: str, follow: bool = True) -> Inode | None:
        try:
            return self.find(path, follow)[2]
        except OSError:
            return None

    def below(self, path: str) -> Iterator[tuple[str, Inode]]:
        """All files and symlinks under directory `path`, links not followed."""
        stack = [(path, self.look_up(path))]
        while stack:
            where, inode = stack.pop()
            if inode is None or inode.entries is None:
                continue
            for name, entry in inode.entries.items():
                full = os.path.join(where, name)
                if entry.is_dir:
                    stack.append((full, entry))
                else:
                    yield full, entry

    # Files

    def _open_file(self, path: str) -> None:
        if path in self._open:
            raise _error(errno.EBUSY, path)
        directory, name, inode = self._for_writing(path)
        if inode is None:
            inode = self._inode()
            self._add(directory, name, inode, Kind.CREATED)
        self._open[path] = _Descriptor(inode, directory, name)

    def _append(self, path: str) -> None:
        descriptor = self._descriptor(path)
        self._written(descriptor.inode)
        self._tell_of(descriptor, Kind.WRITTEN)

    def _map_write(self, path: str) -> None:
        self._written(self._descriptor(path).inode)

    def _close(self, path: str) -> None:
        self._tell_of(self._descriptor(path), Kind.CLOSED)
        del self._open[path]

    def _save(self, path: str, text: str) -> None:
        directory, name, inode = self._for_writing(path)
        if inode is None:
            inode = self._inode()
            self._add(directory, name, inode, Kind.CREATED)
        inode.text = text
        self._written(inode)
        self._tell(directory, name, Kind.WRITTEN)
        self._tell(directory, name, Kind.CLOSED)

    def _replace(self, path: str, text: str) -> None:
        self._save(path + ".new", text)
        self._rename(path + ".new", path)

    def _truncate(self, path: str) -> None:
        directory, name, inode = self._for_writing(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        self._written(inode)
        self._tell(directory, name, Kind.WRITTEN)

    def _touch(self, path: str) -> None:
        directory, name, inode = self.find(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        self._written(inode)
        self._tell(directory, name, Kind.TOUCHED, inode.is_dir)

    def _chmod(self, path: str) -> None:
        directory, name, inode = self.find(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        inode.changed = self._clock()
        self._tell(directory, name, Kind.TOUCHED, inode.is_dir)

    def _read(self, path: str) -> None:
        self.at(path)

    def _open_close(self, path: str) -> None:
        directory, name, inode = self._for_writing(path)
        if inode is None:
            raise _error(errno.ENOENT, path)
        self._tell(directory, name, Kind.CLOSED)

    def _link(self, path: str, new: str) -> None:
        inode = self.at(path, follow=False)
        directory, name, there = self.find(new, follow=False)
        if inode.is_dir:
            raise _error(errno.EPERM, path)
        self._check_free(directory, there, new)
        inode.links += 1
        inode.changed = self._clock()
        self._add(directory, name, inode, Kind.CREATED)

    def _symlink(self, target: str, path: str) -> None:
        directory, name, there = self.find(path, follow=False)
        self._check_free(directory, there, path)
        inode = self._inode()
        inode.target = target
        self._add(directory, name, inode, Kind.CREATED)

    def _remove(self, path: str) -> None:
        directory, name, inode = self.find(path, follow=False)
        if inode is None:
            raise _error(errno.ENOENT, path)
        if inode.is_dir:
            raise _error(errno.EISDIR, path)
        self._take_off(directory, name)
        self._tell(directory, name, Kind.DELETED)

    # Directories

    def _make_dir(self, path: str) -> None:
        directory, name, there = self.find(path, follow=False)
        self._check_free(directory, there, path)
        inode = self._inode(directory=True)
        self._add(directory, name, inode, Kind.CREATED)

    def _make_dirs(self, path: str) -> None:
        names = path.split("/")
        for end in range(2, len(names) + 1):
            above = "/".join(names[:end])
            if self.look_up(above) is None:
                self._make_dir(above)

    def _remove_dir(self, path: str) -> None:
        directory, name, inode = self.find(path, follow=False)
        if inode is None:
            raise _error(errno.ENOENT, path)
        if inode.entries is None:
            raise _error(errno.ENOTDIR, path)
        if inode.entries or inode is self.root:
            raise _error(errno.ENOTEMPTY, path)
        self._take_off(directory, name)
        self._tell(directory, name, Kind.DELETED, True)

    def _remove_tree(self, path: str) -> None:
        inode = self.at(path, follow=False)
        for name, entry in list((inode.entries or {}).items()):
            (self._remove_tree if entry.is_dir else self._remove)(f"{path}/{name}")
        (self._remove_dir if inode.is_dir else self._remove)(path)

    # Names

    def _rename(self, path: str, new: str) -> None:
        directory, name, inode = self.find(path, follow=False)
        target, new_name, there = self.find(new, follow=False)
        if inode is None:
            raise _error(errno.ENOENT, path)
        if there is inode:
            return
        self._check_move(inode, target, new)
        if there is not None and there.is_dir != inode.is_dir:
            raise _error(errno.EISDIR if there.is_dir else errno.ENOTDIR, new)
        if there is not None and there.entries:
            raise _error(errno.ENOTEMPTY, new)
        if there is not None:
            self._unname(target, new_name)
        self._move(directory, name, target, new_name)
        self._tell_move(directory, name, target, new_name, inode)
        if there is not None:
            self._unlinked(there)

    def _exchange(self, path: str, new: str) -> None:
        one, name, inode = self.find(path, follow=False)
        two, new_name, other = self.find(new, follow=False)
        if inode is None or other is None:
            raise _error(errno.ENOENT, path)
        if inode is other:
            return
        self._check_move(inode, two, new)
        self._check_move(other, one, path)
        entries, entries2 = one.entries, two.entries
        assert entries is not None and entries2 is not None
        moving = [d for d in self._open.values() if d.directory is one and d.name == name]
        coming = [d for d in self._open.values() if d.directory is two and d.name == new_name]
        entries[name], entries2[new_name] = other, inode
        inode.parent, other.parent = two, one
        for descriptor in moving:
            descriptor.directory, descriptor.name = two, new_name
        for descriptor in coming:
            descriptor.directory, descriptor.name = one, name
        self._tell_move(one, name, two, new_name, inode)
        self._tell_move(two, new_name, one, name, other)

    def _move(self, directory: Inode, name: str, target: Inode, new_name: str) -> None:
        assert directory.entries is not None and target.entries is not None
        inode = target.entries[new_name] = directory.entries.pop(name)
        inode.parent = target
        inode.changed = self._clock()
        for descriptor in self._open.values():
            if descriptor.directory is directory and descriptor.name == name:
                descriptor.directory, descriptor.name = target, new_name

    def _tell_move(self, one: Inode, name: str, two: Inode, new_name: str, inode: Inode) -> None:
        self._tell(one, name, Kind.LEFT, inode.is_dir)
        self._tell(two, new_name, Kind.ARRIVED, inode.is_dir)
        if inode.is_dir and self.listener:
            self.listener.moved(inode)

    def _check_move(self, inode: Inode, target: Inode, new: str) -> None:
        at: Inode | None = target
        while at is not None:
            if at is inode:
                raise _error(errno.EINVAL, new)
            at = at.parent
        if target.entries is None:
            raise _error(errno.ENOTDIR, new)

    # Parts

    def _inode(self, directory: bool = False) -> Inode:
        self._serial += 1
        inode = Inode(self._serial, self._free.pop() if self._free else self._serial)
        if directory:
            inode.entries = {}
        self._written(inode)
        return inode

    def _written(self, inode: Inode) -> None:
        self._writes += 1
        inode.mtime = self._writes
        inode.changed = self._clock()

    def _add(self, directory: Inode, name: str, inode: Inode, kind: Kind) -> None:
        assert directory.entries is not None
        directory.entries[name] = inode
        if inode.is_dir:
            inode.parent = directory
        self._tell(directory, name, kind, inode.is_dir)

    def _unname(self, directory: Inode, name: str) -> Inode:
        assert directory.entries is not None
        for descriptor in self._open.values():
            if descriptor.directory is directory and descriptor.name == name:
                descriptor.name = None
        return directory.entries.pop(name)

    def _take_off(self, directory: Inode, name: str) -> None:
        self._unlinked(self._unname(directory, name))

    def _unlinked(self, inode: Inode) -> None:
        inode.links -= 1
        inode.changed = self._clock()
        if inode.links:
            return
        if inode.is_dir and self._works_below(inode):
            return
        if not any(descriptor.inode is inode for descriptor in self._open.values()):
            self._free.append(inode.number)
        if inode.is_dir and self.listener:
            self.listener.ended(inode)

    def _works_below(self, inode: Inode) -> bool:
        for pinned in self._pinned:
            at: Inode | None = pinned
            while at is not None:
                if at is inode:
                    return True
                at = at.parent
        return False

    def _for_writing(self, path: str) -> tuple[Inode, str, Inode | None]:
        directory, name, inode = self.find(path)
        if directory.entries is None:
            raise _error(errno.ENOTDIR, path)
        if inode is not None and inode.is_dir:
            raise _error(errno.EISDIR, path)
        return directory, name, inode

    def _check_free(self, directory: Inode, there: Inode | None, path: str) -> None:
        if directory.entries is None:
            raise _error(errno.ENOTDIR, path)
        if there is not None:
            raise _error(errno.EEXIST, path)

    def _descriptor(self, path: str) -> _Descriptor:
        try:
            return self._open[path]
        except KeyError:
            raise _error(errno.EBADF, path) from None

    def _tell_of(self, descriptor: _Descriptor, kind: Kind) -> None:
        if descriptor.name is not None:
            self._tell(descriptor.directory, descriptor.name, kind)

    def _tell(self, directory: Inode, name: str, kind: Kind, is_dir: bool = False) -> None:
        if self.listener:
            self.listener.entry(directory, name, kind, is_dir)


_METHODS = {
    model.Open: "_open_file",
    model.Append: "_append",
    model.MapWrite: "_map_write",
    model.Close: "_close",
    model.Save: "_save",
    model.Replace: "_replace",
    model.Truncate: "_truncate",
    model.Touch: "_touch",
    model.Chmod: "_chmod",
    model.Read: "_read",
    model.OpenClose: "_open_close",
    model.Link: "_link",
    model.Symlink: "_symlink",
    model.Remove: "_remove",
    model.MakeDir: "_make_dir",
    model.MakeDirs: "_make_dirs",
    model.RemoveDir: "_remove_dir",
    model.RemoveTree: "_remove_tree",
    model.Rename: "_rename",
    model.Exchange: "_exchange",
}


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
