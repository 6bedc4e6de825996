"""Which sockets processes have open, which of them listen, and who waits at one: from /proc.

Facts
- /proc/PID/fd/N is a link to `socket:[INODE]`; it is readable for processes of the same user that may be
  dumped (proc(5), PTRACE_MODE_READ), whatever Yama forbids.
- /proc/PID/net/tcp has the sockets of that process's network namespace: the local address in field 2, the
  state in field 4 (0A: listening), the inode in field 10.  An address is in words of the machine's own order.
- /proc/PID/fdinfo/N of an epoll descriptor has a line `tfd: FD events: … ino:INODE …` for each that is in it,
  the inode in hexadecimal (Linux 4.15).
- /proc/PID/task/TID/wchan names the function of the kernel in which a thread waits: inet_csk_accept and
  unix_accept or, for the latter, what it calls.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator

_SOCKET = re.compile(r"socket:\[([0-9]+)\]")
_IN_EPOLL = re.compile(rb"^tfd:.* ino:([0-9a-f]+)", re.MULTILINE)
_LISTENS = "0A"


def sockets_of(pid: int) -> dict[int, int]:
    """The sockets of a process: descriptors and inodes.  Empty for one that is gone or out of reach."""
    found: dict[int, int] = {}
    for number, target in _links(pid):
        match = _SOCKET.fullmatch(target)
        if match is not None:
            found[number] = int(match[1])
    return found


def has(pids: Iterable[int], inode: int) -> bool:
    """Whether any of these processes has this socket."""
    return any(inode in sockets_of(pid).values() for pid in pids)


def listening(pid: int) -> dict[int, str]:
    """What listens in the network namespace of a process: inodes, and their addresses."""
    found: dict[int, str] = {}
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}", encoding="ascii") as table:
                lines = table.read().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, lines):
            if fields[3] == _LISTENS:
                found[int(fields[9])] = _address(fields[1])
    return found


def awaited(pid: int) -> set[int]:
    """The inodes of what a process polls by epoll, and of all its sockets where a thread waits in accept."""
    found: set[int] = set()
    for number, target in _links(pid):
        if target == "anon_inode:[eventpoll]":
            try:
                with open(f"/proc/{pid}/fdinfo/{number}", "rb") as file:
                    found.update(int(one, 16) for one in _IN_EPOLL.findall(file.read()))
            except OSError:
                continue
    return found | set(sockets_of(pid).values()) if _accepts(pid) else found


def _accepts(pid: int) -> bool:
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/wchan", "rb") as file:
                if b"accept" in file.read():
                    return True
    except OSError:
        pass
    return False


def _links(pid: int) -> Iterator[tuple[int, str]]:
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return
    for name in names:
        try:
            yield int(name), os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue


def _address(text: str) -> str:
    """`0100007F:1F90` as a person writes it."""
    import _socket

    host, _, port = text.partition(":")
    words = [int(host[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(host), 8)]
    v6 = len(words) > 1
    shown = _socket.inet_ntop(_socket.AF_INET6 if v6 else _socket.AF_INET, b"".join(words))
    return f"[{shown}]:{int(port, 16)}" if v6 else f"{shown}:{int(port, 16)}"
