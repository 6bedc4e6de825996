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

_OF_THE_SHELL = frozenset(
    {
        ".",
        "alias",
        "cd",
        "eval",
        "exec",
        "export",
        "set",
        "shopt",
        "source",
        "trap",
        "ulimit",
        "umask",
        "unset",
    }
)
"""Builtins of shells that people begin a line with, and that no program does the work of."""

SHORT_OF = {
    errno.EAGAIN: "end some processes, or raise the limit that ulimit -u shows",
    errno.EMFILE: "raise the limit that ulimit -n shows",
    errno.ENFILE: "end something that has many files open",
    errno.ENOMEM: "end something that needs much memory",
}
"""What a machine may be short of, and what helps."""

_WATCH = {
    errno.EACCES: "permission denied (it will be watched once it is readable)",
    errno.ENAMETOOLONG: "its path is too long",
    errno.ENOTCONN: "its server is gone",
    errno.EIO: "it cannot be read",
    errno.EMFILE: "too many open files in reloaderd (raise the limit that ulimit -n shows)",
    errno.ENFILE: "too many open files on this machine",
    errno.ENOMEM: "out of memory",
}

NOT_READY = "not ready"
"""Why the run before goes on, with --overlap."""

NOT_HANDLED = ": not handled by the command"
"""What follows the rule of a change that the command was told of, and that became a restart."""

ASKED_FOR = "asked for"
"""Why all is polled with `--backend poll`."""

NO_PACKAGE = "no inotify package"
"""Why all is polled where there is nothing to ask inotify with."""

NO_INOTIFY = "no inotify"
"""Why all is polled where the kernel has none, or forbids it."""

LIMITS = frozenset({"ENOSPC", "ENOMEM", "EMFILE"})
"""What inotify says, by the errno's name, when it has no room: such a part is polled until it has."""

MADE_UP = frozenset(
    {
        *("binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "efivarfs", "fusectl", "mqueue"),
        *("nsfs", "proc", "pstore", "resctrl", "securityfs", "selinuxfs", "sysfs", "tracefs"),
    }
)
"""File systems whose files are made up when they are read (filesystems(5), Documentation/filesystems)."""


def start_failure(number: int, what: str = "") -> str:
    """Why execve(2) or chdir(2) failed with errno `number` for `what`, and the mend where that is known."""
    mend = _mend_of_absent(what) if number == errno.ENOENT else ""
    return (_START.get(number) or _unknown(number)) + (f" ({mend})" if mend else "")


def _mend_of_absent(what: str) -> str:
    if what.endswith("\r"):
        return "the first line of the script ends in CR LF: save it with the line ends of Linux"
    if what in _OF_THE_SHELL:
        return "the shell alone knows it: add --shell"
    if any(character in what for character in " \t|&;<>"):
        return "it is one word, quoted: write several without the quotes, or add --shell"
    return ""


def watch_failure(number: int) -> str:
    """Why inotify_add_watch(2) or a listing failed with errno `number`."""
    return _WATCH.get(number) or _unknown(number)


def polled(why: str, count: int, sysctl: str, value: int) -> str:
    """What to tell of `count` directories that are polled for this reason, and the mend.

    `sysctl` is the limit behind it and `value` its setting; empty where there is none.
    """
    what = "1 directory is" if count == 1 else f"{count} directories are"
    if why == "ENOSPC" and sysctl:
        need = value + count
        return (
            f"{what} polled, as this user may have no more inotify watches: {sysctl} is {value},"
            f" {need} are needed ({more_watches(sysctl, need)})"
        )
    if why == "EMFILE" and sysctl:
        return (
            f"{what} polled, as this user may have no more inotify instances: {sysctl} is {value}, one more"
            f" is needed ({more_instances(sysctl, value)})"
        )
    if why in MADE_UP:
        return (
            f"{what} polled: files of a {why} file system are made up when read, few tell that they changed"
        )
    return f"{what} polled, as inotify has no room: {why} (the kernel is out of memory)"


def more_watches(sysctl: str, need: int) -> str:
    """How to allow `need`, and as many again: other programs of this user watch as well."""
    return f"sudo sysctl {sysctl}={1 << (2 * need - 1).bit_length()}"


def more_instances(sysctl: str, value: int) -> str:
    """How to allow more than `value`."""
    return f"sudo sysctl {sysctl}={value * 2 or 128}, or end another watcher"


def signal_name(signum: int) -> str:
    """`SIGTERM` for 15; real-time signals but the first and last have no name of their own."""
    try:
        return Signals(signum).name
    except ValueError:
        return f"signal {signum}"


def _unknown(number: int) -> str:
    return f"error {errno.errorcode.get(number, number)}"
