"""A FUSE file system that shows a directory which others change behind its back, as sshfs shows a server's.

Run as `python passthrough.py BACKING MOUNTPOINT [SUBTYPE]`; serves until it is unmounted or killed.  The
kernel keeps names and attributes for a second, the default of libfuse and so of sshfs, and inode numbers
are made up for as long as the kernel remembers the name (no `use_ino`, as with sshfs).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from mfusepy import FUSE, Operations, fuse_version_major

FIELDS = (
    *("st_mode", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks", "st_rdev"),
    *("st_atime", "st_mtime", "st_ctime"),
)


class Passthrough(Operations):
    """Each call of the file system is the same call in the directory behind it."""

    use_ns = True

    def __init__(self, backing: str) -> None:
        self.backing = backing

    def at(self, path: str) -> str:
        return self.backing + path

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        look = os.lstat(self.at(path))
        times = ("st_atime", "st_mtime", "st_ctime")
        return {name: getattr(look, name + "_ns" if name in times else name) for name in FIELDS}

    def readdir(self, path: str, fh: int) -> Iterator[str]:
        yield from (".", "..", *os.listdir(self.at(path)))

    def readlink(self, path: str) -> str:
        return os.readlink(self.at(path))

    def open(self, path: str, flags: int) -> int:
        return os.open(self.at(path), flags & ~os.O_NOFOLLOW)

    def create(self, path: str, mode: int, fi: Any = None) -> int:
        return os.open(self.at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        return os.pwrite(fh, data, offset)

    def release(self, path: str, fh: int) -> int:
        os.close(fh)
        return 0

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        os.truncate(self.at(path), length)
        return 0

    def unlink(self, path: str) -> int:
        os.unlink(self.at(path))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        os.mkdir(self.at(path), mode)
        return 0

    def rmdir(self, path: str) -> int:
        os.rmdir(self.at(path))
        return 0

    def rename(self, old: str, new: str, *_: int) -> int:
        os.rename(self.at(old), self.at(new))
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        os.utime(self.at(path), ns=times)
        return 0


# Only libfuse 2 refuses a directory with something in it, and only it knows the option.
NON_EMPTY = {"nonempty": True} if fuse_version_major == 2 else {}

if __name__ == "__main__":
    FUSE(
        Passthrough(os.path.abspath(sys.argv[1])),
        sys.argv[2],
        foreground=True,
        nothreads=True,
        fsname="backing",
        subtype=sys.argv[3] if len(sys.argv) > 3 else "passthrough",
        attr_timeout=1,
        entry_timeout=1,
        **NON_EMPTY,
    )
