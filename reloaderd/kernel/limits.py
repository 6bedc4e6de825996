"""The limits of inotify, as the kernel has them.

Facts (inotify(7), user_namespaces(7), Documentation/admin-guide/sysctl/fs.rst; Linux 6.18):
- Instances and watches are counted for each user, in each user namespace and in all above it (4.11); the
  first limit on the way up that is reached refuses.
- /proc/sys/fs/inotify/max_user_* are the limits of the first namespace, /proc/sys/user/max_inotify_* those of
  the one that reads.
- /proc/PID/fdinfo/FD has a line `inotify wd:...` a watch (3.8); it may be read by who may trace the process.
"""

from __future__ import annotations

import os
from typing import NamedTuple

WATCHES = ("fs.inotify.max_user_watches", "user.max_inotify_watches")
INSTANCES = ("fs.inotify.max_user_instances", "user.max_inotify_instances")

SYSCTLS = {"ENOSPC": WATCHES, "EMFILE": INSTANCES}
"""The sysctls that may be behind an errno."""


class Limit(NamedTuple):
    """A sysctl and its value; an empty name where there is none."""

    name: str
    value: int


class Used(NamedTuple):
    """What this user has taken, as far as may be seen."""

    watches: int
    instances: int


def limit(why: str) -> Limit:
    """The tightest of the sysctls that are behind the errno named `why`."""
    found = [Limit(name, value) for name in SYSCTLS.get(why, ()) if (value := _read(name)) is not None]
    return min(found, key=lambda one: one.value, default=Limit("", 0))


def used(user: int) -> Used:
    """What the processes of `user` have taken."""
    watches = instances = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat(f"/proc/{pid}").st_uid != user:
                continue
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except OSError:
            continue
        for descriptor in descriptors:
            found = _watches(pid, descriptor)
            if found is not None:
                instances += 1
                watches += found
    return Used(watches, instances)


def _watches(pid: str, descriptor: str) -> int | None:
    """How many watches it holds; None where it is no inotify instance."""
    try:
        if os.readlink(f"/proc/{pid}/fd/{descriptor}") != "anon_inode:inotify":
            return None
        with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as file:
            return sum(line.startswith("inotify wd:") for line in file)
    except OSError:
        return None


def _read(name: str) -> int | None:
    try:
        with open("/proc/sys/" + name.replace(".", "/"), encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None
