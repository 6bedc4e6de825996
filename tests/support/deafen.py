"""Makes a running reloaderd deaf, and only that: its loop is not told any more that inotify has something.

pidfd_getfd(2) gives us descriptors of another process, and an epoll instance is one object however many
descriptors there are: what is taken out of it here is not waited for there.  epoll_ctl(2) knows an entry by
its number as well, so ours has to be the same: that is done in a process of its own.

    python -m tests.support.deafen PID
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import subprocess
import sys
from pathlib import Path

from tests.support.places import REPOSITORY

PIDFD_GETFD = 438


def deafen(pid: int) -> None:
    """Nothing that inotify tells wakes the process `pid`."""
    subprocess.run([sys.executable, "-m", "tests.support.deafen", str(pid)], cwd=REPOSITORY, check=True)


def _links(pid: int) -> dict[int, str]:
    links = {}
    for path in Path(f"/proc/{pid}/fd").iterdir():
        links[int(path.name)] = os.readlink(path)
    return links


def _take(pidfd: int, number: int, as_number: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    got = libc.syscall(PIDFD_GETFD, pidfd, number, 0)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), f"pidfd_getfd {number}")
    if got != as_number:
        os.dup2(got, as_number)
        os.close(got)


def main() -> None:
    pid = int(sys.argv[1])
    links = _links(pid)
    [inotify] = [number for number, link in links.items() if link == "anon_inode:inotify"]
    pidfd, ours = os.dup2(os.pidfd_open(pid), 200), 201
    _take(pidfd, inotify, inotify)
    done = 0
    for number, link in links.items():
        if link != "anon_inode:[eventpoll]":
            continue
        text = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
        if inotify in [int(found) for found in re.findall(r"^tfd:\s+(\d+)", text, re.MULTILINE)]:
            _take(pidfd, number, ours)
            select.epoll.fromfd(ours).unregister(inotify)
            done += 1
    assert done == 1, f"{done} epoll instances wait for inotify"


if __name__ == "__main__":
    main()
