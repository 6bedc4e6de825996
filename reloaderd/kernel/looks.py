"""How the names in a directory look to stat(2), and what happened to one that looks different.

Facts:
- Times go backwards too (rsync, tar, `cp -p`, git), so looks are compared for inequality.  A rewrite whose
  time was put back still moves the ctime; so do chmod, chown and link, which change the mode, the owner or
  the link count beside it.
- Two writes within one tick of the file system's clock leave the same times: 1-10 ms on a local one, a
  second on ext3, HFS+ and ext4 with small inodes, two on FAT.  What was written that lately must be read.
- The inode number of a link that was replaced is given to the next one (ext4).  What a link says never
  changes, so it is part of what the link is; a rewrite of the file behind it is not.
- The clock of a server is its own: whether a file is young is told by ours only as long as nobody saw it
  change, and by when that was seen from then on.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from reloaderd.events import Kind

COARSE, FINE = 3.0, 0.020
"""Seconds within which a file may be written again without another time: where times are whole seconds
(FAT has two of them), and where they are not (two ticks of a kernel with HZ=100)."""

DIGEST_LIMIT = 16 << 20
"""Bytes of a young file that are read: more would hold up the loop."""


class Look(NamedTuple):
    """How a name looks; of a directory only what it is and who may read it (times are 0)."""

    is_dir: bool
    identity: int
    size: int
    mtime: int
    ctime: int
    ownership: int
    links: int


def look_at(path: str, status: os.stat_result, forgetful: Container[int] = ()) -> Look:
    """The look of `path`, from the lstat(2) of it.  A link looks different when the file behind it does.

    `forgetful`: the devices on which an inode number tells nothing.
    """
    inode = 0 if status.st_dev in forgetful else status.st_ino
    ownership = hash((status.st_mode, status.st_uid, status.st_gid))
    if stat.S_ISDIR(status.st_mode):
        return Look(True, hash((status.st_dev, inode)), 0, 0, 0, ownership, 0)
    identity, size = inode, status.st_size
    if stat.S_ISLNK(status.st_mode):
        try:
            identity = hash((inode, os.readlink(path)))
            there = os.stat(path)
        except OSError:
            pass
        else:
            if not stat.S_ISDIR(there.st_mode):
                other = 0 if there.st_dev in forgetful else there.st_ino
                size = hash((size, other, there.st_size, there.st_mtime_ns))
    return Look(False, identity, size, status.st_mtime_ns, status.st_ctime_ns, ownership, status.st_nlink)


def kinds(known: Look | None, look: Look, held: bool) -> Sequence[Kind]:
    """What happened to a name that looks different; nothing where that is no change.

    With `held` it matters whether it is still the same file or directory; else what is in a directory is for
    whoever watches that one to tell.
    """
    if known is None:
        return (Kind.CREATED,)
    if known.is_dir != look.is_dir:
        return (Kind.DELETED, Kind.CREATED)
    if held and known.identity != look.identity:
        return (Kind.ARRIVED,)
    if look.is_dir:
        return (Kind.TOUCHED,) if known.ownership != look.ownership else ()
    rewritten = known[1:4] != look[1:4] or (known.ctime != look.ctime and known[5:] == look[5:])
    return (Kind.REWRITTEN,) if rewritten else ()


class Youth(NamedTuple):
    """What a young file said, and until when it is to be read again (monotonic)."""

    until: float
    digest: int


def youth(path: str, look: Look, seen: bool) -> Youth | None:
    """Read `path`, where it was written so lately that its times do not tell yet; None where they do.

    `seen`: it was different just now, so it is young even if it seems to be old by our clock.  That is for
    coarse clocks: two writes in one tick of a fine one with a look between them are too rare to read all for.
    """
    if look.is_dir:
        return None
    fine = look.mtime % 1_000_000_000 != 0
    window = FINE if fine else COARSE
    if (seen and not fine) or time.time_ns() - look.mtime < window * 1e9:
        return Youth(time.monotonic() + window, digest(path))
    return None


def digest(path: str) -> int:
    """Of a regular file's content; 0 where it cannot be read or is too large."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > DIGEST_LIMIT:
            return 0
        return hash(os.read(descriptor, DIGEST_LIMIT))
    except OSError:
        return 0
    finally:
        os.close(descriptor)


Identity = tuple[int, int | str]
"""Of a directory: its device, and its inode or, where that tells nothing, its real path."""


class Directory:
    """One watched directory: what is looked at in it, and how that looked."""

    __slots__ = ("armed", "forgetful", "held", "identity", "looks", "path", "young")

    def __init__(self, path: str, identity: Identity, forgetful: Container[int]) -> None:
        self.path = path
        self.identity = identity
        self.forgetful = forgetful
        self.armed = False  # all names count, not only those held
        self.held: set[str] = set()
        self.looks: dict[str, Look] = {}
        self.young: dict[str, Youth] = {}

    def look(self, there: str) -> dict[str, Look]:
        """How everything looks now in the directory at `there`.  Raises OSError."""
        looks: dict[str, Look] = {}
        if self.armed:
            with os.scandir(there) as entries:
                for entry in entries:
                    try:
                        status = entry.stat(follow_symlinks=False)
                        looks[entry.name] = look_at(entry.path, status, self.forgetful)
                    except OSError:  # gone since it was listed
                        pass
        for name in self.held - looks.keys():
            path = f"{there}/{name}"
            try:
                looks[name] = look_at(path, os.lstat(path), self.forgetful)
            except OSError:
                pass
        return looks

    def believe(self, there: str, looks: dict[str, Look], names: Iterable[str]) -> None:
        """These names are known now; what became of the others is still to be told."""
        for name in names:
            if name in looks:
                self.looks[name] = looks[name]
                self.read_if_young(there, name, seen=False)

    def look_one(self, there: str, name: str) -> dict[str, Look]:
        """How one name looks now; nothing where it is not there."""
        path = f"{there}/{name}"
        try:
            return {name: look_at(path, os.lstat(path), self.forgetful)}
        except OSError:
            return {}

    def compare(
        self, there: str, looks: dict[str, Look], only: str | None = None
    ) -> list[tuple[str, Kind, bool]]:
        """What became of which name since it was last looked at, and whether that is a directory.

        `only`: the one name that was looked at.
        """
        if only is None:
            before, self.looks = self.looks, looks
        else:
            before = {only: self.looks.pop(only)} if only in self.looks else {}
            self.looks.update(looks)
        found = [(name, Kind.DELETED, known.is_dir) for name, known in before.items() if name not in looks]
        for name, _, _ in found:
            self.young.pop(name, None)
        for name, look in looks.items():
            known = before.get(name)
            if known == look and name not in self.young:
                continue
            became = kinds(known, look, name in self.held) if known != look else self._rewritten(there, name)
            for kind in became:
                found.append((name, kind, look.is_dir if kind is not Kind.DELETED else not look.is_dir))
            if became:
                self.read_if_young(there, name, seen=True)
        return found

    def told(self, there: str, name: str) -> None:
        """How it looks now is known: someone else told of the change."""
        path = f"{there}/{name}"
        try:
            self.looks[name] = look_at(path, os.lstat(path), self.forgetful)
        except OSError:
            self.looks.pop(name, None)
            self.young.pop(name, None)
        else:
            self.read_if_young(there, name, seen=True)

    def detached(self, looks: dict[str, Look]) -> list[str]:
        """The names of those held whose file has no name of its own any more (kernel.filemounts)."""
        return [
            name
            for name in self.held
            if name in looks
            and not looks[name].is_dir
            and looks[name].links == 0
            and name in self.looks
            and self.looks[name].links > 0
        ]

    def read_if_young(self, there: str, name: str, seen: bool) -> None:
        """Remember what the file says, where that is needed to notice that it was written again."""
        self.young.pop(name, None)
        young = youth(f"{there}/{name}", self.looks[name], seen)
        if young is not None:
            self.young[name] = young

    def _rewritten(self, there: str, name: str) -> Sequence[Kind]:
        """Whether a young file that looks as it did says something else."""
        now = time.monotonic()
        young = self.young[name]
        if digest(f"{there}/{name}") != young.digest:
            return (Kind.REWRITTEN,)
        if now >= young.until:
            del self.young[name]
        return ()
