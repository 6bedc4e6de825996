"""A cgroup for each run, below the one that a service manager gave us: what kills a run at one stroke.

Facts (cgroups(7), and the kernel's admin-guide/cgroup-v2)
- systemd marks a cgroup that it leaves to the unit (Delegate=) by the extended attribute user.delegate or
  trusted.delegate, and makes it the user's own.  Processes are in it, or with DelegateSubgroup= in one below.
- A user's systemd (252) makes no such mark: there the unit has to say it, in RELOADERD_DELEGATED.
- /proc/self/cgroup has our path behind "0::", from the root of our cgroup namespace, and so has the mount its
  root in the fourth field of its line in /proc/self/mountinfo.
- cgroup.kill (Linux 5.14) kills all that is in a cgroup and below it, whatever forks meanwhile, and whoever
  adopted it.  "populated 0" in cgroup.events says that nothing that lives is; poll(2) tells of each change
  by POLLPRI, until the file is read again.
- A process may be moved to where both that cgroup.procs and the one of the nearest common ancestor may be
  written.  Moving one waits for a grace period of RCU: 14 to 25 ms.  clone3(2) with CLONE_INTO_CGROUP (Linux
  5.7) makes it there, at no cost; filters of system calls may forbid it.
- A cgroup can be removed when nothing that lives is in it and there is none below it.  Where no controller is
  on for those below, one may have processes and cgroups.
- SYSTEMD_EXEC_PID is the process that systemd executed, and so tells a service from what it starts.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Mapping
from contextlib import suppress

from reloaderd.kernel import libc

PATIENCE = 2.0
"""Seconds that processes which were killed may take: an exit takes milliseconds, unless it is stuck."""

DELEGATED = "RELOADERD_DELEGATED"
"""The variable by which a unit with Delegate=yes says so, to us alone."""

_UNIT = re.compile(r".*\.(service|scope|slice|socket|mount|swap)")


def delegated(environ: Mapping[str, str], procs: str = "/proc/self") -> str:
    """The directory of the cgroup that is ours to divide; "" where there is none."""
    if environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()) or "INVOCATION_ID" not in environ:
        return ""
    try:
        own = _directory(procs)
    except (OSError, ValueError):
        return ""
    told = environ.get(DELEGATED) == "1"
    for one in (own, "" if _UNIT.fullmatch(own) else os.path.dirname(own)):
        if one and _is_delegated(one, told):
            return one
    return ""


def _directory(procs: str) -> str:
    """Where our own cgroup is to be seen.  Raises ValueError where it is not."""
    with open(f"{procs}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        [path] = [line[3:].rstrip("\n") for line in file if line.startswith("0::/")]
    with open(f"{procs}/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            mount, _, rest = line.partition(" - ")
            root, point = map(_unescaped, mount.split()[3:5])
            root = root.rstrip("/")
            if rest.startswith("cgroup2 ") and (path + "/").startswith(root + "/") and "/.." not in path:
                return point + path[len(root) :].rstrip("/")
    raise ValueError(path)


def _unescaped(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _is_delegated(directory: str, told: bool) -> bool:
    if not (os.access(directory, os.W_OK) and os.access(f"{directory}/cgroup.procs", os.W_OK)):
        return False
    if told and os.stat(directory).st_uid == os.geteuid():
        return os.path.exists(f"{directory}/cgroup.kill")
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            if os.getxattr(directory, name) == b"1":
                return os.path.exists(f"{directory}/cgroup.kill")
    return False


def clear(base: str, service: str = "") -> None:
    """Kill what is in the cgroups of former runs (of one service) and remove them.

    Waits `PATIENCE` at most for each.
    """
    with suppress(OSError):
        for name in os.listdir(base):
            if name.startswith(_prefix(service)):
                _clear(f"{base}/{name}")


def _prefix(service: str) -> str:
    return f"run-{service.replace('/', '_')}-" if service else "run-"


def _clear(path: str) -> None:
    try:
        events = os.open(f"{path}/cgroup.events", os.O_RDONLY)
    except OSError:
        return
    poll = select.poll()
    poll.register(events, select.POLLPRI)
    try:
        _write(f"{path}/cgroup.kill", b"1")
        while _populated(events):
            if not poll.poll(PATIENCE * 1000):
                break
    finally:
        os.close(events)
    _remove(path)


def _populated(events: int) -> bool:
    return b"populated 1" in os.pread(events, 4096, 0)


def _write(path: str, data: bytes) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, data)
    except OSError:
        return False
    finally:
        os.close(fd)
    return True


def _remove(path: str) -> None:
    """Remove it and those that the run made below it, as far as they are empty."""
    for directory, _, _ in os.walk(path, topdown=False):
        with suppress(OSError):
            os.rmdir(directory)


class Cgroup:
    """That of the present run of a service, below `base`."""

    def __init__(self, base: str, service: str) -> None:
        """What was left by a keeper that was killed is cleared away."""
        self._base = base
        self._service = service
        self._path = ""
        self._directory = -1
        self._events = -1
        self._poll: select.poll | None = None
        clear(base, service)

    def make(self, run: int, poll: select.poll) -> None:
        """Have one for this run; `poll` wakes when the answer of `populated` may be another.

        Without one, where that fails, it goes as it would without a manager.
        """
        self._path = f"{self._base}/{_prefix(self._service)}{run}"
        try:
            os.mkdir(self._path)
            self._directory = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
            self._events = os.open(f"{self._path}/cgroup.events", os.O_RDONLY)
            poll.register(self._events, select.POLLPRI)
            self._poll = poll
        except OSError:
            self.remove()

    def fork(self) -> int:
        """As fork(2), into it."""
        if self._directory < 0:
            return os.fork()
        try:
            return libc.fork_into(self._directory)
        except OSError:
            pid = os.fork()
            if pid == 0:
                _write(f"{self._path}/cgroup.procs", b"0")
            return pid

    def populated(self) -> bool:
        """Whether something that lives is in it."""
        return self._events >= 0 and _populated(self._events)

    def kill(self) -> bool:
        """Kill all that is in it; False where nothing is, or it cannot be done so."""
        return self.populated() and _write(f"{self._path}/cgroup.kill", b"1")

    def remove(self) -> None:
        """The run is over."""
        if self._poll is not None:
            self._poll.unregister(self._events)
            self._poll = None
        for fd in (self._directory, self._events):
            if fd >= 0:
                os.close(fd)
        self._directory = self._events = -1
        if self._path:
            _remove(self._path)
        self._path = ""

    def leave_nothing(self) -> None:
        """Kill and remove all of the service's."""
        self.remove()
        clear(self._base, self._service)
