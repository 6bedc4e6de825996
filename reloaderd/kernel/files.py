"""What is in the file system: listings, stamps, and the way to a path.

Facts:
- scandir(3) tells directories from files without a stat on every common Linux file system (d_type).
- A kernel stamps files with the time of its latest tick, 1-10 ms old; multigrain timestamps (6.13) are finer.
- utimensat(2) changes the inode first and tells inotify then: a stat in between sees the new time with the
  event still to come.  A stamp whose ctime is younger than that can take is called young.
- lstat of a name never follows it; a name is looked at after its directory is watched, so that no later
  change of it can be missed.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Callable, Container

from reloaderd.core import ignorefiles
from reloaderd.events import Anchored, Listing, Stamp, Step
from reloaderd.kernel.reach import NEAR, reaching
from reloaderd.kernel.source import COMING, CONTENT, GOING, LEAVING, Source

TEXT_LIMIT = 1 << 20
"""Bytes of an ignore file that are read."""

YOUNG = 20_000_000
"""Nanoseconds: two ticks of a kernel with HZ=100."""

LINK_LIMIT = 40
"""Symlinks that the kernel itself follows on one path (path_resolution(7))."""


def list_directory(source: Source, path: str) -> Listing:
    """Watch `path`, then list it; what cannot be done is in the listing's `error`."""
    if len(path) < NEAR:  # asked here, as it is true of nearly all, and a large tree is many
        return _list(source, path, path)
    try:
        with reaching(path) as there:
            return _list(source, path, there)
    except OSError as error:
        return Listing(path, -1, error.errno or 0, [], [], [], {})


def _list(source: Source, path: str, there: str) -> Listing:
    dirs: list[str] = []
    files: list[str] = []
    links: list[str] = []
    watch = -1
    try:
        watch = source.arm(path)
        with os.scandir(there) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    files.append(entry.name)
                elif entry.is_dir(follow_symlinks=False):
                    dirs.append(entry.name)
                elif os.path.isdir(entry.path):  # DirEntry.is_dir raises for links that lead in circles
                    links.append(entry.name)
                else:
                    files.append(entry.name)
        texts = {} if ignorefiles.NAMES.isdisjoint(files) else _ignore_texts(there, files)
    except OSError as error:
        return Listing(path, watch, error.errno or 0, [], [], [], {})
    return Listing(path, watch, 0, dirs, files, links, texts)


def _ignore_texts(path: str, files: list[str]) -> dict[str, str]:
    texts = {name: read_text(os.path.join(path, name)) for name in ignorefiles.NAMES.intersection(files)}
    return {name: text for name, text in texts.items() if text is not None}


def stamp(path: str, forgetful: Container[int] = ()) -> Stamp | None:
    """How the file at `path` looks, or what a symlink there leads to; None where no file is.

    A symlink to a directory, or to nothing, is looked at itself.  `forgetful`: the devices on which an inode
    number tells nothing.
    """
    if len(path) >= NEAR:
        try:
            with reaching(path) as there:
                return _stamp(there, forgetful)
        except OSError:
            return None
    return _stamp(path, forgetful)


def _stamp(path: str, forgetful: Container[int]) -> Stamp | None:
    look = _stat(os.stat, path)
    if look is None or stat.S_ISDIR(look.st_mode):
        look = _stat(os.lstat, path)
    if look is None or stat.S_ISDIR(look.st_mode):
        return None
    age = time.time_ns() - look.st_ctime_ns
    inode = 0 if look.st_dev in forgetful else look.st_ino
    return Stamp.of(inode, look.st_size, look.st_mtime_ns, look.st_ctime_ns, -YOUNG < age < YOUNG)


def _stat(call: Callable[[str], os.stat_result], path: str) -> os.stat_result | None:
    try:
        return call(path)
    except OSError:
        return None


def read_text(path: str) -> str | None:
    """The text of a regular file, None where there is none or it may not be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        return os.read(descriptor, TEXT_LIMIT).decode("utf-8", "surrogateescape")
    except OSError:
        return None
    finally:
        os.close(descriptor)


def find_way(source: Source, service: str, path: str, read: bool, stray: list[int] | None = None) -> Anchored:
    """Follow `path` name by name, each looked at after the directory it is in is watched.

    Adds to `stray` the watches of a way that led elsewhere before it was gone to its end.
    """
    stray = [] if stray is None else stray
    steps: list[Step] = []
    above: list[int] = []
    way: list[tuple[str, str]] = []  # the names gone through, each with the directory it is in
    todo = [name for name in path.split("/") if name][::-1]
    current = "/"
    links = 0
    while todo:
        name = todo.pop()
        if name == ".." or name == ".":
            current = current if name == "." else os.path.dirname(current)
            continue
        full = os.path.join(current, name)
        try:
            look = os.lstat(full)
            decides = not todo or stat.S_ISLNK(look.st_mode)
            if decides:
                interest = LEAVING if todo or not stat.S_ISREG(look.st_mode) else CONTENT
                _step(source, current, name, interest, steps)
                look = os.lstat(full)
            target = os.readlink(full) if stat.S_ISLNK(look.st_mode) else ""
            if todo and not target:
                _hold(source, full, GOING, above)
                if stat.S_ISLNK(os.lstat(full).st_mode):  # by now: not itself is held
                    stray += [*(step.watch for step in steps), *above]
                    return find_way(source, service, path, read, stray)
        except OSError as error:
            missing = Anchored(service, path, steps, above, None, False, error.errno or 0)
            return _missing(source, missing, [*way, (current, name)], read, stray)
        if target:
            links += 1
            if links > LINK_LIMIT:
                return Anchored(service, path, steps, above, None, False, 40)
            todo += [part for part in target.split("/") if part][::-1]
            current = "/" if target.startswith("/") else current
            continue
        way.append((current, name))
        current = full
    return _found(service, path, current, steps, above, read)


def _found(service: str, path: str, real: str, steps: list[Step], above: list[int], read: bool) -> Anchored:
    try:
        look = os.lstat(real)
    except OSError as error:
        return Anchored(service, path, steps, above, None, False, error.errno or 0)
    text = read_text(real) if read else None
    identity = (look.st_dev, look.st_ino, real)
    return Anchored(service, path, steps, above, identity, stat.S_ISDIR(look.st_mode), 0, text)


def _missing(
    source: Source, missing: Anchored, way: list[tuple[str, str]], read: bool, stray: list[int]
) -> Anchored:
    """Wait for the last name of `way` where it would be; look again now that this is watched.

    Those on the way are held by their names too: the directory of a root that was removed says nothing of
    its own end while some process works in what was the root, and a file may stand in its place.
    """
    *through, (directory, name) = way
    for above, one in through:
        _step(source, above, one, LEAVING, missing.steps)
    _step(source, directory, name, COMING, missing.steps)
    if missing.error == errno.ENOENT:
        moved = os.path.lexists(os.path.join(directory, name)) or not os.path.isdir(directory)
    else:
        moved = missing.error == errno.ENOTDIR and os.path.isdir(directory)
    if not moved:
        return missing
    stray += [*(step.watch for step in missing.steps), *missing.ancestors]
    return find_way(source, missing.service, missing.path, read, stray)


def _step(source: Source, directory: str, name: str, interest: int, steps: list[Step]) -> None:
    try:
        steps.append(Step(source.hold(directory, name, interest), name))
    except OSError:
        pass  # not readable for us: what leads through it cannot be noticed


def _hold(source: Source, directory: str, interest: int, watches: list[int]) -> None:
    try:
        watches.append(source.hold(directory, "", interest))
    except OSError:
        pass
