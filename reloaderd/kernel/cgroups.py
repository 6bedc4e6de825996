"""A cgroup for each run, below the one that a service manager gave us: what kills a run at one stroke.

Facts (cgroups(7), and the kernel's admin-guide/cgroup-v2)
- systemd marks a cgroup that it leaves to the unit (Delegate=) by the extended attribute user.delegate or
  trusted.delegate, and makes it the user's own.  Processes are in it, or with DelegateSubgroup= in one below.
- The manager of a user marks none (cgroup_xattr_apply of systemd 252): it has to be asked.  All below
  user@UID.service is the user's own, whether it was left to the unit or not.
- /proc/self/cgroup has our path behind "0::", from the root of our cgroup namespace, and so has the mount its
  root in the fourth field of its line in /proc/self/mountinfo.
- cgroup.kill (Linux 5.14) kills all that is in a cgroup and below it, whatever forks meanwhile, and whoever
  adopted it.  "populated 0" in cgroup.events says that nothing that lives is; poll(2) tells of each change
  by POLLPRI, until the file is read again.
- A process may be moved to where both that cgroup.procs and the one of the nearest common ancestor may be
  written.  Moving one waits for a grace period of RCU, 14 to 25 ms: what is not ours to fork is moved while
  nobody waits.  clone3(2) with CLONE_INTO_CGROUP (Linux 5.7) makes it there, at no cost; filters of system
  calls may forbid it.
- A cgroup can be removed when nothing that lives is in it and there is none below it.  Where no controller is
  on for those below, one may have processes and cgroups.
- SYSTEMD_EXEC_PID is the process that systemd executed, and so tells a service from what it starts.
"""

from __future__ import annotations

import os
import re
import select
import signal
from collections.abc import Mapping
from contextlib import suppress

from reloaderd.kernel import frames, libc

PATIENCE = 2.0
"""Seconds that processes which were killed may take: an exit takes milliseconds, unless it is stuck."""

ASKING = 2.0
"""Seconds that the manager of the user may take to answer: it takes 20 ms."""

NAMES = 10
"""A run whose number is the name of others by now has one of so many."""

_OF_A_USER = re.compile(r".*/user@[0-9]+\.service/.*\.service")
_UNIT = re.compile(r".*\.(service|scope|slice|socket|mount|swap)")


def delegated(environ: Mapping[str, str], procs: str = "/proc/self") -> str:
    """The directory of the cgroup that is ours to divide; "" where there is none."""
    if environ.get("SYSTEMD_EXEC_PID") != str(os.getpid()) or "INVOCATION_ID" not in environ:
        return ""
    try:
        own = _directory(procs)
    except (OSError, ValueError):
        return ""
    for one in (own, "" if _UNIT.fullmatch(own) else os.path.dirname(own)):
        if one and _is_delegated(one):
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


def _is_delegated(directory: str) -> bool:
    needed = (directory, f"{directory}/cgroup.procs", f"{directory}/cgroup.kill")
    if not all(os.access(one, os.W_OK) for one in needed):
        return False
    for name in ("user.delegate", "trusted.delegate"):
        with suppress(OSError):
            return os.getxattr(directory, name) == b"1"
    return _OF_A_USER.fullmatch(directory) is not None and _ask(os.path.basename(directory))


def _ask(unit: str) -> bool:
    """What the manager of the user says."""
    command = ["systemctl", "--user", "show", "--property=Delegate", "--value", unit.removeprefix("_")]
    read, write = frames.open_pipe()
    null = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    try:
        pid = os.posix_spawnp(
            command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, write, 1), null]
        )
    except OSError:
        os.close(read)
        return False
    finally:
        os.close(write)
    poll = select.poll()
    poll.register(read, select.POLLIN)
    answer = os.read(read, 64) if poll.poll(ASKING * 1000) else b""
    os.close(read)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return answer == b"yes\n"


def clear(base: str, service: str = "") -> None:
    """Kill what is in the cgroups of former runs (of one service) and remove them.

    Waits `PATIENCE` at most for each.
    """
    with suppress(OSError):
        for name in os.listdir(base):
            if _is_of(name, service):
                _clear(f"{base}/{name}")


def _is_of(name: str, service: str) -> bool:
    """Whether it is the name of one of a service's, or of any; that of `a-b` is none of `a`."""
    start = f"run-{re.escape(_named(service))}-" if service else "run-.*-"
    return re.fullmatch(rf"{start}[0-9]+(\.[0-9]+)?", name) is not None


def _named(service: str) -> str:
    return service.replace("/", "_")


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


class _Made:
    """One of them.  Raises OSError where it cannot be had."""

    def __init__(self, path: str) -> None:
        os.mkdir(path)
        self.path = path
        self.directory = self.events = -1
        try:
            self.directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            self.events = os.open(f"{path}/cgroup.events", os.O_RDONLY)
        except OSError:
            self.close()
            raise

    def take(self, pid: int) -> None:
        """Move a process of ours into it; 0 is this one."""
        _write(f"{self.path}/cgroup.procs", str(pid).encode())

    def close(self) -> None:
        """It is used no more; it goes once it is empty."""
        for fd in (self.directory, self.events):
            if fd >= 0:
                os.close(fd)
        self.directory = self.events = -1
        _remove(self.path)


class Cgroup:
    """That of the present run of a service, below `base`, and those of copies that wait to be a run."""

    def __init__(self, base: str, service: str) -> None:
        """What was left by a keeper that was killed is cleared away."""
        self._base = base
        self._service = service
        self._run: _Made | None = None
        self._poll: select.poll | None = None
        self._copies: dict[int, _Made] = {}  # by the pid of each
        self._left: list[str] = []  # what was not empty yet
        clear(base, service)

    def make(self, run: int, poll: select.poll) -> None:
        """Have one for this run; `poll` wakes when the answer of `populated` may be another.

        Without one, where that fails, it goes as it would without a manager.
        """
        self._use(self._make(run), poll)

    def _make(self, run: int) -> _Made | None:
        path = f"{self._base}/run-{_named(self._service)}-{run}"
        for name in (path, *(f"{path}.{number}" for number in range(1, NAMES))):
            try:
                return _Made(name)
            except FileExistsError:  # that of a copy, or something of it is left
                continue
            except OSError:
                break
        return None

    def _use(self, made: _Made | None, poll: select.poll) -> None:
        self._run = made
        if made is not None:
            poll.register(made.events, select.POLLPRI)
            self._poll = poll

    def fork(self) -> int:
        """As fork(2), into it."""
        if self._run is None:
            return os.fork()
        try:
            return libc.fork_into(self._run.directory)
        except OSError:
            pid = os.fork()
            if pid == 0:
                self._run.take(0)
            return pid

    def settle(self, run: int, copy: int) -> None:
        """Move a process that waits to be this run, or one after it, into one of its own, ahead of time."""
        if copy not in self._copies and (made := self._make(run)) is not None:
            made.take(copy)
            self._copies[copy] = made

    def enter(self, run: int, copy: int, poll: select.poll) -> None:
        """Such a process is this run from now on, whether it was settled or not."""
        made = self._copies.pop(copy, None)
        if made is None and (made := self._make(run)) is not None:
            made.take(copy)
        self._use(made, poll)

    def release(self, copy: int) -> None:
        """Such a process is gone, and was no run."""
        if (made := self._copies.pop(copy, None)) is not None:
            self._close(made)

    def expel(self, pid: int) -> None:
        """Move a process of the run to where we are ourselves: it is none of it any more."""
        if self._run is not None:
            with suppress(OSError, ValueError):
                _write(f"{_directory('/proc/self')}/cgroup.procs", str(pid).encode())

    def populated(self) -> bool:
        """Whether something that lives is in it."""
        return self._run is not None and _populated(self._run.events)

    def kill(self) -> bool:
        """Kill all that is in it; False where nothing is, or it cannot be done so."""
        made = self._run
        return made is not None and self.populated() and _write(f"{made.path}/cgroup.kill", b"1")

    def remove(self) -> None:
        """The run is over."""
        made, self._run = self._run, None
        if made is not None:
            if self._poll is not None:
                self._poll.unregister(made.events)
            self._close(made)
        self._poll = None

    def _close(self, made: _Made) -> None:
        made.close()
        for path in [path for path in self._left if os.path.isdir(path)]:
            _remove(path)
        self._left = [path for path in (*self._left, made.path) if os.path.isdir(path)]

    def leave_nothing(self) -> None:
        """Kill and remove all of the service's."""
        self.remove()
        for copy in list(self._copies):
            self.release(copy)
        clear(self._base, self._service)
