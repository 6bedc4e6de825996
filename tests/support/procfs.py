"""What /proc says of processes: kin, state, descriptors, watches, switches, memory, signals.

A process can end between any two reads: every function answers for a process that is gone (None,
an empty list) rather than raise.  proc(5); fdinfo of inotify since Linux 3.8.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple


class Stat(NamedTuple):
    """One line of /proc/PID/stat.  `started` tells a process from a later one with its pid."""

    pid: int
    comm: str
    state: str
    ppid: int
    pgid: int
    sid: int
    foreground: int
    started: int


def _read(pid: int, name: str) -> bytes | None:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:
            return file.read()
    except OSError:
        return None


def stat(pid: int) -> Stat | None:
    data = _read(pid, "stat")
    if not data:
        return None
    head, _, tail = data.rpartition(b")")
    words = tail.split()
    return Stat(
        pid,
        head.partition(b"(")[2].decode(errors="replace"),
        words[0].decode(),
        *(int(words[i]) for i in (1, 2, 3, 5, 19)),
    )


def pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def stats() -> dict[int, Stat]:
    found = (stat(pid) for pid in pids())
    return {one.pid: one for one in found if one}


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    one = stat(pid)
    return one is not None and one.state not in "ZX"


def state(pid: int) -> str | None:
    one = stat(pid)
    return one.state if one else None


def children(pid: int) -> list[int]:
    return sorted(one.pid for one in stats().values() if one.ppid == pid)


def descendants(pid: int) -> list[int]:
    """All below `pid`, parents before children."""
    return list(_below(pid, stats()))


def _below(pid: int, known: dict[int, Stat]) -> Iterator[int]:
    for one in sorted(known):
        if known[one].ppid == pid:
            yield one
            yield from _below(one, known)


def zombies(below: int) -> list[int]:
    known = stats()
    return [pid for pid in _below(below, known) if known[pid].state == "Z"]


def cmdline(pid: int) -> list[str]:
    data = _read(pid, "cmdline") or b""
    return [os.fsdecode(word) for word in data.split(b"\0")[:-1]]


def is_named(pid: int, title: str) -> bool:
    """Whether its command line begins so; that of one that has ended is empty."""
    return " ".join(cmdline(pid)).startswith(title)


def environ(pid: int) -> dict[str, str]:
    """The environment the process was executed with."""
    pairs = (os.fsdecode(item).partition("=") for item in (_read(pid, "environ") or b"").split(b"\0") if item)
    return {name: value for name, _, value in pairs}


def cwd(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/cwd")
    except OSError:
        return None


def fds(pid: int) -> dict[int, str]:
    """Open descriptors and what they lead to."""
    found: dict[int, str] = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return found
    for name in names:
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
    return found


def inotify_watches(pid: int) -> int:
    """The number of watches of all inotify descriptors of the process."""
    return sum(
        (_read(pid, f"fdinfo/{fd}") or b"").count(b"inotify wd:")
        for fd, target in fds(pid).items()
        if "inotify" in target
    )


def watched_inodes(pid: int) -> dict[int, tuple[str, str]]:
    """The watches of all inotify descriptors of the process, each with its inode and its device."""
    found: dict[int, tuple[str, str]] = {}
    for fd, target in fds(pid).items():
        if "inotify" in target:
            text = (_read(pid, f"fdinfo/{fd}") or b"").decode()
            for watch, inode, device in re.findall(r"inotify wd:(\w+) ino:(\w+) sdev:(\w+)", text):
                found[int(watch, 16)] = inode, device
    return found


def _status(pid: int, name: str = "status") -> dict[str, str]:
    lines = (_read(pid, name) or b"").decode(errors="replace").splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def switches(pid: int) -> tuple[int, int]:
    """Voluntary and involuntary context switches of all its threads."""
    voluntary = involuntary = 0
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return 0, 0
    for thread in threads:
        status = _status(pid, f"task/{thread}/status")
        voluntary += int(status.get("voluntary_ctxt_switches", 0))
        involuntary += int(status.get("nonvoluntary_ctxt_switches", 0))
    return voluntary, involuntary


def cpu(pid: int) -> float:
    """Seconds of processor time that the process has used, its children's not counted; 0 for one gone."""
    words = (_read(pid, "stat") or b"").rpartition(b")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK") if words else 0.0


def rss(pid: int) -> int:
    """Resident memory in bytes (VmRSS); 0 for a process that is gone."""
    return int(_status(pid).get("VmRSS", "0 kB").split()[0]) * 1024


class SignalSets(NamedTuple):
    blocked: set[int]
    ignored: set[int]
    caught: set[int]
    pending: set[int]


def signal_sets(pid: int) -> SignalSets:
    status = _status(pid)

    def members(*names: str) -> set[int]:
        bits = 0
        for name in names:
            bits |= int(status.get(name, "0"), 16)
        return {signum for signum in range(1, 65) if bits >> (signum - 1) & 1}

    return SignalSets(members("SigBlk"), members("SigIgn"), members("SigCgt"), members("SigPnd", "ShdPnd"))


def listens(port: int) -> bool:
    """Whether anything listens at this TCP port, of whichever address."""
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                return True
    return False


def marked(mark: str) -> list[int]:
    """Processes, zombies aside, that have `mark` in the environment they were executed with or inherited.

    Finds what was double-forked, took a session of its own or lost its parent.
    """
    needle = os.fsencode(mark)
    return sorted(
        pid
        for pid in pids()
        if pid != os.getpid() and needle in (_read(pid, "environ") or b"") and alive(pid)
    )


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Signal one process that may be gone, never one that has taken its pid since."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        pass
    finally:
        os.close(pidfd)


def clear_away(mark: str) -> None:
    """Kill all that carries the mark; what keeps forking may need more than one look."""
    for _ in range(100):
        left = marked(mark)
        if not left:
            break
        for pid in left:
            kill(pid)


def show(which: Iterable[int]) -> str:
    """The processes as an indented tree, for people who read a failure."""
    known = stats()
    chosen = {pid for pid in which if pid in known}
    lines: list[str] = []

    def add(pid: int, depth: int) -> None:
        one = known[pid]
        command = re.sub(r"[^ -~]", "?", " ".join(cmdline(pid))) or f"[{one.comm}]"
        lines.append(f"{'  ' * depth}{pid} {one.state} pgid={one.pgid} sid={one.sid} {command[:140]}")
        for below in sorted(chosen):
            if known[below].ppid == pid:
                add(below, depth + 1)

    for pid in sorted(chosen):
        if known[pid].ppid not in chosen:
            add(pid, 0)
    return "\n".join(lines)
