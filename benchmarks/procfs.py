"""What /proc tells of a process and of the family that it started."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

TICK = os.sysconf("SC_CLK_TCK")


class Stat(NamedTuple):
    """The fields of proc_pid_stat(5) that are used here; times in ticks."""

    pid: int
    state: str
    parent: int
    session: int
    ticks: int
    began: int


def stat(pid: int) -> Stat | None:
    """Read one process; None where it is gone.

    `ticks` is user and system time with that of the children it has waited for.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The name may hold blanks and parentheses: what follows is counted from its last one.
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(pid, fields[0], int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])), int(fields[19]))


def everything() -> Iterator[Stat]:
    """All processes of this pid namespace."""
    for name in os.listdir("/proc"):
        if name.isdigit() and (found := stat(int(name))) is not None:
            yield found


def descendants(pid: int) -> list[Stat]:
    """`pid` and all below it, parents first."""
    below: dict[int, list[Stat]] = {}
    found: list[Stat] = []
    for process in everything():
        below.setdefault(process.parent, []).append(process)
        if process.pid == pid:
            found.append(process)
    for process in found:  # grows while it is walked
        found += below.get(process.pid, [])
    return found


def executable(pid: int) -> str:
    """The file that `pid` runs, empty where that is not known (gone, a zombie)."""
    try:
        return os.readlink(f"/proc/{pid}/exe")
    except OSError:
        return ""


def arguments(pid: int) -> list[str]:
    """The command line of `pid`, empty where it is gone."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return os.fsdecode(file.read()).split("\0")[:-1]
    except OSError:
        return []


def _field(path: str, label: str) -> int:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(label):
                    return int(line.split()[1])
    except OSError:
        pass
    return 0


def rss(pid: int) -> float:
    """VmRSS in MB."""
    return _field(f"/proc/{pid}/status", "VmRSS:") / 1024


def pss(pids: Iterable[int]) -> float:
    """The proportional share of memory of all `pids` together, in MB (pages that two share count once)."""
    return sum(_field(f"/proc/{pid}/smaps_rollup", "Pss:") for pid in pids) / 1024


def _threads(pids: Iterable[int]) -> Iterator[str]:
    for pid in pids:
        try:
            names = os.listdir(f"/proc/{pid}/task")
        except OSError:
            continue
        yield from (f"/proc/{pid}/task/{name}" for name in names)


def switches(pids: Iterable[int]) -> int:
    """Context switches of every thread of `pids` so far, of their own will and not."""
    return sum(
        _field(f"{thread}/status", "voluntary_ctxt_switches:")
        + _field(f"{thread}/status", "nonvoluntary_ctxt_switches:")
        for thread in _threads(pids)
    )


def own_cpu(pids: Iterable[int]) -> float:
    """Seconds that the living threads of `pids` have run, exact to the nanosecond (schedstat)."""
    total = 0
    for thread in _threads(pids):
        try:
            with open(f"{thread}/schedstat", encoding="ascii") as file:
                total += int(file.read().split()[0])
        except OSError:
            continue
    return total / 1e9


def whole_cpu(pids: Iterable[int]) -> float:
    """Seconds of `pids` and of every process that they have waited for, exact to a tick each."""
    return sum(found.ticks for pid in pids if (found := stat(pid)) is not None) / TICK
