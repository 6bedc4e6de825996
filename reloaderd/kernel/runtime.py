"""The directory of this user's own in which reloaderd has its sockets.

Facts
- sockaddr_un.sun_path holds 107 bytes and a NUL.
- SO_PEERCRED of a connected socket tells who called listen(2) or connect(2), with the ids that
  it had then.
- A socket that nobody listens on any more refuses connections (connect(2): ECONNREFUSED) and stays.
- XDG_RUNTIME_DIR is the user's own by the XDG Base Directory Specification; `sudo -E` hands on another's.
"""

from __future__ import annotations

import _socket
import errno
import os
import stat
from contextlib import suppress
from typing import Any

LONGEST = 64
"""Bytes of XDG_RUNTIME_DIR with which the names of our sockets still fit."""

PULSE = "pulse-{pid}~"
"""The directory for the pulses of one process (kernel.pulse).  Names like it are ignored by default."""


def new_socket() -> Any:
    """One that keeps the bounds of what is sent, does not block, and is no child's."""
    kind = _socket.SOCK_SEQPACKET | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    return _socket.socket(_socket.AF_UNIX, kind)


def peer(connection: Any) -> tuple[int, int]:
    """The pid and the user id of the process at the other end."""
    credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(credentials[:4], "little"), int.from_bytes(credentials[4:8], "little")


def places() -> list[str]:
    """Where this user's reloaderds have their directory, as far as it is there.

    Who asks without XDG_RUNTIME_DIR (by su, from cron) may be no part of a session that those who run are of.
    """
    uid = os.geteuid()
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = _is_usable(given, uid)
    known = [f"{given}/reloaderd"] if usable else [f"/run/user/{uid}/reloaderd", f"/tmp/reloaderd-{uid}"]
    return [place for place in known if os.path.lexists(place) and _is_private(place, uid)]


def _is_usable(given: str, uid: int) -> bool:
    """Whether that is an XDG_RUNTIME_DIR of this user's in which our sockets can be."""
    return given.startswith("/") and len(os.fsencode(given)) <= LONGEST and _is_own(given, uid)


def listening_socket(path: str, backlog: int) -> Any:
    """One that listens at `path`, which nobody else has.  Raises OSError."""
    directory, _, name = path.rpartition("/")
    hidden = os.path.join(directory, f".{name}")
    one = new_socket()
    try:
        # until it listens it refuses, as one does that was left behind: nobody must take it for that
        one.bind(hidden)
        one.listen(backlog)
        os.rename(hidden, path)
    except OSError:
        one.close()
        raise
    return one


def sending_socket(address: str | bytes) -> Any:
    """One by which datagrams go to `address`, without waiting.  Raises OSError where nobody takes them."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    one = _socket.socket(_socket.AF_UNIX, kind)
    try:
        one.connect(address)
    except OSError:
        one.close()
        raise
    return one


def datagram_socket(path: str) -> Any:
    """One to which datagrams are sent at `path`, which nobody else has.  Raises OSError."""
    kind = _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    one = _socket.socket(_socket.AF_UNIX, kind)
    try:
        one.setsockopt(_socket.SOL_SOCKET, _socket.SO_PASSCRED, 1)  # unix(7): who sent it
        one.bind(path)
    except OSError:
        one.close()
        raise
    return one


def runtime_directory() -> str:
    """A directory of this user's own for sockets: below XDG_RUNTIME_DIR, or where there is none in /tmp.

    What was left there by one that was killed is removed.  Raises OSError.
    """
    uid = os.geteuid()
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    if _is_usable(given, uid):
        directory = os.path.join(given, "reloaderd")
    else:
        directory = f"/tmp/reloaderd-{uid}"
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        pass
    if not _is_private(directory, uid):
        raise PermissionError(13, "is not a directory of this user's alone", directory)
    for name in os.listdir(directory):
        kind, _, rest = name.partition("-")
        pid = rest.partition("-")[0].removesuffix("~")
        # one that lives is not woken by a question, unless it is in a namespace where its number is another
        path = os.path.join(directory, name)
        if kind == "agent" and not os.path.exists(f"/proc/{pid}") and not os.path.isdir(path):
            _remove_stale(path)
        elif kind == "pulse" and rest.endswith("~") and not os.path.exists(f"/proc/{pid}"):
            _remove_pulse(path)  # one that lives makes it again
    return directory


def _is_private(directory: str, uid: int) -> bool:
    """Whether it is a directory, and no link to one, that this user alone may enter.  Raises OSError."""
    look = os.lstat(directory)
    return stat.S_ISDIR(look.st_mode) and look.st_uid == uid and not look.st_mode & 0o077


def _is_own(directory: str, uid: int) -> bool:
    """Whether it is a directory of this user's in which things can be made."""
    try:
        look = os.stat(directory)
    except OSError:
        return False
    own = stat.S_ISDIR(look.st_mode) and look.st_uid == uid
    return own and os.access(directory, os.W_OK | os.X_OK)


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody listens to any more, or what lay beside it."""
    probe = new_socket()
    try:
        probe.connect(path)
    except OSError as error:
        if error.errno in (errno.ECONNREFUSED, errno.ENOENT):  # the latter of a link that is a notice
            with suppress(FileNotFoundError):  # another one has just done so
                os.unlink(path)
    finally:
        probe.close()


def _remove_pulse(directory: str) -> None:
    with suppress(OSError):
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
