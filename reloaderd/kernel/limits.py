"""The limits of inotify, as the kernel has them.

Facts (inotify(7), user_namespaces(7), Documentation/admin-guide/sysctl/fs.rst; Linux 6.18):
- Instances and watches are counted for each user, in each user namespace and in all above it (4.11); the
  first limit on the way up that is reached refuses.
- /proc/sys/fs/inotify/max_user_* are the limits of the first namespace, /proc/sys/user/max_inotify_* those of
  the one that reads.
- They are counted for the effective user of whoever opens the instance.  All may read that of a process in
  /proc/PID/status; /proc/PID itself belongs to root where it must not be traced.
- What is taken in a user namespace (a container's) is charged to its owner as well, whoever takes it.  From
  within a namespace nobody may look into processes that are outside.
- /proc/PID/fdinfo/FD has a line `inotify wd:...` a watch (3.8); it may be read by who may trace the process.
- The first pid namespace is known by its inode number (include/linux/proc_ns.h, 3.8); in any other one, and
  where /proc is mounted with hidepid, processes of the same user may be out of sight.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

WATCHES = ("fs.inotify.max_user_watches", "user.max_inotify_watches")
INSTANCES = ("fs.inotify.max_user_instances", "user.max_inotify_instances")

QUEUE = ("fs.inotify.max_queued_events",)

SYSCTLS = {"ENOSPC": WATCHES, "EMFILE": INSTANCES}
"""The sysctls that may be behind an errno."""

FIRST_NAMESPACE = f"pid:[{0xEFFFFFFC}]"
"""Of the processes of this machine: PROC_PID_INIT_INO."""


class Limit(NamedTuple):
    """A sysctl and its value; an empty name where there is none."""

    name: str
    value: int


class Used(NamedTuple):
    """What this user has taken, as far as may be seen; `complete` where nothing is out of sight."""

    watches: int
    instances: int
    complete: bool


def limit(why: str) -> Limit:
    """The tightest of the sysctls that are behind the errno named `why`."""
    return tightest(SYSCTLS.get(why, ()))


def tightest(names: Sequence[str]) -> Limit:
    """The sysctl of these that allows the least."""
    found = [Limit(name, value) for name in names if (value := _read(name)) is not None]
    return min(found, key=lambda one: one.value, default=Limit("", 0))


def used(user: int) -> Used:
    """What the processes of `user` have taken."""
    watches = instances = 0
    complete = _sees_all()
    namespace = _link("/proc/self/ns/user")
    for pid in _pids():
        try:
            if _user(pid) != user:
                complete = complete and _link(f"/proc/{pid}/ns/user") in (namespace, None)
                continue
            found = [_watches(pid, one) for one in os.listdir(f"/proc/{pid}/fd")]
        except PermissionError:
            complete = False
            continue
        except OSError:  # it has ended
            continue
        instances += sum(one is not None for one in found)
        watches += sum(one or 0 for one in found)
    return Used(watches, instances, complete)


def _sees_all() -> bool:
    return _link("/proc/self/ns/pid") == FIRST_NAMESPACE and os.path.exists("/proc/1/stat")


def _pids() -> list[str]:
    try:
        return [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _link(path: str) -> str | None:
    try:
        return os.readlink(path)
    except OSError:
        return None


def _user(pid: str) -> int:
    """The effective user of a process."""
    with open(f"/proc/{pid}/status", "rb") as file:
        return next((int(line.split()[2]) for line in file if line.startswith(b"Uid:")), -1)


def _watches(pid: str, descriptor: str) -> int | None:
    """How many watches it holds; None where it is no inotify instance.  Raises PermissionError."""
    try:
        if os.readlink(f"/proc/{pid}/fd/{descriptor}") != "anon_inode:inotify":
            return None
        with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
            return sum(line.startswith("inotify wd:") for line in file)
    except (FileNotFoundError, ProcessLookupError):
        return None


def _read(name: str) -> int | None:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
