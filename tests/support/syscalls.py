"""System calls that the os module of Python 3.11 lacks: renameat2, mount, umount2, unshare."""

from __future__ import annotations

import ctypes
import os
import re

AT_FDCWD = -100
RENAME_EXCHANGE = 2

MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000

_libc = ctypes.CDLL(None, use_errno=True)
_libc.renameat2.argtypes = (
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_int,
    ctypes.c_char_p,
    ctypes.c_uint,
)
_libc.mount.argtypes = (
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_char_p,
    ctypes.c_ulong,
    ctypes.c_char_p,
)
_libc.umount2.argtypes = (ctypes.c_char_p, ctypes.c_int)
_libc.unshare.argtypes = (ctypes.c_int,)


def exchange(path: str, new: str) -> None:
    """renameat2(2) with RENAME_EXCHANGE."""
    names = os.fsencode(path), os.fsencode(new)
    _check(_libc.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE), new)


def mount_tmpfs(path: str) -> None:
    _check(_libc.mount(b"none", os.fsencode(path), b"tmpfs", 0, None), path)


def mount_bind(source: str, path: str) -> None:
    _check(_libc.mount(os.fsencode(source), os.fsencode(path), None, MS_BIND, None), path)


def unmount(path: str, lazily: bool) -> None:
    _check(_libc.umount2(os.fsencode(path), MNT_DETACH if lazily else 0), path)


def mount_points() -> list[str]:
    """In the order in which they were mounted; proc(5) writes some bytes of a name as octal numbers."""
    with open("/proc/self/mountinfo", "rb") as file:
        names = [line.split(b" ")[4] for line in file]
    return [
        os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes((int(found[1], 8),)), name))
        for name in names
    ]


def have_mounts_of_our_own() -> None:
    """Go into a mount namespace of our own, as root or through a user namespace; nobody else sees ours.

    Raises OSError where neither is allowed.  unshare(2): only a process with one thread may.
    """
    uid, gid = os.getuid(), os.getgid()
    if uid == 0:
        _check(_libc.unshare(CLONE_NEWNS), "unshare")
    else:
        _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNS), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _check(_libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "/")


def _check(result: int, path: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
