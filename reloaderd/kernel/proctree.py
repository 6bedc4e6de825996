"""The processes below one of ours: found through /proc, signalled so that no stranger is hit.

Facts
- /proc/PID/task/TID/children lists the children that thread TID forked (proc(5); Linux 3.5, always there
  with CONFIG_PROC_CHILDREN, 4.2 and later).  Where it is missing, every /proc/PID/stat has the parent in
  field 4.
- The list is only a moment's view: a child that ends while it is read can hide another.  Its parent is
  sent SIGCHLD for that end, or has one coming for its own: who must be sure looks again at each SIGCHLD.
- The name in /proc/PID/stat may hold spaces, newlines and parentheses: fields are counted from the last
  ")".
- A pid is not given away before its process was reaped, so a parent may kill(2) its direct children
  safely.  For others: pidfd_open(2) pins whatever process has the number now; that its parent is still in
  the tree, seen after that, proves that it is ours.  The number of a process group is kept while the
  group has a member, whoever reaped its leader.
- A process with a fatal signal pending cannot fork any more (copy_process checks under the lock).
- kill(2) succeeds on zombies.  EPERM: a process of another user (sudo), beyond our reach.
- Orphans move to the nearest subreaper: what a parent that died meanwhile leaves shows up among the
  children of the root of the walk.
- /proc shows the pid namespace of whoever mounted it: its numbers mean nothing here if /proc/self is not
  us.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Collection
from typing import NamedTuple


class Stat(NamedTuple):
    """What /proc/PID/stat says: `state` is one letter (`T` stopped, `Z` zombie)."""

    state: str
    parent: int
    group: int


def read_stat(pid: int) -> Stat | None:
    """The process's state, parent and group; None when there is no such process."""
    try:
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    except OSError:
        return None
    return Stat(fields[0].decode(), int(fields[1]), int(fields[2])) if len(fields) > 2 else None


def listed_children(pid: int) -> list[int]:
    """The children of `pid`, from the kernel's lists; empty when there is no such process.

    We ourselves have one thread.
    """
    found: list[int] = []
    try:
        threads = [str(pid)] if pid == os.getpid() else os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        try:
            found += map(int, _read(f"/proc/{pid}/task/{thread}/children").split())
        except OSError:
            continue
    return found


def _read(path: str) -> bytes:
    """The whole of a file in /proc, by the few calls it takes: a stop waits for these."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while more := os.read(descriptor, 65536):
            data += more
        return data
    finally:
        os.close(descriptor)


def scanned_children(pid: int) -> list[int]:
    """The same from a look at every process, for kernels without the lists."""
    found: list[int] = []
    for name in os.listdir("/proc"):
        if name.isdecimal():
            stat = read_stat(int(name))
            if stat is not None and stat.parent == pid:
                found.append(int(name))
    return found


def no_children(pid: int) -> list[int]:
    """Nothing: what a /proc that is missing, or of another pid namespace, can say about our processes."""
    return []


def _choose() -> Callable[[int], list[int]]:
    try:
        if os.readlink("/proc/self") != str(os.getpid()):
            return no_children
    except OSError:
        return no_children
    return listed_children if os.path.exists("/proc/thread-self/children") else scanned_children


children: Callable[[int], list[int]] = _choose()


def descendants(root: int, spare: Collection[int] = ()) -> list[int]:
    """All processes below `root`, parents before their children, without `spare` and what is below it."""
    found: dict[int, None] = {}
    level = [root]
    while level:
        below = [pid for parent in level for pid in children(parent)]
        level = [pid for pid in below if pid not in found and pid not in spare and pid != root]
        found.update(dict.fromkeys(level))
    return list(found)


def send(pid: int, signum: int, tree: Collection[int]) -> None:
    """Send `signum` to `pid` if its parent is one of `tree`.  Gone or out of reach is no error."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
            return
        pidfd = -1
    try:
        stat = read_stat(pid)
        if stat is None or stat.parent not in tree:
            return
        if pidfd < 0:
            os.kill(pid, signum)
        else:
            signal.pidfd_send_signal(pidfd, signum)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _kill(pid: int, signum: int) -> None:
    """Signal one of our own children."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass


def signal_tree(signum: int, spare: Collection[int] = ()) -> list[int]:
    """Send `signum` once to every process below this one but `spare` and what is below it.

    Returns those it was meant for.

    From the top down, and each one's children are read before and after it is told: what it forked
    before the signal is found, what its handler starts (a clean-up) is left alone but for the
    microseconds between.  What dying parents leave turns up as our own children, looked at again
    twice at most: a tree that never stops forking does not hold us here.
    """
    root = os.getpid()
    told = {root: None}
    for _ in range(3):
        level = own = [pid for pid in children(root) if pid not in told and pid not in spare]
        if not own:
            break
        while level:
            below: list[int] = []
            for pid in level:
                below += children(pid)
                if level is own:  # ours to reap, so safe
                    _kill(pid, signum)
                else:
                    send(pid, signum, told)
                told[pid] = None
                below += children(pid)
            level = [pid for pid in dict.fromkeys(below) if pid not in told]
    del told[root]
    return list(told)


def signal_group(group: int, signum: int) -> None:
    """Send `signum` to every process below this one that is in `group`.

    For a group whose leader was reaped.  While the leader is there, killpg(2) is better: it cannot
    miss a member that is just being forked.
    """
    tree = {os.getpid(), *descendants(os.getpid())}
    for pid in tree:
        stat = read_stat(pid)
        if stat is not None and stat.group == group:
            send(pid, signum, tree)


def continue_stopped(pids: Collection[int], group: int = 0) -> None:
    """SIGCONT those of these processes below this one that are stopped, or only those in `group`."""
    tree = {os.getpid(), *pids}
    for pid in pids:
        stat = read_stat(pid)
        if stat is not None and stat.state == "T" and group in (0, stat.group):
            send(pid, signal.SIGCONT, tree)


def kill_descendants(spare: Collection[int] = ()) -> list[int]:
    """SIGKILL every process below this one but `spare` and what is below it: one walk, from the top down.

    Returns our own children among them.  A process that is just being forked, or whose parent dies meanwhile,
    can be missed.  The death of what was hit ends in one of these children: walk again at each SIGCHLD, until
    none is left.
    """
    root = os.getpid()
    tree = {root}
    level = own = [pid for pid in children(root) if pid not in spare]
    for pid in own:  # ours to reap, so safe, and at once: a tree that keeps forking must lose the race
        _kill(pid, signal.SIGKILL)
    while level:
        tree.update(level)
        level = [pid for parent in level for pid in children(parent) if pid not in tree and pid not in spare]
        for pid in level:
            send(pid, signal.SIGKILL, tree)
    return own
