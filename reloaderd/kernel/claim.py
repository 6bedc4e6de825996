"""The directory of one reloaderd, by its name: who has it, and what was left there.

    RUNTIME/NAME/         of mode 0700, locked by the reloaderd that has the name
    RUNTIME/NAME/control  its socket (kernel.control); RUNTIME is what kernel.runtime says

Facts
- flock(2) is of the open file description: it goes with the process that has it, however that ends, and holds
  in every namespace that sees the directory.  A keeper closes what it inherits, a child is given nothing.
- A directory that was removed can be locked still: whoever locks has to see that it is the one of that name.
- A name whose lock is free has no owner any more: the next to claim any name removes what it left.  While
  somebody looks the name seems taken, so this is done only while nobody claims: RUNTIME itself is locked,
  shared by those who claim and alone by who looks.
- sockaddr_un.sun_path holds 107 bytes and a NUL (unix(7)).
"""

from __future__ import annotations

import _socket
import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, LOCK_SH, flock

from reloaderd.errors import ReloaderdError
from reloaderd.kernel.runtime import peer, places, runtime_directory

CONTROL = "control"
"""The name of the socket in it."""

MAKING = ".control"
"""The name that the socket has until it listens."""

SUN_PATH = 107

MOST = 99
"""Instances of one name that get another: nobody has as many by intention."""

ATTEMPTS = 10
"""At locking a directory that others remove at the same time."""

PATIENCE = 0.2
"""Seconds to wait for who looks for what was left: that takes a millisecond, unless it is stopped."""


class Claim:
    """A name that is ours until `close`.  `wanted` is the name that was asked for."""

    def __init__(self, name: str, named: bool) -> None:
        """With `named` it is that name or none; otherwise the next free one, NAME-2 and so on.

        Raises ReloaderdError where a name that was given is taken or too long, and OSError.
        """
        self.wanted = name
        runtime = runtime_directory()
        longest = SUN_PATH - len(os.fsencode(runtime)) - len(f"//{MAKING}")
        if named and len(name) > longest:
            message = f"--name {name}: too long: a socket below {runtime} is called by it"
            raise ReloaderdError(message, f"use at most {longest} characters")
        with _locked(runtime, LOCK_SH, PATIENCE):
            self._take(name, named, runtime, longest)
        _remove_sockets(self._lock)
        with _locked(runtime, LOCK_EX) as alone:
            if alone:
                _sweep(runtime)

    def _take(self, name: str, named: bool, runtime: str, longest: int) -> None:
        for number in range(1, MOST + 1):
            ending = f"-{number}" if number > 1 else ""
            self.name = name[: longest - len(ending)].rstrip("-") + ending
            self.directory = os.path.join(runtime, self.name)
            self._lock = _lock(self.directory)
            if self._lock >= 0:
                break
            if named:
                raise _taken(name, listener(os.path.join(self.directory, CONTROL)))
        else:
            raise OSError(errno.EEXIST, f"{MOST} of this name run", self.directory)

    @property
    def path(self) -> str:
        """Where its socket is."""
        return os.path.join(self.directory, CONTROL)

    def listen(self, backlog: int) -> _socket.socket:
        """The socket, which does not block.  Raises OSError."""
        listener = _stream()
        making = os.path.join(self.directory, MAKING)
        try:
            # until it listens it refuses, as one does that was left behind: nobody must take it for that
            listener.bind(making)
            listener.listen(backlog)
            os.rename(making, self.path)
        except OSError as error:
            listener.close()
            error.filename = error.filename or making
            raise
        return listener

    def close(self) -> None:
        """Let go of the name, and leave nothing."""
        _remove_sockets(self._lock)
        try:
            # it may have been removed, and be another's by now that has the same name
            if os.path.samestat(os.fstat(self._lock), os.lstat(self.directory)):
                os.rmdir(self.directory)
        except OSError:  # somebody put something in there
            pass
        os.close(self._lock)


def _lock(directory: str) -> int:
    """A descriptor of the directory, made and locked; -1 where somebody else has it.  Raises OSError."""
    for _ in range(ATTEMPTS):
        try:
            os.mkdir(directory, 0o700)
        except FileExistsError:
            pass
        try:
            fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            look = os.fstat(fd)
            if look.st_uid != os.geteuid() or stat.S_IMODE(look.st_mode) & 0o077:
                raise PermissionError(errno.EACCES, "is not a directory of this user's alone", directory)
            flock(fd, LOCK_EX | LOCK_NB)
            if os.path.samestat(look, os.lstat(directory)):
                return fd
        except BlockingIOError:
            os.close(fd)
            return -1
        except FileNotFoundError:
            pass
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    raise OSError(errno.EBUSY, "it comes and goes", directory)


@contextmanager
def _locked(directory: str, kind: int, patience: float = 0.0) -> Iterator[bool]:
    """Whether the lock of `directory` is ours meanwhile; we wait no longer than `patience`, in seconds."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    deadline = time.monotonic() + patience
    try:
        while True:
            try:
                flock(fd, kind | LOCK_NB)
            except BlockingIOError:
                if time.monotonic() < deadline:
                    time.sleep(0.001)
                    continue
                yield False
            else:
                yield True
            return
    finally:
        os.close(fd)


def _sweep(runtime: str) -> None:
    """Remove the directories of those that have ended without doing so, as by SIGKILL."""
    for name in os.listdir(runtime):
        directory = os.path.join(runtime, name)
        if any(os.path.lexists(os.path.join(directory, one)) for one in (CONTROL, MAKING)):
            _remove_left(directory)


def _remove_left(directory: str) -> None:
    try:
        fd = _lock(directory)
    except OSError:  # it is no claim of ours
        return
    if fd < 0:  # it lives
        return
    try:
        _remove_sockets(fd)
        os.rmdir(directory)
    except OSError:  # somebody put something in there
        pass
    finally:
        os.close(fd)


def _remove_sockets(directory: int) -> None:
    for name in (CONTROL, MAKING):
        try:
            os.unlink(name, dir_fd=directory)
        except OSError:
            pass


def _stream() -> _socket.socket:
    kind = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK | _socket.SOCK_CLOEXEC
    return _socket.socket(_socket.AF_UNIX, kind)


def _taken(name: str, pid: int) -> ReloaderdError:
    who = f" (pid {pid})" if pid else ""
    message = f"--name {name}: another reloaderd has this name{who}"
    return ReloaderdError(message, f"choose another, or reloaderd stop {name}")


def listener(path: str) -> int:
    """The process that listens at `path`; 0 where there is none, or none that we can see."""
    with _socket_to(path) as probe:
        return peer(probe)[0] if probe.fileno() >= 0 else 0


def _socket_to(path: str) -> _Closing:
    probe = _stream()
    try:
        probe.connect(path)
    except OSError:
        probe.close()
    return _Closing(probe)


class _Closing:
    """Closes a socket in the end: those of `_socket` are no context managers."""

    def __init__(self, held: _socket.socket) -> None:
        self._held = held

    def __enter__(self) -> _socket.socket:
        return self._held

    def __exit__(self, *_: object) -> None:
        self._held.close()


def instances() -> Iterator[tuple[str, str]]:
    """The names and the sockets of those that run, or ran and were killed."""
    for place in places():
        for name in sorted(os.listdir(place)):
            path = os.path.join(place, name, CONTROL)
            if os.path.lexists(path):
                yield name, path
