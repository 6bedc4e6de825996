"""The mounts of this namespace: which file systems there are, and that some came or went.

Facts (proc(5), section /proc/pid/mountinfo; Linux 6.18, the same since 2.6.26 unless noted):
- A line is `ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [TAGS ...] - TYPE SOURCE SUPER-OPTIONS`; space, tab,
  newline and backslash in a name are octal escapes.
- poll(2) reports POLLPRI and POLLERR once after any change of the table, and readiness to be read always.  So
  select(2) can only wait for it through an epoll instance of its own, which is readable then.
- Asking whether there was a change uses it up, and epoll asks when select(2) does: that it woke us is all
  that can be known, so the table is read and compared.
- /proc/self/fdinfo/FD has the ID of the mount that an open file is on (3.15).  `st_dev` is not always that
  of the table: each subvolume of btrfs has one of its own.
- Mounting over a watched directory, and unmounting, is silent for inotify where the file system stays
  mounted elsewhere: its watches stay with the inodes that are hidden.
- inotify tells what this kernel does.  It is silent about what servers and hosts of virtual machines do, and
  about files that are made up when they are read.  A FUSE file system is such a server; of `fuseblk`
  (ntfs-3g, exfat) the device is local and all writers go through this kernel.
- libfuse numbers inodes as it meets them, unless the server asks for its own numbers (`use_ino`): sshfs and
  most others do not.  A name that the kernel forgot (memory was short) has another number afterwards.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Sequence
from typing import NamedTuple

from reloaderd.core.reasons import MADE_UP
from reloaderd.events import Event, MountsChanged

REMOTE = frozenset(
    {
        *(
            "9p",
            "acfs",
            "afs",
            "beegfs",
            "ceph",
            "cifs",
            "coda",
            "davfs",
            "drvfs",
            "fakeowner",
            "fuse",
            "gfs2",
        ),
        *(
            "glusterfs",
            "gpfs",
            "lustre",
            "ncp",
            "ncpfs",
            "nfs",
            "nfs4",
            "ocfs2",
            "orangefs",
            "panfs",
            "prl_fs",
        ),
        *("prl_fs_freeze", "pvfs2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs", "wekafs"),
    }
)
"""File systems with other writers than this kernel: each is a network's, a cluster's, or a host's folder."""

_ESCAPE = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One line of the table; `root` is the part of the file system that is seen at `point`."""

    number: int
    device: int
    root: str
    point: str
    type: str


class Mounts:
    """The table, and a descriptor that is readable when it may have changed."""

    def __init__(self, path: str = "/proc/self/mountinfo") -> None:
        """Without that file (no /proc here) there are no mounts, and none ever come."""
        self._path = path
        self._epoll = select.epoll()
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._file = -1
        else:
            self._epoll.register(self._file, select.EPOLLPRI)
        self.table = self._read_table()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def moved(self) -> bool:
        """Whether there was a change since that was last asked; who asks has to read."""
        return bool(self._epoll.poll(0))

    def read(self) -> Sequence[Event]:
        """What came or went since the last call; never blocks."""
        self._epoll.poll(0)
        before, self.table = self.table, self._read_table()
        changed = {mount.point for mount in {*before} ^ {*self.table}}
        return [MountsChanged(sorted(changed))] if changed else ()

    def close(self) -> None:
        self._epoll.close()
        if self._file >= 0:
            os.close(self._file)

    def below(self, directory: str) -> list[Mount]:
        """Those with a point below a directory (a real path)."""
        start = directory.rstrip("/") + "/"
        return [mount for mount in self.table if mount.point.startswith(start) and mount.point != "/"]

    def at(self, path: str) -> Mount | None:
        """The one that `path` leads to; None where that cannot be told."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as file:
                number = next((int(line[7:]) for line in file if line.startswith("mnt_id:")), 0)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        return next((mount for mount in self.table if mount.number == number), None)

    def _read_table(self) -> list[Mount]:
        if self._file < 0:
            return []
        with open(self._path, encoding="utf-8", errors="surrogateescape") as file:
            return [mount for line in file if (mount := parse(line)) is not None]


def parse(line: str) -> Mount | None:
    """A line of mountinfo; None where it is not one."""
    fields = line.split(" ")
    try:
        major, _, minor = fields[2].partition(":")
        type = fields[fields.index("-", 6) + 1]
        device = os.makedev(int(major), int(minor))
        return Mount(int(fields[0]), device, _unescaped(fields[3]), _unescaped(fields[4]), type)
    except (IndexError, ValueError):
        return None


def needs_polling(type: str) -> bool:
    """Whether inotify misses what happens on file systems of this type."""
    return type in REMOTE or type in MADE_UP or type.startswith("fuse.")


def makes_up_inodes(type: str) -> bool:
    """Whether a file there may have another inode number each time the kernel looks it up (no `use_ino`)."""
    return type == "fuse" or type.startswith("fuse.")


def _unescaped(text: str) -> str:
    """Octal escapes are bytes of a name that is not text to the kernel."""
    if "\\" not in text:
        return text
    return _ESCAPE.sub(lambda match: chr(int(match[1], 8)), text)
