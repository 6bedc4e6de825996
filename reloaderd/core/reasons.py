"""What the kernel's numbers mean to a person: errnos with their mend, signals by name."""

from __future__ import annotations

import errno
from signal import Signals

_START = {
    errno.ENOENT: "no such file or command",
    errno.ENOTDIR: "a part of its path is not a directory",
    errno.EACCES: "permission denied (is it executable?)",
    errno.ENOEXEC: "not a program (a script needs a first line like #!/bin/sh)",
    errno.ETXTBSY: "it is being written by someone else",
    errno.E2BIG: "its arguments and environment are too long",
    errno.EAGAIN: "no more processes allowed for now",
    errno.ENOMEM: "out of memory",
    errno.EMFILE: "too many open files in reloaderd",
    errno.ENFILE: "too many open files on this machine",
}

_WATCH = {
    errno.ENOSPC: "this user may have no more inotify watches (raise sysctl fs.inotify.max_user_watches)",
    errno.EACCES: "permission denied (it will be watched once it is readable)",
    errno.ENOMEM: "the kernel is out of memory",
    errno.ENAMETOOLONG: "its path is too long",
}


def start_failure(number: int) -> str:
    """Why execve(2) or chdir(2) failed with errno `number`."""
    return _START.get(number) or _unknown(number)


def watch_failure(number: int) -> str:
    """Why inotify_add_watch(2) or a listing failed with errno `number`."""
    return _WATCH.get(number) or _unknown(number)


def signal_name(signum: int) -> str:
    """`SIGTERM` for 15; real-time signals but the first and last have no name of their own."""
    try:
        return Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _unknown(number: int) -> str:
    return f"error {errno.errorcode.get(number, number)}"
